"""Monthly range partitions of the tables of raw rows in PostgreSQL, made when a month's first row comes."""

from __future__ import annotations

import numpy as np
from django.db import connection, transaction

from apps.core.windows import from_epoch_ms
from apps.telemetry.batch import Int64Array

READINGS, METER_READINGS = "telemetry_reading", "telemetry_meterreading"
FIRST_PARTITION_YEAR = 2015  # older rows share one partition
PARTITION_LOCK = 0x7061_7274  # the advisory lock that makers of partitions take turns with

Partition = tuple[str, str, str]  # name, first and end bound [ms] as SQL

_known: set[tuple[str, str]] = set()  # database, partition


def ensure(table: str, milliseconds: Int64Array) -> None:
    """Make the partitions of a table that rows at these times need and that are missing. Outside a transaction."""
    months = np.unique(milliseconds.astype("datetime64[ms]").astype("datetime64[M]"))
    wanted = {_partition_of(table, month) for month in months}
    database = str(connection.settings_dict["NAME"])
    missing = sorted(part for part in wanted if (database, part[0]) not in _known)
    if missing:
        _make(table, missing)
        if not connection.in_atomic_block:  # what a surrounding transaction may roll back is not known for good
            _known.update((database, name) for name, _, _ in missing)


def partition_name(milliseconds: int, table: str = READINGS) -> str:
    """The partition that holds rows of a time [ms]."""
    moment = from_epoch_ms(milliseconds)
    return _partition_of(table, np.datetime64(f"{moment:%Y-%m}"))[0]


def _partition_of(table: str, month: np.datetime64) -> Partition:
    first, end = month, month + np.timedelta64(1, "M")
    if month < np.datetime64(f"{FIRST_PARTITION_YEAR}-01"):
        bound = np.datetime64(f"{FIRST_PARTITION_YEAR}-01").astype("datetime64[ms]").astype(np.int64)
        return f"{table}_before", "MINVALUE", str(bound)
    name = f"{table}_{month}".replace("-", "_")
    bounds = [str(int(edge.astype("datetime64[ms]").astype(np.int64))) for edge in (first, end)]
    return name, bounds[0], bounds[1]


def _make(table: str, partitions: list[Partition]) -> None:
    """Attach new partitions. ATTACH leaves running inserts alone, which CREATE ... PARTITION OF would wait for."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [PARTITION_LOCK])
        for name, first, end in partitions:
            cursor.execute("SELECT to_regclass(%s)", [name])
            if cursor.fetchone()[0] is None:
                cursor.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING INDEXES)")
                cursor.execute(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({first}) TO ({end})")
