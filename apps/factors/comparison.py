"""What a new edition changes against the one before it, before anything is stored. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from apps.core.units import UG_PER_KWH_PER_KG_PER_MWH
from apps.core.windows import from_epoch_hour
from apps.factors.formats.table import FactorTable, HourlyTable

Key = tuple[str, int]
Hours = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Change:
    """One factor that differs; values in kg/MWh (a carbon-free share in per cent), None for *none published*.

    ``old_year`` differs from ``year`` where the edition before holds an earlier data year of the zone.
    """

    zone: str
    year: int
    old_year: int
    old: Decimal | None
    new: Decimal | None
    when: str = ""

    @property
    def percent(self) -> float | None:
        """The change against the old value [%]; None from or to an absence, or from zero."""
        if self.old is None or self.new is None or not self.old:
            return None
        return float((self.new - self.old) / self.old * 100)


@dataclass(frozen=True, slots=True)
class Comparison:
    """``changed`` holds the largest changes first; ``changed_count`` counts them all."""

    previous: str  # the edition compared with; empty: the first of its slug
    added: list[Key] = field(default_factory=list)
    removed: list[Key] = field(default_factory=list)
    changed: list[Change] = field(default_factory=list)
    unchanged: int = 0
    added_count: int = 0
    removed_count: int = 0
    changed_count: int = 0

    @property
    def summary(self) -> str:
        parts = (f"{self.added_count} added, {self.removed_count} no longer there, {self.changed_count} changed",)
        return f"{parts[0]}, {self.unchanged} unchanged"


def compare(table: FactorTable, previous: Mapping[Key, Decimal | None], edition: str = "") -> Comparison:
    """The rows of a table against those of the edition before, by zone and data year [kg/MWh].

    A zone whose data year is new is held against its latest earlier year. Changes by their size in per cent, those to
    or from *none published* first.
    """
    years: dict[str, list[int]] = {}
    for zone, year in previous:
        years.setdefault(zone, []).append(year)
    added: list[Key] = []
    changed: list[Change] = []
    unchanged = 0
    held: set[Key] = set()
    for i, key in enumerate(zip(table.zones, table.years, strict=True)):
        held.add(key)
        zone, year = key
        old_year = year if key in previous else max((y for y in years.get(zone, ()) if y < year), default=None)
        if old_year is None:
            added.append(key)
            continue
        old, new = previous[zone, old_year], table.headline(i)
        if old == new and old_year == year:
            unchanged += 1
        else:
            changed.append(Change(zone, year, old_year, old, new))
    # Another edition for another year replaces nothing of the one before: only zones can then be missing.
    overlap = bool(held & previous.keys())
    zones = {zone for zone, _ in held}
    removed = [key for key in previous if (key not in held if overlap else key[0] not in zones)]
    changed.sort(key=lambda one: (one.percent is not None, -abs(one.percent or 0), one.zone, one.year))
    return Comparison(
        edition, sorted(added), sorted(removed), changed, unchanged, len(added), len(removed), len(changed)
    )


def compare_hours(
    table: HourlyTable, previous: Mapping[str, Hours], edition: str = "", *, largest: int = 100
) -> Comparison:
    """The hours of a table against those held for the same zones; hours outside the table are left as they are."""
    added = unchanged = changed_count = 0
    changes: list[Change] = []
    share = table.facts["kind"] == "hourly_cfe"
    scale = Decimal(10_000) if share else Decimal(UG_PER_KWH_PER_KG_PER_MWH)
    for zone in sorted(set(table.zones)):
        hours, values = table.of_zone(zone)
        old_hours, old_values = previous.get(zone, (np.empty(0, np.int64), np.empty(0, np.int64)))
        _, here, there = np.intersect1d(hours, old_hours, return_indices=True)
        added += len(hours) - len(here)
        new, old = values[here], old_values[there]
        differs = np.flatnonzero(new != old)
        unchanged += len(here) - len(differs)
        changed_count += len(differs)
        by_size = differs[np.argsort(-np.abs(new[differs] - old[differs]), kind="stable")][:largest]
        for i in by_size:
            moment = from_epoch_hour(int(hours[here][i]))
            before, after = Decimal(int(old[i])) / scale, Decimal(int(new[i])) / scale
            changes.append(Change(zone, moment.year, moment.year, before, after, moment.strftime("%Y-%m-%d %H:00")))
    changes.sort(key=lambda one: -abs((one.new or Decimal(0)) - (one.old or Decimal(0))))
    return Comparison(
        edition,
        changed=changes[:largest],
        unchanged=unchanged,
        added_count=added,
        changed_count=changed_count,
    )
