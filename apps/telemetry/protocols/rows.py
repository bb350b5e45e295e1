"""A body that is not right as a whole, row by row: where each row lies, and what it says as plain objects.

Rows are found and counted before any of them is read, and read one at a time, so that what the sender packs into a
body costs one row's memory. A fault that can be told apart from its neighbours is an error of its row.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np

from apps.telemetry.batch import Int64Array, RowError, shown
from apps.telemetry.protocols.errors import TooLargeError, UnreadableError

MOST_ROW_BYTES = 64 * 1024
Row = tuple[Any, RowError | None]

_PIECE = 1024 * 1024
_LONGEST_INT = 4_000  # digits; Python turns no more than 4,300 into an int
_TOO_LONG = f"at most {MOST_ROW_BYTES:,} bytes a sample"
_NOT_UTF8 = "UTF-8: the row holds other bytes"


def too_many(max_rows: int) -> TooLargeError:
    return TooLargeError(f"More than {max_rows:,} samples in one request. Send them in several.")


def _excerpt(body: bytes, start: int, end: int) -> Any:
    return shown(body[start : min(end, start + 400)].decode("utf-8", "replace").strip())


def _integer(digits: str) -> int | Decimal:
    """A JSON integer; as a ``Decimal``, which fits no field, where it is too long for an int."""
    return int(digits) if len(digits) <= _LONGEST_INT else Decimal(digits)


_parse = json.JSONDecoder(parse_int=_integer).decode


# --- JSON ----------------------------------------------------------------------------------------------------------

_ARRAY = re.compile(rb'\s*(\{\s*"samples"\s*:\s*)?(?=\[)')
_MEMBER = re.compile(rb'\s*[{,]\s*"((?:[^"\\]|\\.){0,80})')
_END = re.compile(rb"\s*\Z")
_WRAPPER_END = re.compile(rb"\s*\}\s*\Z")
_LEVEL = np.zeros(256, dtype=np.int8)
_LEVEL[[ord("["), ord("{")]] = 1
_LEVEL[[ord("]"), ord("}")]] = -1


def json_array(body: bytes, max_rows: int) -> Iterator[Row]:
    """The elements of a JSON array, or of the one member ``samples`` of an object; NaN and Infinity are read.

    Raises :class:`UnreadableError` with the place where the document is no JSON, :class:`TooLargeError` beyond
    ``max_rows`` elements.
    """
    opening = _ARRAY.match(body)
    if opening is None:
        member = _MEMBER.match(body)
        if member and body.lstrip()[:1] == b"{":
            raise UnreadableError(
                f"The JSON is an object with the member {_name(member)!r}; send an array of samples, or"
                ' {"samples": [...]}.'
            )
        raise _unreadable(body, 0, 'an array of samples, or {"samples": [...]},')
    start = opening.end()
    commas, end = _split(body, start, max_rows)
    if opening[1] is None:
        if not _END.match(body, end + 1):
            raise _unreadable(body, end + 1, "the end of the body")
    elif not _WRAPPER_END.match(body, end + 1):
        member = _MEMBER.match(body, end + 1)
        if member:
            raise UnreadableError(f"The JSON has the unknown member {_name(member)!r}; beside samples there is none.")
        raise _unreadable(body, end + 1, 'the end of {"samples": [...]}')
    if len(commas) == 0 and not body[start + 1 : end].strip():
        return
    first = start + 1
    for row, last in enumerate([*commas.tolist(), end]):
        yield _json_element(body, first, last, row)
        first = last + 1


def _json_element(body: bytes, start: int, end: int, row: int) -> Row:
    if end - start > MOST_ROW_BYTES:
        return None, RowError(row, "", _excerpt(body, start, end), _TOO_LONG)
    try:
        text = body[start:end].decode("utf-8")
    except UnicodeDecodeError as fault:
        at = start + fault.start
        raise UnreadableError(f"The body is not UTF-8: byte {body[at]:#04x} at position {at}. Send UTF-8.") from None
    try:
        return _parse(text), None
    except json.JSONDecodeError as fault:
        at = start + len(text[: fault.pos].encode())
        raise UnreadableError(f"The JSON cannot be read at byte {at}: {fault.msg}.") from None
    except RecursionError:
        return None, RowError(row, "", shown(text.strip()), "a sample that is nested less deeply")


def _name(member: re.Match[bytes]) -> Any:
    return shown(member[1].decode("utf-8", "replace"))


def _unreadable(body: bytes, at: int, expected: str) -> UnreadableError:
    got = repr(_excerpt(body, at, at + 20)) if at < len(body) else "the end of the body"
    return UnreadableError(f"The JSON cannot be read at byte {at}: {expected} expected, got {got}.")


def _split(body: bytes, start: int, max_rows: int) -> tuple[Int64Array, int]:
    """Where the commas of the array that opens at ``start`` are, and where it closes. Reads no value."""
    commas: list[Int64Array] = []
    found, level, quoted, at = 0, 0, False, start
    while at < len(body):
        piece = body[at : at + _PIECE]
        if at + len(piece) < len(body) and (len(piece) - len(piece.rstrip(b"\\"))) % 2:
            piece = piece[:-1]  # a backslash stays with what it escapes
        codes = np.frombuffer(piece.replace(b"\\\\", b"__").replace(b'\\"', b"__"), dtype=np.uint8)
        outside = np.logical_xor.accumulate(codes == ord('"')) == quoted
        quoted = not outside[-1]
        levels = np.cumsum(_LEVEL[codes] * outside, dtype=np.int32) + level
        level = int(levels[-1])
        closed = levels == 0
        end = int(closed.argmax()) if closed.any() else len(codes)
        here = np.flatnonzero((codes[:end] == ord(",")) & outside[:end] & (levels[:end] == 1))
        found += len(here)
        if found >= max_rows:
            raise too_many(max_rows)
        commas.append(here + at)
        if end < len(codes):
            if body[at + end] != ord("]"):
                raise _unreadable(body, at + end, "a comma or ]")
            return np.concatenate(commas), at + end
        at += len(piece)
    raise UnreadableError("The JSON ends before its array of samples does.")


# --- NDJSON --------------------------------------------------------------------------------------------------------

_LINE = re.compile(rb"\S[^\n]*")


def json_lines(body: bytes, max_rows: int) -> Iterator[Row]:
    """One value a line; blank lines are none. Raises :class:`TooLargeError` beyond ``max_rows`` lines."""
    if body.count(b"\n") >= max_rows:
        for row, _ in enumerate(_LINE.finditer(body)):
            if row >= max_rows:
                raise too_many(max_rows)
    for row, line in enumerate(_LINE.finditer(body)):
        start, end = line.span()
        if end - start > MOST_ROW_BYTES:
            yield None, RowError(row, "", _excerpt(body, start, end), _TOO_LONG)
            continue
        try:
            yield _parse(line[0].decode("utf-8")), None
        except UnicodeDecodeError:
            yield None, RowError(row, "", _excerpt(body, start, end), _NOT_UTF8)
        except (ValueError, RecursionError):
            yield None, RowError(row, "", _excerpt(body, start, end), "one JSON object a line")


# --- CSV -----------------------------------------------------------------------------------------------------------

_CSV_LINE = re.compile(rb"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+\Z")
_LINES_A_ROW = 20  # on average: line ends within quotation marks, and blank lines


class _Lines:
    """The lines of a CSV body for the reader, decoded one by one."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._found = _CSV_LINE.finditer(body)
        self.begin_row()

    def begin_row(self) -> None:
        self.row_bytes = 0
        self.is_utf8 = True
        self._first: tuple[int, int] | None = None

    def excerpt(self) -> Any:
        """The beginning of the row that was read last."""
        return _excerpt(self._body, *self._first) if self._first else None

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        start, end = next(self._found).span()
        self._first = self._first or (start, end)
        self.row_bytes += end - start
        if self.row_bytes > MOST_ROW_BYTES:
            return "x" * (csv.field_size_limit() + 1)  # which the reader takes in no place
        try:
            return self._body[start:end].decode("utf-8")
        except UnicodeDecodeError:
            self.is_utf8 = False
            return self._body[start:end].decode("utf-8", "replace")


def _csv_cells(body: bytes) -> Iterator[tuple[list[str], Any, str]]:
    """The header, then every row that is not blank: its cells, or instead an excerpt and what is wrong with it."""
    lines = _Lines(body)
    reader = csv.reader(lines, strict=True)
    is_header = True
    while True:
        lines.begin_row()
        before = reader.line_num
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as fault:
            # Only a fault within one line says for certain where the next row begins.
            if is_header or reader.line_num != before + 1 or "end of data" in str(fault):
                raise UnreadableError(f"The CSV cannot be read at line {reader.line_num}: {fault}.") from None
            expected = _TOO_LONG if lines.row_bytes > MOST_ROW_BYTES else f"a row of CSV; {fault}"
            yield [], lines.excerpt(), expected
            continue
        if is_header and not lines.is_utf8:
            raise UnreadableError("The CSV header is not UTF-8. Send UTF-8.")
        if not lines.is_utf8:
            yield [], lines.excerpt(), _NOT_UTF8
        elif cells or is_header:
            yield cells, None, ""
        is_header = False


def csv_rows(body: bytes, max_rows: int) -> Iterator[tuple[dict[str, str] | None, RowError | None]]:
    """Every row of a CSV file with a header, as column to cell.

    Raises :class:`UnreadableError` without a proper header and where rows cannot be told apart,
    :class:`TooLargeError` beyond ``max_rows`` rows.
    """
    line_ends = max(body.count(b"\n"), body.count(b"\r"))
    if line_ends > _LINES_A_ROW * max_rows:
        raise TooLargeError(f"More than {_LINES_A_ROW * max_rows:,} lines in one request. Send them in several.")
    if line_ends > max_rows + 1:
        for row, _ in enumerate(_csv_cells(body)):
            if row > max_rows:
                raise too_many(max_rows)
    rows = _csv_cells(body)
    header = [name.strip() for name in next(rows)[0]]
    if len(set(header)) != len(header):
        raise UnreadableError("The CSV header names a column twice.")
    if not {"source", "start", "end"} <= set(header):
        raise UnreadableError(
            "The first line of the CSV must be a header with at least source, start, end and energy_wh or power_w;"
            f" it is {shown(','.join(header))!r}."
        )
    for row, (cells, got, expected) in enumerate(rows):
        if not expected and len(cells) != len(header):
            got, expected = f"{len(cells)} cells", f"{len(header)} cells, as the header has"
        if expected:
            yield None, RowError(row, "", got, expected)
        else:
            yield dict(zip(header, cells, strict=True)), None
