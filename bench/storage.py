"""S1, S2: the shape of key and row. The reading table against a wide row with a random unique key, same method."""

from __future__ import annotations

import itertools
import os
import statistics
import uuid
from collections.abc import Callable
from typing import Any

from bench import portal
from bench.harness import Goal, median_ratio, note, report, seconds
from bench.ingest import raw_postgresql, raw_sqlite

ROWS = 2_000_000
BATCH = 1_000
BATCHES = 50
ROUNDS = 5

WIDE = "idem, source, start, energy_wh, team, model, kind, site, tokens, requests"


def narrow_batches(count: int, size: int, clock: itertools.count[int]) -> list[list[tuple[Any, ...]]]:
    energies = portal.random_energies(size)
    return [
        [
            (1, portal.START_MS + n // 200 * 10_000, n % 200, portal.START_MS + n // 200 * 10_000 + 10_000, n % 200,
             int(energies[i]), 1000, 10, None, None, 1)
            for i, n in zip(range(size), clock, strict=False)
        ]
        for _ in range(count)
    ]  # fmt: skip


def wide_batches(count: int, size: int, clock: itertools.count[int], text: bool) -> list[list[tuple[Any, ...]]]:
    energies = portal.random_energies(size)
    return [
        [
            (str(uuid.uuid4()) if text else uuid.uuid4(), f"node-{n % 200}/gpu", portal.START_MS + n // 200 * 10_000,
             float(energies[i]), f"team-{n % 40}", f"model {n % 60}", "training", "hall", 1000, 10)
            for i, n in zip(range(size), clock, strict=False)
        ]
        for _ in range(count)
    ]  # fmt: skip


def wide_postgresql(batches: list[list[tuple[Any, ...]]]) -> None:
    import psycopg
    from django.db import connection

    parameters = connection.get_connection_params()
    for name in ("cursor_factory", "context", "prepare_threshold"):
        parameters.pop(name, None)
    with psycopg.connect(**parameters) as raw:
        raw.execute(
            "CREATE TEMPORARY TABLE staged (idem uuid, source text, start bigint, energy_wh double precision,"
            " team text, model text, kind text, site text, tokens bigint, requests bigint) ON COMMIT DELETE ROWS"
        )
        raw.commit()
        types = ["uuid", "text", "int8", "float8", "text", "text", "text", "text", "int8", "int8"]
        for batch in batches:
            with raw.cursor() as cursor:
                with cursor.copy(f"COPY staged ({WIDE}) FROM STDIN (FORMAT BINARY)") as copy:
                    copy.set_types(types)
                    for row in batch:
                        copy.write_row(row)
                cursor.execute(f"INSERT INTO wide ({WIDE}) SELECT {WIDE} FROM staged ON CONFLICT DO NOTHING")
            raw.commit()


def wide_sqlite(batches: list[list[tuple[Any, ...]]]) -> None:
    import sqlite3

    from django.conf import settings

    raw = sqlite3.connect(settings.DATABASES["default"]["NAME"], timeout=30, isolation_level=None)
    raw.executescript(settings.DATABASES["default"]["OPTIONS"]["init_command"])
    for batch in batches:
        raw.execute("BEGIN IMMEDIATE")
        raw.executemany(f"INSERT OR IGNORE INTO wide ({WIDE}) VALUES ({', '.join('?' * 10)})", batch)
        raw.execute("COMMIT")
    raw.close()


def main() -> None:
    portal.setup()
    from django.conf import settings
    from django.db import connection

    is_postgresql = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        if is_postgresql:
            portal.make_room(1)
            cursor.execute(
                "CREATE TABLE wide (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, idem uuid NOT NULL UNIQUE,"
                " source text, start bigint, energy_wh double precision, team text, model text, kind text, site text,"
                " tokens bigint, requests bigint)"
            )
        else:
            cursor.execute(
                "CREATE TABLE wide (id integer PRIMARY KEY AUTOINCREMENT, idem text NOT NULL UNIQUE, source text,"
                " start bigint, energy_wh real, team text, model text, kind text, site text, tokens bigint,"
                " requests bigint)"
            )
        cursor.execute("CREATE INDEX wide_start ON wide (start)")
    narrow_clock, wide_clock = itertools.count(), itertools.count()
    narrow: Callable[..., None] = raw_postgresql if is_postgresql else raw_sqlite
    wide: Callable[..., None] = wide_postgresql if is_postgresql else wide_sqlite

    def size(tables: str) -> float:
        if not is_postgresql:
            return float(os.path.getsize(settings.DATABASES["default"]["NAME"]))
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relname LIKE %s",
                [tables],
            )
            return float(cursor.fetchone()[0])

    def checkpoint() -> None:
        with connection.cursor() as cursor:
            cursor.execute("CHECKPOINT" if is_postgresql else "PRAGMA wal_checkpoint(TRUNCATE)")

    note(f"filling both tables with {ROWS:,} rows")
    checkpoint()
    empty = size("nothing") if not is_postgresql else 0.0
    for _ in range(ROWS // 100_000):
        narrow(narrow_batches(10, 10_000, narrow_clock))
    checkpoint()
    narrow_bytes = size("telemetry_reading%") - empty
    for _ in range(ROWS // 100_000):
        wide(wide_batches(10, 10_000, wide_clock, not is_postgresql))
    checkpoint()
    wide_bytes = size("wide") - (0 if is_postgresql else narrow_bytes + empty)

    narrow_rates, wide_rates = [], []
    for _ in range(ROUNDS):
        batches = narrow_batches(BATCHES, BATCH, narrow_clock)
        narrow_rates.append(BATCHES * BATCH / seconds(lambda b=batches: narrow(b)))
        batches = wide_batches(BATCHES, BATCH, wide_clock, not is_postgresql)
        wide_rates.append(BATCHES * BATCH / seconds(lambda b=batches: wide(b)))
    limits = (1.4, 2.0) if is_postgresql else (5.0, 15.0)
    report(
        Goal("S1", f"{connection.vendor}: reading table / wide with random uuid, rows/s", *limits, True),
        median_ratio(narrow_rates, wide_rates),
        readings=f"{statistics.median(narrow_rates):,.0f} rows/s",
        wide=f"{statistics.median(wide_rates):,.0f} rows/s",
    )
    report(
        Goal("S2", f"{connection.vendor}: disk per row / wide with random uuid", 0.75, 0.5, False),
        narrow_bytes / wide_bytes,
        readings=f"{narrow_bytes / ROWS:.0f} B/row",
        wide=f"{wide_bytes / ROWS:.0f} B/row",
    )


if __name__ == "__main__":
    main()
