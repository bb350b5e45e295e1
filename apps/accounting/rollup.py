"""From raw readings to ledger rows: one (organisation, day) at a time, entirely inside the database.

A day is deleted and written again from the readings, never incremented: whatever was repeated, late, replaced or
killed half-way, the same readings give the same rows. Nothing of it passes through Python, so that a worker's memory
does not depend on how much there is.
"""

from __future__ import annotations

from sqlite3 import sqlite_version_info

import numpy as np
from django.db import connection, transaction

from apps.accounting import accounts, locks
from apps.accounting.overlap.services import LONGEST_READING_MS, LOOK, write_set_aside
from apps.accounting.sql import divided_by_ppm, part_up_to, quota, quota_rest, scaled_product
from apps.core.windows import DAY_MS, HOUR_MS, from_epoch_day, month_number
from apps.telemetry import bulk
from apps.telemetry.meters.derive import write_derived
from apps.telemetry.models import Boundary

HOURS_PER_DAY = 24
QUANTITIES = ("energy", "tokens", "requests", "covered")

# The condition of the partial index ``reading_spanning``, word for word: both planners recognise it only so.
_SPANNING = "end_ms > start_ms / 3600000 * 3600000 + 3600000"
_WITHIN = "end_ms <= start_ms / 3600000 * 3600000 + 3600000"


def _piece(quantity: str) -> str:
    return f"{part_up_to(quantity, 'upto', 'span')} - {part_up_to(quantity, 'since', 'span')}"


def _share(name: str) -> str:
    """The floor of the quota, and one more for the largest remainders; equal ones in the order of the postings."""
    return (
        f"floor_{name} + CASE WHEN ROW_NUMBER() OVER"
        f" (PARTITION BY hour, attribution_id ORDER BY rest_{name} DESC, position)"
        f" <= {name} - SUM(floor_{name}) OVER (PARTITION BY hour, attribution_id) THEN 1 ELSE 0 END"
    )


def _sums(names: tuple[str, ...]) -> str:
    return ", ".join(f"CAST(SUM({name}) AS bigint) AS {name}" for name in names)


_FLOORS = ", ".join(
    f"{quota(name, 'weight', 'total')} AS floor_{name}, {quota_rest(name, 'weight', 'total')} AS rest_{name}"
    for name in QUANTITIES
)
_SHARES = ", ".join(f"CASE WHEN {name} IS NULL THEN NULL ELSE {_share(name)} END AS {name}" for name in QUANTITIES)
_COLUMNS = (*QUANTITIES, "readings")

# Readings that cross an hour, cut at the hours; left out altogether where a range of hours has none, the usual case.
_CROSSING = f"""
day_hour (hour) AS (VALUES {{hours}}),
spanning AS (
    SELECT attribution_id, start_ms, end_ms, end_ms - start_ms AS span,
           energy_microwatt_hours AS energy, tokens, requests
    {{spanning}}
),
piece AS (
    SELECT hour, attribution_id, span, energy, tokens, requests,
           CASE WHEN start_ms > hour * {HOUR_MS} THEN 0 ELSE hour * {HOUR_MS} - start_ms END AS since,
           CASE WHEN end_ms < (hour + 1) * {HOUR_MS} THEN span ELSE (hour + 1) * {HOUR_MS} - start_ms END AS upto
    FROM spanning JOIN day_hour ON end_ms > hour * {HOUR_MS} AND start_ms < (hour + 1) * {HOUR_MS}
),
"""  # noqa: S608 - only constants of this module are put in; every value is a parameter
_PIECES = f"""
    UNION ALL
    SELECT hour, attribution_id, {_piece("energy")}, {_piece("tokens")}, {_piece("requests")}, upto - since, 1
    FROM piece
"""  # noqa: S608
# What another source of the same device measured too; left out where there is none, nearly always.
_ASIDE = """
    UNION ALL
    SELECT hour, attribution_id, -energy_microwatt_hours, NULL, NULL, -covered_ms, 0
    FROM accounting_setaside
    WHERE organisation_id = %(organisation)s AND hour >= %(first_hour)s AND hour < %(end_hour)s
"""
_SPANNING_ROWS = f"""
    FROM telemetry_reading {{index}}
    WHERE organisation_id = %(organisation)s AND start_ms >= %(lookback_ms)s AND start_ms < %(end_ms)s
      AND {_SPANNING} AND end_ms > %(first_ms)s
"""

_FRESH = f"""
WITH {{crossing}}
part AS (
    SELECT start_ms / {HOUR_MS} AS hour, attribution_id,
           CAST(SUM(energy_microwatt_hours) AS bigint) AS energy,
           CAST(SUM(tokens) AS bigint) AS tokens,
           CAST(SUM(requests) AS bigint) AS requests,
           SUM(CAST(end_ms - start_ms AS integer)) AS covered,
           COUNT(*) AS readings
    FROM telemetry_reading
    WHERE organisation_id = %(organisation)s AND start_ms >= %(first_ms)s AND start_ms < %(end_ms)s
      {{within}}
    GROUP BY start_ms / {HOUR_MS}, attribution_id
    {{pieces}}{{aside}}
),
whole AS (
    SELECT hour, part.attribution_id, {_sums(_COLUMNS)} FROM part
    WHERE part.attribution_id IN (
        SELECT attribution_id FROM accounting_posting
        WHERE organisation_id = %(organisation)s AND weight_ppm < 1000000
    )
    GROUP BY hour, part.attribution_id
),
split AS (
    SELECT hour, whole.attribution_id, position, account_id, weight_ppm AS weight,
           CAST(SUM(weight_ppm) OVER (PARTITION BY hour, whole.attribution_id) AS bigint) AS total,
           energy, tokens, requests, covered, readings
    FROM whole JOIN accounting_posting posting ON posting.attribution_id = whole.attribution_id
),
floors AS (
    SELECT hour, attribution_id, position, account_id, energy, tokens, requests, covered, readings, {_FLOORS}
    FROM split
),
posted AS (
    SELECT hour, account_id, energy, tokens, requests, covered, readings
    FROM part LEFT JOIN accounting_posting posting ON posting.attribution_id = part.attribution_id
    WHERE weight_ppm IS NULL OR weight_ppm >= 1000000
    UNION ALL
    SELECT hour, account_id, {_SHARES}, readings FROM floors
),
account_hour AS (
    SELECT hour, account_id, {_sums(_COLUMNS)} FROM posted GROUP BY hour, account_id
),
measured AS {{once}} (
    SELECT hour, account_id, rate.id AS rate_id, boundary, pue_ppm, factor_ug_per_kwh,
           (energy + 500) / 1000 AS milliwatt_hours, tokens, requests, covered, readings
    FROM account_hour
    LEFT JOIN accounting_account account ON account.id = account_id
    LEFT JOIN accounting_locationrate rate
        ON rate.site_id = account.site_id AND rate.first_hour <= hour AND hour < rate.end_hour
),
powered AS {{once}} (
    SELECT hour, account_id, rate_id, factor_ug_per_kwh, tokens, requests, covered, readings,
           CASE WHEN boundary = {Boundary.FACILITY.value} AND pue_ppm IS NOT NULL
                THEN {divided_by_ppm("milliwatt_hours", "pue_ppm")} ELSE milliwatt_hours END AS it,
           CASE WHEN boundary = {Boundary.FACILITY.value} OR pue_ppm IS NULL
                THEN milliwatt_hours ELSE {scaled_product("milliwatt_hours", "pue_ppm", 6)} END AS facility
    FROM measured
),
fresh AS (
    SELECT CAST(%(organisation)s AS bigint) AS organisation_id, hour, account_id, rate_id,
           it AS it_energy_milliwatt_hours, facility AS facility_energy_milliwatt_hours,
           {scaled_product("facility", "factor_ug_per_kwh", 9)} AS location_mg,
           tokens, requests, readings, covered AS covered_ms
    FROM powered
)
"""  # noqa: S608
_LEDGER_COLUMNS = (
    "organisation_id, hour, account_id, rate_id, it_energy_milliwatt_hours, facility_energy_milliwatt_hours,"
    " location_mg, tokens, requests, readings, covered_ms"
)
# In the order of the key: the index then grows at its end.
_INSERT_HOURS = f"""
INSERT INTO accounting_ledgerhour ({_LEDGER_COLUMNS})
{_FRESH}
SELECT {_LEDGER_COLUMNS} FROM fresh ORDER BY hour, account_id
"""  # noqa: S608

_INSERT_DAY = f"""
INSERT INTO accounting_ledgerday (
    organisation_id, day, month, account_id, it_energy_milliwatt_hours, facility_energy_milliwatt_hours,
    location_mg, tokens, requests, readings, covered_ms
)
SELECT %(organisation)s, %(day)s, %(month)s, account_id,
       {_sums(("it_energy_milliwatt_hours", "facility_energy_milliwatt_hours", "location_mg"))},
       {_sums(("tokens", "requests", "readings", "covered_ms"))}
FROM accounting_ledgerhour
WHERE organisation_id = %(organisation)s AND hour >= %(first_hour)s AND hour < %(end_hour)s
GROUP BY account_id
"""  # noqa: S608

# Whether anything is derived from meters, before the rest of the first question: see ``overlap.services.LOOK``.
_METERS = "EXISTS (SELECT 1 FROM telemetry_meter WHERE organisation_id = %(organisation)s)"
_DELETE_HOURS = "DELETE FROM accounting_ledgerhour WHERE organisation_id = %s AND hour >= %s AND hour < %s"
_DELETE_DAY = "DELETE FROM accounting_ledgerday WHERE organisation_id = %s AND day = %s"


def rebuild_day(organisation_id: int, day: int) -> int | None:
    """Rebuild the dirty hours of a day (counted from the epoch) and the day's totals, in one transaction.

    Returns the number of hours that were dirty, or None if another worker has the day. Raises ``IntegrityError`` if a
    reading's attribution has no posting yet; nothing is changed then.
    """
    bulk.writer().prepare(np.array([day * DAY_MS]))  # for what is derived from meters
    return _rebuild_day(organisation_id, day)


@transaction.atomic
def _rebuild_day(organisation_id: int, day: int) -> int | None:
    if not locks.try_lock(organisation_id, day):
        return None
    marks = locks.take_marks(organisation_id, day * HOURS_PER_DAY, (day + 1) * HOURS_PER_DAY)
    if marks is None:
        return 0
    locks.give_memory()
    _write_hours(organisation_id, marks.first_hour, marks.end_hour)
    with connection.cursor() as cursor:
        cursor.execute(_DELETE_DAY, [organisation_id, day])
        cursor.execute(
            _INSERT_DAY,
            {
                "organisation": organisation_id,
                "day": day,
                "month": month_number(from_epoch_day(day)),
                "first_hour": day * HOURS_PER_DAY,
                "end_hour": (day + 1) * HOURS_PER_DAY,
            },
        )
        cursor.execute(
            "INSERT INTO accounting_rebuiltday (organisation_id, day) VALUES (%s, %s)", [organisation_id, day]
        )
    return marks.hours


def _write_hours(organisation_id: int, first_hour: int, end_hour: int) -> None:
    parameters = {
        "organisation": organisation_id,
        "first_hour": first_hour,
        "end_hour": end_hour,
        "first_ms": first_hour * HOUR_MS,
        "end_ms": end_hour * HOUR_MS,
        "lookback_ms": first_hour * HOUR_MS - LONGEST_READING_MS,
    }
    # Without statistics SQLite takes the primary key and reads 31 days to find the few readings that cross an hour.
    spanning = _SPANNING_ROWS.format(index="INDEXED BY reading_spanning" if connection.vendor == "sqlite" else "")
    # Kept apart, because a planner that merges the steps works out every formula once for each mention of its result.
    once = "MATERIALIZED" if connection.vendor == "postgresql" or sqlite_version_info >= (3, 35) else ""
    pieces = {"crossing": "", "pieces": "", "within": "", "aside": "", "once": once}
    with connection.cursor() as cursor:
        # PostgreSQL takes a third of all readings to cross an hour. Only by asking for a column that is not in the
        # primary key, and for all rows, does the partial index look cheaper to it than reading that key.
        cursor.execute(f"SELECT (SELECT COUNT(attribution_id) {spanning}), {_METERS}, {LOOK}", parameters)
        crossings, has_meters, has_devices, has_rows = cursor.fetchone()
        if has_meters:
            _derive(organisation_id, first_hour, end_hour)
        if write_set_aside(organisation_id, first_hour, end_hour, has_devices=has_devices, has_rows=has_rows):
            pieces["aside"] = _ASIDE
        if crossings:
            hours = ", ".join(f"(CAST({hour} AS bigint))" for hour in range(first_hour, end_hour))
            crossing = _CROSSING.format(hours=hours, spanning=spanning)
            pieces |= {"crossing": crossing, "pieces": _PIECES, "within": f"AND {_WITHIN}"}
        cursor.execute(_DELETE_HOURS, [organisation_id, first_hour, end_hour])
        cursor.execute(_INSERT_HOURS.format(**pieces), parameters)


def _derive(organisation_id: int, first_hour: int, end_hour: int) -> None:
    """Derive the hours from meters. Whoever makes attributions of several at the same time waits for the first one."""
    if write_derived(
        organisation_id, first_hour, end_hour, before_new=lambda: locks.lock(organisation_id, locks.INPUTS)
    ):
        accounts.post_new(organisation_id)
