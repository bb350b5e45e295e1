"""Zeus' log file: joules of each GPU in named windows, which may lie in one another."""

from __future__ import annotations

import re

from apps.core.units import PPM, round_half_up
from apps.telemetry.uploads.formats.base import (
    MOST_JOULES,
    Batches,
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

_GPU = re.compile(r"gpu(\d+)_energy")


def recognises(header: list[str]) -> bool:
    names = {name.casefold() for name in header}
    return {"start_time", "window_name", "elapsed_time"} <= names and any(map(_GPU.fullmatch, names))


def read(text: str, given: Given, found: Found) -> Batches:
    """One interval per GPU and window. A window within another is refused: its joules are in the outer one's too."""
    windows: list[tuple[int, int, int, dict[str, str]]] = []
    for block in blocks(text, found):
        if missing := [name for name in ("start_time", "window_name", "elapsed_time") if block.get(name) is None]:
            raise FileRefusedError(f"This is no log of Zeus: it has no column {', '.join(missing)}.")
        for line, values in block.rows():
            name = "start_time"
            try:
                start_ms = _start_ms(values[name], given)
                name = "elapsed_time"
                windows.append((line, start_ms, start_ms + round_half_up(number(values[name]) * 1000), values))
            except ValueError as fault:
                expected = "a time such as 2026-07-01 09:30:00" if "isoformat" in str(fault) else str(fault)
                found.fault(line, name, values[name], expected)
    intervals: list[Interval] = []
    outer: tuple[int, int] | None = None
    shown: list[Interval] = []
    for line, start_ms, end_ms, values in sorted(windows, key=lambda window: (window[1], -window[2])):
        if outer is not None and start_ms < outer[0] and not given.keep_overlaps:
            expected = f"a window that does not lie in the one of line {outer[1]}, whose energy holds this one's too"
            found.fault(line, "window_name", values["window_name"], f"{expected}; overlap=keep adds both up")
            continue
        if outer is None or end_ms > outer[0]:
            outer = (end_ms, line)
        made = _intervals(line, start_ms, end_ms, values, given, found)
        intervals += made
        shown += made[:1]
    found.overlaps = overlaps_of(shown)
    yield from sample_batches(intervals, given, found)


def _start_ms(text: str, given: Given) -> int:
    """Zeus writes a local time, or seconds since the epoch."""
    try:
        seconds = number(text)
    except ValueError:
        return moment_ms(text, given)
    return round_half_up(seconds * 1000)


def _intervals(
    line: int, start_ms: int, end_ms: int, values: dict[str, str], given: Given, found: Found
) -> list[Interval]:
    made = []
    for name, value in values.items():
        gpu = _GPU.fullmatch(name)
        if gpu is None or not value:
            continue
        try:
            energy = microwatt_hours(number(value, most=MOST_JOULES), "J", given.pue_ppm or PPM)
        except ValueError as fault:
            found.fault(line, name, value, str(fault))
            continue
        window = values["window_name"]
        naming = given.naming(
            f"{given.source or 'zeus'}/gpu{gpu[1]}",
            workload=window or None,
            boundary="accelerator",
            method="measured",
        )
        made.append(Interval(line, start_ms, end_ms, energy, naming, window))
    return made
