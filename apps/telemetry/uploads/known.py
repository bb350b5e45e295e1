"""Runs of which a part was stored from an earlier copy of the same file: only what came since is stored.

A tracker's file goes on growing while it runs, and its rows are running totals. Uploaded again, a run would be counted
a second time from its start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from apps.telemetry.models import Reading, ReadingNote, Source
from apps.telemetry.names import suffixed
from apps.telemetry.uploads.formats.base import DOOR, Found, Interval

TOLERANCE_MS = 5_000


@dataclass(slots=True)
class _Part:
    start_ms: int
    end_ms: int
    energy_microwatt_hours: int


def source_ids(organisation_id: int, names: set[str]) -> dict[str, int]:
    """The sources that uploads made under these names, also where another door had a name already."""
    own = {suffixed(name, DOOR): name for name in names} | {name: name for name in names}
    found = Source.objects.of(organisation_id).filter(name__in=own, door=DOOR).values_list("name", "pk")
    return {own[name]: pk for name, pk in found}


def what_came_since(organisation_id: int, intervals: Sequence[Interval], found: Found) -> list[Interval]:
    """The intervals less what is stored of the same runs; runs that are stored wholly are left as they were stored."""
    ids = source_ids(organisation_id, {interval.naming.source for interval in intervals})
    stored = _stored(organisation_id, set(ids.values()))
    rest = []
    for interval in intervals:
        part = _part_of(interval, stored.get(ids.get(interval.naming.source, 0), {}))
        if part is None:
            rest.append(interval)
        elif interval.end_ms <= part.end_ms and interval.energy_microwatt_hours <= part.energy_microwatt_hours:
            found.duplicates += 1
        elif interval.end_ms <= part.end_ms or interval.energy_microwatt_hours < part.energy_microwatt_hours:
            got = f"{interval.energy_microwatt_hours / 1e6} Wh"
            stands = f"{part.energy_microwatt_hours / 1e6} Wh, which is stored of this run already"
            found.fault(interval.line, "energy_consumed", got, stands)
        else:
            energy = interval.energy_microwatt_hours - part.energy_microwatt_hours
            rest.append(replace(interval, start_ms=part.end_ms, energy_microwatt_hours=energy))
            found.notes.append(f"Line {interval.line}: the run was stored before in part; what came since is added.")
    return rest


def _stored(organisation_id: int, sources: set[int]) -> dict[int, dict[str, _Part]]:
    """Per source and run what is stored of it."""
    notes = ReadingNote.objects.filter(organisation_id=organisation_id, source_id__in=sources)
    runs = {
        (source_id, start_ms, end_ms): run
        for source_id, start_ms, end_ms, run in notes.values_list("source_id", "start_ms", "end_ms", "external_id")
        if run
    }
    stored: dict[int, dict[str, _Part]] = {}
    if not runs:
        return stored
    readings = Reading.objects.filter(
        organisation_id=organisation_id,
        source_id__in=sources,
        start_ms__gte=min(start_ms for _, start_ms, _ in runs),
        start_ms__lte=max(start_ms for _, start_ms, _ in runs),
    )
    for source_id, start_ms, end_ms, energy in readings.values_list(
        "source_id", "start_ms", "end_ms", "energy_microwatt_hours"
    ):
        run = runs.get((source_id, start_ms, end_ms))
        if run is None:
            continue
        part = stored.setdefault(source_id, {}).setdefault(run, _Part(start_ms, end_ms, 0))
        part.start_ms, part.end_ms = min(part.start_ms, start_ms), max(part.end_ms, end_ms)
        part.energy_microwatt_hours += energy
    return stored


def _part_of(interval: Interval, runs: dict[str, _Part]) -> _Part | None:
    if interval.external_id in runs:
        return runs[interval.external_id]
    if not interval.is_known_by_start:
        return None
    near = [part for part in runs.values() if abs(part.start_ms - interval.start_ms) <= TOLERANCE_MS]
    return near[0] if len(near) == 1 else None
