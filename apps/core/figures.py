"""Figures as people read them: units, digits and dashes.

Every function takes stored integers (mWh, mg) or ``None`` and returns text. Nothing here rounds what is stored, added
up or exported; the full value is what ``..._exact`` prints, for the tooltip.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

DASH = "—"
NARROW = "\u202f"  # narrow no-break space, between a number and its unit

ENERGY_UNITS = {"Wh": 10**3, "kWh": 10**6, "MWh": 10**9, "GWh": 10**12}  # in mWh
MASS_UNITS = {"mg": 1, "g": 10**3, "kg": 10**6, "t": 10**9}  # in mg


def is_absent(value: Any) -> bool:
    """None, an empty text, NaN or pandas' NA."""
    if value is None or isinstance(value, str):
        return not value
    try:
        return bool(value != value)
    except TypeError:  # pandas.NA has no truth value
        return True


def number(value: Decimal, decimals: int) -> str:
    """``value`` with that many decimals and thousands separated; what would read 0 and is not reads "< 0.01"."""
    step = Decimal(1).scaleb(-decimals)
    if value and abs(value) < step / 2:
        return f"< {step}" if value > 0 else f"> -{step}"
    rounded = value.quantize(step, rounding=ROUND_HALF_UP)
    return "0" if not value else f"{rounded:,}".replace("-", "−")


def _significant(value: Decimal) -> str:
    """Four significant digits at most, never more than two decimals."""
    size = abs(value)
    return number(value, 0 if size >= 1000 else 1 if size >= 100 else 2)


def _unit_for(values: Iterable[Any], units: dict[str, int], smallest: str) -> str:
    """The largest unit in which the largest value is 1 or more."""
    largest = max((abs(int(value)) for value in values if not is_absent(value)), default=0)
    fitting = [unit for unit, size in units.items() if largest >= size]
    names = list(units)
    chosen = fitting[-1] if fitting else smallest
    return chosen if names.index(chosen) >= names.index(smallest) else smallest


def column_energy_unit(values: Iterable[Any]) -> str:
    """The unit of a column of energies [mWh]: kWh, MWh or GWh, by its largest value."""
    return _unit_for(values, ENERGY_UNITS, "kWh")


def column_mass_unit(values: Iterable[Any]) -> str:
    """The unit of a column of emissions [mg]: g, kg or t, by its largest value."""
    return _unit_for(values, MASS_UNITS, "g")


def energy_unit(value: Any) -> str:
    """The unit in which a single energy [mWh] reads best, from Wh up."""
    return _unit_for([value], ENERGY_UNITS, "Wh") if not is_absent(value) and int(value) else "kWh"


def mass_unit(value: Any) -> str:
    """The unit in which a single mass [mg] reads best."""
    return _unit_for([value], MASS_UNITS, "mg") if not is_absent(value) and int(value) else "kg"


def energy_number(value: Any) -> str:
    """The digits of a single energy [mWh], in the unit that ``energy_unit`` names."""
    if is_absent(value):
        return DASH
    return _significant(Decimal(int(value)) / ENERGY_UNITS[energy_unit(value)])


def mass_number(value: Any) -> str:
    """The digits of a single mass [mg], in the unit that ``mass_unit`` names."""
    if is_absent(value):
        return DASH
    return _significant(Decimal(int(value)) / MASS_UNITS[mass_unit(value)])


def energy(value: Any) -> str:
    """An energy [mWh] with the unit that fits: "12.34 MWh"."""
    return DASH if is_absent(value) else f"{energy_number(value)}{NARROW}{energy_unit(value)}"


def mass(value: Any) -> str:
    """A mass [mg] with the unit that fits: "1.23 t"."""
    return DASH if is_absent(value) else f"{mass_number(value)}{NARROW}{mass_unit(value)}"


def signed_mass(value: Any) -> str:
    """A change of mass [mg] with its sign: "+1.23 t", "0 kg"."""
    return DASH if is_absent(value) else ("+" if int(value) > 0 else "") + mass(value)


def energy_in(value: Any, unit: str) -> str:
    """The digits of an energy [mWh] in a column's unit, two decimals."""
    return DASH if is_absent(value) else number(Decimal(int(value)) / ENERGY_UNITS[unit], 2)


def mass_in(value: Any, unit: str) -> str:
    """The digits of a mass [mg] in a column's unit, two decimals."""
    return DASH if is_absent(value) else number(Decimal(int(value)) / MASS_UNITS[unit], 2)


def energy_exact(value: Any) -> str:
    """The whole value [mWh] in kWh, for a tooltip."""
    return "no value" if is_absent(value) else f"{Decimal(int(value)).scaleb(-6):,f} kWh"


def mass_exact(value: Any) -> str:
    """The whole value [mg] in kg, for a tooltip."""
    return "no value" if is_absent(value) else f"{Decimal(int(value)).scaleb(-6):,f} kg CO₂e"


def percent(ratio: Any, decimals: int = 0) -> str:
    """A ratio as per cent: 0.184 is "18 %". Above 99 and below 100 stays below 100."""
    if is_absent(ratio):
        return DASH
    value = Decimal(str(ratio)) * 100
    step = Decimal(1).scaleb(-int(decimals))
    if 100 - step / 2 <= value < 100:
        return f"> {100 - step}{NARROW}%"
    return f"{number(value, int(decimals))}{NARROW}%"


def signed_percent(ratio: Any) -> str:
    """A relative difference with its sign, as many decimals as it needs to be seen: "+0.44 %", "−99.9 %"."""
    if is_absent(ratio):
        return DASH
    value = Decimal(int(ratio.numerator)) / Decimal(int(ratio.denominator)) * 100
    if value and abs(value) < Decimal("0.005"):
        return f"< 0.01{NARROW}%"
    sign = "+" if value > 0 else ""
    return f"{sign}{number(value, 1 if abs(value) >= 10 else 2)}{NARROW}%"


def literature_number(value: Any) -> str:
    """A fraction with six significant digits and thousands separated, as tables of papers print them."""
    if is_absent(value):
        return DASH
    exact = Decimal(int(value.numerator)) / Decimal(int(value.denominator))
    decimals = max(0, min(8, 5 - exact.adjusted())) if exact else 0
    text = f"{exact:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent_of_change(ratio: float) -> str:
    """The size of a change: 0.184 and -0.184 are "18 %", 1.5 is "150 %"; the sign is for the words around it."""
    return f"{number(Decimal(str(abs(ratio))) * 100, 0)}{NARROW}%"


def count(value: Any) -> str:
    """A whole number with thousands separated."""
    return DASH if is_absent(value) else f"{int(value):,}"


def or_dash(value: Any) -> Any:
    """The value, or a dash where there is none."""
    return DASH if is_absent(value) else value


def grams_per_kwh(ug_per_kwh: Any) -> str:
    """An emission factor [ug/kWh] in g/kWh, one decimal."""
    return DASH if is_absent(ug_per_kwh) else number(Decimal(int(ug_per_kwh)).scaleb(-6), 1)


def pue(ppm: Any) -> str:
    """A PUE [ppm] as a ratio, two decimals or three where it has them."""
    if is_absent(ppm):
        return DASH
    ratio = Decimal(int(ppm)).scaleb(-6)
    return number(ratio, 3 if int(ppm) % 10_000 else 2)
