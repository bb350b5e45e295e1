"""The rule that combines uncertainties, on numbers worked by hand and on random ones."""

from __future__ import annotations

from fractions import Fraction
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.accounting.engine.uncertainty import (
    DEFAULTS,
    Cause,
    Contribution,
    factor_ppm,
    half_width,
    interval,
    market_parts,
    product_ppm,
    relative,
    table,
)

A, B = Cause("activity", 1), Cause("activity", 2)
FACTOR = Cause("factor", 7)


def test_a_product_combines_relative_uncertainties_by_root_sum_of_squares():
    # 3 % of activity and 4 % of factor are 5 % of the product
    assert half_width([Contribution(A, 1_000, 30_000), Contribution(FACTOR, 1_000, 40_000)]) == 50
    assert product_ppm(30_000, 40_000) == 50_000


def test_a_sum_combines_absolute_uncertainties_of_independent_rows_by_root_sum_of_squares():
    assert half_width([Contribution(A, 300, 100_000), Contribution(B, 400, 100_000)]) == 50


def test_rows_of_one_factor_add_linearly_in_it():
    # activity: 10 % of 300 and of 400, independent: 50; factor: 10 % of 700: 70; together sqrt(50**2 + 70**2)
    parts = [
        Contribution(A, 300, 100_000),
        Contribution(B, 400, 100_000),
        Contribution(FACTOR, 300, 100_000),
        Contribution(FACTOR, 400, 100_000),
    ]
    assert half_width(parts) == 87  # 86.02 rounded up
    assert sqrt(50**2 + 70**2) == pytest.approx(86.02, abs=0.01)


def test_the_half_width_is_rounded_outwards_and_exact_when_it_is_whole():
    assert half_width([Contribution(A, 10, 100_000)]) == 1
    assert half_width([Contribution(A, 11, 100_000)]) == 2
    assert half_width([]) == 0
    assert half_width([Contribution(A, Fraction(21, 2), 100_000)]) == 2


def test_an_interval_holds_its_figure_and_never_goes_below_zero():
    assert interval(100, 9) == (91, 109)
    assert interval(5, 9) == (0, 14)
    assert relative(100, 9) == 0.09
    assert relative(0, 9) is None


def test_the_lag_of_a_factor_widens_it_by_its_years():
    values = table()
    assert factor_ppm(values, "country", 0) == values["factor_country"] == 100_000
    # 10 % and 2 years of 3 %: sqrt(10**2 + 6**2) = 11.66 %
    assert factor_ppm(values, "country", 2) == 116_620
    assert factor_ppm(values, "country", -2) == factor_ppm(values, "country", 2)
    assert factor_ppm(values, "somewhere", 0) == values["factor_aggregate"]


def test_an_organisation_puts_its_own_values_in_place_of_the_defaults():
    assert table({"activity_measured": 20_000})["activity_measured"] == 20_000
    assert table({"activity_measured": 20_000})["activity_metered"] == DEFAULTS["activity_metered"].ppm
    assert all(each.basis.startswith("Assumption: ") for each in DEFAULTS.values())


@pytest.mark.parametrize(
    "overrides", [{"luck": 1}, {"activity_measured": -1}, {"activity_measured": 2_000_001}, {"pue_stated": 0.1}]
)
def test_a_value_that_cannot_be_is_refused(overrides):
    with pytest.raises(ValueError, match=r"expected|unknown"):
        table(overrides)


def test_what_consumption_is_off_by_takes_the_fallback():
    # 100 of the market's 1,000 kWh; 900 are covered by 9 kg of instruments, 100 take a residual mix of 500 g/kWh
    parts = market_parts(
        facility_energy_milliwatt_hours=100 * 10**6,
        location_mg=None,
        market_energy_milliwatt_hours=1_000 * 10**6,
        uncovered_milliwatt_hours=100 * 10**6,
        instruments_mg=9 * 10**6,
        fallback_ug_per_kwh=500 * 10**6,
    )
    assert parts.by_fallback == 5 * 10**6  # 10 kWh x 500 g
    assert parts.by_instruments == 900_000
    assert parts.by_activity == 50 * 10**6  # 100 kWh x 500 g: not one more kWh is covered


def test_with_everything_covered_the_instruments_carry_what_consumption_is_off_by():
    parts = market_parts(
        facility_energy_milliwatt_hours=100,
        location_mg=70,
        market_energy_milliwatt_hours=400,
        uncovered_milliwatt_hours=0,
        instruments_mg=40,
        fallback_ug_per_kwh=None,
    )
    assert parts == (0, 10, 10)
    assert market_parts(
        facility_energy_milliwatt_hours=0,
        location_mg=None,
        market_energy_milliwatt_hours=0,
        uncovered_milliwatt_hours=0,
        instruments_mg=0,
        fallback_ug_per_kwh=None,
    ) == (0, 0, 0)


VALUES = st.integers(0, 10**15)
PPMS = st.integers(0, 10**6)
CAUSES = st.builds(Cause, st.sampled_from(["activity", "pue", "factor"]), st.integers(1, 4))
PARTS = st.lists(st.builds(Contribution, CAUSES, VALUES, PPMS), max_size=12)


@given(PARTS, st.data())
def test_splitting_a_part_changes_nothing(parts, data):
    split = []
    for part in parts:
        cut = data.draw(st.integers(0, part.value))
        split += [part._replace(value=cut), part._replace(value=part.value - cut)]
    assert half_width(split) == half_width(parts)
    assert half_width(list(reversed(parts))) == half_width(parts)


@given(PARTS)
def test_it_lies_between_the_largest_part_and_full_correlation(parts):
    half = half_width(parts)
    assert half * 10**6 >= max((part.value * part.ppm for part in parts), default=0)
    assert (half - 1) * 10**6 <= sum(part.value * part.ppm for part in parts)


@given(VALUES.filter(bool), PPMS.filter(bool), st.integers(2, 40))
def test_more_independent_sources_narrow_the_relative_interval(value, ppm, sources):
    alone = half_width([Contribution(A, value * sources, ppm)])
    shared = half_width(Contribution(Cause("activity", i), value, ppm) for i in range(sources))
    assert shared <= alone
    correlated = half_width(Contribution(FACTOR, value, ppm) for _ in range(sources))
    assert correlated == alone
