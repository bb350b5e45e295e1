"""Evidence files: what they may be, told by their content and not by their name."""

from __future__ import annotations

import codecs
import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import BinaryIO

MOST_BYTES = 20 * 1024 * 1024
CHUNK = 64 * 1024
ACCEPTED = ".pdf,.png,.jpg,.jpeg,.csv,.xlsx"

CONTENT_TYPES = {
    "pdf": "application/pdf",
    "png": "image/png",
    "jpg": "image/jpeg",
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
EXTENSIONS = {".pdf": "pdf", ".png": "png", ".jpg": "jpg", ".jpeg": "jpg", ".csv": "csv", ".xlsx": "xlsx"}
SIGNATURES = {"pdf": b"%PDF-", "png": b"\x89PNG\r\n\x1a\n", "jpg": b"\xff\xd8\xff"}


@dataclass(frozen=True, slots=True)
class EvidenceFile:
    """A file that may be kept: its name without a path, its kind, its size in bytes and its SHA-256."""

    name: str
    kind: str
    size: int
    digest: str


def examine(name: str, content: BinaryIO) -> EvidenceFile:
    """What a file is. Leaves ``content`` at its beginning. Raises ``ValueError`` with what would be accepted."""
    name = PurePath(name.replace("\\", "/")).name[-200:]
    size, digest = 0, hashlib.sha256()
    for chunk in _chunks(content):
        size += len(chunk)
        digest.update(chunk)
        if size > MOST_BYTES:
            raise ValueError(f"{name} is larger than {MOST_BYTES // 1024**2} MiB. Upload an extract of it.")
    if size == 0:
        raise ValueError(f"{name} is empty.")
    kind = EXTENSIONS.get(PurePath(name).suffix.lower())
    if kind is None or not _is(kind, content):
        raise ValueError(
            f"{name} is no PDF, PNG, JPEG, CSV or XLSX file: its name and its content have to say the same."
        )
    content.seek(0)
    return EvidenceFile(name, kind, size, digest.hexdigest())


def content_type(name: str) -> str:
    """The media type of a stored file."""
    return CONTENT_TYPES[EXTENSIONS[PurePath(name).suffix.lower()]]


def _chunks(content: BinaryIO) -> Iterator[bytes]:
    content.seek(0)
    while chunk := content.read(CHUNK):
        yield chunk


def _is(kind: str, content: BinaryIO) -> bool:
    if kind in SIGNATURES:
        content.seek(0)
        return content.read(16).startswith(SIGNATURES[kind])
    return _is_workbook(content) if kind == "xlsx" else _is_text(content)


def _is_workbook(content: BinaryIO) -> bool:
    try:
        with zipfile.ZipFile(content) as archive:
            return {"[Content_Types].xml", "xl/workbook.xml"} <= set(archive.namelist())
    except (zipfile.BadZipFile, ValueError, OSError):
        return False


def _is_text(content: BinaryIO) -> bool:
    """UTF-8 without control characters, which a web page in disguise may also be: it is only ever downloaded."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for chunk in _chunks(content):
            if any(character < " " and character not in "\t\r\n" for character in decoder.decode(chunk)):
                return False
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
