"""Meter readings in PostgreSQL."""

from __future__ import annotations

import numpy as np
from django.db import connection
from psycopg.types.numeric import Int8

from apps.telemetry.batch import Int64Array
from apps.telemetry.bulk import MeterRows, Neighbours, StoredValues
from apps.telemetry.bulk.wire import COPY_FROM_ROWS, Doubles, copy_into, raw_cursor

METER_STAGE = {
    "telemetry_meter_stage": "at_ms bigint NOT NULL, series_id bigint NOT NULL, value double precision NOT NULL,"
    " start_ms bigint NOT NULL"
}
INTAKE_LOCK = 0x6D74_7264  # the advisory locks of the intakes of meter readings, one for each organisation
TOUCHED_LATE_MS = 600_000  # a series' last reading is kept to five minutes

# A series that was last read before the time in question has nothing to say; most of a GPU's pods are long gone.
_NEIGHBOURS = """
SELECT coalesce((
        SELECT max(found.at_ms) FROM telemetry_series s, LATERAL (
            SELECT at_ms FROM telemetry_meterreading r
            WHERE r.series_id = s.id AND r.at_ms < seen.first AND r.at_ms >= seen.first - %b AND r.value IS NOT NULL
            ORDER BY at_ms DESC LIMIT 1
        ) found WHERE s.meter_id = seen.meter AND seen.series IN (0, s.id)
            AND s.last_at >= to_timestamp((seen.first - %b) / 1000.0)
    ), 0), coalesce((
        SELECT min(found.at_ms) FROM telemetry_series s, LATERAL (
            SELECT at_ms FROM telemetry_meterreading r
            WHERE r.series_id = s.id AND r.at_ms > seen.last AND r.at_ms <= seen.last + %b AND r.value IS NOT NULL
            ORDER BY at_ms LIMIT 1
        ) found WHERE s.meter_id = seen.meter AND seen.series IN (0, s.id)
            AND s.last_at >= to_timestamp((seen.last - %b) / 1000.0)
    ), 0)
FROM unnest(%b, %b, %b, %b) WITH ORDINALITY AS seen(meter, series, first, last, place) ORDER BY seen.place
"""


class PostgresqlMeterWriter:
    def take_meters(self, organisation_id: int, *, alone: bool) -> None:
        kind = "" if alone else "_shared"
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_advisory_xact_lock{kind}(%s, %s)", [INTAKE_LOCK, organisation_id])

    def newest_meter_reading(self, organisation_id: int, since_ms: int) -> int | None:
        with connection.wrap_database_errors, raw_cursor() as cursor:
            cursor.execute(
                "SELECT at_ms FROM telemetry_meterreading WHERE organisation_id = %b AND at_ms >= %b"
                " ORDER BY at_ms DESC LIMIT 1",
                (organisation_id, since_ms),
            )
            found = cursor.fetchone()
        return None if found is None else int(found[0])

    def neighbours(
        self, meters: Int64Array, series: Int64Array, first_ms: Int64Array, last_ms: Int64Array, within_ms: int
    ) -> Neighbours:
        with connection.wrap_database_errors, raw_cursor() as cursor:
            cursor.execute(
                _NEIGHBOURS,
                (
                    Int8(within_ms),
                    Int8(within_ms + TOUCHED_LATE_MS),
                    Int8(within_ms),
                    Int8(TOUCHED_LATE_MS),
                    meters,
                    series,
                    first_ms,
                    last_ms,
                ),
            )
            found = np.array(cursor.fetchall(), dtype=np.int64).reshape(-1, 2)
        return Neighbours(found[:, 0].copy(), found[:, 1].copy())

    def insert_meters(self, rows: MeterRows) -> int:
        value = "nullif(value, 'NaN')" if np.isnan(rows.value).any() else "value"
        insert = (
            "INSERT INTO telemetry_meterreading (organisation_id, receipt_id, at_ms, series_id, value, start_ms)"  # noqa: S608
            f" SELECT %b, %b, at_ms, series_id, {value}, start_ms FROM {{}} ON CONFLICT DO NOTHING"
        )
        constants = (Int8(rows.organisation_id), Int8(rows.receipt_id))
        with connection.wrap_database_errors, raw_cursor() as cursor:
            if len(rows) >= COPY_FROM_ROWS:
                names = ("at_ms", "series_id", "value", "start_ms")
                copy_into(cursor, "telemetry_meter_stage", [(name, getattr(rows, name)) for name in names])
                cursor.execute(insert.format("telemetry_meter_stage"), constants, prepare=True, binary=True)
            else:
                staged = "unnest(%b, %b, %b, %b) AS staged(at_ms, series_id, value, start_ms)"
                columns = (rows.at_ms, rows.series_id, Doubles(rows.value), rows.start_ms)
                cursor.execute(insert.format(staged), (*constants, *columns), prepare=True, binary=True)
            return cursor.rowcount

    def stored_values(self, rows: MeterRows, *, of_others: bool) -> StoredValues:
        condition = "AND receipt_id <> %b" if of_others else "AND receipt_id >= %b"
        with connection.wrap_database_errors, raw_cursor() as cursor:
            # The time once more as bounds, so that only the partitions concerned are opened.
            cursor.execute(
                "SELECT at_ms, series_id, value FROM telemetry_meterreading"  # noqa: S608
                " JOIN unnest(%b, %b) AS k(at_ms, series_id) USING (at_ms, series_id)"
                f" WHERE organisation_id = %b AND at_ms BETWEEN %b AND %b {condition}",
                (
                    rows.at_ms,
                    rows.series_id,
                    rows.organisation_id,
                    int(rows.at_ms.min()),
                    int(rows.at_ms.max()),
                    Int8(rows.receipt_id if of_others else 0),
                ),
            )
            return {(row[0], row[1]): row[2] for row in cursor}
