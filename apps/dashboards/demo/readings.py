"""The readings that the demo's fleets, jobs and pools would send, as ``POST /api/v1/samples`` takes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from apps.core.windows import from_epoch_hour
from apps.dashboards.demo.fleets import (
    DRIVER_FROM,
    DRIVER_SOURCE,
    DRIVER_UNTIL,
    END_HOUR,
    FIRST_HOUR,
    H100,
    IDLE_OVER_TDP,
    JOBS,
    METERED_SOURCE,
    NODE_FACTOR,
    OVERLAP_FROM,
    OVERLAP_SHIFT_S,
    OVERLAP_SOURCE,
    OVERLAP_UNTIL,
    POOL_WORKLOAD,
    Fleet,
    Job,
    Pool,
)
from apps.dashboards.demo.load import IntArray, demand, fleet_load, job_milliwatt_hours


def fleet_rows(fleet: Fleet, tdp_w: float, idle_w: float | None) -> Iterator[dict[str, Any]]:
    """The readings of a fleet, as its exporters would post them: two an hour for each source, serving and idle."""
    hours: IntArray = np.arange(FIRST_HOUR, END_HOUR, dtype=np.int64)
    points = fleet.points()
    changed = hours >= (fleet.then[0] if fleet.then else END_HOUR)
    serving_w = np.where(changed, points[-1].serving_w, points[0].serving_w)
    throughput = np.where(changed, points[-1].throughput_tokens_per_s, points[0].throughput_tokens_per_s)
    first = points[0]
    for source in fleet.sources:
        lost_from, lost_until = fleet.outages.get(source, (END_HOUR, END_HOUR))
        until = fleet.silent_from.get(source, END_HOUR) - FIRST_HOUR
        wanted = (
            demand(fleet.shape, source, hours, FIRST_HOUR)
            * fleet.start_share
            * fleet.instances_per_source
            * first.throughput_tokens_per_s
        )
        load = fleet_load(
            demand_tokens_per_s=wanted[:until],
            hours=hours[:until],
            instances=fleet.instances_per_source,
            accelerators_per_instance=first.accelerators,
            serving_w=serving_w[:until],
            throughput_tokens_per_s=throughput[:until],
            tokens_per_request=first.tokens_per_request,
            idle_w=idle_w if idle_w is not None else IDLE_OVER_TDP * tdp_w,
            node_factor=NODE_FACTOR if fleet.boundary == "node" else 1.0,
        )
        shared = {
            "source": source,
            "site": fleet.site,
            "team": fleet.team,
            "model": fleet.model,
            "workload": fleet.name,
            "boundary": fleet.boundary,
            "method": fleet.method,
            "hardware": H100,
            "accelerators": fleet.instances_per_source * first.accelerators,
        }
        for hour, serving_s, serving, idle, tokens, requests in zip(
            load.hours.tolist(),
            load.serving_s.tolist(),
            load.serving_milliwatt_hours.tolist(),
            load.idle_milliwatt_hours.tolist(),
            load.tokens.tolist(),
            load.requests.tolist(),
            strict=True,
        ):
            if lost_from <= hour < lost_until:
                continue
            start = from_epoch_hour(hour)
            turn, end = start + timedelta(seconds=serving_s), start + timedelta(hours=1)
            if serving_s:
                work = {"tokens": tokens, "requests": requests}
                yield {**shared, **interval(start, turn, serving), "kind": "inference", "work": work}
            yield {**shared, **interval(turn, end, idle), "kind": "idle"}
            if source == OVERLAP_SOURCE and OVERLAP_FROM <= hour < OVERLAP_UNTIL:
                shift = timedelta(seconds=OVERLAP_SHIFT_S)
                yield {**shared, **interval(start + shift, end + shift, serving + idle), "kind": "inference"}


def job_rows(job: Job, tdp_w: float) -> Iterator[dict[str, Any]]:
    """The readings of a job: one an hour for each source."""
    hours: IntArray = np.arange(job.first_hour, job.first_hour + job.hours, dtype=np.int64)
    shared: dict[str, Any] = {
        "team": job.team,
        "model": job.model,
        "workload": job.workload,
        "kind": job.kind,
        "boundary": job.boundary,
        "method": job.method,
        "hardware": job.hardware,
        "accelerators": job.accelerators,
    }
    if job.site:
        shared["site"] = job.site
    if job.study:
        shared["study"] = job.study
    if job.epochs:
        shared["work"] = {"epochs": round(job.epochs / job.hours / len(job.sources), 3)}
    for source in job.sources:
        energy = job_milliwatt_hours(
            seed=f"{job.workload} {source}",
            hours=hours,
            accelerators=job.accelerators,
            tdp_w=tdp_w,
            load=job.load,
            node_factor=NODE_FACTOR if job.boundary == "node" else 1.0,
        )
        for hour, milliwatt_hours in zip(hours.tolist(), energy.tolist(), strict=True):
            start = from_epoch_hour(hour)
            yield {**shared, "source": source, **interval(start, start + timedelta(hours=1), milliwatt_hours)}


def pool_rows(pool: Pool, tdp_w: float, idle_w: float | None) -> Iterator[dict[str, Any]]:
    """The idle readings of a pool: one for every hour in which no job runs on it, but for its outage."""
    busy = {
        hour for job in JOBS if pool.source in job.sources for hour in range(job.first_hour, job.first_hour + job.hours)
    }
    watts = idle_w if idle_w is not None else IDLE_OVER_TDP * tdp_w
    factor = NODE_FACTOR if pool.boundary == "node" else 1.0
    milliwatt_hours = round(pool.accelerators * watts * factor * 1000)
    shared: dict[str, Any] = {
        "source": pool.source,
        "team": pool.team,
        "kind": "idle",
        "boundary": pool.boundary,
        "method": pool.method,
        "hardware": pool.hardware,
        "accelerators": pool.accelerators,
        # Idle hours of a simulated pool are simulated too; the mark stands on workloads.
        "workload": POOL_WORKLOAD,
    }
    if pool.site:
        shared["site"] = pool.site
    for hour in range(FIRST_HOUR, END_HOUR):
        if hour not in busy and hour not in range(*pool.outage):
            start = from_epoch_hour(hour)
            yield {**shared, **interval(start, start + timedelta(hours=1), milliwatt_hours)}


def driver_rows(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What the driver of the node that is measured twice says of the same time as ``rows``: the accelerators alone."""
    first, past = (_text(from_epoch_hour(hour)) for hour in (DRIVER_FROM, DRIVER_UNTIL))
    for row in rows:
        if row["source"] == METERED_SOURCE and first <= row["start"] < past:
            energy = round(row["energy_wh"] * 1000 / NODE_FACTOR) / 1000
            yield {**row, "source": DRIVER_SOURCE, "boundary": "accelerator", "energy_wh": energy}


def interval(start: datetime, end: datetime, milliwatt_hours: int) -> dict[str, Any]:
    return {"start": _text(start), "end": _text(end), "energy_wh": milliwatt_hours / 1000}


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}Z"
