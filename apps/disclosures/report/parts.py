"""Tables and figures of the document, numbered in the order in which they are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.safestring import SafeString, mark_safe

Figures = dict[str, Any]

LONGEST_KEPT_TOGETHER = 16  # rows; a longer table may run over pages, with its head repeated
TOP = 20  # rows of a ranking before the rest is drawn together

MARKS = {
    "e": "an example, no real purchase",
    "o": "the organisation’s own value in place of the portal’s assumption",
    "p": "holds published figures of another organisation’s run",
    "s": "holds simulated load, which is no measurement",
}
ADDITIVE = (
    "it_energy_milliwatt_hours",
    "facility_energy_milliwatt_hours",
    "location_mg",
    "market_mg",
    "tokens",
    "requests",
    "readings",
    "covered_ms",
    "tier_a_milliwatt_hours",
    "tier_b_milliwatt_hours",
    "tier_c_milliwatt_hours",
    "tier_d_milliwatt_hours",
    "simulated_milliwatt_hours",
    "published_milliwatt_hours",
    "without_factor_milliwatt_hours",
)


@dataclass(frozen=True, slots=True)
class Column:
    head: str
    unit: str = ""
    is_text: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    cells: Sequence[str]
    kind: str = ""  # "", total, rest, unassigned, subtotal
    marks: str = ""  # letters of MARKS


@dataclass(slots=True)
class Table:
    key: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    notes: Sequence[str] = ()
    size: str = ""  # "small" for tables with many columns, "narrow" and "half-width" for those with few
    number: int = 0

    @property
    def keeps_together(self) -> bool:
        return len(self.rows) <= LONGEST_KEPT_TOGETHER

    @property
    def has_units(self) -> bool:
        return any(column.unit for column in self.columns)

    @property
    def lines(self) -> Iterator[tuple[Row, list[tuple[str, bool]]]]:
        """Each row with its cells as (text, is it a text and no number)."""
        for row in self.rows:
            yield row, [(cell, column.is_text) for cell, column in zip(row.cells, self.columns, strict=True)]

    @property
    def legend(self) -> list[tuple[str, str]]:
        """The letters that stand at rows of this table, and what they mean."""
        used = {mark for row in self.rows for mark in row.marks}
        return [(letter, MARKS[letter]) for letter in MARKS if letter in used]


@dataclass(slots=True)
class Figure:
    key: str
    caption: str
    drawing: SafeString
    notes: Sequence[str] = ()
    number: int = 0


@dataclass(slots=True)
class Parts:
    """All tables and figures by key; templates ask for ``tables.KEY`` and ``figures.KEY``."""

    tables: dict[str, Table] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)

    def table(self, key: str, caption: str, columns: Sequence[Column], rows: Sequence[Row], **more: Any) -> Table:
        """Add a table, unless it would have no row."""
        table = Table(key, caption, columns, rows, **more)
        if rows:
            table.number = len(self.tables) + 1
            self.tables[key] = table
        return table

    def figure(self, key: str, caption: str, draw: Callable[..., str], *arguments: Any, **more: Any) -> Figure:
        """Add a figure. ``draw`` is a function of ``core.svg``; the caption becomes the drawing's title."""
        notes = more.pop("notes", ())
        # Safe: core.svg escapes every text that it is given.
        drawing = mark_safe(draw(*arguments, title=caption, **more))  # noqa: S308
        figure = Figure(key, caption, drawing, notes, len(self.figures) + 1)
        self.figures[key] = figure
        return figure


def added(rows: Sequence[Figures]) -> Figures:
    """The exact sum of figures; absent where no row has a value."""
    total: Figures = {}
    for name in ADDITIVE:
        present = [row[name] for row in rows if row[name] is not None]
        total[name] = sum(present) if present else None
    return total


def marks_of(row: Figures) -> str:
    return ("p" if row["published_milliwatt_hours"] else "") + ("s" if row["simulated_milliwatt_hours"] else "")


def overhead(row: Figures) -> int:
    """Facility minus IT energy [mWh]: cooling, power conversion and the rest of the building."""
    return int(row["facility_energy_milliwatt_hours"]) - int(row["it_energy_milliwatt_hours"])


def ranking(
    rows: Sequence[Figures],
    name_of: Callable[[Figures], str],
    cells_of: Callable[[Figures], Sequence[str]],
    *,
    is_unassigned: Callable[[Figures], bool] = lambda row: False,
    by: str = "facility_energy_milliwatt_hours",
    total: Figures | None = None,
    top: int = TOP,
) -> list[Row]:
    """Rows from the largest down, the rest drawn together, *unassigned* last and visible, the total of exact values.

    ``cells_of`` prints everything but the name. ``total`` is the figure that all rows add up to; without it, no
    row for the total.
    """
    ranked = sorted((row for row in rows if not is_unassigned(row)), key=lambda row: (-(row[by] or 0), name_of(row)))
    shown, rest = (ranked, []) if len(ranked) <= top + 1 else (ranked[:top], ranked[top:])
    result = [Row([name_of(row), *cells_of(row)], marks=marks_of(row)) for row in shown]
    if rest:
        others = added(rest)
        result.append(Row([f"Other ({len(rest)})", *cells_of(others)], "rest", marks_of(others)))
    if unnamed := [row for row in rows if is_unassigned(row)]:
        others = added(unnamed)
        result.append(Row(["Unassigned", *cells_of(others)], "unassigned", marks_of(others)))
    if total is not None:
        result.append(Row(["Total", *cells_of(total)], "total", marks_of(total)))
    return result
