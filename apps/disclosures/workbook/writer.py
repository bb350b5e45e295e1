"""Sheets of tables as an XLSX file: numbers as numbers, text never as a formula, the same input the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from io import BytesIO
from typing import Any

from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from apps.core.palette import ACCENT, INK_SOFT, RULE

LONGEST_TEXT = 32_767  # characters that a cell holds
WIDEST = 60  # characters; longer text wraps
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
FONT = "Calibri"

Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """What a column holds. A number is stored as ``value / scale``; ``scale`` 0 is text, a day or a time."""

    scale: int = 0
    form: str = ""
    width: int = 10


TEXT = Kind()
DAY = Kind(form="yyyy-mm-dd", width=12)
MOMENT = Kind(form="yyyy-mm-dd hh:mm", width=17)
COUNT = Kind(1, "#,##0", 14)
YEAR = Kind(1, "0", 10)
ENERGY = Kind(10**9, "#,##0.000", 16)  # mWh as MWh
MASS = Kind(10**9, "#,##0.000", 16)  # mg as t
MICRO_ENERGY = Kind(10**12, "#,##0.000", 16)  # uWh as MWh
NANO = Kind(10**9, "#,##0.000000", 16)  # thousand-millionths of the unit
FACTOR = Kind(10**6, "#,##0.000", 14)  # µg/kWh as kg/MWh
MEAN = Kind(1, "#,##0.000", 14)  # a ratio that is in its unit already
SMALL = Kind(1, "#,##0.000000", 16)
RATIO = Kind(10**6, "0.000", 10)  # ppm as a number
PERCENT = Kind(10**4, "0.0", 12)  # ppm as per cent
HOURS = Kind(3_600_000, "#,##0.0", 12)  # ms as h


@dataclass(frozen=True, slots=True)
class Column:
    """A column. ``of`` takes a row's value from it; None leaves the cell empty."""

    head: str
    kind: Kind
    of: Callable[[Item], Any]


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its own filter. ``total`` stands below, outside the filter, with the name *Total* in front."""

    name: str  # letters only: formulas may refer to it
    title: str
    columns: Sequence[Column]
    rows: Sequence[Item]
    total: Item | None = None
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Sheet:
    name: str
    tables: Sequence[Table]


def write(sheets: Sequence[Sheet], *, line: str, title: str, state: str, created: datetime) -> bytes:
    """The file. ``line`` stands below the name of every sheet, ``state`` in every printed footer; ``created`` is the
    only time in it. The same arguments and version of XlsxWriter give the same bytes.
    """
    buffer = BytesIO()
    # In memory, because only then XlsxWriter gives every part of the archive the same fixed time.
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with Workbook(buffer, options) as book:
        book.set_properties({"title": title, "status": state, "created": created.replace(tzinfo=None)})
        pens = _Pens(book)
        for sheet in sheets:
            _Page(book.add_worksheet(sheet.name), pens).write(sheet, line, state)
    return buffer.getvalue()


class _Pens:
    """Formats, each made once and in the order of use, so that their numbers in the file do not vary."""

    def __init__(self, book: Workbook) -> None:
        self._book = book
        self._made: dict[tuple[Any, ...], Format] = {}

    def __call__(self, **properties: Any) -> Format:
        key = tuple(sorted(properties.items()))
        if key not in self._made:
            self._made[key] = self._book.add_format({"font_name": FONT, "valign": "top", **properties})
        return self._made[key]


class _Page:
    def __init__(self, page: Worksheet, pens: _Pens) -> None:
        self._page = page
        self._pens = pens
        self._widths: dict[int, int] = {}

    def write(self, sheet: Sheet, line: str, state: str) -> None:
        page = self._page
        self._text(0, 0, sheet.name, bold=True, font_size=16)
        self._text(1, 0, line, font_color=INK_SOFT)
        row, below = 3, 2
        for table in sheet.tables:
            header, row = self._table(row, table)
            if len(sheet.tables) == 1:
                # Of several tables Excel itself shows the head of the one that is being read.
                below = header + 1
        page.freeze_panes(below, 1)
        for column, width in self._widths.items():
            page.set_column(column, column, width)
        page.ignore_errors({"number_stored_as_text": "A1:XFD1048576"})
        page.hide_gridlines(2)
        page.set_landscape()
        page.set_paper(9)  # A4
        page.fit_to_pages(1, 0)
        page.set_footer(f"&L{state}&C&A&R&P of &N")

    def _table(self, row: int, table: Table) -> tuple[int, int]:
        """Write a table from a row on; the row of its head and the first row for the next table."""
        self._text(row, 0, table.title, bold=True, font_size=12)
        row += 1
        for note in table.notes:
            self._text(row, 0, note, italic=True, font_color=INK_SOFT)
            row += 1
        if not table.rows:
            self._text(row, 0, "None in this quarter.")
            return row, row + 3
        header = row
        head = {"bold": True, "text_wrap": True, "bottom": 2, "bottom_color": ACCENT}
        self._page.add_table(
            header,
            0,
            header + len(table.rows),
            len(table.columns) - 1,
            {
                "name": table.name,
                "style": None,
                "columns": [
                    {
                        "header": column.head,
                        "header_format": self._pens(**head, align="left" if column.kind is TEXT else "right"),
                    }
                    for column in table.columns
                ],
            },
        )
        longest = max(len(column.head) // max(column.kind.width, 12) for column in table.columns)
        self._page.set_row(header, 16 * (longest + 2))
        for item in table.rows:
            row += 1
            for number, column in enumerate(table.columns):
                self._cell(row, number, column, column.of(item), bottom=4, bottom_color=RULE)
        if table.total is not None:
            row += 1
            for number, column in enumerate(table.columns):
                if number:
                    self._cell(row, number, column, column.of(table.total), bold=True, top=1)
                else:
                    self._text(row, number, "Total", bold=True, top=1)
        return header, row + 3

    def _cell(self, row: int, number: int, column: Column, value: Any, **look: Any) -> None:
        """One value by its kind. A whole number among text, as on the first sheet, stays a number."""
        kind = column.kind
        width = kind.width
        if value is None or value == "":
            self._page.write_blank(row, number, None, self._pens(**look))
        elif kind.scale or isinstance(value, int):
            exact = Fraction(value) / (kind.scale or 1)
            form = {"num_format": kind.form} if kind.scale else {"align": "left"}
            self._page.write_number(row, number, float(exact), self._pens(**look, **form))
        elif kind.form:
            moment = datetime.fromisoformat(value) if kind is MOMENT else date.fromisoformat(value[:10])
            if isinstance(moment, datetime):
                moment = moment.replace(tzinfo=None)
            self._page.write_datetime(row, number, moment, self._pens(**look, num_format=kind.form))
        else:
            self._text(row, number, value, **look, text_wrap=True)
            width = min(max(map(len, value.split("\n"))) + 2, WIDEST)
        self._widths[number] = max(self._widths.get(number, 0), width, 12)

    def _text(self, row: int, number: int, value: str, **look: Any) -> None:
        # With the prefix a text stays text even after somebody has edited the cell.
        quoted = {"quote_prefix": True} if value.startswith(FORMULA_STARTS) else {}
        self._page.write_string(row, number, value[:LONGEST_TEXT], self._pens(**look, **quoted))
