"""Published training runs: somebody else's energy, exactly as printed, shown as if it had been used here.

The days are the demo's; the energy is the source's. The emissions shown are those of the demo's sites and quarters
and not the emissions that the source prints.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from apps.core.units import MILLIWATT_HOURS_PER_KWH, largest_remainder

TABLE = Path(__file__).with_name("published_runs.csv")
DATED = "Shown as if run here, in days of the demo's choosing: the published energy, not the published emissions."


@dataclass(frozen=True, slots=True)
class PublishedRun:
    """One row of ``published_runs.csv``. ``energy_kwh`` is at ``boundary``; ``facility`` already includes PUE."""

    id: str
    model: str
    workload: str
    team: str
    site: str
    kind: str
    energy_kwh: int
    boundary: str
    method: str
    hardware: str
    accelerators: int | None
    start: datetime
    end: datetime
    basis: str
    source_title: str
    source_url: str
    source_place: str

    @property
    def citation(self) -> str:
        return f"{self.source_title}, {self.source_place}; {self.source_url}. {self.basis}."

    @property
    def source(self) -> str:
        return f"published/{self.id}"

    def hourly(self) -> Iterator[tuple[datetime, datetime, int]]:
        """The run cut at full hours: (start, end, energy in mWh); even power, and the parts add up to the whole.

        By the hour because the ledger rounds once in each of its hours: cut here, every part is whole already.
        """
        hour = timedelta(hours=1)
        full, rest = divmod(self.end - self.start, hour)
        bounds = [self.start + n * hour for n in range(full + 1)] + ([self.end] if rest else [])
        intervals = list(pairwise(bounds))
        seconds = [int((end - start).total_seconds()) for start, end in intervals]
        parts = largest_remainder(
            self.energy_kwh * MILLIWATT_HOURS_PER_KWH, seconds, [start.isoformat() for start, _ in intervals]
        )
        for (start, end), part in zip(intervals, parts, strict=True):
            yield start, end, part


def published_runs() -> list[PublishedRun]:
    """Every row of the table, in its order."""
    with TABLE.open(newline="", encoding="utf-8") as file:
        return [_run(row) for row in csv.DictReader(file)]


def _run(row: dict[str, str]) -> PublishedRun:
    start = datetime.fromisoformat(row["shown_from"])
    return PublishedRun(
        id=row["id"],
        model=row["model"],
        workload=row["workload"],
        team=row["team"],
        site=row["site"],
        kind=row["kind"],
        energy_kwh=int(row["energy_kwh"]),
        boundary=row["boundary"],
        method=row["method"],
        hardware=row["hardware"],
        accelerators=int(row["accelerators"]) if row["accelerators"] else None,
        start=start,
        end=start + timedelta(seconds=round(float(row["shown_hours"]) * 3600)),
        basis=row["basis"],
        source_title=row["source_title"],
        source_url=row["source_url"],
        source_place=row["source_place"],
    )
