"""Any CSV, with what is read from which column said by the sender: intervals, powers or the values of a counter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from apps.core.units import PPM
from apps.telemetry.batch import Float64Array, Int64Array, Naming, RowError, SampleBatch
from apps.telemetry.meters.batch import HOST_CAP_W, NODE_COUNTER, NODE_GAUGE, MeterBatch, MeterSaid, Place, SeriesSaid
from apps.telemetry.meters.models import MeterKind
from apps.telemetry.rules import checked
from apps.telemetry.uploads.formats.base import (
    DOOR,
    ENERGY_UNITS,
    POWER_UNITS,
    Batches,
    Block,
    FileRefusedError,
    Found,
    Given,
    blocks,
    usual_interval_s,
)
from apps.telemetry.uploads.formats.columns import Clock, numbers

READINGS = ("interval", "power", "counter")
COLUMNS = ("time", "start", "end", "duration", "value", "source_column")
DEFAULT_SOURCE = "file"


def fault_of(columns: dict[str, str]) -> tuple[str, str, str] | None:
    """What is wrong with a mapping of columns: name, got, expected; none if it can be used."""
    reading, unit = columns.get("reading", ""), columns.get("unit", "")
    if reading not in READINGS:
        return "reading", reading, f"one of {', '.join(READINGS)}"
    units = list(POWER_UNITS if reading == "power" else ENERGY_UNITS)
    if reading == "interval":
        units += POWER_UNITS
    if unit not in units:
        return "unit", unit, f"one of {', '.join(units)}"
    if not columns.get("value"):
        return "value", "", "the column of the energy or power"
    if reading == "interval":
        if not columns.get("start") and not (columns.get("time") and columns.get("duration")):
            return "start", "", "the columns start and end, or one of them and duration"
        if not columns.get("end") and not columns.get("duration"):
            return "end", "", "the column of the end, or of the duration in seconds"
    elif not columns.get("time"):
        return "time", "", "the column of the time"
    return None


def read(text: str, given: Given, found: Found) -> Batches:
    """Intervals or meter readings by the mapping in ``given.columns``. ``time`` with a duration is the end."""
    if fault := fault_of(given.columns):
        raise FileRefusedError(f"Parameter {fault[0]}: expected {fault[2]}.")
    clocks = {name: Clock(given.zone) for name in COLUMNS}
    series: dict[str, int] = {}
    said: list[SeriesSaid] = []
    for block in blocks(text, found):
        for role in COLUMNS:
            wanted = given.columns.get(role)
            if wanted and block.get(wanted) is None:
                raise FileRefusedError(f"There is no column {wanted!r}; the file has {', '.join(block.header)}.")
        if given.columns["reading"] == "interval":
            yield _intervals(block, clocks, given, found)
        else:
            yield _readings(block, clocks["time"], series, said, given, found)


def _column(block: Block, given: Given, role: str) -> Sequence[str] | None:
    wanted = given.columns.get(role)
    return block.get(wanted) if wanted else None


def _sources(block: Block, given: Given) -> tuple[list[str], Int64Array]:
    column = _column(block, given, "source_column")
    if column is None:
        return [given.source or DEFAULT_SOURCE], np.zeros(len(block), np.int64)
    names, inverse = np.unique(np.array(column), return_inverse=True)
    return [name.strip()[:200] or given.source or DEFAULT_SOURCE for name in names.tolist()], inverse


def _intervals(block: Block, clocks: dict[str, Clock], given: Given, found: Found) -> SampleBatch:
    kept = np.ones(len(block), np.bool_)
    times: dict[str, Int64Array] = {}
    for role in ("start", "end", "time"):
        column = _column(block, given, role)
        if column is not None:
            times[role], good = clocks[role].milliseconds(column, given.columns[role], block.line, found)
            kept &= good
    end_ms = times.get("end", times.get("time"))
    start_ms = times.get("start")
    durations = _column(block, given, "duration")
    if durations is not None:
        seconds, good = numbers(durations, given.columns["duration"], block.line, found)
        kept &= good
        lasting = np.rint(np.where(good, seconds, 0) * 1000).astype(np.int64)
        if start_ms is None and end_ms is not None:
            start_ms = end_ms - lasting
        elif start_ms is not None and given.columns.get("end", "") == "":
            end_ms = start_ms + lasting
    if start_ms is None or end_ms is None:
        raise FileRefusedError("Intervals need the columns of start and end, or one of them and the duration.")
    values, good = numbers(block.get(given.columns["value"]) or (), given.columns["value"], block.line, found)
    kept &= good
    names, inverse = _sources(block, given)
    unit = given.columns["unit"]
    is_power = unit in POWER_UNITS
    said = _scaled(values[kept], unit, given.pue_ppm or PPM)
    nothing = np.full(int(kept.sum()), np.nan)
    found.entries += int(kept.sum())
    namings: list[Naming] = [given.naming(name, boundary="host", method="measured") for name in names]
    return checked(
        protocol=DOOR,
        now_ms=given.now_ms,
        index=block.line[kept],
        start_ms=start_ms[kept],
        end_ms=end_ms[kept],
        energy_wh=nothing if is_power else said,
        power_w=said if is_power else nothing,
        naming_codes=inverse[kept],
        namings=namings,
        errors=found.take_errors(),
    )


def _scaled(values: Float64Array, unit: str, pue_ppm: int) -> Float64Array:
    """Watt-hours or watts; a value in these units stays as its notation says."""
    scale = POWER_UNITS[unit] / POWER_UNITS["W"] if unit in POWER_UNITS else ENERGY_UNITS[unit] / ENERGY_UNITS["Wh"]
    scale = scale * PPM / pue_ppm
    return values * scale.numerator / scale.denominator if scale != 1 else values


def _readings(
    block: Block, clock: Clock, series: dict[str, int], said: list[SeriesSaid], given: Given, found: Found
) -> MeterBatch:
    columns = given.columns
    at_ms, has_time = clock.milliseconds(_column(block, given, "time") or (), columns["time"], block.line, found)
    values, has_value = numbers(block.get(columns["value"]) or (), columns["value"], block.line, found)
    kept = has_time & has_value
    names, inverse = _sources(block, given)
    interval_s = usual_interval_s(at_ms[kept])
    counter = columns["reading"] == "counter"
    for name in names:
        if name in series:
            continue
        meter = MeterSaid(
            name=f"{columns['value']} {name}"[:300],
            metric=columns["value"][:200],
            kind=MeterKind.COUNTER if counter else MeterKind.GAUGE,
            unit=columns["unit"],
            place=Place("", NODE_COUNTER if counter else NODE_GAUGE),
            power_cap_w=HOST_CAP_W,
            interval_s=interval_s,
            longest_gap_s=max(300, 5 * interval_s),
            pue_included_ppm=given.pue_ppm or PPM,
        )
        series[name] = len(said)
        naming = given.naming(name, boundary="host", method="measured")
        said.append(SeriesSaid(meter, naming, (("column", columns["value"]), ("source", name))))
    codes = np.array([series[name] for name in names], np.int64)
    found.entries += int(kept.sum())
    errors: list[RowError] = found.take_errors()
    return MeterBatch(
        protocol=DOOR,
        index=block.line[kept],
        series_codes=codes[inverse][kept],
        at_ms=at_ms[kept],
        value=values[kept],
        start_ms=np.zeros(int(kept.sum()), np.int64),
        series=said,
        errors=errors,
    )
