"""A request's body: read in pieces, unpacked in pieces, given up as soon as it is too large."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection
from typing import IO

from django.http import HttpRequest

from apps.telemetry.protocols.errors import TooLargeError, UnreadableError, UnsupportedError

PIECE = 256 * 1024
MOST_MEMBERS = 1_000  # of one gzip body; log files that were appended to have a few
_GZIP = 16 + zlib.MAX_WBITS


def read_body(request: HttpRequest, limit: int) -> bytes:
    """The body as it was sent, of a known length or chunked.

    Raises :class:`TooLargeError` beyond ``limit`` bytes, before reading them where the length is announced, and
    :class:`UnreadableError` when the connection ends before the announced length.
    """
    announced = request.META.get("CONTENT_LENGTH") or ""
    if announced.isdecimal():
        length = int(announced)
        if length > limit:
            raise TooLargeError(_too_large(limit))
        body = request.read(length)
        if len(body) != length:
            raise UnreadableError(f"The body ends after {len(body):,} of {length:,} bytes.")
        return body
    if request.META.get("wsgi.input_terminated"):
        # No length: a chunked body. Django would take it for empty; the server marks its end.
        return _read(request.META["wsgi.input"], limit)
    return b""


def _read(stream: HttpRequest | IO[bytes], limit: int) -> bytes:
    pieces, size = [], 0
    while piece := stream.read(PIECE):
        size += len(piece)
        if size > limit:
            raise TooLargeError(_too_large(limit))
        pieces.append(piece)
    return b"".join(pieces)


def unpack(body: bytes, encoding: str, limit: int, understood: Collection[str] = ("gzip",)) -> bytes:
    """The body without its ``Content-Encoding``.

    Raises :class:`TooLargeError` when it unpacks to more than ``limit`` bytes, :class:`UnreadableError` when it is
    damaged or cut off, :class:`UnsupportedError` for an encoding that is not ``understood``.
    """
    name = encoding.strip().lower()
    name = _OTHER_NAMES.get(name, name)
    if name in ("", "identity"):
        return body
    if name not in understood:
        raise UnsupportedError(
            f"Content-Encoding {encoding.strip()!r} is not understood; send {', '.join(understood)} or none."
        )
    return _UNPACK[name](body, limit)


def _gzip(body: bytes, limit: int) -> bytes:
    pieces: list[bytes] = []
    room = limit + 1
    view, at = memoryview(body), 0
    for _ in range(MOST_MEMBERS):
        at, room = _unpack_member(view, at, pieces, room)
        if room <= 0:
            raise TooLargeError(_too_large(limit))
        at = _after_padding(view, at)
        if at == len(view):
            return b"".join(pieces)
    raise UnreadableError(f"The gzip body has more than {MOST_MEMBERS:,} members. Compress it in one go.")


def _deflate(body: bytes, limit: int) -> bytes:
    """Deflate as HTTP defines it, in a zlib wrapper (RFC 9110, 8.4.1.2), or bare, as many clients send it."""
    for wrapping in (zlib.MAX_WBITS, -zlib.MAX_WBITS):
        stream = zlib.decompressobj(wrapping)
        try:
            unpacked = stream.decompress(body, limit + 1)
        except zlib.error:
            continue
        if len(unpacked) > limit:
            raise TooLargeError(_too_large(limit))
        if stream.eof and not stream.unused_data:
            return unpacked
    raise UnreadableError("The body is not deflate as Content-Encoding says, or is cut off.")


_OTHER_NAMES = {"x-gzip": "gzip", "x-deflate": "deflate"}
_UNPACK: dict[str, Callable[[bytes, int], bytes]] = {"gzip": _gzip, "deflate": _deflate}


def _unpack_member(view: memoryview, at: int, pieces: list[bytes], room: int) -> tuple[int, int]:
    """Unpack the gzip member that begins at ``at``; where it ends, and how much room is left."""
    member = zlib.decompressobj(_GZIP)
    while not member.eof and room > 0:
        # In bounded pieces: zlib copies what is left of its input at the end of every member.
        packed = view[at : at + PIECE]
        if not packed:
            raise UnreadableError("The gzip body is cut off before its end.")
        try:
            piece = member.decompress(packed, room)
        except zlib.error as fault:
            raise UnreadableError(f"The body is not gzip as Content-Encoding says: {fault}.") from None
        at += len(packed) - len(member.unconsumed_tail) - len(member.unused_data)
        room -= len(piece)
        pieces.append(piece)
    return at, room


def _after_padding(view: memoryview, at: int) -> int:
    while at < len(view):
        piece = bytes(view[at : at + PIECE])
        data = piece.lstrip(b"\0")
        at += len(piece) - len(data)
        if data:
            break
    return at


def _too_large(limit: int) -> str:
    return f"The body is larger than {limit // (1024 * 1024)} MiB unpacked. Send it in several requests."
