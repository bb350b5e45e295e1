"""A file as sheets of rows, whether it is a workbook or CSV: cells with the row numbers that an editor shows."""

from __future__ import annotations

import csv
import io
import itertools
import zipfile
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any

from apps.factors.formats.table import FactorFileError, Fault

# The eGRID workbook unpacks to some 150 MB; a file that claims far more is a trap or no table of factors.
MOST_UNPACKED_BYTES = 512 * 1024 * 1024
MOST_ROWS = 400_000
ROWS_BEFORE_A_HEADER = 30
_ZIP, _OLD_WORKBOOK = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"

Row = tuple[int, tuple[Any, ...]]


def text_of(cell: Any) -> str:
    """A cell as the text that a person reads; empty for none."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    return " ".join(str(cell).split())


def number_of(cell: Any) -> Decimal | None:
    """A cell as a finite number; None for anything else. A float becomes its shortest decimal, as it was typed."""
    if isinstance(cell, bool):
        return None
    try:
        number = Decimal(repr(cell) if isinstance(cell, float) else text_of(cell))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def decoded(content: bytes) -> str:
    """The text of a CSV file. Raises ``FactorFileError`` when it is not UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FactorFileError([Fault(1, "-", f"byte {error.start} is not UTF-8", "a UTF-8 text file")]) from None


class Book:
    """Sheets by name; a CSV file is one sheet without a name. Rows are read as they are asked for."""

    def __init__(self, content: bytes) -> None:
        """Raises ``FactorFileError`` for what is neither an .xlsx workbook nor UTF-8 text."""
        if content.startswith(_OLD_WORKBOOK):
            raise FactorFileError([Fault(1, "-", "an old .xls workbook", "the file saved as .xlsx or CSV")])
        self.is_workbook = content.startswith(_ZIP)
        self._content = content
        if self.is_workbook:
            self._check_size()

    def _check_size(self) -> None:
        try:
            with zipfile.ZipFile(io.BytesIO(self._content)) as archive:
                unpacked = sum(part.file_size for part in archive.infolist())
        except zipfile.BadZipFile:
            raise FactorFileError([Fault(1, "-", "a broken workbook", "the file as the publisher gives it")]) from None
        if unpacked > MOST_UNPACKED_BYTES:
            expected = f"at most {MOST_UNPACKED_BYTES // 2**20} MiB unpacked"
            raise FactorFileError([Fault(1, "-", f"{unpacked // 2**20} MiB unpacked", expected)])

    @cached_property
    def _workbook(self) -> Any:
        from openpyxl import load_workbook  # a web process should not pay for it at its start

        try:
            return load_workbook(io.BytesIO(self._content), read_only=True, data_only=True)
        except Exception as error:  # whatever a broken workbook makes the library stumble over
            expected = "an .xlsx workbook as the publisher gives it"
            raise FactorFileError([Fault(1, "-", f"{type(error).__name__}: {error}"[:200], expected)]) from None

    @cached_property
    def names(self) -> list[str]:
        return [sheet.title for sheet in self._workbook.worksheets] if self.is_workbook else [""]

    def rows(self, name: str = "") -> Iterator[Row]:
        """The rows of a sheet that hold anything."""
        rows = self._sheet_rows(name) if self.is_workbook else self._text_rows()
        return itertools.islice(((n, cells) for n, cells in rows if any(text_of(cell) for cell in cells)), MOST_ROWS)

    def _sheet_rows(self, name: str) -> Iterator[Row]:
        rows = self._workbook[name].iter_rows(values_only=True)
        return enumerate(itertools.islice(rows, MOST_ROWS), 1)

    def _text_rows(self) -> Iterator[Row]:
        text = decoded(self._content)
        first = next((line for line in text.splitlines() if line.strip() and not line.startswith("#")), "")
        reader = csv.reader(
            io.StringIO(text, newline=""), delimiter=";" if first.count(";") > first.count(",") else ","
        )
        return ((reader.line_num, tuple(cells)) for cells in reader)

    def head(self, name: str = "") -> list[Row]:
        """The first rows of a sheet, among which the column names stand."""
        return list(itertools.islice(self.rows(name), ROWS_BEFORE_A_HEADER))


def find_header(rows: Sequence[Row], is_header: Callable[[list[str]], bool]) -> tuple[int, list[str]] | None:
    """The row of the column names and the names; None when there is none among the rows."""
    for number, cells in rows:
        names = [text_of(cell) for cell in cells]
        if is_header(names):
            return number, names
    return None
