"""Forms of the pages that keep instruments. They read what was typed; the services decide whether it holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms

from apps.core.forms import DayInput
from apps.core.units import MILLIWATT_HOURS_PER_KWH
from apps.organisations import queries as organisations
from apps.organisations.models import Organisation
from apps.procurement import evidence
from apps.procurement.models import Instrument
from apps.workloads import queries as workloads

MILLIWATT_HOURS_PER_MWH = 1_000 * MILLIWATT_HOURS_PER_KWH
MOST_MWH = 4_000_000_000  # more than a year of the largest electricity market; fits 64 bits in milliwatt-hours


def _date(**options: Any) -> forms.DateField:
    return forms.DateField(widget=DayInput(), **options)


def _listed(name: str) -> forms.TextInput:
    return forms.TextInput(attrs={"list": name, "autocomplete": "off"})


def _rate(label: str, decimal_places: int, **options: Any) -> forms.DecimalField:
    return forms.DecimalField(
        label=label,
        min_value=0,
        max_digits=14,
        decimal_places=decimal_places,
        required=False,
        widget=forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"}),
        **options,
    )


def _attestation(label: str, help_text: str) -> forms.TypedChoiceField:
    return forms.TypedChoiceField(
        label=label,
        choices=[("", "Not stated"), ("yes", "Yes"), ("no", "No")],
        coerce=lambda text: text == "yes",
        empty_value=None,
        required=False,
        help_text=help_text,
    )


@dataclass(frozen=True, slots=True)
class Section:
    """Some fields of a form under one heading."""

    title: str
    visible_fields: list[forms.BoundField]


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
    vintage_start = _date(label="Vintage from", help_text="First day of the generation.")
    vintage_end = _date(label="Vintage until", help_text="First day after it.")
    co2e_kg_per_mwh = _rate(
        "Emission rate in kg CO2e per MWh",
        6,
        initial=0,
        help_text="Direct emissions of the generation: 0 for wind, solar, hydro and nuclear; not for biomass."
        " Empty where the gases below are stated. A changed rate clears gases that are left as they were.",
    )
    co2_kg_per_mwh = _rate("CO2 in kg per MWh", 6, help_text="Fossil carbon dioxide. Give all three gases or none.")
    ch4_kg_per_mwh = _rate("CH4 in kg per MWh", 9, help_text="The mass of methane, also of biogenic origin.")
    n2o_kg_per_mwh = _rate("N2O in kg per MWh", 9, help_text="The mass of nitrous oxide, also of biogenic origin.")
    biogenic_co2_kg_per_mwh = _rate(
        "Biogenic CO2 in kg per MWh", 6, help_text="Of biomass or biogas. Reported outside the scopes."
    )
    tracking_system = forms.CharField(
        label="Tracking system",
        max_length=60,
        required=False,
        widget=_listed("tracking-systems"),
        help_text="Registry, or who attests: AIB EECS registry, M-RETS, the supplier's attestation.",
    )
    serial_start = forms.CharField(
        label="First serial number",
        max_length=80,
        required=False,
        help_text="A serial number is claimed once in the whole installation.",
    )
    serial_end = forms.CharField(label="Last serial number", max_length=80, required=False)
    issued_on = _date(label="Issued on", required=False)
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
    supplier_attested = _attestation(
        "Supplier attests the delivered mix",
        "Criterion 6, for supplier rates: the rate is of delivered electricity, includes what was retired for the"
        " customers, and leaves out what was sold without its attributes.",
    )
    exclusive_claim = _attestation(
        "Claim is exclusive",
        "Criterion 7, for power purchase agreements: every instrument that carries the claim comes to you alone.",
    )
    deliverable = forms.BooleanField(
        label="The electricity could be delivered to the market (asked by the hourly draft of October 2025 only)",
        required=False,
        initial=True,
    )
    earmark = forms.ChoiceField(label="Bought for", required=False)
    note = forms.CharField(label="Note", max_length=300, required=False)

    SECTIONS: tuple[tuple[str, Sequence[str]], ...] = (
        ("What it is", ("reference", "type", "market", "technology", "volume_mwh", "vintage_start", "vintage_end")),
        (
            "What the generation emits",
            ("co2e_kg_per_mwh", "co2_kg_per_mwh", "ch4_kg_per_mwh", "n2o_kg_per_mwh", "biogenic_co2_kg_per_mwh"),
        ),
        (
            "Registry and retirement",
            (
                "tracking_system",
                "serial_start",
                "serial_end",
                "issued_on",
                "retired_on",
                "beneficiary",
                "claim_start",
                "claim_end",
            ),
        ),
        ("Attestations", ("supplier_attested", "exclusive_claim", "deliverable")),
        ("Use", ("earmark", "note", "reason")),
    )

    def __init__(self, *args: Any, organisation: Organisation, **options: Any) -> None:
        super().__init__(*args, **options)
        self.organisation = organisation
        teams = [(f"team:{team.slug}", team.name) for team in organisations.teams(organisation)]
        models = [(f"model:{model.slug}", model.name) for model in workloads.models(organisation)]
        groups = [("Teams", teams), ("Models", models)]
        field = self.fields["earmark"]
        field.choices = [("", "The whole organisation"), *(group for group in groups if group[1])]  # type: ignore[attr-defined]
        if organisation.market_allocation == Organisation.MarketAllocation.EARMARKED:
            field.help_text = "It covers the consumption of this team or model first."
        else:
            field.help_text = (
                "Kept as a statement and without effect: this organisation allocates instruments pro rata. An"
                " administrator can choose earmarked allocation in the settings."
            )

    @property
    def sections(self) -> list[Section]:
        """The fields under their headings, for the page."""
        return [Section(title, [self[name] for name in names if name in self.fields]) for title, names in self.SECTIONS]

    def values(self) -> dict[str, Any]:
        """The cleaned data as the services take them: volume in milliwatt-hours, earmarks as objects."""
        data = dict(self.cleaned_data)
        data["volume_milliwatt_hours"] = int(data.pop("volume_mwh") * MILLIWATT_HOURS_PER_MWH)
        kind, _, slug = data.pop("earmark").partition(":")
        data["earmark_team"] = organisations.team(self.organisation, slug) if kind == "team" else None
        data["earmark_model"] = workloads.model(self.organisation, slug) if kind == "model" else None
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


class EvidenceForm(forms.Form):
    evidence = forms.FileField(
        label="File",
        widget=forms.FileInput(attrs={"accept": evidence.ACCEPTED}),
        help_text="PDF, PNG, JPEG, CSV or XLSX, up to 20 MiB: the registry's retirement statement, the contract, the"
        " supplier's attestation.",
    )


class StandardSupplyForm(forms.Form):
    market = forms.CharField(label="Market", max_length=20, widget=_listed("markets"))
    start = _date(label="From", help_text="First day.")
    end = _date(label="Until", help_text="First day after it.")
    share_percent = forms.DecimalField(
        label="Share of the consumption in %",
        min_value=0,
        max_value=100,
        max_digits=7,
        decimal_places=4,
        widget=forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"}),
        help_text="What the supplier or registry states as your share, never more than that.",
    )
    co2e_kg_per_mwh = forms.DecimalField(
        label="Emission rate in kg CO2e per MWh",
        min_value=0,
        max_digits=14,
        decimal_places=6,
        initial=0,
        widget=forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"}),
    )
    source = forms.CharField(label="Source", max_length=200, help_text="The supplier's statement or the registry.")

    def values(self) -> dict[str, Any]:
        """The cleaned data as the services take them: the share in parts per million."""
        data = dict(self.cleaned_data)
        data["share_ppm"] = int(data.pop("share_percent") * 10_000)
        return data
