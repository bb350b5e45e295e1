"""Hourly matching: the what-if by the draft revision of Scope 2, and the 24/7 carbon-free score. Never reported.

[1] GHG Protocol, Scope 2 public consultation (20 October 2025), proposals on the market-based method: criterion 4
    (same hour), criterion 5 (deliverable), criterion 6 (standard supply service), criterion 9 (residual mix) and the
    fossil fallback where no residual mix exists. A draft: nothing in it binds.
[2] Google, 24/7 Carbon-Free Energy: Methodologies and Metrics (February 2021).
[3] IPCC, 2006 Guidelines for National Greenhouse Gas Inventories, volume 2, table 2.2: lignite.

Arrays are int64 of shape ``(markets, hours)``, exact: energy in milliwatt-hours, emissions in milligrams CO2e, factors
in micrograms CO2e per kilowatt-hour, shares in parts per million. :data:`ABSENT` stands where a value is not known.
One rounding for each market and hour, of the whole of its emissions; parts of the load add up to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from apps.accounting.engine.gases import GwpSet, co2e_kg_per_mwh, factor_ug_per_kwh
from apps.accounting.engine.market import FAILED, PASSED, CriterionResult, Lot
from apps.core.units import PPM, Int64Array, scaled_product

ABSENT = -1

# What the uncovered load of an hour takes, in this order ([1] criterion 9 and the fossil fallback).
HOURLY_RESIDUAL, RESIDUAL, FOSSIL, DEFAULT = 1, 2, 3, 4

# [3], kg per TJ of fuel (net calorific value). Lignite is the most carbon-intensive fuel in wide use, so the default
# cannot flatter; the net efficiency of 35 % is the portal's policy.
LIGNITE_KG_PER_TJ = {"co2": Decimal(101_000), "ch4": Decimal(1), "n2o": Decimal("1.5")}
LIGNITE_NET_EFFICIENCY = Decimal("0.35")
TJ_PER_MWH = Decimal("0.0036")

HIGHEST_MILLIWATT_HOURS = 10**15
"""Of a market's load, or a lot's volume, in one hour: 1,000 GWh."""
HIGHEST_UG_PER_KWH = 9 * 10**9
"""Of a factor: 9,000 kg/MWh. Below both, and with fewer than a thousand lots a market, nothing leaves 64 bits."""


@dataclass(frozen=True, slots=True)
class HourlyLot:
    """The eligible volume [mWh] of one instrument, in the market of row ``market`` of the arrays.

    ``volume[i]`` is that of the hour in column ``first + i``: a lot of one hour needs no array of a year.
    """

    market: int
    volume: Int64Array
    ug_per_kwh: int
    first: int = 0


class HourlyResult(NamedTuple):
    """``load = standard_supply + matched + unmatched``; all of shape ``(markets, hours)``.

    ``carbon_free`` is the part of ``matched`` that instruments of factor 0 cover. ``applied``: for each lot, in the
    order given, what of its ``volume`` covers load. ``standard_supply`` is S, ``matched`` M, ``unmatched`` U and
    ``surplus`` X of [1]; ``market_mg`` is their E_MB.
    """

    standard_supply: Int64Array
    matched: Int64Array
    unmatched: Int64Array
    surplus: Int64Array
    carbon_free: Int64Array
    market_mg: Int64Array
    applied: list[Int64Array]


def default_fossil_ug_per_kwh(gwp: GwpSet) -> int:
    """The conservative factor where not even a market's fossil average is known: electricity from lignite, by [3]."""
    per_mwh = TJ_PER_MWH / LIGNITE_NET_EFFICIENCY
    co2, ch4, n2o = (LIGNITE_KG_PER_TJ[gas] * per_mwh for gas in ("co2", "ch4", "n2o"))
    return factor_ug_per_kwh(co2e_kg_per_mwh(co2_kg_per_mwh=co2, ch4_kg_per_mwh=ch4, n2o_kg_per_mwh=n2o, gwp=gwp))


def fallback_factors(
    *, hourly_residual: Int64Array, residual: Int64Array, fossil: Int64Array, default_ug_per_kwh: int
) -> tuple[Int64Array, Int64Array]:
    """``(factor, level)`` of the uncovered load: the finest residual mix, else fossil generation, else the default.

    :data:`ABSENT` where a level is not known. The levels are :data:`HOURLY_RESIDUAL`, :data:`RESIDUAL`,
    :data:`FOSSIL` and :data:`DEFAULT`; [1] asks for no grid average among them.
    """
    known = [hourly_residual != ABSENT, residual != ABSENT, fossil != ABSENT]
    factor = np.select(known, [hourly_residual, residual, fossil], default_ug_per_kwh)
    level = np.select(known, [HOURLY_RESIDUAL, RESIDUAL, FOSSIL], DEFAULT)
    return factor.astype(np.int64), level.astype(np.int64)


def hourly_market_based(
    *,
    load: Int64Array,
    lots: Sequence[HourlyLot],
    fallback_ug_per_kwh: Int64Array,
    standard_share_ppm: Int64Array | None = None,
    standard_ug_per_kwh: Int64Array | None = None,
) -> HourlyResult:
    """E_MB of [1] for every market and hour: ``S EF_S + sum(m_i EF_i) + U EF_fallback``.

    ``S`` is the standard supply, ``share x load`` rounded down so that no more is claimed than the share. Lots are
    those that meet the criteria, in their order of use (``market.order_of_use``: the order moves no energy, only
    which of two lots is surplus). They cover what ``S`` leaves, hour by hour; surplus moves to no other hour or
    market. Raises ``ValueError`` for a quantity that is negative or beyond :data:`HIGHEST_MILLIWATT_HOURS` or
    :data:`HIGHEST_UG_PER_KWH`, and for a share above 1.
    """
    _check_range("the load of a market and hour [mWh]", load, HIGHEST_MILLIWATT_HOURS)
    _check_range("the fallback factor [ug/kWh]", fallback_ug_per_kwh, HIGHEST_UG_PER_KWH)
    if standard_share_ppm is not None:
        _check_range("a share of standard supply [ppm]", standard_share_ppm, PPM)
    if standard_ug_per_kwh is not None:
        _check_range("the factor of standard supply [ug/kWh]", standard_ug_per_kwh, HIGHEST_UG_PER_KWH)
    for lot in lots:
        _check_range("the volume of a lot and hour [mWh]", lot.volume, HIGHEST_MILLIWATT_HOURS)
        _check_range("the factor of a lot [ug/kWh]", np.array([lot.ug_per_kwh]), HIGHEST_UG_PER_KWH)
    standard = np.zeros_like(load) if standard_share_ppm is None else _floor_share(load, standard_share_ppm)
    unmatched = load - standard
    surplus, carbon_free, market_mg = np.zeros_like(load), np.zeros_like(load), np.zeros_like(load)
    own: dict[int, list[int]] = {}
    for number, lot in enumerate(lots):
        own.setdefault(lot.market, []).append(number)
    applied = [np.zeros(0, dtype=np.int64)] * len(lots)
    # One market after the other: its year of hours stays in the processor's cache, where all markets' would not.
    for row in range(len(load)):
        emissions = _ExactSum(load.shape[1])
        if standard_ug_per_kwh is not None:
            emissions.add(slice(None), standard[row], standard_ug_per_kwh[row])
        for number in own.get(row, ()):
            lot = lots[number]
            hours = slice(lot.first, lot.first + len(lot.volume))
            left = unmatched[row, hours]
            used = np.minimum(lot.volume, left)
            left -= used
            surplus[row, hours] += lot.volume - used
            if lot.ug_per_kwh:
                emissions.add(hours, used, lot.ug_per_kwh)
            else:
                carbon_free[row, hours] += used
            applied[number] = used
        emissions.add(slice(None), unmatched[row], fallback_ug_per_kwh[row])
        market_mg[row] = emissions.rounded()
    return HourlyResult(
        standard_supply=standard,
        matched=load - standard - unmatched,
        unmatched=unmatched,
        surplus=surplus,
        carbon_free=carbon_free,
        market_mg=market_mg,
        applied=applied,
    )


def carbon_free_energy(*, load: Int64Array, contracted: Int64Array, grid_cfe_ppm: Int64Array) -> Int64Array:
    """CFE(h) of [2] [mWh]: ``contracted + (load - contracted) x carbon-free share of the grid``.

    ``contracted``: carbon-free energy matched in the hour, at most the load; standard supply is part of the grid and
    is not in it. :data:`ABSENT` where the grid's share is not known, in hours that are covered altogether too: a score
    over those alone would be 1.
    """
    score = contracted + scaled_product(load - contracted, np.maximum(grid_cfe_ppm, 0), 6)
    return np.where(grid_cfe_ppm == ABSENT, ABSENT, score)


def contracted_match(matched: Int64Array, load: Int64Array) -> Fraction | None:
    """``sum M / sum L``, weighted by energy and never a mean of hourly ratios; ``None`` without any load ([1])."""
    whole = _exact_sum(load)
    return Fraction(_exact_sum(matched), whole) if whole else None


def cfe_score(load: Int64Array, carbon_free: Int64Array) -> tuple[Fraction | None, Fraction]:
    """``(sum CFE / sum L, share of the load it speaks for)`` of [2], over the hours whose score is known.

    ``None`` where no hour's score is known: an absent carbon-free share of the grid is absent, never zero.
    """
    known = carbon_free != ABSENT
    part, whole = _exact_sum(load[known]), _exact_sum(load)
    share = Fraction(part, whole) if whole else Fraction(0)
    return (Fraction(_exact_sum(carbon_free[known]), part) if part else None), share


def flat_profile(energy: int, hours: int, first: int, end: int) -> Int64Array:
    """The hours ``[first, end)`` of a volume [mWh] spread evenly over ``hours``: the last resort of [1] criterion 4.

    Hours before 0 or from ``hours`` on hold nothing; all hours together hold the volume exactly.
    """
    bound = np.clip(np.arange(first, end + 1, dtype=np.int64), 0, hours)
    upto = energy // hours * bound + energy % hours * bound // hours
    return upto[1:] - upto[:-1]


def draft_criteria(
    checks: Sequence[CriterionResult], lot: Lot, *, same_hours: bool, hourly: bool
) -> list[CriterionResult]:
    """The Quality Criteria by [1]: those of 2015, with a stricter 4 and 5.

    4: generated in an hour of the consumption (``same_hours``), where the 2015 window also holds; ``hourly``: whether
    the production is known by the hour and not spread evenly. 5: also deliverable to the market.
    """
    results = list(checks)
    if results[3].passed:
        how = "hour by hour" if hourly else "spread evenly over its vintage: no hourly production is known"
        results[3] = (
            CriterionResult(4, PASSED, f"generated in hours of the consumption, {how}")
            if same_hours
            else CriterionResult(4, FAILED, "no hour of its generation is an hour of the consumption")
        )
    if results[4].passed and not lot.deliverable:
        results[4] = CriterionResult(5, FAILED, f"not deliverable to {lot.market}")
    return results


class _ExactSum:
    """Sums of energy [mWh] x factor [ug/kWh] kept exact in two int64 parts and divided once.

    ``scaled_product`` for a sum: the energy is cut at 10**6. The high parts of an hour add up to at most its load /
    10**6, so that their products stay below 2**63 whatever the number of lots.
    """

    def __init__(self, hours: int) -> None:
        self.high = np.zeros(hours, dtype=np.int64)
        self.low = np.zeros(hours, dtype=np.int64)

    def add(self, hours: slice, energy: Int64Array, factor: Int64Array | int) -> None:
        high = energy // 10**6
        self.low[hours] += (energy - high * 10**6) * factor
        self.high[hours] += high * factor

    def rounded(self) -> Int64Array:
        """The sum in milligrams, rounded half up."""
        whole = self.high // 1000
        rest = (self.high - whole * 1000) * 10**6
        return whole + (rest + self.low + 5 * 10**8) // 10**9


def _floor_share(load: Int64Array, share_ppm: Int64Array) -> Int64Array:
    high = load // PPM
    return high * share_ppm + (load - high * PPM) * share_ppm // PPM


def _exact_sum(values: Int64Array) -> int:
    """A sum as a Python integer, whatever its size."""
    return int((values // 10**6).sum()) * 10**6 + int((values % 10**6).sum())


def _check_range(what: str, values: Int64Array, highest: int) -> None:
    if values.size and not (values.min() >= 0 and values.max() <= highest):
        raise ValueError(f"{what} is 0 to {highest}")
