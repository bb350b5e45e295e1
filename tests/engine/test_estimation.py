"""Energy from profiles, against published tables and by its properties."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.accounting.engine.estimation import energy_of_accelerator_hours, energy_of_tokens, split_by_month
from apps.core.windows import DAY_MS, epoch_ms

KWH = 10**9


def test_bloom_is_reproduced() -> None:
    """BL-1: 1,082,990 GPU-hours at 400 W are 433,196 kWh (arXiv 2211.02001)."""
    worked = energy_of_accelerator_hours(accelerator_hours=1_082_990, utilisation=1, tdp_w=400, idle_w=None)
    assert worked.energy_microwatt_hours == 433_196 * KWH
    assert "1,082,990 h × 400 W × 1" in worked.working
    assert "433,196 kWh" in worked.working


@pytest.mark.parametrize(("hours", "kwh"), [(184_320, 73_728), (368_640, 147_456), (1_720_320, 688_128)])
def test_llama_2_is_reproduced(hours: int, kwh: int) -> None:
    """LL-1 to LL-3: GPU-hours x 400 W of the model card."""
    worked = energy_of_accelerator_hours(accelerator_hours=hours, utilisation=1, tdp_w=400, idle_w=55)
    assert worked.energy_microwatt_hours == kwh * KWH


def test_idle_power_is_what_is_left_at_no_utilisation() -> None:
    worked = energy_of_accelerator_hours(accelerator_hours=10, utilisation=0, tdp_w=700, idle_w=Decimal("61.5"))
    assert worked.energy_microwatt_hours == 615 * 10**6
    without = energy_of_accelerator_hours(accelerator_hours=10, utilisation=0, tdp_w=700, idle_w=None)
    assert without.energy_microwatt_hours == 0
    assert "states no idle power" in without.working
    assert "states no idle power" not in worked.working


def test_tokens_times_energy_per_token() -> None:
    worked = energy_of_tokens(tokens=1_000_000, microjoules_per_token=418_060)
    assert worked.energy_microwatt_hours == 116_127_778  # 418,060 J / 3,600 = 116.12777... Wh
    assert worked.working == "1,000,000 tokens × 0.41806 J ÷ 3,600 J/Wh = 116.127778 Wh"


@pytest.mark.parametrize(
    "wrong",
    [
        {"utilisation": Decimal("1.01")},
        {"utilisation": Decimal("-0.1")},
        {"tdp_w": 0},
        {"idle_w": 701},
        {"idle_w": -1},
        {"accelerator_hours": -1},
    ],
)
def test_impossible_profiles_are_refused(wrong: dict[str, Decimal]) -> None:
    given_values = {"accelerator_hours": 1, "utilisation": Decimal("0.5"), "tdp_w": 700, "idle_w": 60} | wrong
    with pytest.raises(ValueError, match="got"):
        energy_of_accelerator_hours(**given_values)


@given(
    st.integers(0, 10**9),
    st.fractions(0, 1, max_denominator=10**6),
    st.integers(1, 3_000),
    st.integers(0, 10**6),
)
def test_the_estimate_lies_between_idle_and_tdp(hours: int, share: Fraction, tdp: int, idle_ppm: int) -> None:
    idle = Fraction(tdp * idle_ppm, 10**6)
    energy = energy_of_accelerator_hours(
        accelerator_hours=hours, utilisation=share, tdp_w=tdp, idle_w=idle
    ).energy_microwatt_hours
    assert hours * idle * 10**6 - 1 <= energy <= hours * tdp * 10**6


@given(
    st.integers(0, epoch_ms(datetime(2030, 1, 1, tzinfo=UTC))),
    st.integers(1, 800 * DAY_MS),
    st.integers(0, 10**18),
    st.none() | st.integers(0, 10**15),
)
def test_parts_add_up_and_adjoin(start: int, length: int, energy: int, work: int | None) -> None:
    parts = split_by_month(start_ms=start, end_ms=start + length, energy_microwatt_hours=energy, work=work)
    assert sum(part.energy_microwatt_hours for part in parts) == energy
    assert (parts[0].start_ms, parts[-1].end_ms) == (start, start + length)
    for one, following in pairwise(parts):
        assert one.end_ms == following.start_ms
    for part in parts:
        assert 0 < part.end_ms - part.start_ms <= 31 * DAY_MS
        assert part.energy_microwatt_hours >= 0
    if work is None:
        assert {part.work for part in parts} == {None}
    else:
        assert sum(part.work or 0 for part in parts) == work
