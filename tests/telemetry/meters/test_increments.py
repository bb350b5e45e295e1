"""Energy between readings: the rules of counters, deltas and gauges one by one, and what holds for any input."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from apps.core.units import round_half_up
from apps.core.windows import HOUR_MS
from apps.telemetry.meters import increments as rules
from apps.telemetry.meters.increments import (
    AUTOMATIC,
    BASELINE,
    COUNTER,
    DELTA,
    FINDINGS,
    FROM_ZERO,
    GAUGE,
    Increments,
    Meters,
    Readings,
    in_hours,
    increments,
)
from apps.telemetry.meters.models import MeterFinding, MeterKind, StartPolicy
from apps.telemetry.meters.units import amounts, per_unit

T0 = 1_782_864_000_000  # an hour's beginning
S = 1_000
JOULE = Fraction(2500, 9)  # uWh


def meters(*rows):
    columns = {
        "kind": COUNTER,
        "is_work": False,
        "unit": "J",
        "pue": 1_000_000,
        "start_policy": AUTOMATIC,
        "power_cap_w": 3_000,
        "interval_ms": 60 * S,
        "longest_gap_ms": 300 * S,
        "wraps_at": np.nan,
        "start_tolerance_ms": 0,
    }
    said = [columns | row for row in rows or ({},)]
    ratios = [per_unit(row["unit"], row["pue"]) for row in said]
    given = {name: np.array([row[name] for row in said]) for name in columns if name not in ("unit", "pue")}
    return Meters(
        numerator=np.array([ratio.numerator for ratio in ratios]),
        denominator=np.array([ratio.denominator for ratio in ratios]),
        **given,
    )


def readings(*rows):
    """Rows of (seconds, value, start in seconds or None, series, meter); the last three may be left out."""
    full = [(*row, *(None, 0, 0)[len(row) - 2 :]) for row in rows]
    start = [0 if since is None else round(T0 + since * S) for _, _, since, _, _ in full]
    columns = [np.array([row[i] for row in full], dtype=np.int64) for i in (4, 3)]
    at = np.array([round(T0 + row[0] * S) for row in full], dtype=np.int64)
    value = np.array([np.nan if row[1] is None else row[1] for row in full], dtype=np.float64)
    return Readings(*columns, at, value, np.array(start, dtype=np.int64))


def told(rows, *meter):
    """What the rules make of readings: [(from s, to s, amount)], [findings]."""
    found, findings = increments(readings(*rows), meters(*meter))
    spans = [
        ((since - T0) / S, (until - T0) / S, amount)
        for since, until, amount in zip(
            found.from_ms.tolist(), found.to_ms.tolist(), found.amount.tolist(), strict=True
        )
    ]
    return spans, [FINDINGS[name] for name in findings.finding]


def joules(*values):
    return [round_half_up(JOULE * Fraction(repr(float(value)))) for value in values]


def test_names_and_numbers_are_those_of_the_models():
    assert tuple(MeterKind) == (COUNTER, DELTA, GAUGE)
    assert tuple(StartPolicy) == (AUTOMATIC, FROM_ZERO, BASELINE)
    assert set(FINDINGS) == set(MeterFinding.Finding.values)


def test_nothing_gives_nothing():
    assert told([]) == ([], [])


def test_a_counter_without_a_start_begins_with_a_baseline():
    assert told([(0, 5e9), (15, 5e9 + 36), (30, 5e9 + 36)]) == ([(0, 15, 10_000), (15, 30, 0)], [])


def test_repeated_points_are_no_new_energy():
    spans, found = told([(0, 36, -30), (60, 72, -30), (120, 72, -30)])
    assert [amount for *_, amount in spans] == [10_000, 10_000, 0]
    assert found == []


@pytest.mark.parametrize(
    ("value", "spans", "found"),
    [
        (180_000, [(-60, 0, 50_000_000)], []),  # 3 kW for a minute, and no more
        (180_000.1, [], ["held_back"]),
        (5_000_100, [], ["held_back"]),
        (0, [(-60, 0, 0)], []),
    ],
)
def test_a_first_window_of_microseconds_counts_what_an_interval_can_hold(value, spans, found):
    assert told([(0, value, -0.001)]) == (spans, found)


def test_the_first_window_is_not_widened_over_a_reading_before():
    spans, found = told([(0, 900, -600), (20, 3_600, 19.999, 1)])
    assert spans[1] == (0, 20, 1_000_000)
    assert found == ["reset"]


def test_a_stated_start_long_enough_is_the_window():
    assert told([(0, 360_000, -3_600)]) == ([(-3_600, 0, 100_000_000)], [])


def test_a_start_that_is_the_instant_itself_adds_nothing():
    assert told([(0, 700, 0), (60, 736, 0)]) == ([(0, 60, 10_000)], [])
    assert told([(0, 100, -60), (60, 90, 60), (120, 126, 60)])[0] == [(-60, 0, 27_778), (60, 120, 10_000)]


@pytest.mark.parametrize(
    ("policy", "first", "after_reset"),
    [(AUTOMATIC, None, "reset"), (FROM_ZERO, 1_000_000, "reset"), (BASELINE, None, None)],
)
def test_a_person_decides_what_first_values_are_worth(policy, first, after_reset):
    spans, found = told([(0, 3_600), (60, 7_200), (120, 3_600)], {"start_policy": policy})
    expected = ([(-60, 0, first)] if first else []) + [(0, 60, 1_000_000)]
    assert spans == expected + ([(60, 120, 1_000_000)] if after_reset else [])
    assert found == ["reset"]


def test_a_device_counter_runs_on_whatever_starts_are_stated():
    rows = [(0, 5e6, -1), (60, 5e6 + 36, 59), (120, 5e6 + 72, 119)]
    assert told(rows, {"start_policy": BASELINE}) == ([(0, 60, 10_000), (60, 120, 10_000)], [])


def test_a_reset_counts_in_full_under_the_same_cap():
    assert told([(0, 9e6), (10, 180_000)]) == ([(0, 10, 50_000_000)], ["reset"])
    assert told([(0, 9e6), (10, 180_001)]) == ([], ["held_back"])
    assert told([(0, 9e6), (600, 1.8e6)]) == ([(0, 600, 500_000_000)], ["reset"])


def test_a_changed_start_is_a_reset_even_if_the_value_is_higher():
    assert told([(0, 100, -60), (60, 136, 30)])[0][1] == (30, 60, joules(136)[0])
    close = {"start_tolerance_ms": 1_000}
    assert told([(0, 100, -60), (60, 136, -59.5)], close)[0][1] == (0, 60, 10_000)


def test_two_processes_that_count_one_device_are_not_added():
    one = [(t, 100 + t, -60, 1) for t in range(0, 300, 60)]
    other = [(t + 7, 5 + t, -50, 2) for t in range(0, 300, 60)]
    alone, _ = told(one)
    both, _ = told(one + other)
    assert both[: len(alone)] == alone
    assert sum(amount for *_, amount in both[len(alone) :]) < joules(8)[0]


def test_what_wraps_goes_on_and_what_restarts_does_not():
    wraps = {"wraps_at": 262_143.328850}
    assert told([(0, 262_000.5), (15, 100.25)], wraps)[1] == ["wrap"]
    [(_, _, amount)], _ = told([(0, 262_000.5), (15, 100.25)], wraps)
    parts = joules(262_143.328850, 262_000.5, 100.25)
    assert amount == parts[0] - parts[1] + parts[2]
    # From almost nothing it cannot have come round in 15 s.
    assert told([(0, 200), (15, 100)], wraps) == ([(0, 15, joules(100)[0])], ["reset"])
    assert told([(0, 262_000.5), (15, 100.25)]) == ([(0, 15, joules(100.25)[0])], ["reset"])


def test_codes_for_no_value_are_passed_over_and_cost_nothing():
    blank = 9_223_372_036_854_775_794
    assert told([(0, 1_000), (15, float(blank)), (30, 1_036)]) == ([(0, 30, 10_000)], [])
    assert told([(0, 1_000), (15, float("inf")), (20, -1), (30, 1_036)]) == ([(0, 30, 10_000)], [])


def test_an_end_of_series_does_not_end_a_counter():
    assert told([(0, 1_000), (15, None), (30, 1_036)]) == ([(0, 30, 10_000)], [])


def test_of_several_series_at_an_instant_the_largest_counts_once():
    rows = [(t, 1_000 + t + slice_, None, slice_) for t in (0, 60) for slice_ in range(4)]
    assert told(rows) == ([(0, 60, joules(1_063)[0] - joules(1_003)[0])], [])


def test_of_units_of_work_every_series_counts():
    rows = [(0, 10, None, 1), (0, 500, None, 2), (60, 15, None, 1), (60, 700, None, 2)]
    spans, _ = told(rows, {"is_work": True, "unit": "1"})
    assert sorted(spans) == [(0, 60, 5), (0, 60, 200)]


def test_a_restart_of_an_inference_server_counts_its_tokens():
    spans, found = told([(0, 1e12), (60, 4e9)], {"is_work": True, "unit": "1"})
    assert (spans, found) == ([(0, 60, 4_000_000_000)], ["reset"])


def test_deltas_count_since_the_reading_before_or_the_stated_start():
    delta = {"kind": DELTA, "unit": "kWh"}
    assert told([(0, 0.001, -60), (120, 0.002), (180, 0.003, 150)], delta) == (
        [(-60, 0, 1_000_000), (0, 120, 2_000_000), (150, 180, 3_000_000)], [],
    )  # fmt: skip


def test_a_first_delta_may_be_a_lifetime():
    delta = {"kind": DELTA}
    assert told([(0, 5_000_100, -0.001), (60, 36, 0)], delta) == ([(0, 60, 10_000)], ["held_back"])
    assert told([(0, 36)], delta) == ([(-60, 0, 10_000)], [])
    assert told([(0, 36), (60, 36)], delta | {"start_policy": BASELINE})[0] == [(0, 60, 10_000)]
    assert told([(0, 5e6)], delta | {"start_policy": FROM_ZERO})[0] == [(-60, 0, joules(5e6)[0])]


def test_a_gauge_is_integrated_by_the_trapezoidal_rule():
    gauge = {"kind": GAUGE, "unit": "W"}
    assert told([(0, 100), (60, 300), (61, 0)], gauge)[0] == [(0, 60, 3_333_333), (60, 61, 41_667)]


def test_a_gauge_is_carried_over_its_longest_gap_and_no_further():
    gauge = {"kind": GAUGE, "unit": "W"}
    assert told([(0, 360), (300, 360)], gauge) == ([(0, 300, 30_000_000)], [])
    assert told([(0, 360), (300.001, 360)], gauge) == ([], ["silent"])


def test_a_staleness_marker_ends_a_gauge_at_once():
    gauge = {"kind": GAUGE, "unit": "W"}
    assert told([(0, 360), (15, None), (30, 360), (40, 360)], gauge) == ([(30, 40, 1_000_000)], [])
    # The old pod's series ends where the new one goes on.
    assert told([(0, 360, None, 1), (10, None, None, 1), (10, 360, None, 2)], gauge)[0] == [(0, 10, 1_000_000)]


def test_a_silence_of_a_month_is_the_longest_that_is_spread():
    month = 31 * 86_400
    assert told([(0, 0), (month, 3_600)]) == ([(0, month, 1_000_000)], [])
    assert told([(0, 0), (month + 1, 3_600)]) == ([], ["held_back"])
    assert told([(0, 3_600, -month - 1)]) == ([], ["held_back"])


def test_what_no_feed_can_carry_is_held_back():
    assert told([(0, 0), (60, 6.1e9)]) == ([], ["implausible"])
    assert told([(0, 0), (60, 5.9e9)])[1] == []


def test_the_pue_that_a_client_included_is_divided_out():
    spans, _ = told([(0, 0), (60, 0.0165)], {"unit": "kWh", "pue": 1_650_000})
    assert spans == [(0, 60, 10_000_000)]


def test_a_protocol_that_begins_to_state_starts_goes_on():
    assert told([(0, 1e6), (60, 1e6 + 36, -99)]) == ([(0, 60, 10_000)], [])
    assert told([(0, 1e6, -99), (60, 1e6 + 36)])[0][-1] == (0, 60, 10_000)


# What holds for any input


values = st.one_of(
    st.floats(0, 1e13, allow_nan=False),
    st.integers(0, 2**53).map(float),
    st.decimals(0, 10**9, places=3).map(float),
)
units = st.sampled_from(["J", "mJ", "uJ", "Wh", "kWh", "mWh"])


@settings(max_examples=200, deadline=None)
@given(value=values, unit=units, pue=st.sampled_from([1_000_000, 1_200_000, 1_583_001]))
def test_amounts_are_exact(value, unit, pue):
    ratio = per_unit(unit, pue)
    exactly = round_half_up(Fraction(repr(value)) * ratio)
    if exactly < 2**62:
        given = (np.array([value]), np.array([ratio.numerator]), np.array([ratio.denominator]))
        assert amounts(*given).tolist() == [exactly]


@settings(max_examples=100, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(1, 10**8), st.floats(0, 1e9, allow_nan=False)), min_size=1, max_size=30),
    unit=units,
    first=st.floats(0, 1e10, allow_nan=False),
)
def test_a_counter_that_only_rises_loses_nothing(steps, unit, first):
    at, value, rows = 0.0, first, [(0.0, first)]
    for pause, rise in steps:
        at, value = round(at + pause / S, 3), value + rise
        rows.append((at, value))
    assume(value * float(per_unit(unit)) < 4e18)  # more is no value: 64 bits do not hold it, and no device counts it
    spans, found = told(rows, {"unit": unit})
    if not found:
        ratio = per_unit(unit)
        whole = round_half_up(Fraction(repr(value)) * ratio) - round_half_up(Fraction(repr(first)) * ratio)
        assert sum(amount for *_, amount in spans) == whole
        assert [until for _, until, _ in spans] == [at for at, _ in rows[1:]]
        assert [since for since, _, _ in spans] == [at for at, _ in rows[:-1]]


some = st.lists(
    st.tuples(
        st.integers(0, 40).map(lambda n: n * 17.5),
        st.one_of(st.none(), st.floats(0, 1e7, allow_nan=False)),
        st.one_of(st.none(), st.integers(-60, 600)),
        st.integers(0, 2),
        st.integers(0, 3),
    ),
    max_size=25,
    unique_by=lambda row: (row[0], row[3], row[4]),
).map(lambda rows: [(at, value, start, series + 10 * meter, meter) for at, value, start, series, meter in rows])
four = ({}, {"kind": DELTA}, {"kind": GAUGE, "unit": "W"}, {"is_work": True, "unit": "1"})


@settings(max_examples=150, deadline=None)
@given(rows=some, order=st.randoms(use_true_random=False))
def test_order_changes_nothing_and_nothing_is_negative_or_backwards(rows, order):
    once, _ = increments(readings(*rows), meters(*four))
    shuffled = list(rows)
    order.shuffle(shuffled)
    again, _ = increments(readings(*shuffled), meters(*four))
    for name in ("meter", "series", "from_ms", "to_ms", "amount"):
        assert getattr(once, name).tolist() == getattr(again, name).tolist()
    assert (once.amount >= 0).all()
    assert (once.from_ms < once.to_ms).all()
    assert (once.to_ms - once.from_ms <= rules.LONGEST_MS).all()


@settings(max_examples=150, deadline=None)
@given(rows=some)
def test_points_said_once_more_are_no_new_energy(rows):
    """The same counter value at one more instant between changes where energy lies, never how much there is."""
    counters = [row for row in rows if row[4] == 0 and row[2] is None and row[1] is not None and row[3] == 0]
    counters.sort()
    before = sum(amount for *_, amount in told(counters)[0])
    repeated = [(at + 1, *rest) for at, *rest in counters]
    spans, found = told(counters + repeated)
    if found == told(counters)[1] == []:
        assert sum(amount for *_, amount in spans) == before


@settings(max_examples=150, deadline=None)
@given(
    spans=st.lists(
        st.tuples(st.integers(-9 * HOUR_MS, 9 * HOUR_MS), st.integers(1, 31 * 24 * HOUR_MS), st.integers(0, 10**15)),
        min_size=1,
        max_size=6,
    )
)
def test_hours_add_up_whichever_are_asked_for_together(spans):
    column = np.array([(T0 + since, T0 + since + lasting, amount) for since, lasting, amount in spans])
    zero = np.zeros(len(spans), np.int64)
    all_of = Increments(zero, zero, column[:, 0], column[:, 1], column[:, 2])
    first, end = (T0 - 9 * HOUR_MS) // HOUR_MS, int(column[:, 1].max()) // HOUR_MS + 1
    place, parts = in_hours(all_of, first, end)
    assert np.bincount(place, parts.amount, len(spans)).astype(np.int64).tolist() == [n for _, _, n in spans]
    assert (parts.from_ms // HOUR_MS == (parts.to_ms - 1) // HOUR_MS).all()
    middle = (first + end) // 2
    halves = [in_hours(all_of, first, middle), in_hours(all_of, middle, end)]
    rows = sorted(zip(place.tolist(), parts.from_ms.tolist(), parts.amount.tolist(), strict=True))
    cut = [
        row
        for place, half in halves
        for row in zip(place.tolist(), half.from_ms.tolist(), half.amount.tolist(), strict=True)
    ]
    assert sorted(cut) == rows
