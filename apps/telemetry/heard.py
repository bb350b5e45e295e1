"""What a batch leaves with its sources and series besides readings: when they were heard of, and how often again."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from django.db import transaction
from django.db.models import F

from apps.telemetry.batch import Int64Array
from apps.telemetry.models import Source

TOUCH_EVERY_MS = 300_000  # a source's last reading is written when it has moved by more than this
_CHUNK = 500  # rows a statement
_UNKNOWN = (np.iinfo(np.int64).max, np.iinfo(np.int64).min)


def touch(
    ids: Int64Array,
    first_ms: Int64Array,
    last_ms: Int64Array,
    known: dict[int, tuple[int, int]],
    write: Callable[[Int64Array, Int64Array, Int64Array], None],
) -> None:
    """Keep the first and last reading of what rows are of, to five minutes.

    ``known``: what this process knows to be committed, by id; ``write`` gets ids in their order, firsts and lasts.
    """
    order = np.argsort(ids, kind="stable")
    distinct, begins = np.unique(ids[order], return_index=True)
    first = np.minimum.reduceat(first_ms[order], begins)
    last = np.maximum.reduceat(last_ms[order], begins)
    before = np.array([known.get(one, _UNKNOWN) for one in distinct.tolist()], dtype=np.int64)
    with np.errstate(over="ignore"):
        moved = (first < before[:, 0]) | (last > before[:, 1] + TOUCH_EVERY_MS)
    if not moved.any():
        return
    distinct, first, last, before = distinct[moved], first[moved], last[moved], before[moved]
    write(distinct, first, last)
    ranges = zip(np.minimum(first, before[:, 0]).tolist(), np.maximum(last, before[:, 1]).tolist(), strict=True)
    fresh = dict(zip(distinct.tolist(), ranges, strict=True))
    transaction.on_commit(lambda: known.update(fresh))


@dataclass(slots=True)
class Repeats:
    """Readings that came again, by source id: with the same value, and with another one."""

    duplicates: Counter[int] = field(default_factory=Counter)
    conflicts: Counter[int] = field(default_factory=Counter)

    def write(self, organisation_id: int, also_written: Iterable[int]) -> None:
        """Add them up. ``also_written``: sources that the transaction touches besides; call before it does.

        All are locked in the order of their ids, so that no two transactions wait in a circle.
        """
        if not self.duplicates and not self.conflicts:
            return
        repeated = set(self.duplicates) | set(self.conflicts)
        sources = Source.objects.of(organisation_id)
        for chunk in _chunks(repeated | set(also_written)):
            list(sources.filter(pk__in=chunk).order_by("pk").select_for_update(no_key=True).values_list("pk"))
        alike: dict[tuple[int, int], list[int]] = defaultdict(list)
        for source in repeated:
            alike[self.duplicates[source], self.conflicts[source]].append(source)
        for (duplicates, conflicts), ids in alike.items():
            for chunk in _chunks(ids):
                sources.filter(pk__in=chunk).update(
                    duplicates=F("duplicates") + duplicates, conflicts=F("conflicts") + conflicts
                )


def _chunks(ids: Iterable[int]) -> Iterable[list[int]]:
    ordered = sorted(ids)
    return (ordered[i : i + _CHUNK] for i in range(0, len(ordered), _CHUNK))
