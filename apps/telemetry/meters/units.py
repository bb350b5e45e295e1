"""Exact energies of what meters read: float64 values in a meter's own unit to whole microwatt-hours. Pure NumPy.

A value is taken as its shortest decimal notation says it (0.1 kWh is 100,000,000 uWh), as for readings that come as
intervals (:mod:`apps.telemetry.rules`), and rounded half up once, the portal's only rounding rule.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from apps.core.units import PPM, round_half_up
from apps.telemetry.batch import Float64Array, Int64Array

# Microwatt-hours in one unit of energy: 1 J = 1/3600 Wh.
_ENERGY = {
    "J": Fraction(10**6, 3_600),
    "mJ": Fraction(10**3, 3_600),
    "uJ": Fraction(1, 3_600),
    "kJ": Fraction(10**9, 3_600),
    "MJ": Fraction(10**12, 3_600),
    "mWh": Fraction(10**3),
    "Wh": Fraction(10**6),
    "kWh": Fraction(10**9),
    "MWh": Fraction(10**12),
}
# Microwatt-hours that one unit of power gives in a millisecond: 1 W ms = 1/3.6 uWh.
_POWER = {
    "W": Fraction(10, 36),
    "mW": Fraction(1, 3_600),
    "uW": Fraction(1, 3_600_000),
    "kW": Fraction(10**4, 36),
}
WORK_UNIT = "1"
_LARGEST_PRODUCT = 2**62
_WHOLE_BELOW = 2.0**53  # every integer below is a double, and written in decimal as it is
_EXACT_ABOVE = 1e13  # see ``telemetry.rules``


def per_unit(unit: str, pue_included_ppm: int = PPM) -> Fraction:
    """Microwatt-hours [uWh] that one ``unit`` stands for; of a power, in one millisecond; of work, one.

    Divided by the PUE that the client has multiplied with already. Raises ``ValueError`` for another unit.
    """
    if unit == WORK_UNIT:
        return Fraction(1)
    known = _ENERGY.get(unit) or _POWER.get(unit)
    if known is None:
        raise ValueError(f"unit is one of {', '.join([*_ENERGY, *_POWER, WORK_UNIT])}, got {unit!r}")
    return known * PPM / pue_included_ppm


def amounts(values: Float64Array, numerator: Int64Array, denominator: Int64Array) -> Int64Array:
    """``round_half_up(value x numerator / denominator)`` for values of 0 or more, exact; below 2**62.

    The integer part of a value is done in integers, so that only what lies near a half needs exact arithmetic one by
    one, also where a device has counted for years.
    """
    whole = np.floor(values)
    part = values - whole
    large = numerator.astype(np.float64) * denominator >= _LARGEST_PRODUCT
    factor = np.where(large, 1, numerator)
    quotient, rest = np.divmod(whole.astype(np.int64), denominator)
    more, rest = np.divmod(rest * factor, denominator)
    ratio = numerator / denominator
    x = rest / denominator + part * ratio
    floor = np.floor(x)
    is_whole = (part == 0) & (values < _WHOLE_BELOW)
    up = np.where(is_whole, 2 * rest >= denominator, x - floor >= 0.5)
    with np.errstate(over="ignore"):
        result = quotient * factor + more + floor.astype(np.int64) + up
    near = np.abs(x - floor - 0.5) <= values * ratio * 2e-16 + ratio * 1e-15 + 1e-15
    for i in np.flatnonzero((near & ~is_whole) | large).tolist():
        result[i] = round_half_up(Fraction(repr(float(values[i]))) * int(numerator[i]) / int(denominator[i]))
    return result


def mean_power_amounts(
    first: Float64Array, second: Float64Array, lasting_ms: Int64Array, numerator: Int64Array, denominator: Int64Array
) -> Int64Array:
    """Energy [uWh] between two powers, by the trapezoidal rule: ``(first + second) / 2 x time``, rounded half up."""
    values = (first + second) * lasting_ms * (numerator / denominator) / 2
    floor = np.floor(values)
    fraction = values - floor
    result = floor.astype(np.int64) + (fraction >= 0.5)
    doubtful = (np.abs(fraction - 0.5) <= values * 2e-15 + 1e-12) | (values >= _EXACT_ABOVE)
    for i in np.flatnonzero(doubtful).tolist():
        powers = Fraction(repr(float(first[i]))) + Fraction(repr(float(second[i])))
        result[i] = round_half_up(powers * int(lasting_ms[i]) * int(numerator[i]) / (2 * int(denominator[i])))
    return result
