"""SQLite: executemany on the raw connection, past Django's cursor wrapper."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from django.db import connection
from django.utils import timezone

from apps.telemetry.batch import ABSENT, Int64Array
from apps.telemetry.bulk import ReadingRows, Stored
from apps.telemetry.bulk.sqlite_meters import SqliteMeterWriter


def _texts(milliseconds: Int64Array) -> list[str]:
    """Times as Django reads them in SQLite."""
    texts = np.datetime_as_string(milliseconds.astype("datetime64[ms]")).tolist()
    return [text.replace("T", " ") for text in texts]


class SqliteWriter(SqliteMeterWriter):
    def prepare(self, start_ms: Int64Array) -> None:
        """One table holds every month."""

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Queue up with the intakes of all processes before the transaction begins.

        SQLite itself lets a writer that finds the file locked sleep and try again, ever longer; in a queue the next
        one starts at the moment the one before ends. Other writers need not take part.
        """
        path = str(connection.settings_dict["NAME"])
        if connection.in_atomic_block or "memory" in path:
            yield
            return
        with Path(f"{path}-intake").open("wb") as queue:
            fcntl.flock(queue, fcntl.LOCK_EX)
            yield

    def insert(self, rows: ReadingRows) -> int:
        columns: list[Any] = [
            rows.start_ms.tolist(),
            rows.source_id.tolist(),
            rows.end_ms.tolist(),
            rows.attribution_id.tolist(),
            rows.energy_microwatt_hours.tolist(),
        ]
        names = ["start_ms", "source_id", "end_ms", "attribution_id", "energy_microwatt_hours"]
        marks = ["?"] * 5
        for name, column in rows.work:
            columns.append(column.tolist())
            names.append(name)
            marks.append(f"nullif(?, {ABSENT})" if column.min(initial=0) < 0 else "?")
        constants = f"{int(rows.organisation_id)}, {int(rows.receipt_id)}"
        sql = (
            f"INSERT OR IGNORE INTO telemetry_reading (organisation_id, receipt_id, {', '.join(names)})"  # noqa: S608
            f" VALUES ({constants}, {', '.join(marks)})"
        )
        connection.ensure_connection()
        with connection.wrap_database_errors:
            return int(connection.connection.executemany(sql, zip(*columns, strict=True)).rowcount)

    def stored_by_others(self, rows: ReadingRows) -> Stored:
        return self._stored(rows, " AND receipt_id <> ?", (rows.receipt_id,))

    def stored(self, rows: ReadingRows) -> Stored:
        return self._stored(rows, "", ())

    def _stored(self, rows: ReadingRows, condition: str, parameters: tuple[int, ...]) -> Stored:
        sql = (
            "SELECT attribution_id, energy_microwatt_hours, tokens, requests, samples, milli_epochs"  # noqa: S608
            " FROM telemetry_reading WHERE organisation_id = ? AND start_ms = ? AND source_id = ? AND end_ms = ?"
            + condition
        )
        stored: Stored = {}
        connection.ensure_connection()
        with connection.wrap_database_errors:
            cursor = connection.connection.cursor()
            keys = zip(rows.start_ms.tolist(), rows.source_id.tolist(), rows.end_ms.tolist(), strict=True)
            for key in keys:
                found = cursor.execute(sql, (rows.organisation_id, *key, *parameters)).fetchone()
                if found:
                    stored[key] = tuple(found)
        return stored

    def mark_dirty(self, organisation_id: int, hours: Int64Array) -> None:
        now = str(timezone.now().replace(tzinfo=None))
        connection.ensure_connection()
        with connection.wrap_database_errors:
            connection.connection.executemany(
                "INSERT INTO telemetry_dirtyhour (organisation_id, hour, marked_at) VALUES (?, ?, ?)",
                [(organisation_id, hour, now) for hour in hours.tolist()],
            )

    def touch_sources(self, ids: Int64Array, first_ms: Int64Array, last_ms: Int64Array) -> None:
        _touch("telemetry_source", "first_reading_at", "last_reading_at", (ids, first_ms, last_ms))

    def touch_series(self, ids: Int64Array, first_ms: Int64Array, last_ms: Int64Array) -> None:
        _touch("telemetry_series", "first_at", "last_at", (ids, first_ms, last_ms))


def _touch(table: str, first: str, last: str, columns: tuple[Int64Array, Int64Array, Int64Array]) -> None:
    ids, firsts, lasts = columns[0].tolist(), _texts(columns[1]), _texts(columns[2])
    connection.ensure_connection()
    with connection.wrap_database_errors:
        connection.connection.executemany(
            f"UPDATE {table} SET {first} = min(coalesce({first}, ?), ?),"  # noqa: S608
            f" {last} = max(coalesce({last}, ?), ?) WHERE id = ?",
            zip(firsts, firsts, lasts, lasts, ids, strict=True),
        )
