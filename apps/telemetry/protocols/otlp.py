"""OTLP metrics, protobuf and JSON, to a batch of meter readings, with the messages that OpenTelemetry publishes.

Specification: OpenTelemetry protocol (OTLP) 1.x, "OTLP/HTTP"; metrics data model.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from google.rpc import status_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as service
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2

from apps.telemetry.batch import RowError, shown
from apps.telemetry.meters.batch import MeterBatch
from apps.telemetry.meters.models import MeterKind
from apps.telemetry.protocols.errors import UnreadableError
from apps.telemetry.protocols.otlp_metrics import TOKENS, FaultyMetricError, Known, understood

DOOR = "otlp"
PROTOBUF, JSON = "application/x-protobuf", "application/json"
MOST_CACHED = 100_000
_DELTA = metrics_pb2.AGGREGATION_TEMPORALITY_DELTA
_NOTHING_RECORDED = metrics_pb2.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
# google.rpc.Code for the HTTP statuses of refusals.
CODES = {400: 3, 401: 16, 403: 7, 413: 8, 415: 3, 422: 3, 503: 14}

_Key = tuple[Any, ...]
_known: dict[_Key, Known | None] = {}
_lock = threading.Lock()


def forget() -> None:
    """Drop what this process remembers of series."""
    with _lock:
        _known.clear()


def parse(body: bytes, media_type: str) -> service.ExportMetricsServiceRequest:
    """The request's message. Raises :class:`UnreadableError`."""
    message = service.ExportMetricsServiceRequest()
    try:
        if media_type == JSON:
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
    index: list[int] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    at_ms: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    start_ms: list[int] = field(default_factory=list)
    series: list[Known] = field(default_factory=list)
    places: dict[int, int] = field(default_factory=dict)
    ignored: int = 0
    points: int = 0
    errors: list[RowError] = field(default_factory=list)

    def add(self, known: Known, start_ns: int, time_ns: int, value: float) -> None:
        place = self.places.get(id(known))
        if place is None:
            place = self.places[id(known)] = len(self.series)
            self.series.append(known)
        at = time_ns // 1_000_000
        start = min(start_ns // 1_000_000, at)
        if start == at and 0 < start_ns < time_ns:
            start = at - 1  # the same instant would mean that the start is unknown
        self.index.append(self.points)
        self.codes.append(place)
        self.at_ms.append(at)
        self.value.append(value * known.factor)
        self.start_ms.append(start)


def decode(message: service.ExportMetricsServiceRequest) -> MeterBatch:
    """The readings of a request. Points that are no energy and no work are counted as ignored; those that cannot be
    counted are errors, by their place among all points."""
    columns = _Columns()
    for resource in message.resource_metrics:
        of_resource = _labels(resource.resource.attributes)
        resource_key = tuple(sorted(of_resource.items()))
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                _take(metric, of_resource, (resource_key, scope.scope.name), columns)
    return MeterBatch(
        protocol=DOOR,
        index=np.array(columns.index, dtype=np.int64),
        series_codes=np.array(columns.codes, dtype=np.int64),
        at_ms=np.array(columns.at_ms, dtype=np.int64),
        value=np.array(columns.value, dtype=np.float64),
        start_ms=np.array(columns.start_ms, dtype=np.int64),
        series=[known.said for known in columns.series],
        ignored=columns.ignored,
        errors=columns.errors,
    )


def _take(metric: metrics_pb2.Metric, of_resource: dict[str, str], resource: _Key, columns: _Columns) -> None:
    shape = metric.WhichOneof("data")
    if shape is None or shape == "summary":
        columns.ignored += len(metric.summary.data_points) if shape else 0
        columns.points += len(metric.summary.data_points) if shape else 0
        return
    data = getattr(metric, shape)
    kind = MeterKind.GAUGE
    if shape != "gauge":
        kind = MeterKind.DELTA if data.aggregation_temporality == _DELTA else MeterKind.COUNTER
    is_monotonic = shape != "sum" or data.is_monotonic
    for point in data.data_points:
        attributes = _labels(point.attributes)
        key = (resource, metric.name, metric.unit, kind, is_monotonic, tuple(sorted(attributes.items())))
        try:
            known = _series(key, metric, {**of_resource, **attributes}, kind, is_monotonic=is_monotonic)
        except FaultyMetricError as fault:
            columns.errors.append(RowError(columns.points, fault.field, shown(fault.got), fault.expected))
        else:
            if known is None:
                columns.ignored += 1
            else:
                columns.add(known, point.start_time_unix_nano, point.time_unix_nano, _value(point, shape, metric.name))
        columns.points += 1


def _series(
    key: _Key, metric: metrics_pb2.Metric, labels: dict[str, str], kind: MeterKind, *, is_monotonic: bool
) -> Known | None:
    try:
        return _known[key]
    except KeyError:
        known = understood(metric.name, metric.unit, labels, kind, is_monotonic=is_monotonic)
    with _lock:
        if len(_known) >= MOST_CACHED:
            _known.clear()
        return _known.setdefault(key, known)


def _value(point: Any, shape: str, name: str) -> float:
    if point.flags & _NOTHING_RECORDED:
        return float("nan")
    if shape in ("histogram", "exponential_histogram"):
        return float(point.sum if name == TOKENS else point.count)
    return float(point.as_int) if point.WhichOneof("value") == "as_int" else point.as_double


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
