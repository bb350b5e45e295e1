"""Hourly series from a CSV file: optional ``# key: value`` lines, then one row for each zone and hour.

Columns ``zone``, ``time`` (or ``start``; RFC 3339 with offset, on the full hour), ``value``, ``unit`` and, if there is
one, ``estimated`` (0 or 1). Kinds: *hourly* (grid average), *hourly_residual*, *hourly_cfe* (carbon-free share).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal

from apps.core.units import round_half_up
from apps.core.windows import epoch_hour, from_epoch_hour
from apps.factors.formats import heading
from apps.factors.formats.book import Book, find_header, number_of, text_of
from apps.factors.formats.table import Given, HourlyTable, Progress
from apps.factors.plausibility import KG_PER_LB

LABEL = "Hourly series (CSV)"
DEFAULTS: dict[str, str] = {}
KINDS = ("hourly", "hourly_residual", "hourly_cfe")
TIME, ZONE, VALUE, UNIT, ESTIMATED = (
    ("time", "start", "datetime", "hour"),
    ("zone",),
    ("value",),
    ("unit",),
    ("estimated", "is_estimated"),
)
# kg/MWh (equal to g/kWh) per unit; the gas behind the mass (gCO2e, gCO2eq, gCO2) is taken out before the look-up.
UNITS = {
    "g/kwh": Decimal(1),
    "kg/mwh": Decimal(1),
    "kg/kwh": Decimal(1000),
    "t/mwh": Decimal(1000),
    "lb/mwh": KG_PER_LB,
}
SHARES = {"%": Decimal(10_000), "percent": Decimal(10_000), "fraction": Decimal(1_000_000), "ppm": Decimal(1)}
UG_PER_KG_PER_MWH = 1_000_000


def _is_header(names: list[str]) -> bool:
    low = [name.lower() for name in names]
    return "zone" in low and "value" in low and any(name in low for name in TIME)


def recognises(book: Book) -> bool:
    return find_header(book.head(book.names[0]), _is_header) is not None


def read(book: Book, given: Given, progress: Progress) -> list[HourlyTable]:
    """One dataset; values in ug CO2e per kWh, a carbon-free share in parts per million."""
    sheet = book.names[0]
    lines, at, names = heading.split(book, sheet)
    facts, faults = heading.facts(lines, given, kinds=KINDS, default_kind=given.get("kind") or "hourly")
    table = HourlyTable(facts, faults=faults)
    low = [name.lower() for name in names]
    places = {
        key[0]: next((low.index(name) for name in key if name in low), None)
        for key in (TIME, ZONE, VALUE, UNIT, ESTIMATED)
    }
    for name, place in places.items():
        if place is None and name != "estimated":
            table.fault(at or 1, name, "no such column", "it to be there")
    if any(place is None for name, place in places.items() if name != "estimated"):
        return [table]
    units = SHARES if facts["kind"] == "hourly_cfe" else UNITS
    for row, cells in book.rows(sheet):
        if row <= at:
            continue
        _read_row(table, row, cells, places, units)
        progress(1)
    if not len(table) and not table.faults:
        table.fault(at, "zone", "no rows", "at least one hour")
    return [table]


def _read_row(
    table: HourlyTable,
    row: int,
    cells: tuple[object, ...],
    places: dict[str, int | None],
    units: dict[str, Decimal],
) -> None:
    def cell(name: str) -> object:
        place = places[name]
        return cells[place] if place is not None and place < len(cells) else None

    before = len(table.faults)
    hour = _hour(cell("time"))
    if hour is None:
        expected = "a full hour with offset such as 2026-07-01T00:00:00Z"
        table.fault(row, "time", text_of(cell("time")), expected)
    number = number_of(cell("value"))
    if number is None:
        table.fault(row, "value", text_of(cell("value")), "a number with a decimal point")
    unit = _unit(text_of(cell("unit")))
    if unit not in units:
        table.fault(row, "unit", text_of(cell("unit")), f"one of {', '.join(units)}")
    estimated = text_of(cell("estimated")).lower()
    if estimated not in ("", "0", "1", "true", "false"):
        table.fault(row, "estimated", estimated, "0 or 1")
    if len(table.faults) > before or hour is None or number is None:
        return
    scale = units[unit] * (1 if units is SHARES else UG_PER_KG_PER_MWH)
    table.add(row, text_of(cell("zone")), hour, round_half_up(number * scale), estimated in ("1", "true"))


def _unit(text: str) -> str:
    """``gCO2eq/kWh`` as ``g/kwh``."""
    return re.sub(r"\s*co\s?[2₂](eq|e)?\s*", "", text.lower()).replace(" ", "")


def _hour(cell: object) -> int | None:
    try:
        moment = cell if isinstance(cell, datetime) else datetime.fromisoformat(text_of(cell))
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    hour = epoch_hour(moment.astimezone(UTC))
    return hour if from_epoch_hour(hour) == moment else None
