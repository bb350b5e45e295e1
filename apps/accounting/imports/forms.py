"""Forms of the import page. They read what was typed; the services decide whether it holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django import forms

from apps.core.forms import DayInput
from apps.factors.formats import LABELS
from apps.factors.providers import PROVIDERS

MOST_DAYS_BY_PAGE = 31  # a longer time takes many calls: the command does it


def _date(**options: Any) -> forms.DateField:
    return forms.DateField(widget=DayInput(), **options)


class UploadForm(forms.Form):
    """A factor file, and what the user says instead of it."""

    file = forms.FileField(
        label="File", help_text="The publisher's own workbook (.xlsx) or CSV, unchanged. At most 64 MiB."
    )
    format = forms.ChoiceField(
        label="Format", required=False, choices=[("", "Find out from the content"), *LABELS.items()]
    )
    edition = forms.CharField(
        label="Edition", max_length=40, required=False, help_text="Empty: as the file names it, by its year."
    )
    publisher = forms.CharField(label="Publisher", max_length=120, required=False, help_text="Empty: by the format.")
    licence = forms.CharField(label="Licence", max_length=200, required=False, help_text="Empty: by the format.")
    year = forms.IntegerField(
        label="Data year",
        required=False,
        min_value=1990,
        max_value=2099,
        help_text="Only for a table that does not say which year it describes.",
    )
    valid_from = _date(
        label="May be used from", required=False, help_text="Empty: each factor for the calendar year of its data."
    )
    valid_to = _date(label="May be used until", required=False, help_text="First day after.")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        start, end = cleaned.get("valid_from"), cleaned.get("valid_to")
        if bool(start) != bool(end):
            self.add_error("valid_to", "Give both days, or neither.")
        elif start and end and end <= start:
            self.add_error("valid_to", "The first day after must be later than the first day.")
        return cleaned

    def given(self) -> dict[str, str]:
        """What the user says instead of the file, as texts."""
        names = ("edition", "publisher", "licence", "year", "valid_from", "valid_to")
        values = {name: self.cleaned_data.get(name) for name in names}
        return {
            name: value.isoformat() if hasattr(value, "isoformat") else str(value)
            for name, value in values.items()
            if value not in (None, "")
        }


class FetchForm(forms.Form):
    """Hours to be asked for. The key is used for this one request and stored nowhere."""

    provider = forms.ChoiceField(
        label="Provider", choices=[(name, provider.label) for name, provider in PROVIDERS.items()]
    )
    provider_zone = forms.CharField(
        label="Zone at the provider", max_length=40, help_text="Such as DE, FR, US-TEX-ERCO; NESO knows GB."
    )
    zone = forms.CharField(
        label="Grid zone", max_length=20, required=False, help_text="The portal's zone, where it is named differently."
    )
    start = _date(label="From", help_text="00:00 UTC of this day.")
    end = _date(label="Until", help_text="First day after; at most 31 days at a time.")
    key = forms.CharField(
        label="Your API key",
        required=False,
        max_length=200,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="Used for this request and not stored. NESO needs none.",
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        start, end = cleaned.get("start"), cleaned.get("end")
        if start and end and not timedelta(0) < end - start <= timedelta(MOST_DAYS_BY_PAGE):
            self.add_error(
                "end",
                f"Between one and {MOST_DAYS_BY_PAGE} days after the first. For more use the command fetch_hourly.",
            )
        return cleaned

    def window(self) -> tuple[datetime, datetime]:
        start, end = (
            datetime.combine(self.cleaned_data[name], datetime.min.time(), tzinfo=UTC) for name in ("start", "end")
        )
        return start, end
