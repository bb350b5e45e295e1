"""Tables of figures as templates want them: every cell already text, with its full value for the tooltip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from apps.core.filters import Filters


@dataclass(frozen=True, slots=True)
class Chip:
    text: str
    tone: str = ""  # ok, warn, bad, info or nothing
    title: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    text: str
    title: str = ""
    url: str = ""
    note: str = ""  # a second, lighter line
    chips: tuple[Chip, ...] = ()
    bar: float | None = None  # a share from 0 to 1
    quality: str = ""
    calculation: str = ""  # where the figure's calculation is shown; the quality letter leads there

    @property
    def bar_width(self) -> str:
        """The bar's length out of 100; what is there at all is seen."""
        return f"{max(min(self.bar or 0.0, 1.0) * 100, 0.5 if self.bar else 0.0):.1f}"


@dataclass(frozen=True, slots=True)
class Column:
    key: str
    label: str
    unit: str = ""
    numeric: bool = True
    sortable: bool = False
    hint: str = ""
    nowrap: bool = False
    sort_url: str = ""
    aria_sort: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    cells: Sequence[Cell]
    kind: str = ""  # "", "unassigned" or "total"


@dataclass(frozen=True, slots=True)
class Table:
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    note: str = ""
    more: str = ""  # what is left out, in words

    @property
    def body(self) -> list[tuple[str, list[tuple[Column, Cell]]]]:
        """Each row's kind and its cells, each with its column."""
        return [(row.kind, list(zip(self.columns, row.cells, strict=True))) for row in self.rows]


def sort_key(filters: Filters, columns: Sequence[Column], default: str) -> tuple[str, bool]:
    """The column to sort by and whether downwards: ``sort=name`` is upwards, ``sort=-energy`` downwards."""
    wanted = filters.sort or default
    name, down = wanted.removeprefix("-"), wanted.startswith("-")
    if any(column.key == name and column.sortable for column in columns):
        return name, down
    return default.removeprefix("-"), default.startswith("-")


def sortable(columns: Sequence[Column], filters: Filters, default: str) -> list[Column]:
    """The columns with links that sort by them, the present order marked for screen readers."""
    name, down = sort_key(filters, columns, default)
    done = []
    for column in columns:
        if not column.sortable:
            done.append(column)
            continue
        is_current = column.key == name
        # Numbers are looked at from the largest down, names from A.
        downwards = not down if is_current else column.numeric
        url = "?" + filters.query(sort=("-" if downwards else "") + column.key)
        done.append(
            replace(column, sort_url=url, aria_sort=("descending" if down else "ascending") if is_current else "")
        )
    return done
