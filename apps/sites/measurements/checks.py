"""Rules that a reading must keep, alone and beside the others of its site. Pure: nothing here asks a database.

[1] ISO/IEC 30134-2 (EN 50600-4-2): PUE = facility energy / IT energy over the same period; below 1 is no efficiency
    but an error in the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from apps.core.filters import days_text
from apps.core.units import MILLIWATT_HOURS_PER_KWH
from apps.sites.models import SiteMeasurement

Quantity = SiteMeasurement.Quantity

# How much of the stored integer one unit holds: milliwatt-hours, or millilitres of water.
ENERGY_UNITS = {"kWh": MILLIWATT_HOURS_PER_KWH, "MWh": 1_000 * MILLIWATT_HOURS_PER_KWH}
WATER_UNITS = {"m3": 1_000_000, "L": 1_000}
UNITS = {**ENERGY_UNITS, **WATER_UNITS}

LONGEST_DAYS = 366
EARLIEST = date(1990, 1, 1)
# The largest mean power of one connection; the largest data centres are fed below this. A reading in the wrong unit
# goes past it.
MOST_MEAN_POWER_W = 2_000_000_000
MOST_WATER_A_DAY_ML = 1_000_000 * WATER_UNITS["m3"]


def units_of(quantity: str) -> dict[str, int]:
    """The units that a quantity may be given in, each with its size in the stored integer."""
    return WATER_UNITS if quantity == Quantity.WATER_INTAKE else ENERGY_UNITS


def unit_of(quantity: str) -> str:
    """The unit in which a quantity is shown and exported: kWh, or m3."""
    return next(iter(units_of(quantity)))


def in_unit(amount: int, unit: str) -> Decimal:
    """A stored amount in a unit, exact and without trailing zeros."""
    value = Decimal(amount) / UNITS[unit]
    return value.quantize(Decimal(1)) if value == value.to_integral_value() else value.normalize()


@dataclass(frozen=True, slots=True)
class Span:
    """A reading as the rules see it: whole days ``[start, end)``, amount in mWh or ml; ``name`` says which it is."""

    site_id: int
    quantity: str
    meter: str
    start: date
    end: date
    amount: int
    name: str = ""

    @property
    def days(self) -> str:
        return days_text(self.start, self.end)


def parse_amount(text: str, unit: str, quantity: str) -> tuple[int, dict[str, str]]:
    """``(amount in the stored unit, faults by field)`` of a number as it was typed; the amount is 0 beside a fault."""
    units = units_of(quantity)
    if unit not in units:
        return 0, {"unit": f"Expected {' or '.join(units)} for {Quantity(quantity).label.lower()}, got {unit!r}."}
    try:
        value = Decimal(text.strip().replace("\u202f", "").replace(" ", ""))
    except ArithmeticError:
        return 0, {"amount": f"Expected a number with a decimal point such as 1234.5, got {text.strip()!r}."}
    if not value.is_finite():
        return 0, {"amount": f"Expected a finite number, got {text.strip()!r}."}
    if value < 0:
        return 0, {"amount": f"Expected 0 or more, got {value}: a meter does not run backwards over a period."}
    if value > Decimal(2**63):
        return 0, {"amount": f"Expected a quantity that a site can use, got {value}; check the unit."}
    amount = value * units[unit]
    if amount != int(amount):
        smallest = "milliwatt-hour" if units is ENERGY_UNITS else "millilitre"
        return 0, {"amount": f"Expected no more than a whole {smallest}, got {value} {unit}."}
    return int(amount), {}


def faults_of(span: Span, others: Sequence[Span], today: date) -> dict[str, str]:
    """What is wrong with a reading, by field; ``others`` are the site's other readings. Empty when it holds."""
    faults: dict[str, str] = {}
    if span.amount < 0:
        faults["amount"] = "Expected 0 or more: a meter does not run backwards over a period."
    if span.start < EARLIEST:
        faults["start"] = f"Expected a day from {EARLIEST} on, got {span.start}."
    if span.end <= span.start:
        faults["end"] = f"Expected a last day on or after the first, {span.start}; got {span.end - timedelta(days=1)}."
        return faults
    days = (span.end - span.start).days
    if days > LONGEST_DAYS:
        faults["end"] = f"Expected at most {LONGEST_DAYS} days in one reading, got {days}; split it."
    if span.end > today:
        last = span.end - timedelta(days=1)
        faults["end"] = f"Expected a last day that is over; {last} is not (today is {today}, UTC)."
    if span.quantity == Quantity.WATER_INTAKE:
        if span.amount > MOST_WATER_A_DAY_ML * days:
            faults.setdefault("amount", "Expected at most 1,000,000 m³ a day; check the unit.")
    elif span.amount > MOST_MEAN_POWER_W * 1_000 * 24 * days:
        faults.setdefault("amount", "Expected a mean power of at most 2 GW; check the unit (kWh, MWh).")
    for other in others:
        if same_meter(span, other) and span.start < other.end and other.start < span.end:
            which = f" ({other.name})" if other.name else ""
            meter = f"meter {span.meter}" if span.meter else "this quantity"
            faults["start"] = (
                f"Overlaps the reading of {meter} for {other.days}{which}. Correct that one, or give the days after it."
            )
            break
    return faults


def same_meter(one: Span, other: Span) -> bool:
    return (one.site_id, one.quantity, one.meter) == (other.site_id, other.quantity, other.meter)


def pue_fault(spans: Sequence[Span]) -> tuple[Span, str] | None:
    """The first period of one site in which IT energy is above facility energy, as ``(IT reading, sentence)``.

    Compared are the shortest periods that begin and end with readings of both, so that nothing is apportioned: where
    the facility is metered on every day of such a period, its energy is at least that of the IT equipment, see [1].
    """
    both = (Quantity.FACILITY_ENERGY, Quantity.IT_ENERGY)
    relevant = sorted((span for span in spans if span.quantity in both), key=lambda span: (span.start, span.end))
    for period in _periods(relevant):
        facility = [span for span in period if span.quantity == Quantity.FACILITY_ENERGY]
        it = [span for span in period if span.quantity == Quantity.IT_ENERGY]
        start, end = period[0].start, max(span.end for span in period)
        used, by_it = sum(span.amount for span in facility), sum(span.amount for span in it)
        if facility and it and by_it > used and _covers(facility, start, end):
            ratio = f"{used / by_it:.2f}"
            return it[-1], (
                f"IT energy of {in_unit(by_it, 'kWh'):,f} kWh is above the facility energy of"
                f" {in_unit(used, 'kWh'):,f} kWh for {days_text(start, end)}: a PUE of {ratio}. Below 1 is an error in"
                " the data; check meters, units and days. A site with several meters needs all of them."
            )
    return None


def _periods(spans: Sequence[Span]) -> list[list[Span]]:
    """Readings in groups between the days that none of them crosses; sorted by start."""
    groups: list[list[Span]] = []
    end = date.min
    for span in spans:
        if span.start >= end:
            groups.append([])
        groups[-1].append(span)
        end = max(end, span.end)
    return groups


def _covers(spans: Sequence[Span], start: date, end: date) -> bool:
    """Whether readings, sorted by start, leave no day of ``[start, end)`` out."""
    reached = start
    for span in spans:
        if span.start > reached:
            return False
        reached = max(reached, span.end)
    return reached >= end
