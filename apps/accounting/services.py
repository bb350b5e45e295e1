"""Keeping the ledger true: everything that writes in this room is called from here."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from django.conf import settings
from django.db import IntegrityError, connection
from django.utils import timezone

from apps.accounting import accounts, inputs, market
from apps.accounting.models import LedgerState, RebuiltDay
from apps.accounting.rollup import HOURS_PER_DAY, rebuild_day
from apps.organisations.models import Organisation
from apps.telemetry.models import DirtyHour

_LOCKED_PAUSE_S = 0.05  # between looks at days that another worker holds
_SHARED_FROM_DAYS = 4  # so many dirty days are rebuilt over several connections

Progress = Callable[[str], None]


def settle(organisation_id: int | None = None, *, wait: bool = True, progress: Progress | None = None) -> int:
    """Work off everything pending in this process: of one organisation, or of all.

    Rebuilds dirty hours from the readings, then the market rates of the claim periods they touch. Safe to run twice,
    at once with others, and to be killed: every day is a transaction of its own. ``wait``: whether to stay until the
    days that another worker holds are done too. Returns the number of hours rebuilt.
    """
    if organisation_id is not None:
        return _settle(organisation_id, wait, progress or (lambda line: None))
    ids = Organisation.objects.order_by("pk").values_list("pk", flat=True)
    return sum(_settle(pk, wait, progress or (lambda line: None)) for pk in list(ids))


def organisations_to_settle() -> list[int]:
    """Organisations with dirty hours, with market rates to be worked out, or whose inputs changed unannounced."""
    pending = set(DirtyHour.objects.values_list("organisation_id", flat=True).distinct())
    pending |= set(RebuiltDay.objects.values_list("organisation_id", flat=True).distinct())
    ids = Organisation.objects.order_by("pk").values_list("pk", flat=True)
    return [pk for pk in ids if pk in pending or inputs.stale(pk)]


def _settle(organisation_id: int, wait: bool, progress: Progress) -> int:
    changed = inputs.refresh(organisation_id)
    accounts.post_new(organisation_id)
    rebuilt = 0
    while days := _dirty_days(organisation_id):
        hours = _rebuild_all(organisation_id, days)
        rebuilt += sum(done or 0 for done in hours)
        market.refresh_rebuilt(organisation_id)
        progress(f"{rebuilt} hours rebuilt")
        if all(done is None for done in hours):
            if not wait:
                return rebuilt
            time.sleep(_LOCKED_PAUSE_S)
    if not rebuilt:
        market.refresh_rebuilt(organisation_id)  # what a killed worker left behind
    if changed or rebuilt:
        LedgerState.objects.filter(pk=organisation_id).update(last_settled_at=timezone.now())
    return rebuilt


def _rebuild_all(organisation_id: int, days: list[int]) -> list[int | None]:
    """Rebuild days one after the other; many of them over several connections, which days do not contend for.

    The work is the database's: a thread waits for it. SQLite has one writer, and inside somebody's transaction another
    connection would not see what is to be rebuilt.
    """
    rebuild = partial(_rebuild, organisation_id)
    connections = settings.SETTLE_CONNECTIONS if connection.vendor == "postgresql" else 1
    if connections < 2 or len(days) < _SHARED_FROM_DAYS or connection.in_atomic_block:
        return [rebuild(day) for day in days]
    with ThreadPoolExecutor(connections) as pool:
        # A stretch each, not every other day: neighbouring days share pages of readings and ledger.
        size = -(-len(days) // connections)
        stretches = [days[i : i + size] for i in range(0, len(days), size)]
        return [hours for stretch in pool.map(partial(_rebuild_stretch, rebuild), stretches) for hours in stretch]


def _rebuild_stretch(rebuild: Callable[[int], int | None], days: list[int]) -> list[int | None]:
    try:
        return [rebuild(day) for day in days]
    finally:
        connection.close()  # this thread's own


def _rebuild(organisation_id: int, day: int) -> int | None:
    try:
        return rebuild_day(organisation_id, day)
    except IntegrityError:
        # A reading arrived whose attribution is younger than the last look at what has no posting yet.
        if not accounts.post_new(organisation_id):
            raise
        return rebuild_day(organisation_id, day)


def _dirty_days(organisation_id: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT hour / %s FROM telemetry_dirtyhour WHERE organisation_id = %s ORDER BY 1",
            [HOURS_PER_DAY, organisation_id],
        )
        return [day for (day,) in cursor.fetchall()]
