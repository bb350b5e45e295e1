"""A remote-write sender of our own, byte by byte, so that tests can say anything a sender may say."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import cramjam

STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
UUID = "GPU-5f0c8f8e-0000-4000-8000-000000000001"
DCGM = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"
DCGM_LABELS = {"UUID": UUID, "gpu": "0", "Hostname": "node-17", "instance": "node-17:9400", "job": "dcgm"}
Series = tuple[dict[str, str], Sequence[tuple[int, float]]]


def varint(number: int) -> bytes:
    out = bytearray()
    number &= 2**64 - 1
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def sample(at_ms: int, value: float) -> bytes:
    bits = struct.pack("<d", value)
    said = b"" if bits == b"\0" * 8 else b"\x09" + bits  # a zero is omitted from the wire
    return said + b"\x10" + varint(at_ms)


def series(labels: dict[str, str], samples: Sequence[tuple[int, float]]) -> bytes:
    pairs = b"".join(field(1, field(1, name.encode()) + field(2, value.encode())) for name, value in labels.items())
    return pairs + b"".join(field(2, sample(*one)) for one in samples)


def named(name: str, labels: dict[str, str], *samples: tuple[int, float]) -> Series:
    return {"__name__": name, **labels}, samples


def request(*many: Series) -> bytes:
    return b"".join(field(1, series(labels, samples)) for labels, samples in many)


def body(*many: Series) -> bytes:
    return bytes(cramjam.snappy.compress_raw(request(*many)))
