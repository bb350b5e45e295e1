"""CodeCarbon's emissions.csv: cumulative rows, of which the last of each run counts; naive local times."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import NamedTuple

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

TOLERANCE_MS = 5_000  # the start of a run, worked out from rows whose times are cut to the second
NO_RUN_ID = ("", "none", "nan", "null")
_KEPT = ("run_id", "country_iso_code", "region", "cloud_provider", "cloud_region", "codecarbon_version")
_NEEDED = ("timestamp", "duration", "energy_consumed")


class Row(NamedTuple):
    line: int
    start_ms: int
    end_ms: int
    energy: Decimal  # kWh
    pue_ppm: int
    said: dict[str, str]


def recognises(header: list[str]) -> bool:
    return {"timestamp", "duration", "energy_consumed", "emissions"} <= {name.casefold() for name in header}


def read(text: str, given: Given, found: Found) -> Batches:
    """One interval per run: the last row's energy over [timestamp - duration, timestamp], its PUE divided out."""
    by_run: dict[tuple[str, str], list[Row]] = defaultdict(list)
    read_rows = 0
    for block in blocks(text, found):
        if missing := [name for name in _NEEDED if block.get(name) is None]:
            raise FileRefusedError(f"This is no emissions.csv of CodeCarbon: it has no column {', '.join(missing)}.")
        for line, values in block.rows():
            read_rows += 1
            row = _row(line, values, given, found)
            if row is not None:
                by_run[(values.get("project_name", ""), values.get("run_id", ""))].append(row)
    runs = [run for (_, run_id), rows in by_run.items() for run in _runs(rows, run_id)]
    if earlier := read_rows - len(runs) - len(found.errors):
        found.ignored += earlier
        found.notes.append(
            f"{earlier} earlier rows of the same runs left out: rows are running totals, the last counts."
        )
    found.notes.append(
        "Method: estimated. The file does not say whether a power was read from the hardware or guessed from its type."
    )
    found.notes.append("Emissions in the file are kept as declared; figures are worked out from the energy.")
    intervals = [_interval(run, given, found) for run in runs]
    found.overlaps = overlaps_of(intervals)
    yield from sample_batches(given.since_stored(intervals, found), given, found)


def _row(line: int, values: dict[str, str], given: Given, found: Found) -> Row | None:
    name = "timestamp"
    try:
        end_ms = moment_ms(values["timestamp"], given)
        name = "duration"
        seconds = number(values["duration"])
        name = "energy_consumed"
        energy = number(values["energy_consumed"], most=1e9)
        name = "pue"
        pue = number(values["pue"]) if values.get("pue") else None
        if pue is not None and not 1 <= pue <= 10:
            raise ValueError("a power usage effectiveness between 1 and 10")
    except ValueError as fault:
        expected = "a time such as 2026-07-01T09:30:00" if "isoformat" in str(fault) else str(fault)
        found.fault(line, name, values[name], expected)
        return None
    pue_ppm = round_half_up(pue * PPM) if pue is not None else given.pue_ppm or PPM
    return Row(line, end_ms - round_half_up(seconds * 1000), end_ms, energy, pue_ppm, values)


def _runs(rows: list[Row], run_id: str) -> list[Row]:
    """The last row of every run. Where an id is missing, rows that began together and grow are of one run."""
    if run_id.casefold() not in NO_RUN_ID:
        return [max(rows, key=lambda row: (row.energy, row.end_ms))]
    last: list[Row] = []
    for row in sorted(rows, key=lambda row: row.end_ms):
        for i, before in enumerate(last):
            if abs(row.start_ms - before.start_ms) <= TOLERANCE_MS and row.energy >= before.energy:
                last[i] = row
                break
        else:
            last.append(row)
    return last


def _interval(run: Row, given: Given, found: Found) -> Interval:
    values = run.said
    project = values.get("project_name") or "codecarbon"
    source = given.source or f"codecarbon/{project}"
    energy = microwatt_hours(run.energy, "kWh", run.pue_ppm)
    run_id = values.get("run_id", "")
    is_nameless = run_id.casefold() in NO_RUN_ID
    name = f"{project[:150]} {run.start_ms}" if is_nameless else run_id
    if values.get("emissions"):
        try:
            emissions = round_half_up(number(values["emissions"]) * MG_PER_KG)
        except ValueError as fault:
            found.warnings.append(f"Line {run.line}: emissions {values['emissions']!r} left out, expected {fault}.")
        else:
            said = {key: values[key] for key in _KEPT if values.get(key)}
            found.declared.append(Declared(source, name[:200], run.start_ms, run.end_ms, emissions, energy, said))
    naming = given.naming(source, workload=project, boundary="host", method="estimated")
    return Interval(run.line, run.start_ms, run.end_ms, energy, naming, name, is_known_by_start=is_nameless)
