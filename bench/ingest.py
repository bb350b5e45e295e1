"""I1 to I4, I7, I9, I10: telemetry over HTTP against the raw bulk write, against DRF, gzipped, replayed.

Every field validated, key checked, receipt and dirty hours written, answered after commit; rows are counted in the
database afterwards. Load, web workers and database share the machine's cores.
"""

from __future__ import annotations

import gzip
import json
import statistics
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec

from bench import portal
from bench.harness import Goal, median_ratio, note, post_all, report, seconds, web_server

BATCH = 1_000
REQUESTS = 60
ROUNDS = 5
REPLAYED = 20  # requests sent again, one connection

I1 = Goal("I1", "PostgreSQL, HTTP ingest / raw COPY to temp + upsert, 1 connection, batch 1,000", 0.9, 1.2, True)
I2 = Goal("I2", "the same / raw with 2 connections", 0.65, 0.85, True)
I3 = Goal("I3", "the same / DRF ModelSerializer(many) + bulk_create", 5, 8, True)
I4 = Goal("I4", "the same / DRF as generated", 25, 40, True)
I7 = Goal("I7", "SQLite, HTTP ingest / raw executemany, batch 1,000", 0.6, 0.8, True)
I9 = Goal("I9", "gzip body / plain, rows per second", 0.9, 1.0, True)
I10 = Goal("I10", "replay with a request key / first time", 0.1, 0.02, False)


class Clock:
    """Hands out intervals that no batch has had before, in the order of time."""

    def __init__(self) -> None:
        self.minute = 0

    def batches(self, count: int, size: int = BATCH) -> Iterator[list[tuple[int, int, int]]]:
        """(device, start ms, energy uWh) of ``size`` readings, ``count`` times."""
        energies = portal.random_energies(size)
        for _ in range(count):
            rows = []
            while len(rows) < size:
                start = portal.START_MS - 400 * 86_400_000 + self.minute * 10_000
                self.minute += 1
                rows += [(device, start, int(energies[len(rows) + device - size])) for device in range(portal.DEVICES)]
            yield rows[:size]


CLOCK = Clock()


def body(rows: list[tuple[int, int, int]]) -> bytes:
    from apps.core.windows import from_epoch_ms

    return msgspec.json.encode(
        [
            {
                "source": f"bench-{device // 8}/gpu{device % 8}",
                "start": from_epoch_ms(start).isoformat(),
                "end": (from_epoch_ms(start) + timedelta(seconds=10)).isoformat(),
                "energy_wh": energy / 1e6,
                "team": f"team-{device % portal.TEAMS}",
                "model": f"Model {device % portal.MODELS}",
                "kind": "training",
                "site": "hall",
                "work": {"tokens": 1000 + device, "requests": 10},
            }
            for device, start, energy in rows
        ]
    )


def naive_body(rows: list[tuple[int, int, int]]) -> bytes:
    from apps.core.windows import from_epoch_ms

    return json.dumps(
        [
            {
                "idem": str(uuid.uuid4()),
                "source": f"bench-{device // 8}/gpu{device % 8}",
                "start": from_epoch_ms(start).isoformat(),
                "end": (from_epoch_ms(start) + timedelta(seconds=10)).isoformat(),
                "energy_wh": energy / 1e6,
                "team": f"team-{device % portal.TEAMS}",
                "model": f"Model {device % portal.MODELS}",
                "kind": "training",
                "site": "hall",
                "tokens": 1000 + device,
                "requests": 10,
            }
            for device, start, energy in rows
        ]
    ).encode()


def count_rows(table: str) -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        return int(cursor.fetchone()[0])


def http_rate(port: int, path: str, bodies: list[bytes], headers: dict[str, str], table: str) -> float:
    """Rows per second, counted in the table."""
    before = count_rows(table)
    elapsed, statuses = post_all(port, path, bodies, headers)
    if set(statuses) - {200, 201}:
        raise RuntimeError(f"{path} answered {sorted(set(statuses))}")
    return (count_rows(table) - before) / elapsed


COLUMNS = (
    "organisation_id, start_ms, source_id, end_ms, attribution_id, energy_microwatt_hours, tokens, requests, samples,"
    " milli_epochs, receipt_id"
)


def raw_rows(
    organisation_id: int, ids: list[tuple[int, int]], rows: list[tuple[int, int, int]]
) -> list[tuple[Any, ...]]:
    return [
        (organisation_id, start, ids[d][0], start + 10_000, ids[d][1], energy, 1000 + d, 10, None, None, 1)
        for d, start, energy in rows
    ]


def raw_postgresql(batches: list[list[tuple[Any, ...]]]) -> None:
    """Binary COPY to a temporary table made once, then one upsert; commit after each batch."""
    import psycopg
    from django.db import connection

    parameters = connection.get_connection_params()
    for name in ("cursor_factory", "context", "prepare_threshold"):
        parameters.pop(name, None)
    with psycopg.connect(**parameters) as raw:
        raw.execute(
            "CREATE TEMPORARY TABLE staged (organisation_id bigint, start_ms bigint, source_id bigint, end_ms bigint,"
            " attribution_id bigint, energy_microwatt_hours bigint, tokens bigint, requests bigint, samples bigint,"
            " milli_epochs bigint, receipt_id bigint) ON COMMIT DELETE ROWS"
        )
        raw.commit()
        for batch in batches:
            with raw.cursor() as cursor:
                with cursor.copy(f"COPY staged ({COLUMNS}) FROM STDIN (FORMAT BINARY)") as copy:
                    copy.set_types(["int8"] * 11)
                    for row in batch:
                        copy.write_row(row)
                cursor.execute(
                    f"INSERT INTO telemetry_reading ({COLUMNS}) SELECT {COLUMNS} FROM staged ON CONFLICT DO NOTHING"
                )
            raw.commit()


def raw_sqlite(batches: list[list[tuple[Any, ...]]]) -> None:
    """executemany on a connection of its own, with the portal's own pragmas; commit after each batch."""
    import sqlite3

    from django.conf import settings

    raw = sqlite3.connect(settings.DATABASES["default"]["NAME"], timeout=30, isolation_level=None)
    raw.executescript(settings.DATABASES["default"]["OPTIONS"]["init_command"])
    marks = ", ".join("?" * 11)
    for batch in batches:
        raw.execute("BEGIN IMMEDIATE")
        raw.executemany(f"INSERT OR IGNORE INTO telemetry_reading ({COLUMNS}) VALUES ({marks})", batch)
        raw.execute("COMMIT")
    raw.close()


def main() -> None:
    portal.setup()
    from django.conf import settings
    from django.db import connection

    is_postgresql = connection.vendor == "postgresql"
    organisation_id, key = portal.make_organisation()
    portal.make_room(1, before=401)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    environment = {"CELERY_BROKER_URL": settings.CELERY_BROKER_URL}
    with web_server(environment) as port:
        note("warming up")
        http_rate(port, "/api/v1/samples", [body(rows) for rows in CLOCK.batches(20)], headers, "telemetry_reading")
        from apps.telemetry.models import Attribution, Source

        by_source = dict(Attribution.unscoped.values_list("source__name", "pk"))
        sources = dict(Source.unscoped.values_list("name", "pk"))
        names = [f"bench-{i // 8}/gpu{i % 8}" for i in range(portal.DEVICES)]
        ids = [(sources[name], by_source[name]) for name in names]

        ours: list[float] = []
        raw_one: list[float] = []
        raw_two: list[float] = []
        zipped: list[float] = []
        for _ in range(ROUNDS):
            bodies = [body(rows) for rows in CLOCK.batches(REQUESTS)]
            ours.append(http_rate(port, "/api/v1/samples", bodies, headers, "telemetry_reading"))
            batches = [raw_rows(organisation_id, ids, rows) for rows in CLOCK.batches(REQUESTS)]
            if is_postgresql:
                raw_one.append(REQUESTS * BATCH / seconds(lambda b=batches: raw_postgresql(b)))
                halves = [
                    [raw_rows(organisation_id, ids, rows) for rows in CLOCK.batches(REQUESTS // 2)] for _ in range(2)
                ]
                raw_two.append(REQUESTS * BATCH / in_processes(halves))
            else:
                raw_one.append(REQUESTS * BATCH / seconds(lambda b=batches: raw_sqlite(b)))
            bodies = [gzip.compress(body(rows), 6) for rows in CLOCK.batches(REQUESTS)]
            zipped.append(
                http_rate(port, "/api/v1/samples", bodies, {**headers, "Content-Encoding": "gzip"}, "telemetry_reading")
            )
        rates = {"HTTP": f"{statistics.median(ours):,.0f} rows/s", "raw": f"{statistics.median(raw_one):,.0f} rows/s"}
        if not is_postgresql:
            report(I7, median_ratio(ours, raw_one), **rates)
            return
        report(I1, median_ratio(ours, raw_one), **rates)
        report(I2, median_ratio(ours, raw_two), HTTP=rates["HTTP"], raw_2=f"{statistics.median(raw_two):,.0f} rows/s")
        for goal, path, requests in ((I3, "/naive/bulk", 10), (I4, "/naive/generated", 3)):
            if portal.wanted(goal.name):
                naive = [
                    http_rate(
                        port, path, [naive_body(rows) for rows in CLOCK.batches(requests)],
                        {"Content-Type": "application/json"}, "naive_naivesample",
                    )
                    for _ in range(3)
                ]  # fmt: skip
                middle = statistics.median(naive)
                report(goal, statistics.median(ours) / middle, HTTP=rates["HTTP"], DRF=f"{middle:,.0f} rows/s")
        report(I9, median_ratio(zipped, ours), gzip=f"{statistics.median(zipped):,.0f} rows/s", plain=rates["HTTP"])
        replay(port, headers)


def in_processes(halves: list[list[list[tuple[Any, ...]]]]) -> float:
    """Two raw writers at once: seconds until both are done. psycopg's COPY leaves the interpreter lock to the other."""
    import multiprocessing

    context = multiprocessing.get_context("fork")
    from django.db import connections

    connections.close_all()
    barrier = context.Barrier(3)

    def writer(batches: list[list[tuple[Any, ...]]]) -> None:
        barrier.wait()
        raw_postgresql(batches)

    processes = [context.Process(target=writer, args=(half,)) for half in halves]
    for process in processes:
        process.start()
    barrier.wait()
    start = time.perf_counter()
    for process in processes:
        process.join()
    return time.perf_counter() - start


def replay(port: int, headers: dict[str, str]) -> None:
    """The same requests again, each with its Idempotency-Key: nothing added, nearly nothing spent."""
    first: list[float] = []
    again: list[float] = []
    for _ in range(ROUNDS):
        bodies = [body(rows) for rows in CLOCK.batches(REPLAYED)]
        own = [{"Idempotency-Key": str(uuid.uuid4())} for _ in bodies]
        first.append(post_all(port, "/api/v1/samples", bodies, headers, 1, own)[0])
        before = count_rows("telemetry_reading")
        again.append(post_all(port, "/api/v1/samples", bodies, headers, 1, own)[0])
        if count_rows("telemetry_reading") != before:
            raise RuntimeError("a replay added rows")
    report(
        I10, median_ratio(again, first), first=f"{statistics.median(first) * 1000 / REPLAYED:.1f} ms/request",
        replay=f"{statistics.median(again) * 1000 / REPLAYED:.2f} ms/request", rows_added="0",
    )  # fmt: skip


if __name__ == "__main__":
    main()
