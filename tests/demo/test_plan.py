"""The demo's table of published runs and the readings of its simulated fleets."""

from __future__ import annotations

import csv
import itertools
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from apps.dashboards.demo import decisions, estate, fleets, granular, meters, readings
from apps.dashboards.demo.published import published_runs
from apps.sites.models import SiteMeasurement

TDP_W = {"nvidia-h100-sxm5-80gb": 700.0, "nvidia-a10g": 150.0, "nvidia-rtx-4090": 450.0}
START, END = datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)

# The figures as their sources print them: kWh at the boundary of the source.
AS_PRINTED = {
    "bloom-176b": (433_196, "accelerator"),
    "llama-2-7b": (73_728, "accelerator"),
    "llama-2-13b": (147_456, "accelerator"),
    "t5-11b": (85_700, "facility"),
    "gshard-600b": (24_100, "facility"),
    "bert-base": (1_507, "facility"),
    "elmo": (275, "facility"),
    "transformer-big": (201, "facility"),
    "transformer-base": (27, "facility"),
}


def test_published_runs_are_what_their_sources_print():
    assert {run.id: (run.energy_kwh, run.boundary) for run in published_runs()} == AS_PRINTED


@pytest.mark.parametrize("run", published_runs(), ids=lambda run: run.id)
def test_a_published_run_is_cut_at_full_hours_and_adds_up(run):
    parts = list(run.hourly())
    assert sum(energy for _, _, energy in parts) == run.energy_kwh * 1_000_000
    assert parts[0][0] == run.start
    assert parts[-1][1] == run.end
    for (_, end, _), (start, _, _) in itertools.pairwise(parts):
        assert end == start
    assert all(end - start <= timedelta(hours=1) for start, end, _ in parts)
    assert run.start >= START
    assert run.end <= END


@pytest.mark.parametrize("run", published_runs(), ids=lambda run: run.id)
def test_a_published_run_says_where_it_comes_from(run):
    assert run.source_url.startswith("https://")
    assert run.source_url in run.citation
    assert len(run.citation) <= 300
    # A figure that multiplied by PUE already is a facility figure; device hours x TDP are the accelerator's.
    assert ("PUE" in run.basis) == (run.boundary == "facility")


@pytest.fixture(scope="module")
def simulated() -> list[dict]:
    rows = [row for fleet in fleets.FLEETS for row in readings.fleet_rows(fleet, TDP_W[fleets.H100], None)]
    rows += [row for job in fleets.JOBS for row in readings.job_rows(job, TDP_W[job.hardware])]
    return rows + [row for pool in fleets.POOLS for row in readings.pool_rows(pool, TDP_W[pool.hardware], None)]


def test_every_simulated_reading_lies_in_the_two_quarters(simulated):
    assert min(row["start"] for row in simulated) == "2026-04-01T00:00:00Z"
    assert max(row["end"] for row in simulated) == "2026-10-01T00:00:00Z"
    assert all(row["start"] < row["end"] for row in simulated)
    assert all(row["energy_wh"] > 0 for row in simulated)


def test_no_source_sends_one_interval_twice(simulated):
    keys = {(row["source"], row["start"], row["end"]) for row in simulated}
    assert len(keys) == len(simulated)


def test_only_the_meter_with_two_agents_overlaps_itself(simulated):
    by_source = defaultdict(list)
    for row in simulated:
        by_source[row["source"]].append((row["start"], row["end"]))
    overlapping = {
        source
        for source, spans in by_source.items()
        if any(start < before for (_, before), (start, _) in zip(sorted(spans), sorted(spans)[1:], strict=False))
    }
    assert overlapping == {fleets.OVERLAP_SOURCE}


def test_one_source_falls_silent(simulated):
    last = {}
    for row in simulated:
        last[row["source"]] = max(last.get(row["source"], ""), row["end"])
    assert {source for source in last if last[source] < "2026-09-30"} == {"dfw1/pool-vision-2"}
    assert last["dfw1/pool-vision-2"] == "2026-08-19T14:00:00Z"


def test_a_pool_reports_every_hour_whether_it_works_or_waits_but_for_its_outage(simulated):
    for pool in fleets.POOLS:
        starts = [row["start"] for row in simulated if row["source"] == pool.source]
        hours = fleets.END_HOUR - fleets.FIRST_HOUR - (pool.outage[1] - pool.outage[0])
        assert len(starts) == len(set(starts)) == hours
        assert pool.accelerators >= max(job.accelerators for job in fleets.JOBS if pool.source in job.sources)


def test_one_source_has_no_site(simulated):
    assert {row["source"] for row in simulated if "site" not in row} == {"workstation-14/gpu0"}


def test_energy_per_token_falls_where_a_better_serving_point_came_in():
    fleet = next(fleet for fleet in fleets.FLEETS if fleet.name == "Atlas chat")
    rows = [row for row in readings.fleet_rows(fleet, 700.0, None) if row["kind"] == "inference"]
    joules = [
        sum(row["energy_wh"] * 3600 for row in part) / sum(row["work"]["tokens"] for row in part)
        for part in (
            [row for row in rows if row["start"] < "2026-08-03T06"],
            [row for row in rows if row["start"] >= "2026-08-03T06"],
        )
    ]
    assert joules == pytest.approx([0.82233 * fleets.NODE_FACTOR, 0.60362 * fleets.NODE_FACTOR], rel=1e-3)


def test_a_fleet_cites_the_measurement_it_is_simulated_after():
    for fleet in fleets.FLEETS:
        assert "Simulated" in fleet.citation
        assert "ML.ENERGY" in fleet.citation
        assert len(fleet.citation) <= 300
    for job in fleets.JOBS:
        assert "Simulated" in job.citation
        assert len(job.citation) <= 300


@pytest.mark.parametrize("point", fleets.serving_points().values(), ids=lambda point: point.id)
def test_a_serving_point_is_consistent_in_itself(point):
    assert point.serving_w / point.throughput_tokens_per_s == pytest.approx(point.joules_per_token, rel=1e-3)


def test_the_documentation_names_every_run_site_and_instrument():
    text = (Path(__file__).parents[2] / "docs" / "demo.md").read_text(encoding="utf-8")
    for run in published_runs():
        assert f"{run.energy_kwh:,}" in text
    for site in estate.SITES:
        assert f"`{site.code}`" in text
        assert all(value in text for _, value, _ in site.pue)
    assert fleets.OVERLAP_SOURCE in text
    for fleet in fleets.FLEETS:
        assert all(source in text for source in fleet.silent_from)
    for lot in estate.INSTRUMENTS:
        assert f"`{lot.reference}`" in text
    for name in (granular.DEVICE, fleets.DECIDED_SOURCE, fleets.DRIVER_SOURCE, decisions.ESTIMATE.source):
        assert f"`{name}`" in text


def test_every_meter_reading_says_that_it_is_of_the_demo():
    assert {row.site for row in meters.MEASUREMENTS} == {"fra1", "lla1", "dfw1"}
    assert all(row.reference.startswith("demo meter") for row in meters.MEASUREMENTS)
    assert {row.quantity for row in meters.MEASUREMENTS if row.site == "fra1"} == set(SiteMeasurement.Quantity.values)


def test_the_solar_park_produces_by_day_only_and_less_in_autumn():
    window = granular.QUARTER.window
    energy = granular.production(np.arange(window.first_hour, window.end_hour, dtype=np.int64)).reshape(-1, 24)
    assert (energy >= 0).all()
    assert not energy[:, [0, 1, 22, 23]].any()
    assert energy.max() < granular.PEAK_W
    assert energy[:31].sum() > energy[-30:].sum()
    rows = list(csv.DictReader(granular.certificates().decode().splitlines()))
    assert sum(int(row["energy_wh"]) for row in rows) == energy.sum()
    ends = [int(row["serial_end"].split(":")[1]) for row in rows]
    assert ends[-1] == energy.sum()
