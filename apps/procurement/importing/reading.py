"""Reading rows from files that people bring. Every fault is collected, so that a file is mended in one go."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation

MOST_ROWS = 200_000
MOST_FAULTS = 200  # a file with more than these has one mistake, made in every row
TRUE, FALSE = ("yes", "true", "1"), ("no", "false", "0")


@dataclass(frozen=True, slots=True)
class RowError:
    """One thing that is wrong with a file: in which row (as an editor counts them) and column, and what would be right.

    ``row`` 0: the file as a whole.
    """

    row: int
    column: str
    got: str
    expected: str

    def __str__(self) -> str:
        place = f"row {self.row}, column {self.column}" if self.row else "the file"
        return f"{place}: got {self.got!r}, {self.expected}"


class FileRefusedError(ValueError):
    """A file of which nothing was imported, with every fault found, in the order of the rows."""

    def __init__(self, errors: Iterable[RowError]) -> None:
        self.errors = sorted(errors, key=lambda error: error.row)
        super().__init__("\n".join(str(error) for error in self.errors[:MOST_FAULTS]))


@dataclass(slots=True)
class Record:
    """One row: texts by column. What a column cannot be read as is noted in ``errors`` and gives ``None``."""

    row: int
    values: Mapping[str, str]
    errors: list[RowError] = field(default_factory=list)

    def fault(self, column: str, expected: str) -> None:
        self.errors.append(RowError(self.row, column, self.values.get(column, ""), expected))

    def text(self, column: str, longest: int, *, required: bool = False) -> str:
        value = self.values.get(column, "")
        if required and not value:
            self.fault(column, "expected a text; it is empty")
        if len(value) > longest:
            self.fault(column, f"expected {longest} characters at most")
        return value

    def number(self, column: str, *, required: bool = False) -> Decimal | None:
        """A decimal number with a point; ``None`` where it is empty."""
        value = self.values.get(column, "")
        if not value and not required:
            return None
        try:
            number = Decimal(value)
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite() or abs(number) > Decimal("1e18"):
            self.fault(column, "expected a number such as 120.5")
            return None
        return number

    def day(self, column: str, *, required: bool = False) -> date | None:
        value = self.values.get(column, "")
        if not value and not required:
            return None
        try:
            return date.fromisoformat(value)
        except ValueError:
            self.fault(column, "expected a day such as 2026-07-01")
            return None

    def moment(self, column: str, *, required: bool = False) -> datetime | None:
        """A time with its offset from UTC, in UTC."""
        value = self.values.get(column, "")
        if not value and not required:
            return None
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            self.fault(column, "expected a time with its offset such as 2026-07-01T13:00:00Z")
            return None
        return moment.astimezone(UTC)

    def flag(self, column: str) -> bool | None:
        """Yes or no; ``None`` where it is empty."""
        value = self.values.get(column, "").lower()
        if value in TRUE or value in FALSE:
            return value in TRUE
        if value:
            self.fault(column, "expected yes, no or nothing")
        return None


def read_records(content: bytes, *, required: Sequence[str], optional: Sequence[str]) -> list[Record]:
    """The rows of a CSV file (UTF-8; comma or semicolon) or of a JSON array of objects.

    JSON rows are counted from 1. Raises :class:`FileRefusedError` for a file without rows, without a required column or
    with one that nobody reads.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        expected = "expected UTF-8; a spreadsheet saves it as “CSV UTF-8”"
        raise FileRefusedError([RowError(0, "", f"byte {error.start} is not UTF-8", expected)]) from None
    records = _json(text) if text.lstrip()[:1] in ("[", "{") else _csv(text)
    if not records:
        raise FileRefusedError([RowError(0, "", "no rows", "expected a heading and at least one row")])
    columns = {name for record in records for name in record.values}
    errors = [RowError(1, name, "", "expected this column; it is missing") for name in required if name not in columns]
    known = {*required, *optional}
    errors += [
        RowError(1, name, name, f"expected one of {', '.join((*required, *optional))}")
        for name in sorted(columns - known)
    ]
    if len(records) > MOST_ROWS:
        errors.append(RowError(0, "", f"{len(records)} rows", f"expected {MOST_ROWS} at most; split the file"))
    if errors or (errors := [error for record in records for error in record.errors]):
        raise FileRefusedError(errors)
    return records


def _csv(text: str) -> list[Record]:
    head = text.lstrip().split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";" if head.count(";") > head.count(",") else ",")
    columns: list[str] = []
    records: list[Record] = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not columns:
                columns = [cell.strip().lower() for cell in cells]
                continue
            record = Record(reader.line_num, dict(zip(columns, (cell.strip() for cell in cells), strict=False)))
            if len(cells) != len(columns):
                expected = f"expected {len(columns)} cells as in the heading"
                record.errors.append(RowError(reader.line_num, "-", f"{len(cells)} cells", expected))
            records.append(record)
    except csv.Error as error:
        raise FileRefusedError([RowError(reader.line_num, "-", str(error), "expected a CSV file")]) from None
    if len(set(columns)) < len(columns):
        raise FileRefusedError([RowError(1, "-", ", ".join(columns), "expected every column once")])
    return records


def _json(text: str) -> list[Record]:
    try:
        content = json.loads(text, parse_float=str, parse_int=str)
    except (ValueError, RecursionError) as error:
        raise FileRefusedError([RowError(0, "", str(error)[:100], "expected valid JSON")]) from None
    if isinstance(content, dict):  # {"certificates": [...]}, whatever the name
        lists = [value for value in content.values() if isinstance(value, list)]
        content = lists[0] if len(lists) == 1 else None
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        expected = "expected an array of objects, one for each certificate"
        raise FileRefusedError([RowError(0, "", text.strip()[:40], expected)])
    words = {True: "yes", False: "no", None: ""}
    return [
        Record(
            number,
            {
                str(name).lower(): words[value] if value is None or isinstance(value, bool) else str(value).strip()
                for name, value in row.items()
            },
        )
        for number, row in enumerate(content, 1)
    ]
