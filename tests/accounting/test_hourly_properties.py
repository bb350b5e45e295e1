"""What must hold for every hour, and not only for worked ones: the hourly engine, and scenarios under the draft."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.accounting.engine.hourly import (
    ABSENT,
    HIGHEST_MILLIWATT_HOURS,
    HIGHEST_UG_PER_KWH,
    HourlyLot,
    HourlyResult,
    carbon_free_energy,
    cfe_score,
    contracted_match,
    fallback_factors,
    flat_profile,
    hourly_market_based,
)
from apps.accounting.engine.rulesets import RULESET_DRAFT_2025_10
from apps.core.units import round_half_up
from tests.engine.test_properties import FIGURES, HOURS, amounts, evaluate, moment, rates, scenarios

energies = st.one_of(st.integers(0, 10**9), st.integers(0, HIGHEST_MILLIWATT_HOURS))
factors = st.one_of(st.integers(0, 10**6), st.integers(0, HIGHEST_UG_PER_KWH))
shares = st.integers(0, 1_000_000)


def array(rows: list[list[int]]) -> np.ndarray:
    return np.array(rows, dtype=np.int64)


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    markets, hours = draw(st.integers(1, 3)), draw(st.integers(1, 5))

    def table(values: st.SearchStrategy[int]) -> np.ndarray:
        return array([[draw(values) for _ in range(hours)] for _ in range(markets)])

    lots = []
    for _ in range(draw(st.integers(0, 5))):
        first = draw(st.integers(0, hours - 1))
        volume = np.array([draw(energies) for _ in range(draw(st.integers(1, hours - first)))], dtype=np.int64)
        lots.append(HourlyLot(draw(st.integers(0, markets - 1)), volume, draw(factors), first))
    return {
        "load": table(energies),
        "lots": lots,
        "fallback_ug_per_kwh": table(factors),
        "standard_share_ppm": table(shares),
        "standard_ug_per_kwh": table(factors),
    }


def exact(case: dict[str, Any]) -> dict[tuple[int, int], tuple[int, int, int, int]]:
    """Standard supply, unmatched, surplus and emissions of every market and hour, in Python's unbounded integers."""
    found = {}
    for (market, hour), load in np.ndenumerate(case["load"]):
        supply = int(load) * int(case["standard_share_ppm"][market, hour]) // 10**6
        left, surplus = int(load) - supply, 0
        product = supply * int(case["standard_ug_per_kwh"][market, hour])
        for lot in case["lots"]:
            if lot.market == market and lot.first <= hour < lot.first + len(lot.volume):
                volume = int(lot.volume[hour - lot.first])
                used = min(volume, left)
                left, surplus, product = left - used, surplus + volume - used, product + used * lot.ug_per_kwh
        product += left * int(case["fallback_ug_per_kwh"][market, hour])
        found[market, hour] = supply, left, surplus, round_half_up(Fraction(product, 10**9))
    return found


@given(cases())
@settings(max_examples=150, deadline=None)
def test_arrays_give_what_unbounded_integers_give(case: dict[str, Any]) -> None:
    """Up to the largest loads and factors: nothing leaves 64 bits, and each market and hour is rounded once."""
    result = hourly_market_based(**case)
    for at, (supply, unmatched, surplus, mg) in exact(case).items():
        assert int(result.standard_supply[at]) == supply
        assert int(result.unmatched[at]) == unmatched
        assert int(result.surplus[at]) == surplus
        assert int(result.market_mg[at]) == mg


@given(cases())
@settings(max_examples=60, deadline=None)
def test_parts_add_up_and_nothing_is_negative(case: dict[str, Any]) -> None:
    result = hourly_market_based(**case)
    assert (result.standard_supply + result.matched + result.unmatched == case["load"]).all()
    for values in result[:6]:
        assert (values >= 0).all()
    for market in range(len(case["load"])):
        own = [(lot, used) for lot, used in zip(case["lots"], result.applied, strict=True) if lot.market == market]
        assert sum(int(used.sum()) for _, used in own) == int(result.matched[market].sum())
        assert sum(int((lot.volume - used).sum()) for lot, used in own) == int(result.surplus[market].sum())
    assert (result.carbon_free <= result.matched).all()


@given(cases(), st.data())
@settings(max_examples=80, deadline=None)
def test_a_fitting_cleaner_lot_never_raises_an_hour(case: dict[str, Any], data: st.DataObject) -> None:
    """Fitting: no more than is unmatched. Cleaner: at most the fallback. One rounding an hour: not by a milligram."""
    before = hourly_market_based(**case)
    market = data.draw(st.integers(0, len(case["load"]) - 1))
    volume = np.array([data.draw(st.integers(0, int(left))) for left in before.unmatched[market]], dtype=np.int64)
    lot = HourlyLot(market, volume, data.draw(st.integers(0, int(case["fallback_ug_per_kwh"][market].min()))))
    after = hourly_market_based(**{**case, "lots": [*case["lots"], lot]})
    assert (after.market_mg <= before.market_mg).all()
    assert (after.surplus == before.surplus).all()


@given(cases(), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_order_of_use_moves_no_energy(case: dict[str, Any], random: Any) -> None:
    lots = list(case["lots"])
    random.shuffle(lots)
    one, other = hourly_market_based(**case), hourly_market_based(**{**case, "lots": lots})
    for name in ("standard_supply", "matched", "unmatched", "surplus"):
        assert (getattr(one, name) == getattr(other, name)).all()


@given(cases())
@settings(max_examples=40, deadline=None)
def test_markets_and_hours_do_not_touch_each_other(case: dict[str, Any]) -> None:
    """One market alone and one stretch of hours alone give what they give among all: so they may be stored in parts."""
    whole = hourly_market_based(**case)

    def part(markets: slice, hours: slice) -> HourlyResult:
        cut = {name: value[markets, hours] for name, value in case.items() if name != "lots"}
        start, stop = hours.indices(case["load"].shape[1])[:2]
        lots = []
        for lot in case["lots"]:
            if lot.market in range(*markets.indices(len(case["load"]))):
                padded = np.zeros(case["load"].shape[1], dtype=np.int64)
                padded[lot.first : lot.first + len(lot.volume)] = lot.volume
                lots.append(HourlyLot(lot.market - (markets.start or 0), padded[start:stop], lot.ug_per_kwh))
        return hourly_market_based(**cut, lots=lots)

    first = part(slice(0, 1), slice(None))
    assert (first.market_mg == whole.market_mg[:1]).all()
    for hours in (slice(0, 1), slice(1, None)):
        assert (part(slice(None), hours).market_mg == whole.market_mg[:, hours]).all()


@given(st.integers(0, 4 * 10**18), st.integers(1, 8_784), st.integers(-50, 9_000), st.integers(0, 9_000))
def test_a_flat_profile_adds_up_however_it_is_cut(energy: int, hours: int, cut: int, more: int) -> None:
    parts = [flat_profile(energy, hours, -100, cut), flat_profile(energy, hours, cut, max(cut + more, hours))]
    assert sum(int(part.sum()) for part in parts) == energy
    assert all((part >= 0).all() for part in parts)
    assert flat_profile(energy, hours, 0, hours).max() - flat_profile(energy, hours, 0, hours).min() <= 1


@given(st.lists(st.tuples(energies, shares, st.sampled_from([0, 250_000, ABSENT])), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_scores_are_ratios_of_sums_between_0_and_1(rows: list[tuple[int, int, int]]) -> None:
    load = array([[energy for energy, _, _ in rows]])
    contracted = array([[energy * share // 10**6 for energy, share, _ in rows]])
    grid = array([[share for _, _, share in rows]])
    carbon_free = carbon_free_energy(load=load, contracted=contracted, grid_cfe_ppm=grid)
    score, known = cfe_score(load, carbon_free)
    assert 0 <= known <= 1
    assert score is None or 0 <= score <= 1
    assert (score is None) == (int(load[grid != ABSENT].sum()) == 0)
    match = contracted_match(contracted, load)
    whole = sum(energy for energy, _, _ in rows)
    assert match == (Fraction(sum(e * s // 10**6 for e, s, _ in rows), whole) if whole else None)


def test_the_finest_known_fallback_is_taken() -> None:
    factor, level = fallback_factors(
        hourly_residual=array([[5, ABSENT, ABSENT, ABSENT, 0]]),
        residual=array([[6, 6, ABSENT, ABSENT, 6]]),
        fossil=array([[7, 7, 7, ABSENT, 7]]),
        default_ug_per_kwh=8,
    )
    assert factor.tolist() == [[5, 6, 7, 8, 0]]  # a residual mix of 0 is known, and no absence
    assert level.tolist() == [[1, 2, 3, 4, 1]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"load": array([[-1]])}, "load of a market and hour"),
        ({"load": array([[HIGHEST_MILLIWATT_HOURS + 1]])}, "load of a market and hour"),
        ({"fallback_ug_per_kwh": array([[-1]])}, "fallback factor"),
        ({"standard_share_ppm": array([[1_000_001]])}, "share of standard supply"),
        ({"lots": [HourlyLot(0, np.array([-1]), 0)]}, "volume of a lot"),
        ({"lots": [HourlyLot(0, np.array([1]), HIGHEST_UG_PER_KWH + 1)]}, "factor of a lot"),
    ],
)
def test_what_an_hour_cannot_hold_is_refused(change: dict[str, Any], message: str) -> None:
    case = {"load": array([[5]]), "lots": [], "fallback_ug_per_kwh": array([[7]])}
    with pytest.raises(ValueError, match=message):
        hourly_market_based(**{**case, **change})


# --- Scenarios under the draft ------------------------------------------------------------------------------------


@st.composite
def drafts(draw: st.DrawFn) -> dict[str, Any]:
    scenario = draw(scenarios())
    for market in scenario["markets"].values():
        if draw(st.booleans()):
            market["fossil_default_kg_per_mwh"] = draw(rates)
        if draw(st.booleans()):
            share = str(Decimal(draw(st.integers(0, 100))) / 100)
            market["standard_supply"] = {"share": share, "co2e_kg_per_mwh": draw(rates)}
        if draw(st.booleans()):
            market["grid_cfe_fraction"] = [{"value": "0.3"}]
    for lot in scenario["instruments"]:
        hour = draw(st.integers(-1, HOURS))
        if draw(st.booleans()):
            lot |= {"start": moment(hour), "end": moment(hour + 1)}
        lot["deliverable"] = draw(st.booleans())
    return {**scenario, "ruleset": RULESET_DRAFT_2025_10}


@given(drafts())
@settings(max_examples=60, deadline=None)
def test_every_grouping_of_a_draft_adds_up_and_nothing_is_negative(scenario: dict[str, Any]) -> None:
    result = evaluate(scenario)
    for breakdown in ("by_market", "by_facility", "by_team", "by_model", "by_kind"):
        for figure in FIGURES:
            parts = [Decimal(row[figure]) for row in result[breakdown].values()]
            assert all(part >= 0 for part in parts)
            assert sum(parts) == Decimal(result["totals"][figure])
    totals = {name: Decimal(result["totals"][name]) for name in ("covered_kwh", "uncovered_kwh", "surplus_kwh")}
    assert totals["covered_kwh"] + totals["uncovered_kwh"] == Decimal(result["totals"]["facility_energy_kwh"])
    assert totals["surplus_kwh"] == sum(Decimal(lot["surplus_kwh"]) for lot in result["instruments"])
    applied = sum(Decimal(lot["applied_kwh"]) for lot in result["instruments"])
    assert applied == Decimal(result["hourly"]["matched_kwh"])


@given(drafts(), st.data())
@settings(max_examples=30, deadline=None)
def test_cutting_an_interval_in_two_changes_no_hour(scenario: dict[str, Any], data: st.DataObject) -> None:
    if not scenario["consumption"]:
        return
    index = data.draw(st.integers(0, len(scenario["consumption"]) - 1))
    row = scenario["consumption"][index]
    start, end = (datetime.fromisoformat(row[name]) for name in ("start", "end"))
    middle, half = (start + (end - start) / 2).isoformat(), str(Decimal(row["energy_kwh"]) / 2)
    cut = [{**row, "end": middle, "energy_kwh": half}, {**row, "start": middle, "energy_kwh": half}]
    consumption = [*scenario["consumption"][:index], *cut, *scenario["consumption"][index + 1 :]]
    assert evaluate({**scenario, "consumption": consumption}) == evaluate(scenario)


@given(drafts(), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_the_order_of_rows_and_lots_does_not_matter_to_the_hours(scenario: dict[str, Any], random: Any) -> None:
    shuffled = {**scenario, **{name: list(scenario[name]) for name in ("consumption", "instruments")}}
    random.shuffle(shuffled["consumption"])
    random.shuffle(shuffled["instruments"])
    one, other = evaluate(scenario), evaluate(shuffled)
    for result in (one, other):
        result["instruments"].sort(key=lambda lot: lot["id"])
    assert one == other


@given(drafts())
@settings(max_examples=30, deadline=None)
def test_the_allocation_policy_moves_no_hour(scenario: dict[str, Any]) -> None:
    one, other = (
        evaluate({**scenario, "policies": {"market_allocation": policy}}) for policy in ("pro_rata", "earmarked")
    )
    for name in ("totals", "by_market", "hourly", "instruments"):
        assert one[name] == other[name]


@given(drafts(), amounts, st.sampled_from(["A", "B"]), st.integers(0, HOURS - 1))
@settings(max_examples=40, deadline=None)
def test_a_clean_lot_of_any_size_never_raises_the_draft_total(
    scenario: dict[str, Any], volume: str, market: str, hour: int
) -> None:
    """At factor 0 it goes before every other certificate: what these had covered can only become surplus."""
    before = evaluate(scenario)
    lot = {
        "id": "0-NEW",
        "type": "eac",
        "market": market,
        "start": moment(hour),
        "end": moment(hour + 1),
        "energy_kwh": volume,
        "co2e_kg_per_mwh": "0",
        "tracking_system": "REG",
        "serial_start": "NEW-1",
        "serial_end": "NEW-9",
        "retired_on": "2026-07-01",
        "beneficiary": "reporter",
    }
    after = evaluate({**scenario, "instruments": [*scenario["instruments"], lot]})
    assert Decimal(after["totals"]["market_kg"]) <= Decimal(before["totals"]["market_kg"])
    assert after["totals"]["location_kg"] == before["totals"]["location_kg"]
