"""Forms of the data quality pages. They read what was typed; the services decide whether it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from django import forms

from apps.accounting.engine import uncertainty
from apps.accounting.quality.queries import OwnValue
from apps.accounting.quality.tables import per_cent_of
from apps.core.units import ppm
from apps.telemetry.models import GapDecision

_MOMENT = {"type": "datetime-local", "step": "0.001"}


class GapForm(forms.Form):
    source = forms.CharField(label="Source", max_length=200, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    start = forms.DateTimeField(
        label="From (UTC)",
        widget=forms.DateTimeInput(attrs=_MOMENT),
        help_text="The end of the last reading before the gap.",
    )
    end = forms.DateTimeField(
        label="Until (UTC)",
        widget=forms.DateTimeInput(attrs=_MOMENT),
        help_text="The start of the first reading after it.",
    )
    basis = forms.ChoiceField(
        label="What becomes of it",
        choices=GapDecision.Basis,
        initial=GapDecision.Basis.MEAN_POWER,
        widget=forms.RadioSelect,
    )
    energy_kwh = forms.DecimalField(
        label="Energy [kWh]",
        required=False,
        min_value=0,
        max_digits=15,
        decimal_places=9,
        help_text="Only where you state the energy yourself.",
        widget=forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"}),
    )
    reason = forms.CharField(
        label="Reason",
        max_length=300,
        help_text="Why there are no readings and why this is right. It stands in the record and the audit log.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )


class UncertaintyRow(NamedTuple):
    label: str
    default: str
    default_basis: str
    value: forms.BoundField
    basis: forms.BoundField


class UncertaintyForm(forms.Form):
    """A value in per cent and what it rests on for every input; left empty it keeps the default."""

    def __init__(self, *args: Any, own: Mapping[str, OwnValue], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, default in uncertainty.DEFAULTS.items():
            mine = own.get(name)
            self.fields[name] = forms.DecimalField(
                label=f"{default.label}, per cent",
                required=False,
                min_value=0,
                max_value=uncertainty.MOST_PPM // 10_000,
                decimal_places=4,
                initial=per_cent_of(mine.ppm) if mine else None,
                widget=forms.NumberInput(
                    attrs={"step": "any", "inputmode": "decimal", "placeholder": per_cent_of(default.ppm)}
                ),
            )
            self.fields[f"{name}_basis"] = forms.CharField(
                label=f"{default.label}, rests on",
                required=False,
                max_length=300,
                initial=mine.basis if mine else "",
            )

    def rows(self) -> Iterator[UncertaintyRow]:
        for name, default in uncertainty.DEFAULTS.items():
            yield UncertaintyRow(
                default.label, per_cent_of(default.ppm), default.basis, self[name], self[f"{name}_basis"]
            )

    def values(self) -> dict[str, OwnValue]:
        """The values that were typed, by name."""
        found = {}
        for name in uncertainty.DEFAULTS:
            typed: Decimal | None = self.cleaned_data[name]
            if typed is not None:
                found[name] = OwnValue(ppm(typed / 100), self.cleaned_data[f"{name}_basis"].strip())
        return found
