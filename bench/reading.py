"""R1: a year by month and team through the API, against bare SQL over the daily roll-up."""

from __future__ import annotations

import statistics

from bench import portal
from bench.harness import Goal, report, seconds

GROUPS = 571
DAYS = 365

R1 = Goal("R1", "a year by month and team over the API, less 15 ms / bare SQL over the daily roll-up", 1.5, 1.2, False)

BARE = """
    SELECT d.month, a.team_id, sum(d.it_energy_milliwatt_hours), sum(d.facility_energy_milliwatt_hours),
           sum(d.location_mg)
    FROM accounting_ledgerday d JOIN accounting_account a ON a.id = d.account_id
    WHERE d.organisation_id = %s AND d.day >= %s AND d.day < %s
    GROUP BY d.month, a.team_id ORDER BY d.month, a.team_id
"""


def main() -> None:
    portal.setup()
    portal.load_reference_data()
    from django.db import connection
    from django.test import Client

    organisation_id, key = portal.make_organisation()
    first = portal.make_year_of_days(organisation_id, GROUPS, DAYS)
    client = Client(SERVER_NAME="localhost", headers={"Authorization": f"Bearer {key}"})
    path = "/api/v1/emissions?from=2025-01-01&to=2026-01-01&group_by=month,team"

    def ask() -> None:
        response = client.get(path)
        if response.status_code != 200:
            raise RuntimeError(f"{response.status_code}: {response.content[:300]!r}")

    def bare() -> None:
        with connection.cursor() as cursor:
            cursor.execute(BARE, [organisation_id, first, first + DAYS])
            cursor.fetchall()

    for _ in range(3):
        ask()
        bare()
    asked, bares = [], []
    for _ in range(15):
        bares.append(seconds(bare) * 1000)
        asked.append(seconds(ask) * 1000)
    ratio = statistics.median((a - 15) / b for a, b in zip(asked, bares, strict=True))
    asked.sort()
    report(
        R1, ratio, database=connection.vendor, API_p50=f"{statistics.median(asked):.0f} ms",
        API_p95=f"{asked[int(len(asked) * 0.95)]:.0f} ms", bare=f"{statistics.median(bares):.0f} ms",
    )  # fmt: skip


if __name__ == "__main__":
    main()
