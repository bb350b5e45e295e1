"""Eco2AI's emission.csv: ``power_consumption(kWh)`` means energy, and rows of one id are updated or cumulative."""

from __future__ import annotations

from apps.core.units import MG_PER_KG, PPM, round_half_up
from apps.telemetry.uploads.formats.base import (
    Batches,
    Declared,
    FileRefusedError,
    Found,
    Given,
    Interval,
    blocks,
    microwatt_hours,
    moment_ms,
    number,
    overlaps_of,
    sample_batches,
)

ENERGY, DURATION, EMISSIONS = "power_consumption(kwh)", "duration(s)", "co2_emissions(kg)"


def recognises(header: list[str]) -> bool:
    return {ENERGY, DURATION, "start_time"} <= {name.casefold() for name in header}


def read(text: str, given: Given, found: Found) -> Batches:
    """One interval per id: the row with the most energy, from its start for its duration."""
    best: dict[str, tuple[Interval, dict[str, str]]] = {}
    for block in blocks(text, found):
        if missing := [name for name in (ENERGY, DURATION, "start_time") if block.get(name) is None]:
            raise FileRefusedError(f"This is no emission.csv of Eco2AI: it has no column {', '.join(missing)}.")
        for line, values in block.rows():
            interval = _interval(line, values, given, found)
            if interval is None:
                continue
            before = best.get(interval.external_id)
            if before is not None:
                found.ignored += 1
            if before is None or interval.energy_microwatt_hours >= before[0].energy_microwatt_hours:
                best[interval.external_id] = (interval, values)
    if found.ignored:
        found.notes.append(
            f"{found.ignored} earlier rows of the same ids left out: the highest energy of an id counts."
        )
    found.notes.append("The header says power and means energy. Method: estimated. Emissions are kept as declared.")
    for interval, values in best.values():
        _declare(interval, values, found)
    intervals = [interval for interval, _ in best.values()]
    found.overlaps = overlaps_of(intervals)
    yield from sample_batches(given.since_stored(intervals, found), given, found)


def _interval(line: int, values: dict[str, str], given: Given, found: Found) -> Interval | None:
    name = "start_time"
    try:
        start_ms = moment_ms(values["start_time"], given)
        name = DURATION
        lasting_ms = round_half_up(number(values[DURATION]) * 1000)
        name = ENERGY
        energy = microwatt_hours(number(values[ENERGY], most=1e9), "kWh", given.pue_ppm or PPM)
    except ValueError as fault:
        expected = "a time such as 2026-07-01 09:30:00" if "isoformat" in str(fault) else str(fault)
        found.fault(line, name, values[name], expected)
        return None
    project = values.get("project_name") or "eco2ai"
    identity = values.get("id") or f"{project} {start_ms}"
    naming = given.naming(
        given.source or f"eco2ai/{project}",
        workload=(values.get("experiment_description") or project)[:200],
        boundary="host",
        method="estimated",
    )
    return Interval(line, start_ms, start_ms + lasting_ms, energy, naming, identity)


def _declare(interval: Interval, values: dict[str, str], found: Found) -> None:
    if not values.get(EMISSIONS):
        return
    try:
        emissions = round_half_up(number(values[EMISSIONS]) * MG_PER_KG)
    except ValueError:
        found.warnings.append(f"Line {interval.line}: emissions {values[EMISSIONS]!r} left out: no number.")
        return
    said = {key: values[key] for key in ("region/country", "cpu_name", "gpu_name") if values.get(key)}
    found.declared.append(
        Declared(
            interval.naming.source,
            interval.external_id[:200],
            interval.start_ms,
            interval.end_ms,
            emissions,
            interval.energy_microwatt_hours,
            said,
        )
    )
