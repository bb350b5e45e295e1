"""What the two databases do differently for a rebuild: locks, marks and working memory. One function each."""

from __future__ import annotations

from typing import NamedTuple

from django.db import connection

from apps.telemetry.models import DirtyHour

INPUTS = -1  # stands for "the accounts and rates of the organisation" where a lock names a day
MARKET = -2  # ... and for its market rates
_INT4 = 2**31

_TAKE_MARKS = """
WITH seen AS (
    DELETE FROM telemetry_dirtyhour WHERE organisation_id = %s AND hour >= %s AND hour < %s RETURNING hour
)
SELECT MIN(hour), MAX(hour) + 1, COUNT(DISTINCT hour) FROM seen
"""


class Marks(NamedTuple):
    """The dirty hours of a day: first, first after the last, how many."""

    first_hour: int
    end_hour: int
    hours: int


def try_lock(organisation_id: int, what: int) -> bool:
    """Take the lock of a day (or :data:`INPUTS`, :data:`MARKET`) until the transaction ends; False if it is taken.

    SQLite has one writer: the transaction began IMMEDIATE, and whoever is inside it holds every lock there is.
    """
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [organisation_id % _INT4, what])
        return bool(cursor.fetchone()[0])


def lock(organisation_id: int, what: int) -> None:
    """The same, waiting for it."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [organisation_id % _INT4, what])


def give_memory() -> None:
    """Let this transaction's aggregation stay in memory (measured: the hash of a day spills below 256 MB)."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL work_mem = '256MB'")


def take_marks(organisation_id: int, first_hour: int, end_hour: int) -> Marks | None:
    """Remove the marks of a range of hours that are visible now, and say which hours they were.

    Called before the readings are read: every reading whose mark is removed is visible to the statements that
    follow, and a mark committed after this one survives for the next rebuild. None: there was no mark.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(_TAKE_MARKS, [organisation_id, first_hour, end_hour])
            row = cursor.fetchone()
    else:
        marks = DirtyHour.objects.filter(organisation_id=organisation_id, hour__gte=first_hour, hour__lt=end_hour)
        hours = sorted(set(marks.values_list("hour", flat=True)))
        row = (hours[0], hours[-1] + 1, len(hours)) if hours else (None, None, 0)
        marks.delete()
    return Marks(*row) if row[2] else None
