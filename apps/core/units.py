"""Exact quantities: integer units, one rounding rule, shares that add up.

Stored units are integers, and every name says which: raw energy in microwatt-hours (``energy_microwatt_hours``),
ledger energy in milliwatt-hours (``..._milliwatt_hours``), emissions in milligrams (``..._mg``), emission factors in
micrograms CO2e per kilowatt-hour (``..._ug_per_kwh``; 1 kg/MWh = 1 g/kWh = 1,000,000 of them) and PUE in parts per
million (``pue_ppm``). All fit a signed 64-bit integer, also where two of them are multiplied: see ``scaled_product``.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import TypeVar

import numpy as np
import numpy.typing as npt

MICROWATT_HOURS_PER_MILLIWATT_HOUR = 1_000
MILLIWATT_HOURS_PER_KWH = 1_000_000
MICROWATT_HOURS_PER_KWH = 1_000_000_000
MG_PER_KG = 1_000_000
UG_PER_KWH_PER_KG_PER_MWH = 1_000_000
PPM = 1_000_000

Int64Array = npt.NDArray[np.int64]
Quantity = TypeVar("Quantity", int, Int64Array)


def scaled_product(value: Quantity, factor: Quantity | int, exponent: int) -> Quantity:
    """``round_half_up(value * factor / 10**exponent)`` without leaving 64 bits.

    Both 0 or more, and together below 9.2e24: 4.6 TWh (4.6e15 mWh) at 2,000 kg/MWh (2e9 ug/kWh), far above what one
    ledger row can hold. ``exponent`` is 6 (PUE in ppm) or 9 (energy in mWh times factor in ug/kWh gives mg). The
    value is cut at 10**6 so that every partial product fits; the result is the exact quotient rounded half up, the
    same integer that the SQL of ``accounting`` computes. Works on Python integers and NumPy int64 arrays alike.
    """
    divisor = 10**exponent
    rest_unit = divisor // 10**6
    high, low = value // 10**6, value % 10**6
    product = high * factor
    whole, rest = product // rest_unit, product % rest_unit
    return whole + (rest * 10**6 + low * factor + divisor // 2) // divisor  # type: ignore[return-value]


def facility_energy_milliwatt_hours(it_energy_milliwatt_hours: Quantity, pue_ppm: Quantity | int) -> Quantity:
    """Facility energy [mWh] = IT energy [mWh] x PUE (ISO/IEC 30134-2)."""
    return scaled_product(it_energy_milliwatt_hours, pue_ppm, 6)


def emissions_mg(energy_milliwatt_hours: Quantity, factor_ug_per_kwh: Quantity | int) -> Quantity:
    """Emissions [mg CO2e] = activity [mWh] x emission factor [ug CO2e/kWh] (Scope 2 Guidance 2015, ch. 6)."""
    return scaled_product(energy_milliwatt_hours, factor_ug_per_kwh, 9)


def round_half_up(value: Fraction | Decimal | float) -> int:
    """The nearest integer; a half goes away from zero. The only rounding rule of the portal."""
    if isinstance(value, Fraction):
        doubled = 2 * value.numerator
        if value >= 0:
            return (doubled + value.denominator) // (2 * value.denominator)
        return -((-doubled + value.denominator) // (2 * value.denominator))
    return int(Decimal(str(value)).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def largest_remainder(total: int, weights: Sequence[int], names: Sequence[str]) -> list[int]:
    """Split ``total`` in proportion to ``weights`` into integers that add up to it exactly.

    Each part gets the whole of its quota; what is left goes, one unit each, to the largest remainders, equal ones in
    the order of ``names``. All weights 0: everything to the first name. Raises ``ValueError`` on a negative weight.
    """
    if not weights:
        if total:
            raise ValueError("nothing to share the total among")
        return []
    if min(weights) < 0:
        raise ValueError("weights must be 0 or more")
    whole = sum(weights)
    order = sorted(range(len(weights)), key=lambda i: names[i])
    if whole == 0:
        parts = [0] * len(weights)
        parts[order[0]] = total
        return parts
    parts = [total * weight // whole for weight in weights]
    left = total - sum(parts)
    order.sort(key=lambda i: -(total * weights[i] % whole))  # stable: ties stay in the order of names
    for i in order[:left]:
        parts[i] += 1
    return parts


def kwh(milliwatt_hours: int) -> Decimal:
    """Milliwatt-hours as kWh, exact (six decimals)."""
    return Decimal(int(milliwatt_hours)).scaleb(-6)


def kg(mg: int) -> Decimal:
    """Milligrams as kg, exact (six decimals)."""
    return Decimal(int(mg)).scaleb(-6)


def ug_per_kwh(kg_per_mwh: Decimal) -> int:
    """An emission factor in kg/MWh (= g/kWh) as the stored integer, micrograms per kWh."""
    return round_half_up(Decimal(kg_per_mwh) * UG_PER_KWH_PER_KG_PER_MWH)


def ppm(ratio: Decimal) -> int:
    """A ratio such as PUE as parts per million."""
    return round_half_up(Decimal(ratio) * PPM)
