"""Prometheus remote write 1.0: a snappy block of a protobuf ``WriteRequest`` to a batch of meter readings.

Read by hand and not into objects: of a series only the bytes of its labels are looked at, as a key under which they
were understood once; the samples of all known series are taken from the body by NumPy in one go.

Specification: Prometheus remote write 1.0; protobuf encoding, "Message structure".
"""

from __future__ import annotations

import struct
import threading
from dataclasses import dataclass, field
from typing import Final, Literal

import cramjam
import numpy as np

from apps.telemetry.batch import Float64Array, Int64Array, RowError
from apps.telemetry.meters.batch import MeterBatch, SeriesSaid
from apps.telemetry.protocols.errors import TooLargeError, UnreadableError
from apps.telemetry.protocols.metrics_table import recognise

DOOR = "prometheus"
STALE = 0x7FF0000000000002  # the bits of Prometheus' staleness marker: the series ends here
MOST_CACHED = 200_000  # label sets a process remembers; beyond, it begins anew
MOST_LABELS_BYTES = 16_384
# A sample as Prometheus writes it: tag, length, double, six bytes of milliseconds; without the double where it is 0.
_SAMPLE = np.dtype([("head", "V3"), ("value", "<f8"), ("tag", "u1"), ("time", "u1", 6)])
_ZERO = np.dtype([("head", "V3"), ("time", "u1", 6)])
_SAMPLE_HEAD, _SAMPLE_BYTES = b"\x12\x10\x09", 18
_ZERO_HEAD, _ZERO_BYTES = b"\x12\x07\x10", 9
_TIME_TAG = 0x10
_SHIFTS = np.array([0, 7, 14, 21, 28, 35], dtype=np.int64)

_IGNORED: Final = "ignored"  # understood, and no energy and no work
_known: dict[bytes, SeriesSaid | Literal["ignored"]] = {}
_lock = threading.Lock()


def forget() -> None:
    """Drop what this process remembers of label sets."""
    with _lock:
        _known.clear()


def unpack_snappy(body: bytes, limit: int) -> bytes:
    """The unpacked body. Raises :class:`TooLargeError` by the announced length, before anything is unpacked."""
    try:
        announced = int(cramjam.snappy.decompress_raw_len(body))
    except cramjam.DecompressionError as fault:
        raise UnreadableError(f"The body is not a snappy block: {fault}.") from None
    if announced > limit:
        raise TooLargeError(f"The body is larger than {limit // (1024 * 1024)} MiB unpacked. Send smaller batches.")
    try:
        return bytes(cramjam.snappy.decompress_raw(body))
    except (cramjam.DecompressionError, OverflowError) as fault:
        raise UnreadableError(f"The body is not a snappy block: {fault}.") from None


@dataclass(slots=True)
class _Found:
    """What one pass over the body finds, before NumPy takes the samples apart."""

    series: list[SeriesSaid] = field(default_factory=list)
    places: dict[int, int] = field(default_factory=dict)  # id of a known series -> place in ``series``
    quick: list[bytes] = field(default_factory=list)
    quick_codes: list[int] = field(default_factory=list)
    quick_index: list[int] = field(default_factory=list)
    zeros: list[bytes] = field(default_factory=list)
    zero_codes: list[int] = field(default_factory=list)
    zero_index: list[int] = field(default_factory=list)
    slow: list[tuple[int, int, int, float, bool]] = field(default_factory=list)  # code, index, ms, value, stale
    ignored: int = 0
    samples: int = 0
    errors: list[RowError] = field(default_factory=list)

    def code(self, said: SeriesSaid) -> int:
        place = self.places.get(id(said))
        if place is None:
            place = self.places[id(said)] = len(self.series)
            self.series.append(said)
        return place


def decode(body: bytes) -> MeterBatch:
    """The readings of an unpacked ``WriteRequest``; series that are not in the metric table are counted as ignored.

    Raises :class:`UnreadableError` for bytes that are no such message, and for a series without a name.
    """
    found = _Found()
    at, end = 0, len(body)
    while at < end:
        tag = body[at]
        if tag == 0x0A:  # timeseries
            start, stop = _bounds(body, at + 1, end)
            _take_series(body[start:stop], found)
            at = stop
        else:
            at = _skip(body, at, end)  # metadata (field 3), and what later versions add
    return _batch(found)


def _take_series(message: bytes, found: _Found) -> None:
    """One ``TimeSeries``: labels, then samples. One sample after known labels, the usual case, needs no parser."""
    # One look-up each: another thread may drop what is known in between.
    labels, tail = message[:-_SAMPLE_BYTES], message[-_SAMPLE_BYTES:]
    if tail[:3] == _SAMPLE_HEAD and tail[11] == _TIME_TAG and (known := _known.get(labels)) is not None:
        if known == _IGNORED:
            found.ignored += 1
        else:
            found.quick.append(tail)
            found.quick_codes.append(found.code(known))
            found.quick_index.append(found.samples)
        found.samples += 1
        return
    labels, tail = message[:-_ZERO_BYTES], message[-_ZERO_BYTES:]
    if tail[:3] == _ZERO_HEAD and (known := _known.get(labels)) is not None:
        if known == _IGNORED:
            found.ignored += 1
        else:
            found.zeros.append(tail)
            found.zero_codes.append(found.code(known))
            found.zero_index.append(found.samples)
        found.samples += 1
        return
    _take_slowly(message, found)


def _take_slowly(message: bytes, found: _Found) -> None:
    at, end = 0, len(message)
    pairs: list[tuple[str, str]] = []
    samples: list[tuple[int, float, bool]] = []
    labels_end, in_order = 0, True
    while at < end:
        tag = message[at]
        if tag == 0x0A:
            in_order = in_order and not samples
            start, stop = _bounds(message, at + 1, end)
            pairs.append(_label(message[start:stop]))
            at = labels_end = stop
        elif tag == 0x12:
            start, stop = _bounds(message, at + 1, end)
            samples.append(_sample(message[start:stop]))
            at = stop
        else:
            at = _skip(message, at, end)  # exemplars, histograms
            in_order = False
    known: SeriesSaid | Literal["ignored"] = _understood(pairs) or _IGNORED
    key = message[:labels_end]
    if in_order and len(key) <= MOST_LABELS_BYTES:
        with _lock:
            if len(_known) >= MOST_CACHED:
                _known.clear()
            known = _known.setdefault(key, known)
    for milliseconds, value, stale in samples:
        index = found.samples
        found.samples += 1
        if known == _IGNORED:
            found.ignored += 1
        else:
            found.slow.append((found.code(known), index, milliseconds, value, stale))


def _understood(pairs: list[tuple[str, str]]) -> SeriesSaid | None:
    labels = dict(pairs)
    name = labels.pop("__name__", "")
    if not name:
        raise UnreadableError("A series has no label __name__.")
    if len(labels) + 1 < len(pairs):
        raise UnreadableError(f"The series {name[:80]} has a label twice.")
    return recognise(name, labels)


def _label(message: bytes) -> tuple[str, str]:
    at, end = 0, len(message)
    name = value = ""
    while at < end:
        tag = message[at]
        if tag in (0x0A, 0x12):
            start, stop = _bounds(message, at + 1, end)
            try:
                text = message[start:stop].decode()
            except UnicodeDecodeError:
                raise UnreadableError("A label is not UTF-8.") from None
            if tag == 0x0A:
                name = text
            else:
                value = text
            at = stop
        else:
            at = _skip(message, at, end)
    return name, value.replace("\0", "")


def _sample(message: bytes) -> tuple[int, float, bool]:
    """Milliseconds, value, and whether it is the staleness marker."""
    at, end = 0, len(message)
    milliseconds, bits = 0, b"\0" * 8
    while at < end:
        tag = message[at]
        if tag == 0x09:
            bits = message[at + 1 : at + 9]
            if len(bits) != 8:
                raise UnreadableError("A sample is cut off.")
            at += 9
        elif tag == _TIME_TAG:
            milliseconds, at = _varint(message, at + 1, end)
        else:
            at = _skip(message, at, end)
    if milliseconds >= 2**63:
        milliseconds -= 2**64
    return milliseconds, struct.unpack("<d", bits)[0], struct.unpack("<Q", bits)[0] == STALE


def _varint(body: bytes, at: int, end: int) -> tuple[int, int]:
    result = shift = 0
    while at < end and shift < 70:
        byte = body[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & (2**64 - 1), at
        shift += 7
    raise UnreadableError("The body is not a protobuf message: a number is cut off.")


def _bounds(body: bytes, at: int, end: int) -> tuple[int, int]:
    """Where a field that has a length begins and ends."""
    length, at = _varint(body, at, end)
    if length > end - at:
        raise UnreadableError("The body is not a protobuf message: a field ends after its message.")
    return at, at + length


def _skip(body: bytes, at: int, end: int) -> int:
    """The place after a field that is not needed."""
    tag, at = _varint(body, at, end)
    kind = tag & 7
    if not tag >> 3:
        raise UnreadableError("The body is not a protobuf message: a field has the number 0.")
    if kind == 0:
        return _varint(body, at, end)[1]
    if kind == 2:
        return _bounds(body, at, end)[1]
    length = {1: 8, 5: 4}.get(kind)
    if length is None or at + length > end:
        raise UnreadableError("The body is not a protobuf message.")
    return at + length


def _batch(found: _Found) -> MeterBatch:
    codes: list[Int64Array] = []
    index: list[Int64Array] = []
    at_ms: list[Int64Array] = []
    value: list[Float64Array] = []
    stale: list[np.ndarray[tuple[int], np.dtype[np.bool_]]] = []
    if found.quick:
        block = np.frombuffer(b"".join(found.quick), dtype=_SAMPLE)
        codes.append(np.array(found.quick_codes, dtype=np.int64))
        index.append(np.array(found.quick_index, dtype=np.int64))
        at_ms.append(_times(block["time"]))
        value.append(block["value"].astype(np.float64))
        stale.append(np.ascontiguousarray(block["value"]).view("<u8") == STALE)
    if found.zeros:
        block = np.frombuffer(b"".join(found.zeros), dtype=_ZERO)
        codes.append(np.array(found.zero_codes, dtype=np.int64))
        index.append(np.array(found.zero_index, dtype=np.int64))
        at_ms.append(_times(block["time"]))
        value.append(np.zeros(len(block)))
        stale.append(np.zeros(len(block), dtype=np.bool_))
    if found.slow:
        code, place, times, values, ends = zip(*found.slow, strict=True)
        codes.append(np.array(code, dtype=np.int64))
        index.append(np.array(place, dtype=np.int64))
        at_ms.append(np.array(times, dtype=np.int64))
        value.append(np.array(values, dtype=np.float64))
        stale.append(np.array(ends, dtype=np.bool_))
    empty = np.empty(0, dtype=np.int64)
    all_values = np.concatenate(value) if value else np.empty(0)
    ends_here = np.concatenate(stale) if stale else np.empty(0, dtype=np.bool_)
    # An ordinary NaN or an infinity says nothing, and an end of series is the one thing that NaN means further on.
    says = np.isfinite(all_values) | ends_here
    return MeterBatch(
        protocol=DOOR,
        index=(np.concatenate(index) if index else empty)[says],
        series_codes=(np.concatenate(codes) if codes else empty)[says],
        at_ms=(np.concatenate(at_ms) if at_ms else empty)[says],
        value=np.where(ends_here, np.nan, all_values)[says],
        start_ms=np.zeros(int(says.sum()), dtype=np.int64),
        series=found.series,
        ignored=found.ignored + int((~says).sum()),
        errors=found.errors,
    )


def _times(bytes_of: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> Int64Array:
    """Milliseconds from six-byte varints: today's times and those of the next centuries."""
    last = bytes_of[:, 5] >= 0x80
    if last.any() or (bytes_of[:, :5] < 0x80).any():
        raise UnreadableError("The body is not a protobuf message: a time is cut off.")
    groups = (bytes_of & 0x7F).astype(np.int64)
    times: Int64Array = (groups << _SHIFTS).sum(axis=1)
    return times
