"""A1, A3, A4, A5: rebuilding the ledger against bare SQL that only sums."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time

from bench import portal
from bench.harness import Goal, note, peak_mib, report, seconds

HOURS = 92 * 24  # one quarter
# Readings of a device in an hour. By default 150 s each: 200 devices x 2,208 h x 24 = 10.6 million; a fleet ten times
# as large and as seldom read is BENCH_DEVICES=2000 BENCH_PER_HOUR=2.
PER_HOUR = int(os.environ.get("BENCH_PER_HOUR", "24"))
STEP_MS = 3_600_000 // PER_HOUR

A1 = Goal("A1", "rebuild of the quarter (10.6M readings) by the settle task / bare SQL GROUP BY", 1.3, 0.75, False)
A3 = Goal("A3", "one dirty day / bare SQL for that day", 1.5, 1.15, False)
A4 = Goal("A4", "one dirty hour, start to commit [ms]", 25, 10, False)
A5 = Goal("A5", "peak memory of the worker, 10.6M readings / 115 thousand", 1.1, None, False)

BARE = """
    INSERT INTO bare (organisation_id, hour, account_id, it_energy_milliwatt_hours, facility_energy_milliwatt_hours,
                      location_mg, tokens, requests, readings, covered_ms)
    SELECT organisation_id, start_ms / 3600000, attribution_id, sum(energy_microwatt_hours) / 1000,
           sum(energy_microwatt_hours) / 1000 * 5 / 4, sum(energy_microwatt_hours) / 1000 * 5 / 4 * 329 / 1000,
           sum(tokens), sum(requests), count(*), sum(end_ms - start_ms)
    FROM telemetry_reading WHERE organisation_id = %s AND start_ms >= %s AND start_ms < %s
    GROUP BY organisation_id, start_ms / 3600000, attribution_id
"""


def mark(organisation_id: int, first_hour: int, count: int) -> None:
    from apps.telemetry.models import DirtyHour

    DirtyHour.objects.bulk_create(
        [DirtyHour(organisation_id=organisation_id, hour=first_hour + i) for i in range(count)], batch_size=5_000
    )


def settle_in_child(organisation_id: int) -> tuple[float, float]:
    """Settle in a fresh process: seconds of the work itself, and that process's peak memory [MiB]."""
    answer = subprocess.run(
        [sys.executable, "-m", "bench.aggregation", "--settle", str(organisation_id)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    figures = json.loads(answer.strip().splitlines()[-1])
    return float(figures["seconds"]), float(figures["peak_mib"])


def settle(organisation_id: int) -> None:
    import django

    django.setup()
    from apps.accounting import services

    elapsed = seconds(lambda: services.settle(organisation_id))
    print(json.dumps({"seconds": elapsed, "peak_mib": peak_mib()}))


def main() -> None:
    portal.setup()
    portal.load_reference_data()
    from django.db import connection, transaction

    from apps.accounting import services
    from apps.accounting.models import LedgerHour
    from apps.telemetry.models import DirtyHour

    organisation_id, _ = portal.make_organisation()
    ids = portal.make_attributions(organisation_id)
    portal.make_room(HOURS // 24)
    first_hour = portal.START_MS // 3_600_000
    note(f"writing {HOURS * PER_HOUR * len(ids):,} readings")
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE device (source_id bigint, attribution_id bigint)")
        cursor.executemany("INSERT INTO device VALUES (%s, %s)", ids)
        for month in range(0, HOURS, 24):
            cursor.execute(
                f"""
                INSERT INTO telemetry_reading (organisation_id, start_ms, source_id, end_ms, attribution_id,
                                               energy_microwatt_hours, tokens, requests, receipt_id)
                SELECT %s, %s + n * {STEP_MS}::bigint, source_id, %s + (n + 1) * {STEP_MS}::bigint, attribution_id,
                       1000000 + (n * 7919 + source_id * 104729) %% 20000000, 1000, 10, 1
                FROM generate_series(%s, %s) AS n, device
                """,
                [organisation_id, portal.START_MS, portal.START_MS, month * PER_HOUR, (month + 24) * PER_HOUR - 1],
            )
        cursor.execute("VACUUM ANALYZE telemetry_reading")
        cursor.execute("CREATE TABLE bare (LIKE accounting_ledgerhour INCLUDING ALL)")
        cursor.execute("SET work_mem = '256MB'")

    def bare(hours: int) -> float:
        """Replace so many hours in a table that holds the quarter, as a rebuild has to: delete, sum, insert, commit."""
        end_hour = first_hour + hours
        with connection.cursor() as cursor:

            def replace() -> None:
                with transaction.atomic():
                    cursor.execute("DELETE FROM bare WHERE hour >= %s AND hour < %s", [first_hour, end_hour])
                    cursor.execute(BARE, [organisation_id, portal.START_MS, end_hour * 3_600_000])

            return seconds(replace)

    bare(HOURS)

    # The first settle makes accounts and rates, which are made once; it also warms the table.
    note("first settle")
    mark(organisation_id, first_hour, 24)
    settle_in_child(organisation_id)
    mark(organisation_id, first_hour, 24)
    _, small = settle_in_child(organisation_id)
    times, bares, peaks = [], [], []
    for turn in range(3):
        note(f"quarter, turn {turn + 1}")
        bares.append(bare(HOURS))
        mark(organisation_id, first_hour, HOURS)
        elapsed, peak = settle_in_child(organisation_id)
        times.append(elapsed)
        peaks.append(peak)
    assert LedgerHour.objects.filter(organisation=organisation_id).count() == HOURS * len(ids)
    report(
        A1, statistics.median(a / b for a, b in zip(times, bares, strict=True)),
        settle=f"{statistics.median(times):.2f} s", bare=f"{statistics.median(bares):.2f} s",
    )  # fmt: skip

    days, bare_days = [], []
    for _ in range(9):
        bare_days.append(bare(24))
        mark(organisation_id, first_hour, 24)
        days.append(seconds(lambda: services.settle(organisation_id)))
    report(
        A3, statistics.median(a / b for a, b in zip(days, bare_days, strict=True)),
        settle=f"{statistics.median(days) * 1000:.0f} ms", bare=f"{statistics.median(bare_days) * 1000:.0f} ms",
    )  # fmt: skip
    hours = []
    for turn in range(21):
        mark(organisation_id, first_hour + turn, 1)
        start = time.perf_counter()
        services.settle(organisation_id)
        hours.append((time.perf_counter() - start) * 1000)
    report(A4, statistics.median(hours), best=f"{min(hours):.1f} ms", worst=f"{max(hours):.1f} ms")
    assert not DirtyHour.objects.exists()
    report(A5, statistics.median(peaks) / small, quarter=f"{statistics.median(peaks):.0f} MiB", day=f"{small:.0f} MiB")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--settle"]:
        settle(int(sys.argv[2]))
    else:
        main()
