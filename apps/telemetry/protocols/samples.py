"""The portal's own protocol, ``POST /api/v1/samples``: JSON, NDJSON and CSV to a batch.

A body is decoded and typed in one go. Only when that fails is it read again row by row, so that every bad row is
named and the good ones are kept: a faulty batch costs more, a good one nothing.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from apps.telemetry.batch import ABSENT, Int64Array, RowError, SampleBatch, ShareNaming, shown
from apps.telemetry.protocols import explain
from apps.telemetry.protocols.errors import TooLargeError, UnreadableError
from apps.telemetry.rules import checked
from apps.telemetry.times import column_of_milliseconds

JSON = "application/json"
NDJSON = "application/x-ndjson"
CSV = "text/csv"

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
TeamSpelling = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
Quantity = Annotated[float, msgspec.Meta(ge=0)]
# 10^15 of anything in one reading is beyond every machine; a double holds it exactly, thousands of them fit 64 bits.
MOST_WORK = 10**15
MOST_EPOCHS = 10**9
MOST_ACCELERATORS = 10**6
MOST_SHARES = 1000
MOST_TAGS_BYTES = 8_192
# Dataframes write counts with gaps as 12.0: whole floats are taken, others are an error.
Count = Annotated[int, msgspec.Meta(ge=0, le=MOST_WORK)] | Annotated[float, msgspec.Meta(ge=0, le=MOST_WORK)]
KIND_NAMES = ("training", "fine_tuning", "inference", "evaluation", "data", "idle", "other")
BOUNDARY_NAMES = ("accelerator", "host", "node", "facility")
METHOD_NAMES = ("metered", "measured", "modelled", "estimated")


class Work(msgspec.Struct, gc=False, frozen=True, forbid_unknown_fields=True):
    tokens: Count | None = None
    requests: Count | None = None
    samples: Count | None = None
    epochs: Annotated[float, msgspec.Meta(ge=0, le=MOST_EPOCHS)] | None = None


class Share(msgspec.Struct, gc=False, frozen=True, forbid_unknown_fields=True):
    team: TeamSpelling | None = None
    model: Name | None = None
    workload: Name | None = None
    weight: Quantity = 1.0


class Sample(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """One row of the wire. What types cannot say is checked on whole columns afterwards."""

    source: Name
    start: str
    end: str
    energy_wh: Quantity | None = None
    power_w: Quantity | None = None
    site: Name | None = None
    team: TeamSpelling | None = None
    model: Name | None = None
    workload: Name | None = None
    study: Name | None = None
    kind: Literal[KIND_NAMES] | None = None  # type: ignore[valid-type]
    boundary: Literal[BOUNDARY_NAMES] | None = None  # type: ignore[valid-type]
    method: Literal[METHOD_NAMES] | None = None  # type: ignore[valid-type]
    hardware: Name | None = None
    accelerators: Annotated[int, msgspec.Meta(ge=1, le=MOST_ACCELERATORS)] | None = None
    work: Work | None = None
    shares: Annotated[tuple[Share, ...], msgspec.Meta(min_length=1, max_length=MOST_SHARES)] | None = None
    external_id: Name | None = None
    tags: dict[str, Any] | None = None


_name, _team = explain.text(200), explain.text(120)
_count = explain.number(MOST_WORK, whole=True)
_explain_sample = explain.members(
    {
        "source": _name,
        "start": explain.time,
        "end": explain.time,
        "energy_wh": explain.number(),
        "power_w": explain.number(),
        "site": _name,
        "team": _team,
        "model": _name,
        "workload": _name,
        "study": _name,
        "kind": explain.choice(KIND_NAMES),
        "boundary": explain.choice(BOUNDARY_NAMES),
        "method": explain.choice(METHOD_NAMES),
        "hardware": _name,
        "accelerators": explain.number(MOST_ACCELERATORS, whole=True, least=1),
        "work": explain.members(
            {"tokens": _count, "requests": _count, "samples": _count, "epochs": explain.number(MOST_EPOCHS)},
            (),
            'an object such as {"tokens": 1200, "requests": 3}',
        ),
        "shares": explain.shares(
            explain.members(
                {"team": _team, "model": _name, "workload": _name, "weight": explain.number()},
                (),
                'an object such as {"team": "vision", "weight": 2}',
            ),
            MOST_SHARES,
        ),
        "external_id": _name,
        "tags": explain.tags(MOST_TAGS_BYTES),
    },
    ("source", "start", "end"),
    "an object with source, start, end and energy_wh or power_w",
)
_decode_array = msgspec.json.Decoder(list[Sample]).decode
_decode_lines = msgspec.json.Decoder(Sample).decode_lines
_WRAPPER = re.compile(rb'\s*\{\s*"samples"\s*:\s*(?=\[)')
_WRAPPER_END = re.compile(rb"\s*\}\s*\Z")
_SHORTEST_ROW = 60  # bytes: no valid row is shorter, so a smaller body needs no count beforehand


class _Codes(dict[Any, int]):
    """Numbers distinct keys in the order of their first appearance."""

    def __missing__(self, key: Any) -> int:
        self[key] = code = len(self)
        return code


def decode(body: bytes, media_type: str, *, now_ms: int, max_rows: int) -> SampleBatch:
    """The batch in a body of the given media type.

    Raises :class:`UnreadableError` when the body as a whole cannot be read and :class:`TooLargeError` beyond
    ``max_rows``; faults of single rows are in the batch's ``errors``.
    """
    if body.startswith(b"\xef\xbb\xbf"):
        body = body[3:]
    if not body.strip():
        raise UnreadableError("The body is empty. Send at least one sample.")
    errors: list[RowError] = []
    too_many = len(body) > max_rows * _SHORTEST_ROW and body.count(b'"source"') > max_rows
    rows = None if too_many else _quickly(body, media_type)
    if rows is not None:
        if len(rows) > max_rows:
            raise TooLargeError(_too_many(max_rows))
        batch = _batch(rows, np.arange(len(rows), dtype=np.int64), errors, now_ms)
        if batch is not None:
            return batch
    rows, index = _row_by_row(_objects(body, media_type), errors, max_rows)
    batch = _batch(rows, index, errors, now_ms)
    assert batch is not None  # noqa: S101 - every row has just been explained
    return batch


def _too_many(max_rows: int) -> str:
    return f"More than {max_rows:,} samples in one request. Send them in several."


def _quickly(body: bytes, media_type: str) -> Sequence[Sample] | None:
    """All rows at once, or ``None`` if anything at all is wrong with any of them."""
    if media_type == CSV or b"\\u0000" in body:  # PostgreSQL keeps no NUL in a text: the row has to be named
        return None
    try:
        if media_type == NDJSON:
            return _decode_lines(body)
        wrapper = _WRAPPER.match(body)
        if wrapper:
            end = _WRAPPER_END.search(body, max(0, len(body) - 100))
            return _decode_array(memoryview(body)[wrapper.end() : end.start()]) if end else None
        return _decode_array(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _objects(body: bytes, media_type: str) -> Iterator[tuple[Any, RowError | None]]:
    """Every row as plain objects, one by one; raises :class:`UnreadableError` where no next row can be found."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as fault:
        raise UnreadableError(
            f"The body is not UTF-8: byte {body[fault.start]:#04x} at position {fault.start}. Send UTF-8."
        ) from None
    if media_type == CSV:
        return _csv_rows(text)
    return _json_lines(text) if media_type == NDJSON else _json_array(text)


_scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
_SPACE = re.compile(r"[ \t\r\n]*")


def _json_array(text: str) -> Iterator[tuple[Any, RowError | None]]:
    """The elements of a JSON array (or of the one member ``samples``), read one by one, NaN and Infinity included."""

    def skip(at: int) -> int:
        return _SPACE.match(text, at).end()  # type: ignore[union-attr]

    def fail(at: int, expected: str) -> UnreadableError:
        got = shown(text[at : at + 20]) if at < len(text) else "the end of the body"
        return UnreadableError(f"The JSON cannot be read at character {at}: {expected} expected, got {got!r}.")

    at = skip(0)
    wrapper = re.compile(r'\{\s*"samples"\s*:\s*').match(text, at)
    if wrapper:
        at = wrapper.end()
    if text[at : at + 1] != "[":
        raise fail(at, 'an array of samples, or {"samples": [...]},')
    at = skip(at + 1)
    if text[at : at + 1] != "]":
        while True:
            try:
                value, at = _scan(text, at)
            except StopIteration as fault:
                raise fail(int(fault.value), "a value") from None
            except json.JSONDecodeError as fault:
                raise UnreadableError(f"The JSON cannot be read at character {fault.pos}: {fault.msg}.") from None
            except RecursionError:
                raise UnreadableError("The JSON is nested too deeply.") from None
            yield value, None
            at = skip(at)
            if text[at : at + 1] == "]":
                break
            if text[at : at + 1] != ",":
                raise fail(at, "a comma or ]")
            at = skip(at + 1)
    at = skip(at + 1)
    if wrapper:
        if text[at : at + 1] != "}":
            raise fail(at, 'the end of {"samples": [...]}, which has no other member,')
        at = skip(at + 1)
    if at != len(text):
        raise fail(at, "the end of the body")


def _json_lines(text: str) -> Iterator[tuple[Any, RowError | None]]:
    row = 0
    for line in text.split("\n"):
        if not line.strip():
            continue
        try:
            yield json.loads(line), None
        except (ValueError, RecursionError):
            yield None, RowError(row, "", shown(line.strip()), "one JSON object a line")
        row += 1


def _csv_rows(text: str) -> Iterator[tuple[Any, RowError | None]]:
    """Rows of a CSV file with a header, shaped as the JSON would be. An empty cell says nothing."""
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        header = [name.strip() for name in next(reader)]
        if len(set(header)) != len(header):
            raise UnreadableError("The CSV header names a column twice.")
        if not {"source", "start", "end"} <= set(header):
            raise UnreadableError(
                "The first line of the CSV must be a header with at least source, start, end and energy_wh or power_w;"
                f" it is {shown(','.join(header))!r}."
            )
        for row, cells in enumerate(line for line in reader if line):
            if len(cells) != len(header):
                yield None, RowError(row, "", f"{len(cells)} cells", f"{len(header)} cells, as the header has")
            else:
                yield _csv_object(dict(zip(header, cells, strict=True))), None
    except csv.Error as fault:
        raise UnreadableError(f"The CSV cannot be read at line {reader.line_num}: {fault}.") from None


_CSV_WORK = {name: name for name in Work.__struct_fields__} | {f"work.{name}": name for name in Work.__struct_fields__}
_CSV_NUMBERS = {"energy_wh", "power_w", "accelerators"}


def _csv_object(cells: dict[str, str]) -> dict[str, Any]:
    sample: dict[str, Any] = {}
    for column, cell in cells.items():
        value = cell.strip()
        if not value:
            continue
        if column in _CSV_WORK:
            sample.setdefault("work", {})[_CSV_WORK[column]] = _number(value)
        elif column in _CSV_NUMBERS:
            sample[column] = _number(value)
        elif column == "shares" or (column == "tags" and value.startswith("{")):
            try:
                sample[column] = json.loads(value)
            except (ValueError, RecursionError):
                sample[column] = value
        elif column.startswith("tags."):
            sample.setdefault("tags", {})[column[5:]] = value
        else:
            sample[column] = value
    return sample


def _number(text: str) -> Any:
    """The number a CSV cell says, else the text itself for the error to show."""
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return text


def _row_by_row(
    objects: Iterator[tuple[Any, RowError | None]], errors: list[RowError], max_rows: int
) -> tuple[list[Sample], Int64Array]:
    """The good rows with their places in the body; what is wrong with the others goes to ``errors``."""
    rows: list[Sample] = []
    index: list[int] = []
    for place, (value, error) in enumerate(objects):
        if place >= max_rows:
            raise TooLargeError(_too_many(max_rows))
        if error is not None:
            errors.append(error)
            continue
        faults = _explain_sample("", value)
        if not faults:
            try:
                rows.append(msgspec.convert(value, Sample))
                index.append(place)
                continue
            except msgspec.ValidationError as fault:  # a rule that the explanations do not know: still the row's error
                faults = [("", value, str(fault))]
        errors += [RowError(place, field, shown(got), expected) for field, got, expected in faults]
    return rows, np.array(index, dtype=np.int64)


def _batch(rows: Sequence[Sample], index: Int64Array, errors: list[RowError], now_ms: int) -> SampleBatch | None:
    """The batch of these rows, or ``None`` if one of them holds what only a look at each row can name."""
    try:
        times = column_of_milliseconds([row.start for row in rows] + [row.end for row in rows])
    except (msgspec.ValidationError, OverflowError):
        return None
    start_ms, end_ms = times[: len(rows)], times[len(rows) :]
    codes = _Codes()
    naming_codes = np.array(
        [
            # Written out in the order of Naming: by far the fastest way to a tuple of a row's words.
            codes[
                row.source,
                row.site,
                row.team,
                row.model,
                row.workload,
                row.study,
                row.kind,
                row.boundary,
                row.method,
                row.hardware,
                row.accelerators,
                row.shares,
            ]
            for row in rows
        ],
        dtype=np.int64,
    )
    shares_have_weight = True
    namings: list[tuple[Any, ...]] = list(codes)
    if any(naming[-1] is not None for naming in namings):
        namings = [naming if naming[-1] is None else (*naming[:-1], _shares(naming[-1])) for naming in namings]
        shares_have_weight = all(
            naming[-1] is None or sum(share.weight for share in naming[-1]) > 0 for naming in namings
        )
    work = _work(rows)
    external_ids, tags = [row.external_id for row in rows], [row.tags for row in rows]
    has_tags = tags.count(None) < len(tags)
    if (
        work is None
        or not shares_have_weight
        or (has_tags and not all(one is None or explain.tags_fit(one, MOST_TAGS_BYTES) for one in tags))
    ):
        return None
    return checked(
        protocol="samples",
        now_ms=now_ms,
        index=index,
        start_ms=start_ms,
        end_ms=end_ms,
        energy_wh=np.array([row.energy_wh for row in rows], dtype=np.float64),
        power_w=np.array([row.power_w for row in rows], dtype=np.float64),
        naming_codes=naming_codes,
        namings=namings,
        errors=errors,
        **work,
        external_ids=external_ids if external_ids.count(None) < len(rows) else None,
        tags=tags if has_tags else None,
    )


def _shares(shares: tuple[Share, ...]) -> tuple[ShareNaming, ...]:
    return tuple(ShareNaming(share.team, share.model, share.workload, share.weight) for share in shares)


def _work(rows: Sequence[Sample]) -> dict[str, Int64Array | None] | None:
    """The work columns, :data:`ABSENT` where a row does not say; ``None`` if a count is not whole."""
    works = [row.work for row in rows]
    said = [work for work in works if work is not None]
    if not said:
        return {}
    where = None if len(said) == len(works) else np.array([work is not None for work in works])

    def column(values: list[Any], scale: int = 1) -> Int64Array | None:
        absent = values.count(None)
        if absent == len(values):
            return None
        numbers = np.array(values, dtype=np.float64 if absent or scale > 1 else None)
        if numbers.dtype != np.int64:
            if absent:
                numbers = np.where(np.isnan(numbers), ABSENT / scale, numbers)
            whole = np.floor(numbers * scale + (0.5 if scale > 1 else 0))
            if scale == 1 and (whole != numbers).any():
                raise ValueError("not whole")
            numbers = whole.astype(np.int64)
        if where is None:
            return numbers
        result = np.full(len(works), ABSENT, dtype=np.int64)
        result[where] = numbers
        return result

    try:
        return {
            "tokens": column([work.tokens for work in said]),
            "requests": column([work.requests for work in said]),
            "samples": column([work.samples for work in said]),
            "milli_epochs": column([work.epochs for work in said], 1000),
        }
    except ValueError:
        return None
