"""A7: one certificate more re-prices a year: what is written, and its time against summing that year once."""

from __future__ import annotations

import statistics
from datetime import date

from bench import portal
from bench.harness import Goal, report, seconds

GROUPS = 571
DAYS = 365
TURNS = 9
LEDGER = ("accounting_ledgerhour", "accounting_ledgerday", "telemetry_reading", "accounting_setaside")

A7 = Goal("A7", "one more certificate, entry to new figures of a year / one SQL sum of its daily ledger", 6, 3, False)

BARE = """
    SELECT site.market, sum(d.facility_energy_milliwatt_hours), sum(d.location_mg)
    FROM accounting_ledgerday d
    JOIN accounting_account a ON a.id = d.account_id JOIN sites_site site ON site.id = a.site_id
    WHERE d.organisation_id = %s AND d.day >= %s AND d.day < %s GROUP BY site.market
"""
# Of this transaction, by table: reading tables are partitions named after the first.
WRITTEN = "SELECT relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_xact_user_tables"


def main() -> None:
    portal.setup()
    portal.load_reference_data()
    from django.db import connection, transaction

    from apps.accounting import services
    from apps.accounting.models import MarketRate
    from apps.procurement.models import Instrument

    organisation_id, _ = portal.make_organisation()
    first = portal.make_year_of_days(organisation_id, GROUPS, DAYS)
    services.settle(organisation_id)

    def buy(number: int) -> None:
        Instrument.unscoped.create(
            organisation_id=organisation_id, reference=f"GO-{number}", type="eac", market="DE",
            vintage_start=date(2025, 1, 1), vintage_end=date(2026, 1, 1), volume_milliwatt_hours=10**9,
            co2e_kg_per_mwh=0, tracking_system="AIB", serial_start=f"{number}-1", serial_end=f"{number}-1000",
            retired_on=date(2026, 1, 15),
        )  # fmt: skip

    def figures() -> list[int]:
        return list(MarketRate.objects.of(organisation_id).order_by("period_start").values_list("market_mg", flat=True))

    def bare() -> None:
        with connection.cursor() as cursor:
            cursor.execute(BARE, [organisation_id, first, first + DAYS])
            cursor.fetchall()

    before = figures()
    with transaction.atomic(), connection.cursor() as cursor:
        buy(0)
        services.settle(organisation_id)
        cursor.execute(WRITTEN)
        written = dict(cursor.fetchall())
    after = figures()
    if len(after) != 4 or not all(new < old for new, old in zip(after, before, strict=True)):
        raise RuntimeError(f"the certificate changed {before} to {after}")
    touched = sum(count for name, count in written.items() if name.startswith(LEDGER))
    times, bares = [], []
    for number in range(1, TURNS + 1):
        bares.append(seconds(bare))
        buy(number)
        times.append(seconds(lambda: services.settle(organisation_id)))
    report(
        A7, statistics.median(a / b for a, b in zip(times, bares, strict=True)),
        rates_written=str(written["accounting_marketrate"]), ledger_rows_written=str(touched),
        ledger_rows=f"{GROUPS * DAYS:,}", reprice=f"{statistics.median(times) * 1000:.0f} ms",
        bare=f"{statistics.median(bares) * 1000:.0f} ms",
    )  # fmt: skip
    if touched:
        raise SystemExit(f"{touched} rows of readings or ledger were written")


if __name__ == "__main__":
    main()
