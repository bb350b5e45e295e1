"""What every format turns a file into: columns of one dataset, and what is wrong with them. No database here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

PLACES = Decimal("1e-11")
QUANTITIES = ("co2e", "co2", "ch4", "n2o", "biogenic_co2")
HEADLINE = ("co2e", "co2")  # a factor needs one of them

Progress = Callable[[int], None]
Given = Mapping[str, str]
Period = tuple[date, date]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a file, where, and what would be right."""

    row: int
    column: str
    got: str
    expected: str
    sheet: str = ""

    def __str__(self) -> str:
        place = f"sheet {self.sheet}, row {self.row}" if self.sheet else f"row {self.row}"
        return f"{place}, column {self.column}: got {self.got!r}, expected {self.expected}"


class FactorFileError(ValueError):
    """A file that cannot be imported; nothing was changed."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = list(faults)


@dataclass(slots=True)
class FactorTable:
    """Annual factors of one dataset, as columns; ``facts`` are the dataset's own fields.

    ``values`` in kg of the gas (CO2e: of CO2 equivalent) per MWh, equal to g/kWh. A row without any value is the
    publisher's statement that there is none. ``periods``: the days for which a factor may be used; None: its year.
    """

    facts: dict[str, Any]
    sheet: str = ""
    rows: list[int] = field(default_factory=list)
    zones: list[str] = field(default_factory=list)
    years: list[int] = field(default_factory=list)
    periods: list[Period | None] = field(default_factory=list)
    values: dict[str, list[Decimal | None]] = field(default_factory=lambda: {name: [] for name in QUANTITIES})
    qualities: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sheets: list[str] = field(default_factory=list)
    columns: dict[tuple[str, str], str] = field(default_factory=dict)  # sheet and quantity -> its column's name
    faults: list[Fault] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)

    def add(
        self,
        row: int,
        zone: str,
        year: int,
        values: Mapping[str, Decimal | None],
        *,
        period: Period | None = None,
        quality: str = "",
        note: str = "",
        sheet: str | None = None,
    ) -> None:
        self.rows.append(row)
        self.zones.append(zone)
        self.years.append(year)
        self.periods.append(period)
        for name in QUANTITIES:
            self.values[name].append(values.get(name))
        self.qualities.append(quality)
        self.notes.append(note)
        self.sheets.append(self.sheet if sheet is None else sheet)

    def fault(self, row: int, column: str, got: str, expected: str, sheet: str | None = None) -> None:
        self.faults.append(Fault(row, column, got, expected, self.sheet if sheet is None else sheet))

    def of_row(self, i: int) -> dict[str, Decimal | None]:
        return {name: column[i] for name, column in self.values.items()}

    def headline(self, i: int) -> Decimal | None:
        """The row's CO2e, else its CO2 [kg/MWh]; None for a stated absence."""
        return next((self.values[name][i] for name in HEADLINE if self.values[name][i] is not None), None)

    def column_of(self, name: str, sheet: str) -> str:
        """What the column of a quantity is called in a sheet of the file."""
        return self.columns.get((sheet, name), f"{name}_kg_per_mwh")

    def is_absence(self, i: int) -> bool:
        return all(column[i] is None for column in self.values.values())

    @property
    def absences(self) -> list[tuple[str, int]]:
        return [(self.zones[i], self.years[i]) for i in range(len(self)) if self.is_absence(i)]

    @property
    def digest(self) -> str:
        """SHA-256 of the content in canonical form: the same for the same facts, however they are laid out.

        What was asked of files from the start stands in it always, what came later only where a file says it: an
        edition that was imported by an older release is still recognised. ``perimeter`` classifies and is left out.
        """
        facts = {name: value for name, value in self.facts.items() if name != "perimeter"}
        rows = sorted((self._canonical(i) for i in range(len(self))), key=lambda row: row[:2])
        return _sha256([facts, rows])

    def _canonical(self, i: int) -> list[Any]:
        values = {name: str(value) for name, value in self.of_row(i).items() if value is not None}
        row: list[Any] = [self.zones[i], self.years[i], values, self.qualities[i], self.notes[i]]
        period = self.periods[i]
        return row if period is None else [*row, [day.isoformat() for day in period]]


@dataclass(slots=True)
class HourlyTable:
    """Hours of one dataset. ``values``: ug CO2e per kWh, or parts per million for a carbon-free share."""

    facts: dict[str, Any]
    rows: list[int] = field(default_factory=list)
    zones: list[str] = field(default_factory=list)
    hours: list[int] = field(default_factory=list)  # since the epoch, UTC
    values: list[int] = field(default_factory=list)
    estimated: list[bool] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    sheet: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, row: int, zone: str, hour: int, value: int, estimated: bool) -> None:
        self.rows.append(row)
        self.zones.append(zone)
        self.hours.append(hour)
        self.values.append(value)
        self.estimated.append(estimated)

    def fault(self, row: int, column: str, got: str, expected: str) -> None:
        self.faults.append(Fault(row, column, got, expected))

    def of_zone(self, zone: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Hours and values of a zone, by hour."""
        picked = sorted((self.hours[i], self.values[i]) for i, code in enumerate(self.zones) if code == zone)
        both = np.array(picked, dtype=np.int64).reshape(-1, 2)
        return both[:, 0], both[:, 1]

    @property
    def digest(self) -> str:
        """SHA-256 of facts and hours in canonical form."""
        rows = sorted(zip(self.zones, self.hours, self.values, self.estimated, strict=True))
        facts = {name: value for name, value in self.facts.items() if name not in ("perimeter", "retrieved_via")}
        return _sha256([facts, rows])


Table = FactorTable | HourlyTable


def _sha256(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def facts_of(defaults: Mapping[str, Any], given: Given, *, suffix: str = "") -> dict[str, Any]:
    """The fields of a dataset: what the format knows, overridden by what the user gave.

    ``suffix`` keeps the slugs of several datasets of one file apart when the user named the first.
    """
    facts: dict[str, Any] = {
        "slug": "",
        "edition": "",
        "publisher": "",
        "title": "",
        "boundary": "direct",
        "basis": "",
        "gwp_set": "",
        "source_url": "",
        "licence": "",
        "retrieved_via": "",
        "perimeter": "unstated",
        "rank": 50,
        **defaults,
    }
    for name in ("slug", "edition", "publisher", "title", "licence", "source_url"):
        if value := given.get(name, "").strip():
            facts[name] = value + suffix if name == "slug" else value
    return facts


def given_period(given: Given) -> Period | None:
    """The days of use that the user gave, half-open; None: each factor's own year."""
    start, end = given.get("valid_from", ""), given.get("valid_to", "")
    return (date.fromisoformat(start), date.fromisoformat(end)) if start and end else None


def each(table: FactorTable) -> Iterator[int]:
    """The positions of the rows with a factor."""
    return (i for i in range(len(table)) if not table.is_absence(i))
