"""Forms of the pages that keep instruments. They read what was typed; the services decide whether it holds."""

from __future__ import annotations

from typing import Any

from django import forms

from apps.core.units import MILLIWATT_HOURS_PER_KWH
from apps.procurement.models import Instrument

MILLIWATT_HOURS_PER_MWH = 1_000 * MILLIWATT_HOURS_PER_KWH
MOST_MWH = 4_000_000_000  # more than a year of the largest electricity market; fits 64 bits in milliwatt-hours


def _date(**options: Any) -> forms.DateField:
    return forms.DateField(widget=forms.DateInput(attrs={"type": "date"}), **options)


def _listed(name: str) -> forms.TextInput:
    return forms.TextInput(attrs={"list": name, "autocomplete": "off"})


class InstrumentForm(forms.Form):
    """What a lot is, what it covers, and the evidence of its retirement."""

    type = forms.ChoiceField(label="Type", choices=Instrument.Type)
    market = forms.CharField(
        label="Market",
        max_length=20,
        widget=_listed("markets"),
        help_text="Where it was generated. It covers only sites of the same market.",
    )
    technology = forms.CharField(label="Technology", max_length=60, required=False, widget=_listed("technologies"))
    volume_mwh = forms.DecimalField(
        label="Volume in MWh",
        min_value=0,
        max_value=MOST_MWH,
        max_digits=19,
        decimal_places=9,
        widget=forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"}),
    )
    co2e_kg_per_mwh = forms.DecimalField(
        label="Emission rate in kg CO2e per MWh",
        min_value=0,
        max_digits=14,
        decimal_places=6,
        initial=0,
        help_text="Direct emissions of the generation: 0 for wind, solar, hydro and nuclear; not for biomass.",
        widget=forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"}),
    )
    vintage_start = _date(label="Vintage from", help_text="First day of the generation.")
    vintage_end = _date(label="Vintage until", help_text="First day after it.")
    tracking_system = forms.CharField(
        label="Tracking system",
        max_length=60,
        required=False,
        widget=_listed("tracking-systems"),
        help_text="Registry, or who attests: AIB EECS registry, M-RETS, the supplier's attestation.",
    )
    serial_start = forms.CharField(label="First serial number", max_length=80, required=False)
    serial_end = forms.CharField(label="Last serial number", max_length=80, required=False)
    retired_on = _date(
        label="Retired on",
        required=False,
        help_text="Redeemed, retired or cancelled. Without it the lot covers nothing.",
    )
    beneficiary = forms.CharField(
        label="Retired for",
        max_length=120,
        required=False,
        help_text="Only if the retirement names somebody else than this organisation.",
    )
    claim_start = _date(
        label="Covers consumption from",
        required=False,
        help_text="Only if the retirement names another consumption period than the vintage.",
    )
    claim_end = _date(label="Covers consumption until", required=False, help_text="First day after it.")
    note = forms.CharField(label="Note", max_length=300, required=False)

    def values(self) -> dict[str, Any]:
        """The cleaned data as the services take them: volume in milliwatt-hours."""
        data = dict(self.cleaned_data)
        data["volume_milliwatt_hours"] = int(data.pop("volume_mwh") * MILLIWATT_HOURS_PER_MWH)
        return data


class NewInstrumentForm(InstrumentForm):
    reference = forms.CharField(
        label="Reference", max_length=80, help_text="Your own name for the lot. It never changes."
    )
    field_order = ["reference"]


class EditInstrumentForm(InstrumentForm):
    reason = forms.CharField(
        label="Reason", max_length=300, required=False, help_text="Kept in the audit log beside the change."
    )
