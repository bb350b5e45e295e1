"""Forms of the pages that keep meter readings. They read what was typed; the services decide whether it holds."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from django import forms

from apps.core.forms import DayInput
from apps.organisations.models import Organisation
from apps.sites.measurements import queries
from apps.sites.measurements.checks import UNITS, in_unit, parse_amount, unit_of
from apps.sites.models import Site, SiteMeasurement

UNIT_LABELS = {"kWh": "kWh", "MWh": "MWh", "m3": "m³", "L": "L"}
MOST_NOTE = 300


def _date(**options: Any) -> forms.DateField:
    return forms.DateField(widget=DayInput(), **options)


def _number(**options: Any) -> forms.CharField:
    return forms.CharField(
        max_length=40, widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}), **options
    )


class MeasurementForm(forms.Form):
    """A reading over whole days. The amount is typed, or is the difference of two readings of a register."""

    meter = forms.CharField(
        label="Meter",
        max_length=80,
        required=False,
        widget=forms.TextInput(attrs={"list": "meters", "autocomplete": "off"}),
        help_text="Number of the meter or connection, where the site has several. They add up.",
    )
    first_day = _date(label="First day")
    last_day = _date(label="Last day", help_text="Included. Days are UTC.")
    amount = _number(label="Amount", required=False, help_text="Leave it empty to give two register readings instead.")
    unit = forms.ChoiceField(label="Unit", choices=[(unit, UNIT_LABELS[unit]) for unit in UNITS])
    register_start = _number(label="Register at the start", required=False)
    register_end = _number(
        label="Register at the end",
        required=False,
        help_text="For a register that counts on: the amount is the difference, and the note keeps both.",
    )
    evidence = forms.ChoiceField(label="Evidence", choices=SiteMeasurement.Evidence)
    reference = forms.CharField(
        label="Reference", max_length=120, help_text="Number of the invoice, or who read the meter and when."
    )
    note = forms.CharField(label="Note", max_length=MOST_NOTE, required=False)
    quantity_of_row = ""  # on a form that corrects a reading, whose quantity stays

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        quantity = self.quantity_of_row or data.get("quantity", "")
        typed = data.get("amount", "").strip()
        registers = [data.get(name, "").strip() for name in ("register_start", "register_end")]
        if not quantity or "unit" not in data:
            return data
        if any(registers):
            if typed:
                self.add_error("amount", "Give the amount or two register readings, not both.")
                return data
            typed = self._difference(*registers, unit=data["unit"])
        elif not typed:
            self.add_error("amount", "Expected a number such as 812340.5, or two register readings.")
        if typed:
            data["stored_amount"], faults = parse_amount(typed, data["unit"], quantity)
            for name, text in faults.items():
                self.add_error(name, text)
        return data

    def _difference(self, start: str, end: str, *, unit: str) -> str:
        values: dict[str, Decimal] = {}
        for name, text in (("register_start", start), ("register_end", end)):
            try:
                values[name] = Decimal(text)
                if not values[name].is_finite() or values[name] < 0:
                    raise InvalidOperation
            except InvalidOperation:
                self.add_error(name, f"Expected a number of 0 or more with a decimal point, got {text!r}.")
        if len(values) < 2:
            return ""
        difference = values["register_end"] - values["register_start"]
        if difference < 0:
            self.add_error(
                "register_end",
                f"{end} is below the register at the start, {start}. If the register began anew, give the amount.",
            )
            return ""
        note = f"Register {start} to {end} {UNIT_LABELS[unit]}. {self.cleaned_data.get('note', '')}".strip()
        if len(note) > MOST_NOTE:
            self.add_error("note", "Too long beside the register readings; shorten it.")
        self.cleaned_data["note"] = note
        return str(difference)

    def values(self) -> dict[str, Any]:
        """The cleaned data as the services take them: ``[start, end)`` and the amount in its stored unit."""
        data = self.cleaned_data
        return {
            **{name: data[name] for name in ("meter", "evidence", "reference", "note")},
            "start": data["first_day"],
            "end": data["last_day"] + timedelta(days=1),
            "amount": data["stored_amount"],
        }


class NewMeasurementForm(MeasurementForm):
    site = forms.ChoiceField(label="Site")
    quantity = forms.ChoiceField(label="Quantity", choices=SiteMeasurement.Quantity)
    field_order = ["site", "quantity"]

    def __init__(self, organisation: Organisation, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        sites = Site.objects.of(organisation).values_list("code", "name")
        self.fields["site"].choices = [("", "Choose"), *sites]  # type: ignore[attr-defined]


class CorrectMeasurementForm(MeasurementForm):
    reason = forms.CharField(
        label="Reason", max_length=300, required=False, help_text="Kept in the audit log beside the change."
    )

    def __init__(self, measurement: SiteMeasurement, *args: Any, **kwargs: Any) -> None:
        unit = unit_of(measurement.quantity)
        kwargs["initial"] = {
            **{name: getattr(measurement, name) for name in ("meter", "evidence", "reference", "note")},
            "first_day": measurement.start,
            "last_day": queries.last_day(measurement),
            "amount": f"{in_unit(measurement.amount, unit):f}",
            "unit": unit,
        }
        super().__init__(*args, **kwargs)
        self.quantity_of_row = measurement.quantity


class FileForm(forms.Form):
    file = forms.FileField(
        label="CSV file",
        help_text="UTF-8, with the columns of the template. Nothing is stored before you have seen it.",
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
    )
