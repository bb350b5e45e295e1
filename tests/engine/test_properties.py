"""What must hold for every inventory, and not only for worked ones."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.accounting.engine.allocation import pro_rata_market_mg
from apps.accounting.engine.energy import split_over_hours
from apps.accounting.engine.market import Lot, market_based
from apps.accounting.engine.scenario import evaluate_text
from apps.core.windows import HOUR_MS

START = datetime(2026, 6, 1, tzinfo=UTC)
HOURS = 6
YEAR = (date(2026, 1, 1), date(2027, 1, 1))
FIGURES = ("facility_energy_kwh", "location_kg", "market_kg")

amounts = st.integers(0, 10**10).map(lambda n: str(Decimal(n).scaleb(-6)))
rates = st.integers(0, 1_500_000).map(lambda n: str(Decimal(n).scaleb(-3)))


def moment(hour: int, minute: int = 0) -> str:
    return (START + timedelta(hours=hour, minutes=minute)).strftime("%Y-%m-%dT%H:%M:%SZ")


@st.composite
def series(draw: st.DrawFn) -> list[dict[str, str]]:
    """No factor, one for the whole period, or one for each hour."""
    shape = draw(st.sampled_from(["none", "flat", "hourly"]))
    if shape == "none":
        return []
    if shape == "flat":
        return [{"co2e_kg_per_mwh": draw(rates)}]
    return [{"start": moment(h), "end": moment(h + 1), "co2e_kg_per_mwh": draw(rates)} for h in range(HOURS)]


@st.composite
def scenarios(draw: st.DrawFn) -> dict[str, Any]:
    markets = {
        code: {
            "location_factors": draw(series()) or [{"co2e_kg_per_mwh": draw(rates)}],
            "residual_factors": draw(series()),
        }
        for code in ("A", "B")
    }
    facilities = {
        code: {
            "market": draw(st.sampled_from(["A", "B"])),
            "control": draw(st.sampled_from(["owned", "leased", "colocation", "cloud"])),
            "pue": draw(st.sampled_from(["1", "1.1", "1.37", "2"])),
        }
        for code in ("f", "g", "h")
    }
    consumption = []
    for _ in range(draw(st.integers(0, 6))):
        first, last = sorted(draw(st.tuples(st.integers(0, HOURS * 60 - 1), st.integers(1, HOURS * 60))))
        consumption.append(
            {
                "facility": draw(st.sampled_from(["f", "g", "h"])),
                "start": moment(0, min(first, last - 1) if last == first else first),
                "end": moment(0, last if last > first else first + 1),
                "energy_kwh": draw(amounts),
                "boundary": draw(st.sampled_from(["it", "facility"])),
                "team": draw(st.sampled_from(["x", "y", "z"])),
                "model": draw(st.sampled_from(["m", "n"])),
            }
        )
    instruments = [
        {
            "id": f"L{i}",
            "type": draw(st.sampled_from(["eac", "ppa", "supplier"])),
            "market": draw(st.sampled_from(["A", "B", "C"])),
            "start": moment(0),
            "end": moment(HOURS),
            "energy_kwh": draw(amounts),
            "co2e_kg_per_mwh": draw(rates),
            "tracking_system": "REG",
            "serial_start": f"L{i}-1",
            "serial_end": f"L{i}-9",
            "retired_on": draw(st.sampled_from(["2026-07-01", None])),
            "beneficiary": "reporter",
            "earmark": draw(st.sampled_from([None, {"team": "x"}, {"facility": "g"}])),
        }
        for i in range(draw(st.integers(0, 4)))
    ]
    return {
        "period": {"start": moment(0), "end": moment(HOURS)},
        "markets": markets,
        "facilities": facilities,
        "consumption": consumption,
        "instruments": instruments,
        "policies": {"market_allocation": draw(st.sampled_from(["pro_rata", "earmarked"]))},
    }


def evaluate(scenario: dict[str, Any]) -> dict[str, Any]:
    return evaluate_text(json.dumps(scenario))


@given(scenarios())
@settings(max_examples=80, deadline=None)
def test_every_grouping_adds_up_to_the_total_and_nothing_is_negative(scenario: dict[str, Any]) -> None:
    result = evaluate(scenario)
    for breakdown in ("by_market", "by_facility", "by_team", "by_model", "by_kind"):
        for figure in FIGURES:
            parts = [Decimal(row[figure]) for row in result[breakdown].values()]
            assert all(part >= 0 for part in parts)
            assert sum(parts) == Decimal(result["totals"][figure])
    totals = {name: Decimal(result["totals"][name]) for name in ("covered_kwh", "uncovered_kwh", "surplus_kwh")}
    assert totals["covered_kwh"] + totals["uncovered_kwh"] == Decimal(result["totals"]["facility_energy_kwh"])
    assert totals["surplus_kwh"] == sum(Decimal(lot["surplus_kwh"]) for lot in result["instruments"])


@given(scenarios(), st.data())
@settings(max_examples=40, deadline=None)
def test_cutting_an_interval_in_two_changes_nothing(scenario: dict[str, Any], data: st.DataObject) -> None:
    """Energy that does not divide evenly is cut by a power of two, so that both halves are exact decimals."""
    if not scenario["consumption"]:
        return
    index = data.draw(st.integers(0, len(scenario["consumption"]) - 1))
    row = scenario["consumption"][index]
    start, end = (datetime.fromisoformat(row[name]) for name in ("start", "end"))
    middle = (start + (end - start) / 2).isoformat()
    half = str(Decimal(row["energy_kwh"]) / 2)
    cut = [{**row, "end": middle, "energy_kwh": half}, {**row, "start": middle, "energy_kwh": half}]
    consumption = [*scenario["consumption"][:index], *cut, *scenario["consumption"][index + 1 :]]
    assert evaluate({**scenario, "consumption": consumption}) == evaluate(scenario)


@given(scenarios(), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_order_of_rows_and_lots_does_not_matter(scenario: dict[str, Any], random: Any) -> None:
    shuffled = {**scenario, **{name: list(scenario[name]) for name in ("consumption", "instruments")}}
    random.shuffle(shuffled["consumption"])
    random.shuffle(shuffled["instruments"])
    one, other = evaluate(scenario), evaluate(shuffled)
    for result in (one, other):
        result["instruments"].sort(key=lambda lot: lot["id"])
    assert one == other


@given(scenarios(), amounts, st.sampled_from(["A", "B"]), st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_a_fitting_cleaner_lot_never_raises_the_market_based_figure(
    scenario: dict[str, Any], volume: str, market: str, per_mille: int
) -> None:
    """Fitting: it covers no more than is uncovered. Cleaner: below every factor that the fallback can have."""
    before = evaluate(scenario)
    if market not in before["by_market"]:
        return
    applied = sum(
        Decimal(before["instruments"][i]["applied_kwh"])
        for i, lot in enumerate(scenario["instruments"])
        if lot["market"] == market
    )
    room = Decimal(before["by_market"][market]["facility_energy_kwh"]) - applied
    if Decimal(volume) > room:
        return
    fallbacks = scenario["markets"][market]["location_factors"] + scenario["markets"][market]["residual_factors"]
    lowest = min(Decimal(factor["co2e_kg_per_mwh"]) for factor in fallbacks)
    lot = {
        "id": "NEW",
        "type": "eac",
        "market": market,
        "start": moment(0),
        "end": moment(HOURS),
        "energy_kwh": volume,
        "co2e_kg_per_mwh": str(lowest * per_mille / 1000),
        "tracking_system": "REG",
        "serial_start": "NEW-1",
        "serial_end": "NEW-9",
        "retired_on": "2026-07-01",
        "beneficiary": "reporter",
    }
    after = evaluate({**scenario, "instruments": [*scenario["instruments"], lot]})
    # Two roundings, of the lot and of the fallback, of at most half a milligram each.
    assert Decimal(after["totals"]["market_kg"]) <= Decimal(before["totals"]["market_kg"]) + Decimal("0.000001")
    assert after["totals"]["location_kg"] == before["totals"]["location_kg"]


@given(scenarios())
@settings(max_examples=40, deadline=None)
def test_scope_2_and_scope_3_share_out_all_energy(scenario: dict[str, Any]) -> None:
    result = evaluate(scenario)
    everything = evaluate(
        {**scenario, "facilities": {code: {**f, "control": "owned"} for code, f in scenario["facilities"].items()}}
    )
    parts = sum(Decimal(result[scope]["facility_energy_kwh"]) for scope in ("totals", "scope3"))
    assert abs(parts - Decimal(everything["totals"]["facility_energy_kwh"])) <= Decimal("0.000001")


@given(scenarios())
@settings(max_examples=40, deadline=None)
def test_the_allocation_policy_moves_no_total(scenario: dict[str, Any]) -> None:
    results = [
        evaluate({**scenario, "policies": {"market_allocation": policy}}) for policy in ("pro_rata", "earmarked")
    ]
    assert results[0]["totals"] == results[1]["totals"]
    assert results[0]["by_market"] == results[1]["by_market"]


@given(
    st.lists(
        st.tuples(st.integers(0, 4 * 10**15), st.integers(0, 10**12), st.integers(1, 31 * 24 * HOUR_MS)), max_size=5
    )
)
@settings(max_examples=40, deadline=None)
def test_hours_of_an_interval_add_up_to_its_energy_and_duration(rows: list[tuple[int, int, int]]) -> None:
    energy, start, length = (
        (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
        if rows
        else (np.zeros(0, dtype=np.int64),) * 3
    )
    row, hour, part, covered = split_over_hours(energy=energy, start_ms=start, end_ms=start + length)
    for i in range(len(rows)):
        mine = row == i
        assert part[mine].sum() == energy[i]
        assert covered[mine].sum() == length[i]
        assert (part[mine] >= 0).all()
        assert hour[mine].tolist() == list(range(start[i] // HOUR_MS, -(-(start[i] + length[i]) // HOUR_MS)))


@given(
    st.lists(st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)), min_size=1, max_size=8),
    st.integers(0, 10**12),
    st.integers(0, 10**9),
    st.sampled_from([None, 500_000_000]),
)
def test_live_shares_of_a_market_add_up_to_its_result(
    rows: list[tuple[int, int]], volume: int, rate: int, residual: int | None
) -> None:
    energies, locations = [energy for energy, _ in rows], [location for _, location in rows]
    lot = Lot("L", "ppa", "M", *YEAR, volume, rate, "REG", retired_on=YEAR[1])
    result = market_based(
        facility_energy_milliwatt_hours=sum(energies),
        location_mg=sum(locations),
        instruments=[lot],
        residual_ug_per_kwh=residual,
        period=YEAR,
        market="M",
        vintage_window_months=12,
    )
    shares = pro_rata_market_mg(
        facility_energy_milliwatt_hours=energies,
        location_mg=locations,
        names=[str(i) for i in range(len(rows))],
        market_energy_milliwatt_hours=result.facility_energy_milliwatt_hours,
        uncovered_milliwatt_hours=result.uncovered_milliwatt_hours,
        instruments_mg=result.instruments_mg,
        market_mg=result.market_mg,
        fallback=result.fallback,
    )
    assert sum(share or 0 for share in shares) == result.market_mg
    assert all(share is not None and share >= 0 for share in shares)
