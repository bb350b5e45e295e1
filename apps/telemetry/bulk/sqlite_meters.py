"""Meter readings in SQLite."""

from __future__ import annotations

import numpy as np
from django.db import connection

from apps.telemetry.batch import Int64Array
from apps.telemetry.bulk import MeterRows, Neighbours, StoredValues

_BEFORE = """
SELECT max((SELECT r.at_ms FROM telemetry_meterreading r
            WHERE r.series_id = s.id AND r.at_ms < ? AND r.at_ms >= ? AND r.value IS NOT NULL
            ORDER BY r.at_ms DESC LIMIT 1)) FROM telemetry_series s WHERE s.meter_id = ? AND ? IN (0, s.id)
"""
_AFTER = """
SELECT min((SELECT r.at_ms FROM telemetry_meterreading r
            WHERE r.series_id = s.id AND r.at_ms > ? AND r.at_ms <= ? AND r.value IS NOT NULL
            ORDER BY r.at_ms LIMIT 1)) FROM telemetry_series s WHERE s.meter_id = ? AND ? IN (0, s.id)
"""


class SqliteMeterWriter:
    def prepare_meters(self, at_ms: Int64Array) -> None:
        """One table holds every month."""

    def take_meters(self, organisation_id: int, *, alone: bool) -> None:
        """SQLite has one writer at a time."""

    def newest_meter_reading(self, organisation_id: int, since_ms: int) -> int | None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT max(at_ms) FROM telemetry_meterreading WHERE organisation_id = %s AND at_ms >= %s",
                [organisation_id, since_ms],
            )
            found = cursor.fetchone()[0]
        return None if found is None else int(found)

    def neighbours(
        self, meters: Int64Array, series: Int64Array, first_ms: Int64Array, last_ms: Int64Array, within_ms: int
    ) -> Neighbours:
        connection.ensure_connection()
        before, after = np.zeros(len(meters), np.int64), np.zeros(len(meters), np.int64)
        seen = zip(meters.tolist(), series.tolist(), first_ms.tolist(), last_ms.tolist(), strict=True)
        with connection.wrap_database_errors:
            cursor = connection.connection.cursor()
            for i, (meter, one, first, last) in enumerate(seen):
                before[i] = cursor.execute(_BEFORE, (first, first - within_ms, meter, one)).fetchone()[0] or 0
                after[i] = cursor.execute(_AFTER, (last, last + within_ms, meter, one)).fetchone()[0] or 0
        return Neighbours(before, after)

    def insert_meters(self, rows: MeterRows) -> int:
        sql = (
            "INSERT OR IGNORE INTO telemetry_meterreading (organisation_id, receipt_id, at_ms, series_id, value,"  # noqa: S608
            f" start_ms) VALUES ({int(rows.organisation_id)}, {int(rows.receipt_id)}, ?, ?, ?, ?)"
        )
        # SQLite stores NaN as null.
        columns = (rows.at_ms.tolist(), rows.series_id.tolist(), rows.value.tolist(), rows.start_ms.tolist())
        connection.ensure_connection()
        with connection.wrap_database_errors:
            return int(connection.connection.executemany(sql, zip(*columns, strict=True)).rowcount)

    def stored_values(self, rows: MeterRows, *, of_others: bool) -> StoredValues:
        sql = (
            "SELECT value FROM telemetry_meterreading WHERE organisation_id = ? AND at_ms = ? AND series_id = ?"  # noqa: S608
            f" AND receipt_id {'<>' if of_others else '>='} ?"
        )
        receipt_id = rows.receipt_id if of_others else 0
        stored: StoredValues = {}
        connection.ensure_connection()
        with connection.wrap_database_errors:
            cursor = connection.connection.cursor()
            for key in zip(rows.at_ms.tolist(), rows.series_id.tolist(), strict=True):
                found = cursor.execute(sql, (rows.organisation_id, *key, receipt_id)).fetchone()
                if found:
                    stored[key] = found[0]
        return stored
