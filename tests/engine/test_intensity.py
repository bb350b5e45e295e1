"""Ratios of sums, and SCI against its published examples."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.accounting.engine import sci
from apps.accounting.engine.intensity import UNITS, Carried, boundary_shares, boundary_text, intensity, per


def test_wh_and_grams_per_thousand_tokens() -> None:
    found = intensity(
        UNITS["tokens"],
        Carried(
            facility_milliwatt_hours=250_000_000, count=2_000_000_000, location_mg=95_000_000,
            location_count=2_000_000_000, market_mg=40_000_000, market_count=1_000_000_000,
            by_boundary={"node": 250_000_000},
        ),
    )  # fmt: skip
    assert (found.wh, found.location_g) == (Fraction(125, 1000), Fraction(475, 10_000))
    assert found.market_g == Fraction(4, 100)  # of the half whose figure is known, divided by that half's tokens
    assert not found.is_mixed


def test_nothing_to_divide_by_is_absent_and_not_zero() -> None:
    found = intensity(UNITS["requests"], Carried(facility_milliwatt_hours=5, count=0, location_mg=1))
    assert (found.wh, found.location_g, found.market_g) == (None, None, None)
    assert intensity(UNITS["requests"], Carried(5, 1)).location_g is None


@given(st.integers(0, 10**15), st.integers(1, 10**12), st.integers(0, 10**15), st.integers(1, 10**12))
def test_a_ratio_of_sums_lies_between_the_ratios(mwh: int, count: int, other_mwh: int, other_count: int) -> None:
    unit = UNITS["tokens"]
    one, other = per(mwh, count, unit), per(other_mwh, other_count, unit)
    both = per(mwh + other_mwh, count + other_count, unit)
    assert one is not None
    assert other is not None
    assert both is not None
    assert min(one, other) <= both <= max(one, other)


def test_the_boundary_is_told_by_energy() -> None:
    shares = boundary_shares({"node": 28, "accelerator": 72, "host": 0})
    assert boundary_text(shares) == "accelerator 72 %, node 28 %"
    assert boundary_text(boundary_shares({"node": 5})) == "node"
    assert boundary_text(boundary_shares({})) == "no energy"
    assert sum(share for _, share in shares) == 1


# --- SCI ----------------------------------------------------------------------------------------------------------


def test_operational_part_is_energy_times_intensity() -> None:
    """SCI specification, 4: O = E x I, here 10 kWh at 380 g/kWh."""
    assert sci.operational_mg(energy_milliwatt_hours=10_000_000, factor_ug_per_kwh=380_000_000) == 3_800_000


def test_embodied_part_is_the_share_of_life() -> None:
    """M = TE x TiR/EL x RR/ToR: one H100 (164 kg) for one of its four years."""
    year = sci.MS_PER_YEAR
    assert sci.embodied_mg(embodied_g=164_000, reserved_ms=year) == 41_000_000
    assert sci.embodied_mg(embodied_g=164_000, reserved_ms=year, lifetime_years=Decimal(2)) == 82_000_000
    assert sci.embodied_mg(embodied_g=164_000, reserved_ms=4 * year) == 164_000_000


def test_the_published_errors_of_sci_for_ai_are_not_copied() -> None:
    """9.1.1: 130 kg for 10^9 tokens. Per million tokens these are 130 g, not the 0.13 g that 9.1.3 prints."""
    unknown = sci.embodied_of({}, {})
    million = sci.score(operational=Fraction(130_000 * 10**6, 10**9), embodied=unknown, units=10**9, unit_size=10**6)
    assert million.operational == 130
    assert million.total is None  # no embodied figure: SCI is not stated
    assert Fraction(75_000) / Fraction("2.5") == 30_000  # kg per billion parameters; 9.2.2 prints 3,000


def test_hardware_without_a_figure_makes_the_embodied_part_absent() -> None:
    figures = {"h100": 164_000}
    complete = sci.embodied_of({"h100": sci.MS_PER_YEAR}, figures)
    assert sci.score(operational=Fraction(2), embodied=complete, units=41_000, unit_size=1).total == 3
    part = sci.embodied_of({"h100": sci.MS_PER_YEAR, "tpu": 5}, figures)
    assert part.missing_ms == {"tpu": 5}
    assert sci.score(operational=Fraction(2), embodied=part, units=1).embodied is None


@pytest.mark.parametrize("years", ["0.5", "0", "-4", "21"])
def test_an_impossible_lifetime_is_refused(years: str) -> None:
    with pytest.raises(ValueError, match="lifetime of 1 to 20 years"):
        sci.embodied_mg(embodied_g=1, reserved_ms=1, lifetime_years=Decimal(years))
