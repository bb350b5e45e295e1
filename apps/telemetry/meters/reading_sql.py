"""Meter readings as columns, at the speed of either database: what lies in a stretch of time, and what beside it."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import psycopg
from django.db import connection

from apps.telemetry.batch import Float64Array, Int64Array
from apps.telemetry.meters.increments import GAUGE, NO_VALUE_FROM

Columns = tuple[Int64Array, Int64Array, Float64Array, Int64Array]  # series, at [ms], value, start [ms]

_FETCHED = 50_000
_CHUNK = 500  # series a query where they are written out
_BETWEEN = """
SELECT series_id, at_ms, value, start_ms FROM telemetry_meterreading
WHERE organisation_id = {organisation} AND at_ms >= {first} AND at_ms < {end}
"""
# What says no value is no neighbour; the end of a series is one of a gauge only.
_SAYS = "(kind = {gauge} AND value IS NULL OR value >= 0 AND value < {no_value})"
_NEXT_TO = ("at_ms < {first} ORDER BY at_ms DESC", "at_ms >= {end} AND at_ms < {last} ORDER BY at_ms")
_LATERAL = """
SELECT series.id, at_ms, value, start_ms
FROM telemetry_series series JOIN telemetry_meter meter ON meter.id = series.meter_id
CROSS JOIN LATERAL (
    SELECT at_ms, value, start_ms FROM telemetry_meterreading
    WHERE series_id = series.id AND {says} AND {next_to} LIMIT 1
) reading
WHERE series.id IN ({ids})
"""
_CORRELATED = """
SELECT beside.id, reading.at_ms, reading.value, reading.start_ms
FROM (
    SELECT series.id, (
        SELECT at_ms FROM telemetry_meterreading INDEXED BY meter_reading_series
        WHERE series_id = series.id AND {says} AND {next_to} LIMIT 1
    ) AS at_ms
    FROM telemetry_series series JOIN telemetry_meter meter ON meter.id = series.meter_id
    WHERE series.id IN ({ids})
) beside
CROSS JOIN telemetry_meterreading reading
WHERE reading.organisation_id = {organisation} AND reading.at_ms = beside.at_ms AND reading.series_id = beside.id
"""


def between(organisation_id: int, first_ms: int, end_ms: int) -> Columns:
    """The readings of an organisation in ``[first_ms, end_ms)``; ``value`` NaN where a series ends."""
    return _fetched(_BETWEEN.format(organisation=int(organisation_id), first=int(first_ms), end=int(end_ms)))


def beside(organisation_id: int, series: Int64Array, first_ms: int, end_ms: int, last_ms: int) -> Columns:
    """Of each series the last reading before ``first_ms``, and the first from ``end_ms`` on and before ``last_ms``."""
    blocks = []
    template = _LATERAL if connection.vendor == "postgresql" else _CORRELATED
    says = _SAYS.format(gauge=GAUGE, no_value=NO_VALUE_FROM)
    for next_to in _NEXT_TO:
        bounds = next_to.format(first=int(first_ms), end=int(end_ms), last=int(last_ms))
        for i in range(0, len(series), _CHUNK):
            ids = ", ".join(map(str, series[i : i + _CHUNK].tolist()))
            values = {"organisation": int(organisation_id), "says": says, "next_to": bounds, "ids": ids}
            blocks.append(_fetched(template.format(**values)))
    columns = [np.concatenate(column) for column in zip(*blocks, strict=True)]
    return cast("Columns", tuple(columns))


def _fetched(statement: str) -> Columns:
    if connection.vendor == "postgresql":
        return _copied(statement)
    blocks = [np.empty((0, 4), np.float64)]
    with connection.cursor() as cursor:
        cursor.execute(statement)
        while rows := cursor.fetchmany(_FETCHED):
            blocks.append(np.array(rows, dtype=np.float64))
    # Instants and ids are far below 2**53: a double holds them exactly.
    table = np.concatenate(blocks)
    return table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2], table[:, 3].astype(np.int64)


_HEADER = 19  # bytes of signature, flags and extension before the first row of PostgreSQL's binary COPY
_ROW = np.dtype(
    [("fields", ">i2"), *((f"{kind}{i}", code) for i, value in enumerate((">i8", ">i8", ">f8", ">i8"))
                          for kind, code in (("length", ">i4"), ("value", value)))]
)  # fmt: skip


def _copied(statement: str) -> Columns:
    """A query's rows by binary COPY: one block of big-endian numbers, no Python object for each."""
    connection.ensure_connection()
    raw = cast("psycopg.Connection[Any]", connection.connection)
    wide = (
        "SELECT series_id::bigint, at_ms, COALESCE(value, 'NaN'), start_ms"  # noqa: S608 - integers are put in
        f" FROM ({statement}) AS found(series_id, at_ms, value, start_ms)"
    )
    copying = f"COPY ({wide}) TO STDOUT (FORMAT BINARY)"
    with connection.wrap_database_errors, psycopg.Cursor(raw) as cursor, cursor.copy(copying) as copy:
        block = b"".join(copy)
    table = np.frombuffer(block, dtype=_ROW, offset=_HEADER, count=(len(block) - _HEADER - 2) // _ROW.itemsize)
    series, at_ms, start_ms = (table[f"value{i}"].astype(np.int64) for i in (0, 1, 3))
    return series, at_ms, table["value2"].astype(np.float64), start_ms
