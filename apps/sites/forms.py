"""Forms of the pages that keep sites. They read what was typed; the services decide whether it holds."""

from __future__ import annotations

from typing import Any

from django import forms

from apps.core.forms import DayInput
from apps.sites import queries
from apps.sites.models import ControlClass


class SiteForm(forms.Form):
    name = forms.CharField(label="Name", max_length=120)
    control = forms.ChoiceField(
        label="Control class",
        choices=ControlClass,
        help_text="Owned, leased and colocation sites count in Scope 2; a public cloud is Scope 3, category 1.",
    )
    country = forms.ChoiceField(label="Country")
    grid_zone = forms.ChoiceField(
        label="Grid zone",
        help_text="Whose average factor applies; take the zone inside the country where there is one.",
    )
    market = forms.CharField(
        label="Market",
        max_length=20,
        help_text="Where certificates are valid and which residual mix applies, such as DE or US-TX.",
        widget=forms.TextInput(attrs={"list": "markets", "autocomplete": "off"}),
    )
    time_zone = forms.CharField(
        label="Time zone",
        max_length=40,
        initial="UTC",
        help_text="For the site's own clock beside UTC, such as Europe/Berlin.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["country"].choices = [("", "Choose"), *queries.country_choices()]  # type: ignore[attr-defined]
        self.fields["grid_zone"].choices = [("", "Choose"), *queries.zone_choices()]  # type: ignore[attr-defined]


class NewSiteForm(SiteForm):
    code = forms.SlugField(
        label="Code",
        max_length=40,
        help_text="What telemetry calls the site: letters, digits, - and _. It never changes.",
    )
    field_order = ["name", "code"]


class EditSiteForm(SiteForm):
    reason = forms.CharField(
        label="Reason", max_length=300, required=False, help_text="Kept in the audit log beside the change."
    )


class PueForm(forms.Form):
    pue = forms.DecimalField(
        label="PUE",
        max_digits=7,
        decimal_places=6,
        help_text="Facility energy / IT energy, 1 to 5.",
        widget=forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"}),
    )
    start = forms.DateField(
        label="From",
        help_text="First day (UTC) on which it holds. A value that is open until then ends there.",
        widget=DayInput(),
    )
    end = forms.DateField(
        label="Until",
        required=False,
        help_text="First day on which it no longer holds; empty for a value that goes on.",
        widget=DayInput(),
    )
    source = forms.CharField(
        label="Source", max_length=200, help_text="Where the value comes from, such as a meter or a contract."
    )
