"""PostgreSQL: binary COPY into a temporary table and one upsert from there; small batches as binary arrays.

Both are laid out by NumPy as whole blocks of big-endian integers, so that no Python object is made per value.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from django.db import connection
from django.utils import timezone
from psycopg.types.numeric import Int8

from apps.telemetry.batch import ABSENT, Int64Array
from apps.telemetry.bulk import WORK_COLUMNS, ReadingRows, Stored, partitions
from apps.telemetry.bulk.postgresql_meters import METER_STAGE, PostgresqlMeterWriter
from apps.telemetry.bulk.wire import COPY_FROM_ROWS, copy_into, ensure_stages, raw_cursor

_KEY_AND_ENERGY = ("start_ms", "source_id", "end_ms", "attribution_id", "energy_microwatt_hours")
_STAGES = {
    "telemetry_stage": ", ".join(
        [f"{name} bigint NOT NULL" for name in _KEY_AND_ENERGY]
        + [f"{name} bigint NOT NULL DEFAULT {ABSENT}" for name in WORK_COLUMNS]
    ),
    **METER_STAGE,
}


class PostgresqlWriter(PostgresqlMeterWriter):
    def prepare(self, start_ms: Int64Array) -> None:
        """Make the monthly partitions that are missing, and this connection's temporary tables."""
        if len(start_ms):
            partitions.ensure(partitions.READINGS, start_ms)
            ensure_stages(_STAGES)

    def prepare_meters(self, at_ms: Int64Array) -> None:
        if len(at_ms):
            partitions.ensure(partitions.METER_READINGS, at_ms)
            ensure_stages(_STAGES)

    def turn(self) -> AbstractContextManager[object]:
        """Writers do not wait for each other."""
        return nullcontext()

    def insert(self, rows: ReadingRows) -> int:
        with connection.wrap_database_errors, raw_cursor() as cursor:
            if len(rows) >= COPY_FROM_ROWS:
                copy_into(cursor, "telemetry_stage", _columns(rows))
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
                    (
                        Int8(rows.organisation_id),
                        Int8(rows.receipt_id),
                        *(column for _, column in _columns(rows)),
                    ),
                    prepare=True,
                    binary=True,
                )
            return cursor.rowcount

    def stored_by_others(self, rows: ReadingRows) -> Stored:
        return self._stored(rows, "AND receipt_id <> %b", (rows.receipt_id,))

    def stored(self, rows: ReadingRows) -> Stored:
        return self._stored(rows, "", ())

    def _stored(self, rows: ReadingRows, condition: str, parameters: tuple[int, ...]) -> Stored:
        with connection.wrap_database_errors, raw_cursor() as cursor:
            # The key's columns once more as bounds, so that only the partitions concerned are opened.
            cursor.execute(
                "SELECT start_ms, source_id, end_ms, attribution_id, energy_microwatt_hours, tokens, requests, samples,"  # noqa: S608
                " milli_epochs FROM telemetry_reading JOIN unnest(%b, %b, %b) AS k(start_ms, source_id, end_ms)"
                " USING (start_ms, source_id, end_ms)"
                f" WHERE organisation_id = %b AND start_ms BETWEEN %b AND %b {condition}"
                " ORDER BY start_ms, source_id, end_ms FOR UPDATE OF telemetry_reading",
                (
                    rows.start_ms,
                    rows.source_id,
                    rows.end_ms,
                    rows.organisation_id,
                    int(rows.start_ms.min()),
                    int(rows.start_ms.max()),
                    *parameters,
                ),
            )
            return {(row[0], row[1], row[2]): row[3:] for row in cursor}

    def mark_dirty(self, organisation_id: int, hours: Int64Array) -> None:
        with connection.wrap_database_errors, raw_cursor() as cursor:
            cursor.execute(
                "INSERT INTO telemetry_dirtyhour (organisation_id, hour, marked_at) SELECT %b, unnest(%b), %b",
                (organisation_id, hours, timezone.now()),
                prepare=True,
            )

    def touch_sources(self, ids: Int64Array, first_ms: Int64Array, last_ms: Int64Array) -> None:
        _touch("telemetry_source", "first_reading_at", "last_reading_at", (ids, first_ms, last_ms))

    def touch_series(self, ids: Int64Array, first_ms: Int64Array, last_ms: Int64Array) -> None:
        _touch("telemetry_series", "first_at", "last_at", (ids, first_ms, last_ms))


def _touch(table: str, first: str, last: str, columns: tuple[Int64Array, Int64Array, Int64Array]) -> None:
    with connection.wrap_database_errors, raw_cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} AS kept SET"  # noqa: S608
            f" {first} = least(kept.{first}, to_timestamp(seen.first / 1000.0)),"
            f" {last} = greatest(kept.{last}, to_timestamp(seen.last / 1000.0))"
            " FROM unnest(%b, %b, %b) AS seen(id, first, last) WHERE kept.id = seen.id",
            columns,
            prepare=True,
        )


def _columns(rows: ReadingRows) -> list[tuple[str, Int64Array]]:
    return [*((name, getattr(rows, name)) for name in _KEY_AND_ENERGY), *rows.work]


def _insert_from(source: str, rows: ReadingRows) -> str:
    work = [(name, f"nullif({name}, {ABSENT})" if column.min(initial=0) < 0 else name) for name, column in rows.work]
    names = "".join(f", {name}" for name, _ in work)
    values = "".join(f", {value}" for _, value in work)
    keys = ", ".join(_KEY_AND_ENERGY)
    return (
        f"INSERT INTO telemetry_reading (organisation_id, receipt_id, {keys}{names})"  # noqa: S608
        f" SELECT %b, %b, {keys}{values} FROM {source} ON CONFLICT DO NOTHING"
    )
