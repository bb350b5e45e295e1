"""OTLP metrics, protobuf and JSON, to a batch of meter readings, with the messages that OpenTelemetry publishes.

Specification: OpenTelemetry protocol (OTLP) 1.x, "OTLP/HTTP"; metrics data model.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from google.rpc import status_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as service
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from apps.telemetry.batch import BoolArray, Int64Array, RowError, shown
from apps.telemetry.meters.batch import MeterBatch
from apps.telemetry.meters.models import MeterKind
from apps.telemetry.protocols.errors import UnreadableError
from apps.telemetry.protocols.otlp_metrics import COUNTED, FaultyMetricError, Known, Said, concerns, understood

DOOR = "otlp"
PROTOBUF, JSON = "application/x-protobuf", "application/json"
MOST_CACHED = 100_000
_NOTHING_RECORDED = metrics_pb2.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
# google.rpc.Code for the HTTP statuses of refusals.
CODES = {400: 3, 401: 16, 403: 7, 413: 8, 415: 3, 422: 3, 503: 14}

_SCOPE = ("otel.scope.name", "otel.scope.version")  # as labels, by the specification of Prometheus' compatibility
_NAN = float("nan")
_UNSEEN: Any = object()
_HISTOGRAMS = ("histogram", "exponential_histogram")
_BESIDES = {
    shape: tuple(name for name in message.DESCRIPTOR.fields_by_name if name != "attributes")
    for shape, message in (
        ("gauge", metrics_pb2.NumberDataPoint),
        ("sum", metrics_pb2.NumberDataPoint),
        ("histogram", metrics_pb2.HistogramDataPoint),
        ("exponential_histogram", metrics_pb2.ExponentialHistogramDataPoint),
    )
}

# What this process remembers of series: by origin and metric, then by the bytes of the point's attributes.
_Key = tuple[tuple[bytes, bytes], Said]
_known: dict[_Key, dict[bytes, Known | None]] = {}
_same: dict[tuple[Said, tuple[tuple[str, str], ...]], Known] = {}
_kept = 0
_lock = threading.Lock()


def forget() -> None:
    """Drop what this process remembers of series."""
    global _kept
    with _lock:
        _known.clear()
        _same.clear()
        _kept = 0


def parse(body: bytes, media_type: str) -> service.ExportMetricsServiceRequest:
    """The request's message. Raises :class:`UnreadableError`."""
    message = service.ExportMetricsServiceRequest()
    try:
        if media_type == JSON:
            if not body.lstrip().startswith(b"{"):
                raise ValueError("expected a JSON object")
            json_format.Parse(body.decode(), message, ignore_unknown_fields=True)
        else:
            message.ParseFromString(body)
    except (DecodeError, json_format.ParseError, UnicodeDecodeError, RecursionError, ValueError) as fault:
        reason = " ".join(str(fault).split())[:300]
        raise UnreadableError(f"The body is no ExportMetricsServiceRequest: {reason}.") from None
    return message


def packed(message: Message, media_type: str) -> bytes:
    """A message in the type of the request."""
    if media_type == JSON:
        return json_format.MessageToJson(message, indent=None).encode()
    return message.SerializeToString()


def success(rejected: int, reason: str) -> service.ExportMetricsServiceResponse:
    """The answer to a request that was taken, with what was not taken of it."""
    answer = service.ExportMetricsServiceResponse()
    if rejected or reason:
        answer.partial_success.rejected_data_points = rejected
        answer.partial_success.error_message = reason
    return answer


def failure(status: int, reason: str) -> status_pb2.Status:
    """The body of a refusal (google.rpc.Status)."""
    return status_pb2.Status(code=CODES.get(status, 2), message=reason)


@dataclass(slots=True)
class _Columns:
    """What is taken of each point that is understood: its place among all, its series, times [ns] and value."""

    index: list[int] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    at_ns: list[int] = field(default_factory=list)
    start_ns: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    series: list[Known] = field(default_factory=list)
    places: dict[int, int] = field(default_factory=dict)  # of each series, by the identity of what is kept of it
    ignored: int = 0
    points: int = 0
    errors: list[RowError] = field(default_factory=list)

    def place_of(self, known: Known) -> int:
        place = self.places.get(id(known))
        if place is None:
            place = self.places[id(known)] = len(self.series)
            self.series.append(known)
        return place


def decode(message: service.ExportMetricsServiceRequest) -> MeterBatch:
    """The readings of a request, which is taken apart. Points that are no energy and no work are counted as ignored;
    those that cannot be counted are errors, by their place among all points."""
    columns = _Columns()
    for resource in message.resource_metrics:
        resource_key = resource.resource.SerializeToString()
        for scope in resource.scope_metrics:
            origin = _Origin(resource.resource, scope.scope, (resource_key, scope.scope.SerializeToString()))
            for metric in scope.metrics:
                _take(metric, origin, columns)
    return _batch(columns)


def _batch(columns: _Columns) -> MeterBatch:
    at_ns, start_ns = (np.array(column, dtype=np.uint64) for column in (columns.at_ns, columns.start_ns))
    codes = np.array(columns.codes, dtype=np.int64)
    is_delta = np.array([known.said.meter.kind == MeterKind.DELTA for known in columns.series], dtype=np.bool_)
    at_ms, start_ms = _milliseconds(at_ns, start_ns, is_delta[codes])
    factor = np.array([known.factor for known in columns.series], dtype=np.float64)
    batch = MeterBatch(
        protocol=DOOR,
        index=np.array(columns.index, dtype=np.int64),
        series_codes=codes,
        at_ms=at_ms,
        value=np.array(columns.value, dtype=np.float64) * factor[codes],
        start_ms=start_ms,
        series=[known.said for known in columns.series],
        ignored=columns.ignored,
        errors=columns.errors,
    )
    is_dated = at_ns > 0
    if is_dated.all():
        return batch
    for index in batch.index[~is_dated].tolist():
        batch.errors.append(RowError(index, "time_unix_nano", 0, "the time of the reading"))
    return batch.take(is_dated)


def _milliseconds(
    at_ns: npt.NDArray[np.uint64], start_ns: npt.NDArray[np.uint64], is_delta: BoolArray
) -> tuple[Int64Array, Int64Array]:
    """Times and starts of points in milliseconds: equal where they are equal, and else told apart.

    SDKs stamp the start microseconds before the first point, and the same instant would mean that the start is not
    known. So times are rounded up and starts down: the start of a total, which is its identity, comes out the same
    with every point. Differences follow one another: what one ends with the next begins with.
    """
    at_down, at_up = _bounds(at_ns)
    start_down, start_up = _bounds(start_ns)
    is_unknown = start_ns == at_ns
    at_ms = np.where(is_unknown & ~is_delta, at_down, at_up)
    start_up -= (start_up == at_ms) & ~is_unknown
    return at_ms, np.where(is_delta, start_up, start_down)


def _bounds(nanoseconds: npt.NDArray[np.uint64]) -> tuple[Int64Array, Int64Array]:
    """Milliseconds, rounded down and up."""
    whole, rest = np.divmod(nanoseconds, np.uint64(1_000_000))
    down = whole.astype(np.int64)
    return down, down + (rest > 0)


@dataclass(frozen=True)
class _Origin:
    """Who measures: the resource and the scope that a metric stands under, and both as a key of what is kept."""

    resource: Resource
    scope: common_pb2.InstrumentationScope
    key: tuple[bytes, bytes]

    @cached_property
    def labels(self) -> dict[str, str]:
        labels = _labels(self.resource.attributes)
        scope = self.scope
        labels |= {name: text for name, text in zip(_SCOPE, (scope.name, scope.version), strict=True) if text}
        return labels | _labels(scope.attributes)


def _take(metric: metrics_pb2.Metric, origin: _Origin, columns: _Columns) -> None:
    shape = metric.WhichOneof("data")
    if shape is None:
        return
    data = getattr(metric, shape)
    if shape == "summary" or not concerns(metric.name):
        columns.ignored += len(data.data_points)
        columns.points += len(data.data_points)
        return
    said = Said(
        name=metric.name,
        unit=metric.unit,
        shape="histogram" if shape in _HISTOGRAMS else shape,
        temporality=data.aggregation_temporality if shape != "gauge" else 0,
        is_monotonic=shape != "sum" or data.is_monotonic,
    )
    known_here = _series_of((origin.key, said))
    read, besides = _READ[said.shape], _BESIDES[shape]
    counts = said.name in COUNTED
    for point in data.data_points:
        at_ns, start_ns, flags = point.time_unix_nano, point.start_time_unix_nano, point.flags
        value = _NAN if flags & _NOTHING_RECORDED else read(point, counts)
        # What is left of the point are its attributes: as bytes they are the key, without looking at each.
        for name in besides:
            point.ClearField(name)
        key = point.SerializeToString()
        known = known_here.get(key, _UNSEEN)
        if known is _UNSEEN:
            try:
                known = _look_up(origin, said, point, key)
            except FaultyMetricError as fault:
                columns.errors.append(RowError(columns.points, fault.field, shown(fault.got), fault.expected))
                columns.points += 1
                continue
        if known is None or value is None:
            columns.ignored += 1
        else:
            columns.index.append(columns.points)
            columns.codes.append(columns.place_of(known))
            columns.at_ns.append(at_ns)
            columns.start_ns.append(start_ns)
            columns.value.append(value)
        columns.points += 1


def _number(point: Any, _: bool) -> float | None:
    kind = point.WhichOneof("value")
    return None if kind is None else float(getattr(point, kind))


def _distribution(point: Any, counts: bool) -> float | None:
    """How many there were or how much they were together, which a client may leave out."""
    if counts:
        return float(point.count)
    return point.sum if point.HasField("sum") else None


_READ: dict[str, Callable[[Any, bool], float | None]] = {
    "gauge": _number,
    "sum": _number,
    "histogram": _distribution,
}


def _series_of(key: _Key) -> dict[bytes, Known | None]:
    """What is known of the series of one metric of one origin, by their attributes."""
    try:
        return _known[key]
    except KeyError:
        with _lock:
            return _known.setdefault(key, {})


def _look_up(origin: _Origin, said: Said, point: Any, key: bytes) -> Known | None:
    """Understand a series that was not seen before, and keep it. Raises :class:`FaultyMetricError`."""
    global _kept
    labels = origin.labels | _labels(point.attributes)
    known = understood(said, labels)
    with _lock:
        if _kept >= MOST_CACHED:
            _known.clear()
            _same.clear()
            _kept = 0
        _kept += 1
        if known is not None:
            # The same attributes in another order are the same series.
            known = _same.setdefault((said, known.said.labels), known)
        _known.setdefault((origin.key, said), {})[key] = known
    return known


def _labels(attributes: Iterable[common_pb2.KeyValue]) -> dict[str, str]:
    return {attribute.key: _text(attribute.value) for attribute in attributes if attribute.key}


def _text(value: common_pb2.AnyValue) -> str:
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return value.string_value.replace("\0", "")
    if kind is None:
        return ""
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    if kind in ("int_value", "double_value"):
        return str(getattr(value, kind))
    return json.dumps(_plain(value), ensure_ascii=False).replace("\\u0000", "")


def _plain(value: common_pb2.AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(one) for one in value.array_value.values]
    if kind == "kvlist_value":
        return {one.key: _plain(one.value) for one in value.kvlist_value.values}
    if kind == "bytes_value":
        return value.bytes_value.hex()
    return getattr(value, kind) if kind else None


def reasons(errors: Iterable[RowError], most: int = 5) -> str:
    """The first few errors in words, for the client's log."""
    return " ".join(_sentences(list(errors), most))


def _sentences(errors: list[RowError], most: int) -> Iterator[str]:
    for error in errors[:most]:
        yield f"Data point {error.index}: {error.field} {error.got!r}, expected {error.expected}."
    if len(errors) > most:
        yield f"And {len(errors) - most} more: see the receipt."
