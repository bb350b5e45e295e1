"""Our own layout: ``# key: value`` lines, then one row for each zone and year (``docs/methodology/factors.md``)."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Any

from apps.factors.formats import heading
from apps.factors.formats.book import Book, number_of, text_of
from apps.factors.formats.table import HEADLINE, PLACES, QUANTITIES, FactorTable, Given, Period, Progress, given_period
from apps.factors.plausibility import KG_PER_LB

LABEL = "Own layout (CSV)"
DEFAULTS: dict[str, str] = {}
KINDS = ("location", "residual", "supplier", "fossil_default", "upstream", "losses")
ABSENT = "none"
VALUE_COLUMNS = {f"{gas}_{unit}_per_mwh": (gas, unit) for gas in QUANTITIES for unit in ("kg", "lb")}
REQUIRED_COLUMNS = ("zone", "data_year")
TEXT_COLUMNS = {"quality": 80, "note": 500}
PERIOD_COLUMNS = ("valid_from", "valid_to")
KNOWN = (*REQUIRED_COLUMNS, *VALUE_COLUMNS, *PERIOD_COLUMNS, *TEXT_COLUMNS)

Units = dict[str, tuple[str, str]]


def recognises(book: Book) -> bool:
    """Everything that no official layout claims: its faults then say what our layout wants."""
    return not book.is_workbook


def read(book: Book, given: Given, progress: Progress) -> list[FactorTable]:
    """One dataset of the kind that the heading or the user says; *location* when neither does."""
    sheet = book.names[0]
    lines, at, columns = heading.split(book, sheet)
    allowed = given.get("kinds", "").split() or list(KINDS)
    default = given.get("kind") or allowed[0]
    facts, faults = heading.facts(lines, given, kinds=allowed, default_kind=default)
    table = FactorTable(facts, faults=faults)
    records = [(row, [text_of(cell) for cell in cells]) for row, cells in book.rows(sheet) if row > at]
    units = _value_columns(table, columns, records)
    if units is None:
        return [table]
    table.columns = {("", gas): name for name, (gas, _) in units.items()}
    for row, record in records:
        _read_row(table, row, dict(zip(columns, record, strict=False)), units, given)
        progress(1)
    if not records:
        table.fault(1, "zone", "no rows", "at least one factor")
    return [table]


def _value_columns(table: FactorTable, columns: list[str], records: list[tuple[int, list[str]]]) -> Units | None:
    """The value columns in use, or None when the table cannot be read at all."""
    before = len(table.faults)
    for name in columns:
        if name not in KNOWN:
            table.fault(1, name, name, f"one of the columns {', '.join(KNOWN)}")
    for name in REQUIRED_COLUMNS:
        if name not in columns:
            table.fault(1, name, "no such column", "it to be there")
    if len(set(PERIOD_COLUMNS) & set(columns)) == 1:
        table.fault(1, ", ".join(PERIOD_COLUMNS), "one of the two", "both, or neither for the calendar year")
    units = {name: VALUE_COLUMNS[name] for name in columns if name in VALUE_COLUMNS}
    if len({gas for gas, _ in units.values()}) < len(units) or len(set(columns)) < len(columns):
        table.fault(1, ", ".join(columns), "the same quantity twice", "each quantity in one column")
    if not any(gas in HEADLINE for gas, _ in units.values()):
        table.fault(1, "co2e_kg_per_mwh", "no such column", "CO2e or CO2, in kg or lb per MWh")
    for row, record in records:
        if len(record) != len(columns):
            table.fault(row, "-", f"{len(record)} cells", f"{len(columns)} as in the header")
    return units if len(table.faults) == before else None


def _read_row(table: FactorTable, row: int, record: dict[str, str], units: Units, given: Given) -> None:
    before = len(table.faults)
    year = record["data_year"]
    if not re.fullmatch(r"(19|20)\d\d", year):
        table.fault(row, "data_year", year, "a year such as 2025")
    written = [name for name in units if record[name]]
    absences = [name for name in written if record[name].lower() == ABSENT]
    values: dict[str, Decimal | None] = {}
    if absences:
        if len(written) > 1 or table.facts["kind"] != "residual":
            table.fault(row, absences[0], ABSENT, f"{ABSENT!r} alone, and only for a residual mix")
    elif not any(units[name][0] in HEADLINE for name in written):
        expected = f"a number, or {ABSENT!r} where the publisher states that there is none; an empty cell is no zero"
        table.fault(row, next(iter(units)), "", expected)
    for name in written:
        if name not in absences:
            values[units[name][0]] = _value(table, row, name, record[name], units[name][1])
    for name, longest in TEXT_COLUMNS.items():
        if len(record.get(name, "")) > longest:
            table.fault(row, name, f"{len(record[name])} characters", f"at most {longest}")
    period = _period(table, row, record) or given_period(given)
    # The zone is judged with all others later; a row with any other fault is still counted as that zone's.
    if len(table.faults) == before:
        texts: dict[str, Any] = {name: record.get(name, "") for name in TEXT_COLUMNS}
        table.add(row, record["zone"], int(year), values, period=period, **texts)


def _value(table: FactorTable, row: int, column: str, text: str, unit: str) -> Decimal | None:
    number = number_of(text)
    if number is None:
        table.fault(row, column, text, "a number with a decimal point")
        return None
    return (number * KG_PER_LB if unit == "lb" else number).quantize(PLACES).normalize() + 0


def _period(table: FactorTable, row: int, record: dict[str, str]) -> Period | None:
    """The days for which the row's factor may be used; empty: its year."""
    texts = [record.get(name, "") for name in PERIOD_COLUMNS]
    if not any(texts):
        return None
    days = []
    for name, text in zip(PERIOD_COLUMNS, texts, strict=True):
        try:
            days.append(date.fromisoformat(text))
        except ValueError:
            table.fault(row, name, text, "a date such as 2026-01-01")
    if len(days) < 2:
        return None
    if days[1] <= days[0]:
        table.fault(row, "valid_to", texts[1], "the first day after, later than valid_from")
        return None
    return days[0], days[1]
