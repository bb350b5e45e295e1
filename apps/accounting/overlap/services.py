"""Writing what is set aside: in the transaction that rebuilds the hours, before they are summed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from sqlite3 import sqlite_version_info

import numpy as np
from django.db import connection, transaction

from apps.accounting import accounts, locks
from apps.accounting.models import Account, LedgerState, SetAside
from apps.accounting.overlap.containment import parts_contained
from apps.accounting.overlap.devices import SharedSource, containers_of, shared_sources
from apps.accounting.overlap.intervals import NOBODY, Int64Array, Part, Readings, aside_and_kept
from apps.core.windows import DAY_MS, HOUR_MS

LONGEST_READING_MS = 31 * DAY_MS
# Hours of sources looked at together: bounds memory (10 s readings of as many are 300,000 rows of six numbers).
_SOURCE_HOURS = 800
_FETCHED = 50_000

# The conditions of the partial index, word for word: see ``rollup``.
_SPANNING = "end_ms > start_ms / 3600000 * 3600000 + 3600000"
_WITHIN = "end_ms <= start_ms / 3600000 * 3600000 + 3600000"
_COLUMNS = "start_ms, end_ms, energy_microwatt_hours, attribution_id, source_id"
_READINGS = """
WITH found AS {once} (
    SELECT {columns} FROM telemetry_reading {index}
    WHERE organisation_id = %s AND start_ms >= %s AND start_ms < %s AND {condition}
)
SELECT {columns}, method FROM found
JOIN (SELECT id, method FROM telemetry_attribution WHERE source_id IN ({sources})) said ON said.id = attribution_id
"""
# Whether any source names a device, its own or the one that contains it, and whether anything is set aside in a
# range: nearly always neither, so that the rebuild asks it along with its own first question.
LOOK = """
EXISTS (SELECT 1 FROM telemetry_source
        WHERE organisation_id = %(organisation)s AND (device <> '' OR within <> '')),
EXISTS (SELECT 1 FROM accounting_setaside
        WHERE organisation_id = %(organisation)s AND hour >= %(first_hour)s AND hour < %(end_hour)s)
"""
_CLEAR = "DELETE FROM accounting_setaside WHERE organisation_id = %s AND hour >= %s AND hour < %s"


def write_set_aside(organisation_id: int, first_hour: int, end_hour: int, *, has_devices: bool, has_rows: bool) -> bool:
    """Work out anew what is set aside in ``[first_hour, end_hour)``; whether there is anything.

    Called inside the rebuild of these hours, after their marks were taken, with the answers of :data:`LOOK`.
    """
    if has_rows:
        with connection.cursor() as cursor:
            cursor.execute(_CLEAR, [organisation_id, first_hour, end_hour])
    sources = shared_sources(organisation_id) if has_devices else []
    if not sources:
        return False
    ids = [source.id for source in sources]
    crossing = _crossing(organisation_id, ids, first_hour, end_hour)
    step = max(1, _SOURCE_HOURS // len(ids))
    found = False
    for first in range(first_hour, end_hour, step):
        end = min(first + step, end_hour)
        rows = _read(organisation_id, ids, first * HOUR_MS, end * HOUR_MS, _WITHIN)
        reaching = crossing[(crossing[:, 0] < end * HOUR_MS) & (crossing[:, 1] > first * HOUR_MS)]
        readings, within = _ordered(np.concatenate([rows, reaching]), sources)
        parts, kept = aside_and_kept(readings, first, end)
        if (within != NOBODY).any():
            parts += parts_contained(readings, kept, within, first, end)
        _store(organisation_id, parts)
        found = found or bool(parts)
    return found


def _crossing(organisation_id: int, ids: Sequence[int], first_hour: int, end_hour: int) -> Int64Array:
    """The readings that cross an hour and reach into the range, from up to 31 days before it."""
    first_ms = first_hour * HOUR_MS
    since = first_ms - LONGEST_READING_MS
    return _read(organisation_id, ids, since, end_hour * HOUR_MS, f"{_SPANNING} AND end_ms > {int(first_ms)}")


def _read(organisation_id: int, ids: Sequence[int], since_ms: int, until_ms: int, condition: str) -> Int64Array:
    spanning = condition.startswith(_SPANNING)
    statement = _READINGS.format(
        columns=_COLUMNS,
        condition=condition,
        index="INDEXED BY reading_spanning" if spanning and connection.vendor == "sqlite" else "",
        once="MATERIALIZED" if connection.vendor == "postgresql" or sqlite_version_info >= (3, 35) else "",
        sources=", ".join(str(int(pk)) for pk in ids),
    )
    blocks = [np.empty((0, 6), np.int64)]
    with connection.cursor() as cursor:
        cursor.execute(statement, [organisation_id, since_ms, until_ms])
        while rows := cursor.fetchmany(_FETCHED):
            blocks.append(np.array(rows, dtype=np.int64))
    return np.concatenate(blocks)


def _ordered(rows: Int64Array, sources: Sequence[SharedSource]) -> tuple[Readings, Int64Array]:
    """The readings with the place of each in the order of its device: precedence, then better method, then name.

    And of each device the number of the one that contains it, or :data:`NOBODY`.
    """
    known = {source.id: source for source in sources}
    numbers = {device: number for number, device in enumerate(sorted({source.device for source in sources}))}
    classes, place = np.unique(rows[:, 4:6], axis=0, return_inverse=True)
    of_device: dict[str, list[tuple[int, int, str, int]]] = defaultdict(list)
    for i, (source_id, method) in enumerate(classes.tolist()):
        source = known[source_id]
        of_device[source.device].append((source.precedence, method, source.name, i))
    level, device = np.zeros(len(classes), np.int64), np.zeros(len(classes), np.int64)
    for name, order in of_device.items():
        for at, (_, _, _, i) in enumerate(sorted(order)):
            level[i], device[i] = at, numbers[name]
    place = place.ravel()
    within = np.full(len(numbers), NOBODY, np.int64)
    for name, container in containers_of(sources).items():
        within[numbers[name]] = numbers[container]
    readings = Readings(rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3], rows[:, 4], device[place], level[place])
    return readings, within


def _store(organisation_id: int, parts: Sequence[Part]) -> None:
    SetAside.objects.bulk_create(
        (
            SetAside(
                organisation_id=organisation_id,
                hour=part.hour,
                attribution_id=part.attribution,
                counted_source_id=part.counted_source,
                energy_microwatt_hours=part.energy_microwatt_hours,
                covered_ms=part.covered_ms,
            )
            for part in parts
        ),
        batch_size=1_000,
    )


@transaction.atomic
def mark_changed(organisation_id: int) -> int:
    """Mark the hours of every source dirty whose device, precedence or container changed since the last time.

    Returns how many did. What was known the last time stands in the ledger's state, so that a change is found whoever
    made it.
    """
    locks.lock(organisation_id, locks.INPUTS)
    state = LedgerState.objects.select_for_update().get(pk=organisation_id)
    now = {
        str(source.id): [source.device, source.precedence, *([source.within] if source.within else [])]
        for source in shared_sources(organisation_id)
    }
    changed = [int(pk) for pk in now.keys() | state.devices.keys() if now.get(pk) != state.devices.get(pk)]
    if changed:
        booked = Account.objects.of(organisation_id).filter(source_id__in=changed).order_by("pk")
        accounts.mark_accounts_dirty(organisation_id, list(booked.values_list("pk", flat=True)))
        state.devices = now
        state.save(update_fields=["devices"])
    return len(changed)
