"""Forms of the page of estimates. They read what was typed; the services decide whether it holds."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from django import forms

from apps.accounting.estimates.services import Request
from apps.core.forms import DayInput
from apps.core.windows import midnight
from apps.organisations.models import Organisation
from apps.telemetry import queries as telemetry
from apps.telemetry.models import Estimate
from apps.workloads import queries as workloads
from apps.workloads.models import HardwareProfile, InferenceProfile, Kind

KINDS = [(kind.label, kind.label.replace("_", "-").capitalize()) for kind in Kind if kind is not Kind.OTHER]


def _date(label: str, help_text: str = "") -> forms.DateField:
    return forms.DateField(label=label, help_text=help_text, widget=DayInput())


def _listed(label: str, name: str, length: int, help_text: str = "") -> forms.CharField:
    """A text with suggestions."""
    widget = forms.TextInput(attrs={"list": name, "autocomplete": "off"})
    return forms.CharField(label=label, max_length=length, required=False, help_text=help_text, widget=widget)


def _number(label: str, help_text: str = "", *, required: bool = False, whole: bool = True, least: int = 0) -> Any:
    widget = forms.NumberInput(attrs={"step": "1" if whole else "any", "inputmode": "numeric" if whole else "decimal"})
    if whole:
        return forms.IntegerField(label=label, help_text=help_text, required=required, min_value=least, widget=widget)
    return forms.DecimalField(
        label=label,
        help_text=help_text,
        required=required,
        min_value=least,
        max_digits=18,
        decimal_places=6,
        widget=widget,
    )


class EstimateForm(forms.Form):
    """What both ways of estimating ask for."""

    basis = ""
    source = forms.CharField(
        label="Source",
        max_length=200,
        help_text="A name for what is estimated, such as rented-cluster-7; one without readings in that time.",
    )
    start = _date("From")
    end = _date("Until", "First day after it; UTC.")
    site = forms.ChoiceField(
        label="Site", required=False, help_text="Without a site the energy has no scope and no emissions."
    )
    team = _listed("Team", "teams", 120)
    model = _listed("Model", "models", 200)
    workload = forms.CharField(label="Workload", max_length=200, required=False, help_text="The run or service.")
    study = forms.CharField(label="Study", max_length=200, required=False)
    kind = forms.ChoiceField(label="Kind", choices=KINDS)

    def __init__(self, *args: Any, organisation: Organisation, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        sites = [(site.code, site.name) for site in telemetry.sites(organisation)]
        self.fields["site"].choices = [("", "No site"), *sites]  # type: ignore[attr-defined]

    def request(self) -> Request:
        """The cleaned data as the service takes them: days as times in UTC."""
        data = dict(self.cleaned_data)
        start, end = data.pop("start"), data.pop("end")
        if percent := data.pop("utilisation_percent", None):
            data["utilisation"] = percent / Decimal(100)
        elif percent is not None:
            data["utilisation"] = Decimal(0)
        return Request(basis=self.basis, start=midnight(start), end=midnight(end), **data)


class AcceleratorHoursForm(EstimateForm):
    basis = Estimate.Basis.ACCELERATOR_HOURS.value
    hardware = forms.ChoiceField(label="Hardware profile", help_text="Those that publish a TDP.")
    accelerators = _number("Accelerators", "How many ran the whole time.", least=1)
    accelerator_hours = _number(
        "Accelerator-hours", "In place of the number. The readings then state the mean number, whole.", whole=False
    )
    utilisation_percent = _number(
        "Utilisation in per cent", "Mean share of the range between idle power and TDP.", required=True, whole=False
    )
    tokens = _number("Tokens", "If known: for the energy per token.")
    requests = _number("Requests", "If known.")
    field_order = ["hardware", "accelerators", "accelerator_hours", "utilisation_percent", "start", "end"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        profiles = workloads.powered_profiles()
        self.fields["hardware"].choices = [  # type: ignore[attr-defined]
            ("", "Choose a profile"),
            *((profile.code, _profile_label(profile)) for profile in profiles),
        ]
        self.fields["kind"].initial = Kind.TRAINING.label


class TokensForm(EstimateForm):
    basis = Estimate.Basis.TOKENS.value
    profile = forms.TypedChoiceField(
        label="Published energy per token",
        coerce=int,
        help_text="Median of the published configurations; the accelerators alone.",
    )
    tokens = _number("Output tokens", required=True)
    requests = _number("Requests", "If known.")
    field_order = ["profile", "tokens", "requests", "start", "end"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["profile"].choices = [  # type: ignore[attr-defined]
            ("", "Choose a model and device"),
            *((profile.pk, _energy_label(profile)) for profile in workloads.inference_profiles()),
        ]
        self.fields["kind"].initial = Kind.INFERENCE.label


FORMS: dict[str, type[EstimateForm]] = {form.basis: form for form in (AcceleratorHoursForm, TokensForm)}


def _profile_label(profile: HardwareProfile) -> str:
    idle = "idle not published" if profile.idle_w is None else f"idle {profile.idle_w:.0f} W"
    return f"{profile.name}, {profile.tdp_w:.0f} W, {idle}"


def _energy_label(profile: InferenceProfile) -> str:
    joules = Decimal(profile.microjoules_per_token).scaleb(-6)
    return f"{profile}, {profile.task}: {joules:.3f} J/token"


def default_dates(today: date) -> dict[str, date]:
    """The month before the present one."""
    first = today.replace(day=1)
    before = date(first.year - (first.month == 1), (first.month + 10) % 12 + 1, 1)
    return {"start": before, "end": first}
