"""How figures are printed in a document: one unit per column, each figure rounded once and by itself.

The portal's own printing (``core.figures``) with the habits of a disclosure: MWh and tonnes, as the frameworks ask,
whatever a screen would choose, smaller ones only where a whole column would read "< 0.01"; two decimals throughout.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from apps.core.figures import DASH, number


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of print: its name and how many stored units (mWh, mg) make one."""

    name: str
    size: int

    def of(self, value: int | None, decimals: int = 2) -> str:
        """The digits of a stored value in this unit."""
        return DASH if value is None else number(Decimal(int(value)) / self.size, decimals)


# (unit, the greatest value in it from which on it is taken)
ENERGY = ((Unit("GWh", 10**12), 100), (Unit("MWh", 10**9), 1), (Unit("kWh", 10**6), 1), (Unit("Wh", 10**3), 0))
MASS = (
    (Unit("kt\u00a0CO₂e", 10**12), 100),
    (Unit("t\u00a0CO₂e", 10**9), 1),
    (Unit("kg\u00a0CO₂e", 10**6), 1),
    (Unit("g\u00a0CO₂e", 10**3), 0),
)
Ladder = tuple[tuple[Unit, int], ...]


def unit_for(values: Iterable[int | None], ladder: Ladder) -> Unit:
    """The unit of a column that holds these values; with none above 0, MWh or t."""
    greatest = max((value for value in values if value is not None), default=0)
    if greatest == 0:
        return ladder[1][0]
    return next(unit for unit, least in ladder if greatest >= unit.size * least)


def ratio(part: int | None, whole: int | None) -> Decimal | None:
    """part / whole; absent where either is, or the whole is 0."""
    return None if part is None or not whole else Decimal(int(part)) / int(whole)


def share(part: int | None, whole: int | None, decimals: int = 1) -> str:
    """part / whole in per cent, without the sign; a part never reads as the whole: "> 99.9"."""
    value = ratio(part, whole)
    if value is None:
        return DASH
    step = Decimal(1).scaleb(-decimals)
    if 100 - step / 2 <= value * 100 < 100:
        return f"> {100 - step}"
    return number(value * 100, decimals)


def change(now: int | None, before: int | None) -> str:
    """The change against an earlier value, with its sign."""
    if now is None or not before:
        return DASH
    difference = Decimal(now - before) / before * 100
    if difference == 0:
        return "± 0 %"
    text = number(abs(difference), 1)
    sign = "+" if difference > 0 else "−"
    return f"{sign} {text} %"


def factor(ug_per_kwh: int | None) -> str:
    """An emission factor in kg/MWh (equal to g/kWh), three decimals."""
    return DASH if ug_per_kwh is None else number(Decimal(ug_per_kwh).scaleb(-6), 3)


def mean_factor(mass_mg: int | None, energy_milliwatt_hours: int | None) -> str:
    """Emissions per energy in kg/MWh: mg / mWh x 1,000, one decimal."""
    mean = ratio(mass_mg, energy_milliwatt_hours)
    return DASH if mean is None else number(mean * 1000, 1)


def long_date(day: date | str) -> str:
    """``1 July 2026``, from a date or ISO text."""
    day = date.fromisoformat(day[:10]) if isinstance(day, str) else day
    return f"{day.day} {day:%B %Y}"


def short_date(day: date | str | None) -> str:
    """``1 Jul 2026``."""
    if day is None:
        return DASH
    day = date.fromisoformat(day[:10]) if isinstance(day, str) else day
    return f"{day.day} {day:%b %Y}"


def moment(text: str | None) -> str:
    """``1 July 2026, 14:05 UTC``, from an ISO time in UTC."""
    if text is None:
        return DASH
    at = datetime.fromisoformat(text)
    return f"{long_date(at.date())}, {at:%H:%M} UTC"


def typographic(text: str) -> str:
    """Formulas of gases as they are printed: CO₂ for CO2."""
    return text.replace("CO2", "CO₂").replace("CH4", "CH₄").replace("N2O", "N₂O")
