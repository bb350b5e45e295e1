"""PostgreSQL: binary COPY into a temporary table and one upsert from there; small batches as binary arrays.

Both are laid out by NumPy as whole blocks of big-endian integers, so that no Python object is made per value.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast
from weakref import WeakSet

import numpy as np
import psycopg
from django.db import connection, transaction
from django.utils import timezone
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types.numeric import Int8

from apps.core.windows import from_epoch_ms
from apps.telemetry.batch import ABSENT, Int64Array
from apps.telemetry.bulk import WORK_COLUMNS, ReadingRows, Stored

# Measured: below this many rows an array parameter is cheaper than a COPY.
COPY_FROM_ROWS = 200
FIRST_PARTITION_YEAR = 2015  # older readings share one partition
INT8_OID, INT8_ARRAY_OID = 20, 1016
PARTITION_LOCK = 0x7061_7274  # the advisory lock that makers of partitions take turns with
_KEY_AND_ENERGY = ("start_ms", "source_id", "end_ms", "attribution_id", "energy_microwatt_hours")
_COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_TRAILER = b"\xff\xff"

_known_partitions: set[tuple[str, str]] = set()
_adapted: WeakSet[psycopg.Connection[Any]] = WeakSet()
_staged: WeakSet[psycopg.Connection[Any]] = WeakSet()


class _Int8ArrayDumper(Dumper):
    """A NumPy int64 array as ``bigint[]`` in PostgreSQL's binary form."""

    format = Format.BINARY
    oid = INT8_ARRAY_OID

    def dump(self, obj: Int64Array) -> bytes:
        header = np.array([1, 0, INT8_OID, len(obj), 1], dtype=">i4")
        body = np.empty(len(obj), dtype=[("length", ">i4"), ("value", ">i8")])
        body["length"], body["value"] = 8, obj
        return header.tobytes() + body.tobytes()


def _cursor() -> psycopg.Cursor[Any]:
    """A cursor of psycopg itself, below Django's: it binds on the server and speaks the binary protocol."""
    connection.ensure_connection()
    raw = cast("psycopg.Connection[Any]", connection.connection)
    if raw not in _adapted:
        raw.adapters.register_dumper(np.ndarray, _Int8ArrayDumper)
        _adapted.add(raw)
    return psycopg.Cursor(raw)


class PostgresqlWriter:
    def prepare(self, start_ms: Int64Array) -> None:
        """Make the monthly partitions that are missing, and this connection's temporary table."""
        if not len(start_ms):
            return
        months = np.unique(start_ms.astype("datetime64[ms]").astype("datetime64[M]"))
        wanted = {_partition_of(month) for month in months}
        database = str(connection.settings_dict["NAME"])
        missing = sorted(part for part in wanted if (database, part[0]) not in _known_partitions)
        if missing:
            _make_partitions(missing)
            if not connection.in_atomic_block:  # what a surrounding transaction may roll back is not known for good
                _known_partitions.update((database, name) for name, _, _ in missing)
        with _cursor() as cursor:
            raw = cursor.connection
        if raw not in _staged or connection.in_atomic_block:
            columns = [f"{name} bigint NOT NULL" for name in _KEY_AND_ENERGY]
            columns += [f"{name} bigint NOT NULL DEFAULT {ABSENT}" for name in WORK_COLUMNS]
            with connection.cursor() as django_cursor:
                django_cursor.execute(
                    f"CREATE TEMP TABLE IF NOT EXISTS telemetry_stage ({', '.join(columns)}) ON COMMIT DELETE ROWS"
                )
            if not connection.in_atomic_block:
                _staged.add(raw)

    def turn(self) -> AbstractContextManager[object]:
        """Writers do not wait for each other."""
        return nullcontext()

    def insert(self, rows: ReadingRows) -> int:
        with connection.wrap_database_errors, _cursor() as cursor:
            if len(rows) >= COPY_FROM_ROWS:
                _stage(cursor, rows)
                cursor.execute(
                    _insert_from("telemetry_stage", rows),
                    (Int8(rows.organisation_id), Int8(rows.receipt_id)),
                    prepare=True,
                    binary=True,
                )
            else:
                names = [*_KEY_AND_ENERGY, *(name for name, _ in rows.work)]
                arrays = ", ".join(["%b"] * len(names))
                cursor.execute(
                    _insert_from(f"unnest({arrays}) AS staged({', '.join(names)})", rows),
                    (Int8(rows.organisation_id), Int8(rows.receipt_id), *_columns(rows)),
                    prepare=True,
                    binary=True,
                )
            return cursor.rowcount

    def stored_by_others(self, rows: ReadingRows) -> Stored:
        with connection.wrap_database_errors, _cursor() as cursor:
            # The key's columns once more as bounds, so that only the partitions concerned are opened.
            cursor.execute(
                "SELECT start_ms, source_id, end_ms, attribution_id, energy_microwatt_hours, tokens, requests, samples,"
                " milli_epochs FROM telemetry_reading JOIN unnest(%b, %b, %b) AS k(start_ms, source_id, end_ms)"
                " USING (start_ms, source_id, end_ms)"
                " WHERE organisation_id = %b AND start_ms BETWEEN %b AND %b AND receipt_id <> %b"
                " ORDER BY start_ms, source_id, end_ms FOR UPDATE OF telemetry_reading",
                (
                    rows.start_ms,
                    rows.source_id,
                    rows.end_ms,
                    rows.organisation_id,
                    int(rows.start_ms.min()),
                    int(rows.start_ms.max()),
                    rows.receipt_id,
                ),
            )
            return {(row[0], row[1], row[2]): row[3:] for row in cursor}

    def mark_dirty(self, organisation_id: int, hours: Int64Array) -> None:
        with connection.wrap_database_errors, _cursor() as cursor:
            cursor.execute(
                "INSERT INTO telemetry_dirtyhour (organisation_id, hour, marked_at) SELECT %b, unnest(%b), %b",
                (organisation_id, hours, timezone.now()),
                prepare=True,
            )

    def touch_sources(self, ids: Int64Array, first_ms: Int64Array, last_ms: Int64Array) -> None:
        with connection.wrap_database_errors, _cursor() as cursor:
            cursor.execute(
                "UPDATE telemetry_source AS source SET"
                " first_reading_at = least(first_reading_at, to_timestamp(seen.first / 1000.0)),"
                " last_reading_at = greatest(last_reading_at, to_timestamp(seen.last / 1000.0))"
                " FROM unnest(%b, %b, %b) AS seen(id, first, last) WHERE source.id = seen.id",
                (ids, first_ms, last_ms),
                prepare=True,
            )


def _columns(rows: ReadingRows) -> list[Int64Array]:
    return [*(getattr(rows, name) for name in _KEY_AND_ENERGY), *(column for _, column in rows.work)]


def _insert_from(source: str, rows: ReadingRows) -> str:
    work = [(name, f"nullif({name}, {ABSENT})" if column.min(initial=0) < 0 else name) for name, column in rows.work]
    names = "".join(f", {name}" for name, _ in work)
    values = "".join(f", {value}" for _, value in work)
    keys = ", ".join(_KEY_AND_ENERGY)
    return (
        f"INSERT INTO telemetry_reading (organisation_id, receipt_id, {keys}{names})"  # noqa: S608
        f" SELECT %b, %b, {keys}{values} FROM {source} ON CONFLICT DO NOTHING"
    )


def _stage(cursor: psycopg.Cursor[Any], rows: ReadingRows) -> None:
    """Copy the rows into the temporary table, as one block in PostgreSQL's binary COPY form."""
    if connection.savepoint_ids:
        cursor.execute("TRUNCATE telemetry_stage")  # a surrounding transaction has not emptied it by its commit
    columns = _columns(rows)
    fields: list[tuple[str, str]] = [("fields", ">i2")]
    for i in range(len(columns)):
        fields += [(f"length{i}", ">i4"), (f"value{i}", ">i8")]
    block = np.empty(len(rows), dtype=fields)
    block["fields"] = len(columns)
    for i, column in enumerate(columns):
        block[f"length{i}"], block[f"value{i}"] = 8, column
    names = ", ".join([*_KEY_AND_ENERGY, *(name for name, _ in rows.work)])
    with cursor.copy(f"COPY telemetry_stage ({names}) FROM STDIN (FORMAT BINARY)") as copy:
        copy.write(_COPY_HEADER + block.tobytes() + _COPY_TRAILER)


Partition = tuple[str, str, str]  # name, first and end bound [ms] as SQL


def _partition_of(month: np.datetime64) -> Partition:
    first, end = month, month + np.timedelta64(1, "M")
    if month < np.datetime64(f"{FIRST_PARTITION_YEAR}-01"):
        bound = np.datetime64(f"{FIRST_PARTITION_YEAR}-01").astype("datetime64[ms]").astype(np.int64)
        return "telemetry_reading_before", "MINVALUE", str(bound)
    name = "telemetry_reading_" + str(month).replace("-", "_")
    bounds = [str(int(edge.astype("datetime64[ms]").astype(np.int64))) for edge in (first, end)]
    return name, bounds[0], bounds[1]


def _make_partitions(partitions: list[Partition]) -> None:
    """Attach new partitions. ATTACH leaves running inserts alone, which CREATE ... PARTITION OF would wait for."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [PARTITION_LOCK])
        for name, first, end in partitions:
            cursor.execute("SELECT to_regclass(%s)", [name])
            if cursor.fetchone()[0] is None:
                cursor.execute(f"CREATE TABLE {name} (LIKE telemetry_reading INCLUDING DEFAULTS INCLUDING INDEXES)")
                cursor.execute(
                    f"ALTER TABLE telemetry_reading ATTACH PARTITION {name} FOR VALUES FROM ({first}) TO ({end})"
                )


def partition_name(milliseconds: int) -> str:
    """The partition that holds readings beginning at a time [ms]."""
    moment = from_epoch_ms(milliseconds)
    return _partition_of(np.datetime64(f"{moment:%Y-%m}"))[0]
