"""Data-centre indicators: ratios of sums over a period, never a mean of ratios, and never a stored ratio.

[1] PUE: ISO/IEC 30134-2, EN 50600-4-2.            [2] REF: ISO/IEC 30134-3, EN 50600-4-3.
[3] ERF: ISO/IEC 30134-6, EN 50600-4-6.            [4] CUE: ISO/IEC 30134-8, EN 50600-4-8.
[5] WUE: ISO/IEC 30134-9, EN 50600-4-9.            [6] Delegated Regulation (EU) 2024/1364: the set reported yearly.

Energies are integers in milliwatt-hours, water in millilitres, emissions in milligrams CO2e. Each function returns an
:class:`Indicator` with its numerator and denominator, or raises :class:`ImpossibleValueError`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


class ImpossibleValueError(ValueError):
    """Terms that cannot both be true, such as a PUE below 1: an error in the data, with the numbers."""


@dataclass(frozen=True, slots=True)
class Indicator:
    """A ratio of two sums. ``value`` None: a term is missing, and ``reason`` says which. ``is_capped``: REF above 1."""

    numerator: int | None
    denominator: int | None
    value: Fraction | None
    reason: str = ""
    is_capped: bool = False


FACILITY = "facility energy"
IT = "IT energy"


def _kwh(milliwatt_hours: int) -> str:
    return f"{milliwatt_hours / 1_000_000:,.3f} kWh"


def _ratio(numerator: int | None, over: int | None, of: str, by: str, scale: int = 1) -> Indicator:
    """``numerator x scale / over``; a missing or empty term gives no value but the reason."""
    missing = [name for name, value in ((of, numerator), (by, over)) if value is None]
    if missing:
        return Indicator(numerator, over, None, f"no {' and no '.join(missing)}")
    if numerator is None or over is None:
        raise AssertionError("unreachable")
    if numerator < 0 or over < 0:
        raise ImpossibleValueError(f"{of} and {by} are 0 or more, got {numerator} and {over}")
    if over == 0:
        return Indicator(numerator, over, None, f"{by} is 0")
    return Indicator(numerator, over, Fraction(numerator * scale, over))


def pue(facility_milliwatt_hours: int | None, it_milliwatt_hours: int | None) -> Indicator:
    """Power usage effectiveness = facility energy / IT energy, see [1]. 1 or more.

    Raises :class:`ImpossibleValueError` below 1: the IT equipment is part of the facility.
    """
    found = _ratio(facility_milliwatt_hours, it_milliwatt_hours, FACILITY, IT)
    if found.value is not None and found.value < 1:
        raise ImpossibleValueError(
            f"PUE {float(found.value):.3f} is below 1: facility energy {_kwh(found.numerator or 0)},"
            f" IT energy {_kwh(found.denominator or 0)}"
        )
    return found


def wue(water_millilitres: int | None, it_milliwatt_hours: int | None) -> Indicator:
    """Water usage effectiveness [L/kWh = m3/MWh] = water taken in / IT energy, see [5]. 1 ml/mWh is 1,000 L/kWh."""
    return _ratio(water_millilitres, it_milliwatt_hours, "water intake", IT, 1_000)


def ref(renewable_milliwatt_hours: int | None, facility_milliwatt_hours: int | None) -> Indicator:
    """Renewable energy factor = renewable energy / facility energy, at most 1, see [2]."""
    found = _ratio(renewable_milliwatt_hours, facility_milliwatt_hours, "renewable energy", FACILITY)
    if found.value is not None and found.value > 1:
        return Indicator(found.numerator, found.denominator, Fraction(1), is_capped=True)
    return found


def erf(reused_milliwatt_hours: int | None, facility_milliwatt_hours: int | None) -> Indicator:
    """Energy reuse factor = energy given away for reuse / facility energy, 0 to 1, see [3].

    Raises :class:`ImpossibleValueError` above 1: more cannot leave the facility than entered it.
    """
    found = _ratio(reused_milliwatt_hours, facility_milliwatt_hours, "reused energy", FACILITY)
    if found.value is not None and found.value > 1:
        raise ImpossibleValueError(
            f"ERF {float(found.value):.3f} is above 1: reused energy {_kwh(found.numerator or 0)},"
            f" facility energy {_kwh(found.denominator or 0)}"
        )
    return found


def cue(emissions_mg: int | None, it_milliwatt_hours: int | None) -> Indicator:
    """Carbon usage effectiveness [kg CO2e/kWh] = emissions of the facility's energy / IT energy, see [4].

    1 mg/mWh is 1 kg/kWh. Location-based and market-based emissions give two indicators, never one.
    """
    return _ratio(emissions_mg, it_milliwatt_hours, "emissions", IT)
