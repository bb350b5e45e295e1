"""PostgreSQL's binary protocol: columns as arrays and as COPY blocks, without a Python object per value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast
from weakref import WeakSet

import numpy as np
import psycopg
from django.db import connection
from psycopg.adapt import Dumper
from psycopg.pq import Format

from apps.telemetry.batch import Float64Array, Int64Array

# Measured: below this many rows an array parameter is cheaper than a COPY.
COPY_FROM_ROWS = 200
INT8_OID, INT8_ARRAY_OID = 20, 1016
FLOAT8_OID, FLOAT8_ARRAY_OID = 701, 1022
_COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_TRAILER = b"\xff\xff"

_adapted: WeakSet[psycopg.Connection[Any]] = WeakSet()
_staged: WeakSet[psycopg.Connection[Any]] = WeakSet()


class Doubles(NamedTuple):
    """A float64 column as a parameter of ``double precision[]``; int64 columns are given as they are."""

    column: Float64Array


def _array(column: Int64Array | Float64Array, oid: int, value_type: str) -> bytes:
    header = np.array([1, 0, oid, len(column), 1], dtype=">i4")
    body = np.empty(len(column), dtype=[("length", ">i4"), ("value", value_type)])
    body["length"], body["value"] = 8, column
    return header.tobytes() + body.tobytes()


class _Int8ArrayDumper(Dumper):
    """A NumPy int64 array as ``bigint[]`` in PostgreSQL's binary form."""

    format = Format.BINARY
    oid = INT8_ARRAY_OID

    def dump(self, obj: Int64Array) -> bytes:
        return _array(obj, INT8_OID, ">i8")


class _Float8ArrayDumper(Dumper):
    format = Format.BINARY
    oid = FLOAT8_ARRAY_OID

    def dump(self, obj: Doubles) -> bytes:
        return _array(obj.column, FLOAT8_OID, ">f8")


def raw_cursor() -> psycopg.Cursor[Any]:
    """A cursor of psycopg itself, below Django's: it binds on the server and speaks the binary protocol."""
    connection.ensure_connection()
    raw = cast("psycopg.Connection[Any]", connection.connection)
    if raw not in _adapted:
        raw.adapters.register_dumper(np.ndarray, _Int8ArrayDumper)
        raw.adapters.register_dumper(Doubles, _Float8ArrayDumper)
        _adapted.add(raw)
    return psycopg.Cursor(raw)


def ensure_stages(definitions: dict[str, str]) -> None:
    """Make this connection's temporary tables, which a commit empties: name to columns."""
    with raw_cursor() as cursor:
        raw = cursor.connection
    if raw in _staged and not connection.in_atomic_block:
        return
    with connection.cursor() as django_cursor:
        for name, columns in definitions.items():
            django_cursor.execute(f"CREATE TEMP TABLE IF NOT EXISTS {name} ({columns}) ON COMMIT DELETE ROWS")
    if not connection.in_atomic_block:
        _staged.add(raw)


Columns = Sequence[tuple[str, Int64Array | Float64Array]]


def copy_into(cursor: psycopg.Cursor[Any], stage: str, columns: Columns) -> None:
    """Copy columns of equal length (int64 or float64) into a temporary table, as one block."""
    if connection.savepoint_ids:
        cursor.execute(f"TRUNCATE {stage}")  # a surrounding transaction has not emptied it by its commit
    fields: list[tuple[str, str]] = [("fields", ">i2")]
    for name, column in columns:
        fields += [(f"length of {name}", ">i4"), (name, ">f8" if column.dtype.kind == "f" else ">i8")]
    block = np.empty(len(columns[0][1]), dtype=fields)
    block["fields"] = len(columns)
    for name, column in columns:
        block[f"length of {name}"], block[name] = 8, column
    names = ", ".join(name for name, _ in columns)
    with cursor.copy(f"COPY {stage} ({names}) FROM STDIN (FORMAT BINARY)") as copy:
        copy.write(_COPY_HEADER + block.tobytes() + _COPY_TRAILER)
