"""Forms of the uploads pages. They read what was typed; the services decide whether it holds."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from django import forms

from apps.organisations.models import Organisation
from apps.telemetry import queries
from apps.telemetry.models import Upload
from apps.telemetry.uploads.formats import generic
from apps.telemetry.uploads.formats.base import ENERGY_UNITS, POWER_UNITS
from apps.workloads.models import Kind

READINGS = [
    ("", "Choose"),
    ("interval", "Energy or mean power of an interval"),
    ("power", "Power at an instant"),
    ("counter", "Value of an energy counter"),
]


class FileForm(forms.Form):
    """The first step: the file."""

    file = forms.FileField(
        label="File", help_text="CSV or JSON as the tool wrote it, also packed with gzip. At most 64 MiB unpacked."
    )


class AnswersForm(forms.Form):
    """The second step: what the file does not say itself."""

    format = forms.ChoiceField(label="Format", choices=Upload.Format.choices)
    site = forms.ChoiceField(label="Site", required=False)
    team = forms.ChoiceField(label="Team", required=False)
    timezone = forms.CharField(
        label="Time zone",
        max_length=40,
        required=False,
        widget=forms.TextInput(attrs={"list": "zones"}),
        help_text="Of times without an offset: Europe/Berlin or +02:00. Empty: the site's.",
    )
    pue = forms.CharField(
        label="PUE included", max_length=12, required=False, help_text="That the energies were multiplied with already."
    )
    model = forms.CharField(label="AI model", max_length=200, required=False)
    kind = forms.ChoiceField(
        label="Kind", required=False, choices=[("", "Not said"), *((kind.label, kind.label) for kind in Kind)]
    )
    source = forms.CharField(
        label="Source", max_length=200, required=False, help_text="Name of the machine, where the file names none."
    )
    overlap = forms.ChoiceField(
        label="Windows within others (Zeus)",
        required=False,
        choices=[("refuse", "Refuse: their energy is in the outer one's"), ("keep", "Keep: add them up")],
    )
    reading = forms.ChoiceField(label="A row is", required=False, choices=READINGS)
    unit = forms.ChoiceField(
        label="Unit", required=False, choices=[("", "Choose"), *((one, one) for one in [*ENERGY_UNITS, *POWER_UNITS])]
    )

    def __init__(self, *args: Any, organisation: Organisation, columns: list[str], **options: Any) -> None:
        super().__init__(*args, **options)
        fields: dict[str, Any] = self.fields
        sites = [(site.code, site.name) for site in queries.sites(organisation)]
        fields["site"].choices = [("", "Not said"), *sites]
        fields["team"].choices = [("", "As the file says"), *((t.slug, t.name) for t in queries.teams(organisation))]
        labels = {
            "time": "Column of the time",
            "start": "Column of the start",
            "end": "Column of the end",
            "duration": "Column of the duration [s]",
            "value": "Column of the value",
            "source_column": "Column of the source",
        }
        for name in generic.COLUMNS:
            choices = [("", "None"), *((column, column) for column in columns)]
            self.fields[name] = forms.ChoiceField(label=labels[name], required=False, choices=choices)

    def given(self) -> dict[str, str]:
        """The answers; of the mapping only what the generic format needs."""
        is_generic = self.cleaned_data["format"] == Upload.Format.GENERIC
        mapping = {"reading", "unit", *generic.COLUMNS}
        return {
            name: value
            for name, value in self.cleaned_data.items()
            if value and name != "format" and (is_generic or name not in mapping)
        }

    def common(self) -> list[forms.BoundField]:
        """The fields of every format."""
        mapping = {"reading", "unit", *generic.COLUMNS}
        return [field for field in self if field.name not in mapping]

    def mapping(self) -> list[forms.BoundField]:
        """The fields of the generic format."""
        return [self[name] for name in ("reading", "unit", *generic.COLUMNS)]


def zones() -> list[str]:
    """Names of time zones to choose from."""
    return sorted(name for name in available_timezones() if "/" in name and not name.startswith(("Etc/", "SystemV/")))
