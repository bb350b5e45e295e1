"""The load model: pure, the same everywhere, conserving time and energy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.dashboards.demo.load import Shape, demand, fleet_load, job_milliwatt_hours, uniform_noise

HOURS = np.arange(493_008, 493_008 + 24 * 28, dtype=np.int64)  # from Monday 2026-03-30


def load_of(demand_tokens_per_s: np.ndarray, **changes: float):
    fields = {
        "instances": 4,
        "accelerators_per_instance": 2,
        "serving_w": np.full(len(demand_tokens_per_s), 1000.0),
        "throughput_tokens_per_s": np.full(len(demand_tokens_per_s), 500.0),
        "tokens_per_request": 250.0,
        "idle_w": 50.0,
        "node_factor": 1.0,
    }
    hours = HOURS[: len(demand_tokens_per_s)]
    return fleet_load(demand_tokens_per_s=demand_tokens_per_s, hours=hours, **(fields | changes))


def test_noise_is_the_same_in_every_run_and_differs_between_sources():
    noise = uniform_noise("fra1/rack-1", HOURS)
    assert np.array_equal(noise, uniform_noise("fra1/rack-1", HOURS))
    assert not np.array_equal(noise, uniform_noise("fra1/rack-2", HOURS))
    assert noise.min() >= 0
    assert noise.max() < 1
    assert noise.mean() == pytest.approx(0.5, abs=0.05)
    assert uniform_noise("fra1/rack-1", np.array([493_008]))[0] == pytest.approx(0.261173886675, abs=1e-11)


def test_demand_peaks_at_the_peak_hour_and_rests_at_the_weekend():
    shape = Shape(peak_hour=14.0, daily_swing=0.5, weekend=0.4, growth_per_quarter=0.0, noise=0.0)
    week = demand(shape, "any", HOURS[: 24 * 7], int(HOURS[0])).reshape(7, 24)
    assert set(week.argmax(axis=1)) <= {13, 14}
    assert week[0].mean() == pytest.approx(1.0)
    assert week[5].mean() == pytest.approx(0.4)
    assert week[6].mean() == pytest.approx(0.4)


def test_demand_grows_by_the_quarter():
    shape = Shape(daily_swing=0.0, weekend=1.0, growth_per_quarter=0.2, noise=0.0)
    hours = np.array([HOURS[0], HOURS[0] + 24 * 91], dtype=np.int64)
    assert demand(shape, "any", hours, int(HOURS[0])) == pytest.approx([1.0, 1.2])


def test_half_served_hour_has_half_the_serving_and_half_the_idle_power():
    load = load_of(np.array([1000.0]))  # of 4 x 500 tokens/s
    assert load.serving_s.tolist() == [1800]
    assert load.serving_milliwatt_hours.tolist() == [4 * 1000 * 1000 // 2]
    assert load.idle_milliwatt_hours.tolist() == [4 * 2 * 50 * 1000 // 2]
    assert load.tokens.tolist() == [1000 * 3600]
    assert load.requests.tolist() == [1000 * 3600 // 250]


def test_a_node_draws_more_than_its_accelerators():
    load = load_of(np.array([1000.0]), node_factor=1.5)
    assert load.serving_milliwatt_hours.tolist() == [3_000_000]
    assert load.idle_milliwatt_hours.tolist() == [300_000]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_a_fleet_never_serves_more_than_it_can(wanted: list[float]):
    load = load_of(np.array(wanted))
    assert (load.serving_s >= 0).all()
    assert (load.serving_s <= 3528).all()
    assert (load.serving_milliwatt_hours <= 4 * 1000 * 1000).all()
    assert (load.idle_milliwatt_hours > 0).all()
    # Energy per token is that of the measurement, whatever the demand: 1,000 W / 500 tokens/s = 2 J.
    served = load.tokens > 0
    joules = load.serving_milliwatt_hours[served] * 3.6
    assert joules == pytest.approx(2.0 * load.tokens[served], abs=2)  # half a milliwatt-hour is 1.8 J


def test_a_job_draws_its_share_of_tdp_within_three_percent():
    energy = job_milliwatt_hours(seed="a job", hours=HOURS, accelerators=8, tdp_w=700.0, load=0.8, node_factor=1.0)
    assert energy.min() >= 8 * 700 * 800 * 0.97 - 1
    assert energy.max() <= 8 * 700 * 800 * 1.03 + 1
    assert energy.mean() == pytest.approx(8 * 700 * 800, rel=0.005)
