"""How sure a figure is: relative uncertainties by cause, combined by the root-sum-of-squares rule.

[1] GHG Protocol, Guidance on uncertainty assessment in GHG inventories and calculating statistical parameter
    uncertainty: first-order error propagation, 95 % confidence.
[2] IPCC 2006 Guidelines, vol. 1, ch. 3, equations 3.1 (products) and 3.2 (sums): the same rule.

The rule is theirs; the numbers of :data:`DEFAULTS` are not. They are the portal's labelled assumptions, and an
organisation puts its own in their place (``Organisation.uncertainty_ppm``).

What shares a cause is fully correlated in it: its absolute parts add up before they are squared. What does not is
independent. A reading's source is one cause, a site's PUE another, an emission factor a third.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt
from typing import NamedTuple

PPM = 1_000_000
MOST_PPM = 2 * PPM  # 200 %: beyond it a symmetric interval says nothing any more

METHOD_NAMES = {1: "activity_metered", 2: "activity_measured", 3: "activity_modelled", 4: "activity_estimated"}
PUE_STATED, PUE_ASSUMED = "pue_stated", "pue_assumed"
FACTOR_INSTRUMENT, FACTOR_LAG_YEAR = "factor_instrument", "factor_lag_year"
# The level of engine.factor_choice: the name in the table. A level that is not listed takes the widest average.
LEVEL_NAMES = {
    "subregion": "factor_subregion",
    "subdivision": "factor_subdivision",
    "country": "factor_country",
    "aggregate": "factor_aggregate",
    "life_cycle": "factor_life_cycle",
    "residual": "factor_residual",
}


@dataclass(frozen=True, slots=True)
class Assumption:
    """One row of the uncertainty table: the half-width of the 95 % interval, relative [ppm], and what it rests on."""

    label: str
    ppm: int
    basis: str


DEFAULTS: dict[str, Assumption] = {
    "activity_metered": Assumption(
        "Activity, tier A: metered",
        20_000,
        "Assumption: utility and revenue meters of accuracy class 1 to 2 with their transformers, in use.",
    ),
    "activity_measured": Assumption(
        "Activity, tier B: measured by the device",
        100_000,
        "Assumption: power sensors of accelerators and boards are stated at about 5 % and sampled, not integrated.",
    ),
    "activity_modelled": Assumption(
        "Activity, tier C: modelled",
        300_000,
        "Assumption: rated power times an assumed utilisation, or tokens times a published energy per token.",
    ),
    "activity_estimated": Assumption(
        "Activity, tier D: estimated",
        500_000,
        "Assumption: energy filled in by judgement, such as the mean power around a gap.",
    ),
    PUE_STATED: Assumption(
        "PUE, recorded for the site",
        50_000,
        "Assumption: a yearly mean applied to every hour of the year.",
    ),
    PUE_ASSUMED: Assumption(
        "PUE, none recorded (1.0 assumed)",
        300_000,
        "Assumption: 1.0 is the lowest PUE there is, so such a figure is too low rather than too high.",
    ),
    "factor_subregion": Assumption(
        "Factor of the grid subregion", 50_000, "Assumption: the grid region that the site draws from."
    ),
    "factor_subdivision": Assumption(
        "Factor of the state or province", 70_000, "Assumption: a political border that the grid does not follow."
    ),
    "factor_country": Assumption("Factor of the country", 100_000, "Assumption: the average of several grid regions."),
    "factor_aggregate": Assumption(
        "Factor of several countries, or of an unknown level",
        200_000,
        "Assumption: an average over grids that differ by a multiple.",
    ),
    "factor_life_cycle": Assumption(
        "Life-cycle factor as a fallback",
        250_000,
        "Assumption: it includes upstream emissions that Scope 2 does not, on top of the country's spread.",
    ),
    "factor_residual": Assumption(
        "Residual mix", 100_000, "Assumption: depends on what issuing bodies know of tracked and untracked energy."
    ),
    FACTOR_INSTRUMENT: Assumption(
        "Factor of an instrument", 0, "Assumption: issued for metered generation of a stated technology; none added."
    ),
    FACTOR_LAG_YEAR: Assumption(
        "Each year between the factor's data and the activity",
        30_000,
        "Assumption: the yearly drift of grid averages; years times this, combined with the factor's own.",
    ),
}


class Cause(NamedTuple):
    """What a part of a figure is uncertain by, and who shares it: ``("activity", source)``, ``("factor", id)``."""

    kind: str
    key: Hashable


class Contribution(NamedTuple):
    """A value [mWh or mg] and its relative uncertainty [ppm] by one cause."""

    cause: Cause
    value: int | Fraction
    ppm: int


def table(overrides: Mapping[str, int] | None = None) -> dict[str, int]:
    """The relative uncertainty [ppm] by name: the defaults with an organisation's own values in their place.

    Raises ``ValueError`` for a name that is not in :data:`DEFAULTS` or a value outside 0 to :data:`MOST_PPM`.
    """
    values = {name: each.ppm for name, each in DEFAULTS.items()}
    for name, ppm in (overrides or {}).items():
        if name not in values:
            raise ValueError(f"unknown uncertainty {name!r}; known are {', '.join(values)}")
        if not isinstance(ppm, int) or isinstance(ppm, bool) or not 0 <= ppm <= MOST_PPM:
            raise ValueError(f"{name}: expected a whole number of ppm from 0 to {MOST_PPM}, got {ppm!r}")
        values[name] = ppm
    return values


def product_ppm(*ppm: int) -> int:
    """The relative uncertainty [ppm] of a product of independent factors, rounded up ([1]; [2], equation 3.1)."""
    return _root_up(Fraction(sum(each * each for each in ppm)))


def factor_ppm(values: Mapping[str, int], level: str, lag_years: int) -> int:
    """The relative uncertainty [ppm] of a factor: that of its level, combined with that of its lag in years."""
    own = values[LEVEL_NAMES.get(level, "factor_aggregate")]
    return product_ppm(own, abs(lag_years) * values[FACTOR_LAG_YEAR])


def half_width(contributions: Iterable[Contribution]) -> int:
    """Half the 95 % interval of a sum, in the unit of its values, rounded up.

    ``sqrt(sum over causes of (sum over parts of value x ppm)**2)``: parts of one cause add linearly, causes by
    root-sum-of-squares ([1]; [2], equation 3.2). Exact up to the root, which is the integer one.
    """
    linear: dict[Cause, int | Fraction] = defaultdict(int)
    for cause, value, ppm in contributions:
        linear[cause] += value * ppm
    return _root_up(Fraction(sum(part * part for part in linear.values()), PPM * PPM))


def interval(figure: int, half: int) -> tuple[int, int]:
    """``(low, high)`` around a figure; never below zero, because no energy or emission here is."""
    return max(figure - half, 0), figure + half


def relative(figure: int, half: int) -> float | None:
    """The half-width as a share of the figure; ``None`` where the figure is zero and has no relative one."""
    return half / figure if figure else None


class MarketParts(NamedTuple):
    """A row's market-based figure [mg, exact] taken apart, by the rate of its market and claim period.

    ``by_fallback`` and ``by_instruments`` add up to the figure. ``by_activity``: what the row's energy would emit at
    the fallback. A claimed volume is fixed when it is issued, so that whatever the consumption is off by is covered
    by no instrument and takes the fallback; with everything covered it is the figure itself.
    """

    by_fallback: Fraction
    by_instruments: Fraction
    by_activity: Fraction


def market_parts(
    *,
    facility_energy_milliwatt_hours: int,
    location_mg: int | None,
    market_energy_milliwatt_hours: int,
    uncovered_milliwatt_hours: int,
    instruments_mg: int,
    fallback_ug_per_kwh: int | None,
) -> MarketParts:
    """Take a row's share of a market apart (Scope 2 Guidance 2015, table 6.3; pro rata by energy).

    ``fallback_ug_per_kwh`` empty: no residual mix is published and the row takes its location-based figure.
    """
    whole = market_energy_milliwatt_hours
    if not whole:
        return MarketParts(Fraction(0), Fraction(0), Fraction(0))
    if fallback_ug_per_kwh is None:
        at_fallback = Fraction(location_mg or 0)
    else:
        at_fallback = Fraction(facility_energy_milliwatt_hours * fallback_ug_per_kwh, 10**9)
    by_fallback = at_fallback * Fraction(uncovered_milliwatt_hours, whole)
    by_instruments = Fraction(facility_energy_milliwatt_hours * instruments_mg, whole)
    by_activity = at_fallback if uncovered_milliwatt_hours else by_instruments
    return MarketParts(by_fallback, by_instruments, by_activity)


def _root_up(square: Fraction) -> int:
    """The smallest integer whose square is at least ``square``."""
    least = -(-square.numerator // square.denominator)
    root = isqrt(least)
    return root if root * root == least else root + 1
