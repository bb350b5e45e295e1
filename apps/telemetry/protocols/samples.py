"""The portal's own protocol, ``POST /api/v1/samples``: JSON, NDJSON and CSV to a batch.

A body is decoded and typed in one go. Only when that fails is it read again row by row, so that every bad row is
named and the good ones are kept: a faulty batch costs more, a good one nothing. What a body can make the portal do
and keep in memory is bounded either way.
"""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from itertools import chain
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from apps.telemetry.batch import ABSENT, Int64Array, RowError, SampleBatch, ShareNaming, shown
from apps.telemetry.protocols import explain
from apps.telemetry.protocols import rows as bodies
from apps.telemetry.protocols.errors import UnreadableError
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
MOST_FAULTS = 20  # of one row that are named
MOST_EXPLAINED = 1_000  # faults of one body: as many as an answer lists
_NO_TAGS = msgspec.Raw(b"")
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
    tags: msgspec.Raw = _NO_TAGS  # decoded row by row, and only where it is small


_name, _team, _free_text = explain.text(200), explain.text(120), explain.text(200, visible=False)
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
        "external_id": _free_text,
        "tags": explain.tags(MOST_TAGS_BYTES),
    },
    ("source", "start", "end"),
    "an object with source, start, end and energy_wh or power_w",
)
_decode_array = msgspec.json.Decoder(list[Sample]).decode
_decode_lines = msgspec.json.Decoder(Sample).decode_lines
_WRAPPER = re.compile(rb'\s*\{\s*"samples"\s*:\s*(?=\[)')
_WRAPPER_END = re.compile(rb"\s*\}\s*\Z")
_decode_tags = msgspec.json.Decoder(dict[str, Any] | None).decode
_LARGE = 2 * 1024 * 1024  # bytes: a smaller body cannot do harm
_MOST_OBJECTS_A_ROW = 10  # on average; the row itself, its work, its tags, its shares
# Large bodies that are not right are read one at a time, so that a process holds the objects of one at most.
_one_at_a_time = threading.Lock()


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
    if not body or body.isspace():
        raise UnreadableError("The body is empty. Send at least one sample.")
    errors: list[RowError] = []
    rows = _quickly(body, media_type) if _is_modest(body, media_type, max_rows) else None
    if rows:
        if len(rows) > max_rows:
            raise bodies.too_many(max_rows)
        batch = _batch(rows, np.arange(len(rows), dtype=np.int64), errors, now_ms)
        if batch is not None:
            return batch
    del rows
    with _one_at_a_time if len(body) > _LARGE else nullcontext():
        rows, index = _row_by_row(_objects(body, media_type, max_rows), errors)
        if not rows and not errors:
            raise UnreadableError("There is no sample in the body. Send at least one.")
        batch = _batch(rows, index, errors, now_ms)
    assert batch is not None  # noqa: S101 - every row has just been explained
    return batch


def _is_modest(body: bytes, media_type: str, max_rows: int) -> bool:
    """Whether decoding the body in one go can make no more objects, and no larger ones, than honest rows would."""
    if len(body) <= _LARGE or media_type == CSV:
        return True
    if body.count(b'"source"') > max_rows or body.count(b"{") > _MOST_OBJECTS_A_ROW * max_rows:
        return False
    # Every row names its source, and no text can hold these bytes: between two of them there are at most two rows.
    at = 0
    while at + 2 * bodies.MOST_ROW_BYTES < len(body):
        at = body.rfind(b'"source"', at, at + 2 * bodies.MOST_ROW_BYTES) + 1
        if not at:
            return False
    return True


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


def _objects(body: bytes, media_type: str, max_rows: int) -> Iterator[bodies.Row]:
    """Every row as plain objects, one by one; raises where no next row can be found and where there are too many."""
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UnreadableError("The body is UTF-16. Send UTF-8.")
    if media_type == CSV:
        return ((cells and _csv_object(cells), error) for cells, error in bodies.csv_rows(body, max_rows))
    return bodies.json_lines(body, max_rows) if media_type == NDJSON else bodies.json_array(body, max_rows)


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
    number = explain.as_number(text)
    return text if number is None or number == math.inf or number == -math.inf else number


def _row_by_row(objects: Iterator[bodies.Row], errors: list[RowError]) -> tuple[list[Sample], Int64Array]:
    """The good rows with their places in the body; what is wrong with the others goes to ``errors``."""
    rows: list[Sample] = []
    index: list[int] = []
    for place, (value, error) in enumerate(objects):
        if error is not None:
            errors.append(error)
            continue
        faults = _explain_sample("", value)
        if not faults:
            tags = value.pop("tags", None)
            try:
                sample = msgspec.convert(value, Sample)
            except (msgspec.ValidationError, RecursionError) as fault:
                faults = [("", value, str(fault))]  # a rule that the explanations do not know: still the row's error
            else:
                sample.tags = _NO_TAGS if tags is None else tags
                rows.append(sample)
                index.append(place)
                continue
        if len(errors) >= MOST_EXPLAINED:  # counted, and never shown
            errors += [RowError(place, "", None, "")] * min(len(faults), MOST_FAULTS + 1)
            continue
        more = len(faults) - MOST_FAULTS
        errors += [
            RowError(place, str(shown(field)), shown(got), str(expected))
            for field, got, expected in faults[:MOST_FAULTS]
        ]
        if more > 0:
            errors.append(RowError(place, "", None, f"a row without faults; {more:,} more are not listed"))
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
    namings: list[tuple[Any, ...]] = list(codes)
    if any(naming[-1] is not None for naming in namings):
        namings = [naming if naming[-1] is None else (*naming[:-1], _shares(naming[-1])) for naming in namings]
        shares = [naming[-1] for naming in namings if naming[-1] is not None]
        if not all(sum(share.weight for share in one) > 0 for one in shares):
            return None
        words = set(chain.from_iterable(chain.from_iterable(shares)))
    else:
        words = set()
    words.update(chain.from_iterable(namings))
    if not all(explain.is_visible(word) for word in words if type(word) is str):
        return None
    work = _work(rows)
    external_ids, raw_tags = [row.external_id for row in rows], [row.tags for row in rows]
    has_tags = raw_tags.count(_NO_TAGS) < len(rows)
    tags = _tags(raw_tags) if has_tags else None
    if work is None or (has_tags and tags is None):
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
        tags=tags,
    )


def _tags(raw_tags: list[Any]) -> list[dict[str, Any] | None] | None:
    """The rows' tags, or ``None`` if any of them has to be looked at by itself; explained ones are plain objects."""
    tags: list[dict[str, Any] | None] = []
    for raw in raw_tags:
        if raw is _NO_TAGS or isinstance(raw, dict):
            tags.append(raw if isinstance(raw, dict) else None)
            continue
        written = bytes(raw)
        if len(written) > MOST_TAGS_BYTES:
            return None
        try:
            one = _decode_tags(written)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return None
        if one is not None and not explain.is_shallow(one, written):
            return None
        tags.append(one)
    return tags


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
