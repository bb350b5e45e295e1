"""The market-based function as the ledger calls it: claims over several periods, windows, order."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.accounting.engine.market import (
    Lot,
    add_months,
    claimed_before,
    claimed_volume_milliwatt_hours,
    criterion_2_sole_claim,
    market_based,
)

MWH = 10**9
YEAR = (date(2026, 1, 1), date(2027, 1, 1))
QUARTERS = [
    (date(2026, 1, 1), date(2026, 4, 1)),
    (date(2026, 4, 1), date(2026, 7, 1)),
    (date(2026, 7, 1), date(2026, 10, 1)),
    (date(2026, 10, 1), date(2027, 1, 1)),
]
LOT = Lot("L", "eac", "DE", *YEAR, 1_001 * MWH + 1, 0, "REG", "L-1", "L-1001", date(2027, 1, 20))


def result_of(lots: list[Lot], period: tuple[date, date] = YEAR, energy: int = 10_000 * MWH, **fields: object):
    arguments = {
        "facility_energy_milliwatt_hours": energy,
        "location_mg": energy * 400 // 1000,
        "instruments": lots,
        "residual_ug_per_kwh": 500_000_000,
        "period": period,
        "market": "DE",
        "vintage_window_months": 12,
        **fields,
    }
    return market_based(**arguments)  # type: ignore[arg-type]


def test_a_lot_of_a_year_is_used_once_over_its_four_quarters() -> None:
    parts = [claimed_volume_milliwatt_hours(LOT, quarter) for quarter in QUARTERS]
    assert sum(parts) == LOT.energy_milliwatt_hours
    assert all(parts)
    assert sum(result_of([LOT], quarter).covered_milliwatt_hours for quarter in QUARTERS) == sum(parts)


def test_a_lot_covers_the_consumption_that_its_retirement_names() -> None:
    """A vintage of 2025 retired for the first quarter of 2026: usual, and within the window."""
    lot = replace(
        LOT,
        vintage_start=date(2025, 7, 1),
        vintage_end=date(2025, 10, 1),
        claim_start=QUARTERS[0][0],
        claim_end=QUARTERS[0][1],
    )
    assert result_of([lot], QUARTERS[0]).covered_milliwatt_hours == lot.energy_milliwatt_hours
    assert result_of([lot], QUARTERS[1]).lots == ()
    old = replace(lot, vintage_start=date(2024, 1, 1), vintage_end=date(2024, 4, 1))
    assert result_of([old], QUARTERS[0]).lots[0].rejected_criteria == (4,)


def test_surplus_of_one_quarter_stays_there() -> None:
    results = [result_of([LOT], quarter, energy=100 * MWH) for quarter in QUARTERS]
    assert [result.covered_milliwatt_hours for result in results] == [100 * MWH] * 4
    assert sum(r.covered_milliwatt_hours + r.surplus_milliwatt_hours for r in results) == LOT.energy_milliwatt_hours
    assert [result.market_mg for result in results] == [0] * 4


def test_a_rejected_lot_says_why() -> None:
    outcome = result_of([replace(LOT, retired_on=None, ug_per_kwh=None)]).lots[0]
    assert outcome.rejected_criteria == (1, 3)
    assert outcome.reasons == ("no emission rate is stated", "not retired in REG")
    assert outcome.accepted_milliwatt_hours == outcome.surplus_milliwatt_hours == 0


@pytest.mark.parametrize(
    ("ours", "theirs", "clash"),
    [
        (("GO-001", "GO-100"), ("GO-100", "GO-200"), True),
        (("GO-001", "GO-100"), ("GO-101", "GO-200"), False),
        (("GO-001", "GO-100"), ("XX-050", "XX-060"), False),
        (("GO-5", ""), ("GO-5", ""), True),
        (("alpha", "omega"), ("alpha", "omega"), True),
        (("alpha", "omega"), ("beta", "gamma"), False),
    ],
)
def test_serial_ranges_that_share_a_number_clash(ours: tuple[str, str], theirs: tuple[str, str], clash: bool) -> None:
    first = replace(LOT, id="A", serial_start=ours[0], serial_end=ours[1])
    second = replace(LOT, id="B", serial_start=theirs[0], serial_end=theirs[1])
    assert (2 in result_of([first, second]).lots[1].rejected_criteria) is clash
    elsewhere = replace(second, tracking_system="OTHER")
    assert 2 not in result_of([first, elsewhere]).lots[1].rejected_criteria


@given(
    st.lists(
        st.tuples(st.sampled_from(["R", "Q"]), st.sampled_from(["A", "B", "x"]), st.integers(0, 20), st.integers(0, 6)),
        max_size=12,
    )
)
def test_the_first_earlier_claim_is_that_of_a_search_among_all_lots(rows: list[tuple[str, str, int, int]]) -> None:
    lots = [
        replace(
            LOT,
            id=str(i),
            tracking_system=system,
            serial_start="alpha" if letter == "x" else f"{letter}{first:03d}",
            serial_end="omega" if letter == "x" else f"{letter}{first + length:03d}",
        )
        for i, (system, letter, first, length) in enumerate(rows)
    ]
    found = claimed_before(lots)
    for position, lot in enumerate(lots):
        assert criterion_2_sole_claim(lot, found.get(position, ())) == criterion_2_sole_claim(lot, lots[:position])


def test_a_serial_claimed_in_another_market_or_period_is_claimed() -> None:
    abroad = replace(LOT, id="A", market="FR")
    earlier = replace(LOT, id="B", vintage_start=date(2025, 1, 1), vintage_end=date(2025, 4, 1))
    for other in (abroad, earlier):
        result = result_of([other, LOT])
        assert [(lot.id, lot.rejected_criteria) for lot in result.lots] == [("L", (2,))]


def test_a_certificate_without_serials_is_no_sole_claim_but_an_agreement_may_be() -> None:
    bare = replace(LOT, serial_start="", serial_end="")
    assert result_of([bare]).lots[0].rejected_criteria == (2,)
    assert result_of([replace(bare, type="ppa")]).lots[0].rejected_criteria == ()


def test_an_absent_residual_mix_is_the_grid_average_and_not_zero() -> None:
    result = result_of([], residual_ug_per_kwh=None)
    assert (result.market_mg, result.fallback, result.fallback_ug_per_kwh) == (result.location_mg, "location", None)
    assert result.flags == ("no_residual_mix:DE",)
    zero = result_of([], residual_ug_per_kwh=0)
    assert (zero.market_mg, zero.fallback, zero.flags) == (0, "residual", ())


def test_an_averaged_residual_mix_is_exact() -> None:
    third = Fraction(10**9, 3)  # a third of a kg per kWh
    assert result_of([], energy=3 * MWH, residual_ug_per_kwh=third).market_mg == 10**9


def test_negative_quantities_are_refused() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        result_of([], energy=-1)


def test_months_are_added_to_the_end_of_short_months() -> None:
    assert add_months(date(2026, 1, 31), 1) == date(2026, 2, 28)
    assert add_months(date(2026, 1, 31), -11) == date(2025, 2, 28)
    assert add_months(date(2024, 2, 29), 12) == date(2025, 2, 28)
    assert add_months(date(2026, 10, 31), 1) == date(2026, 11, 30)
