"""What is read of CodeCarbon's experiments and runs."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db.models import Count, Max, Min, Q, Sum
from django.db.models.fields.json import KeyTextTransform
from django.utils import timezone

from apps.core.units import MICROWATT_HOURS_PER_KWH, PPM
from apps.core.windows import DAY_MS, epoch_ms, from_epoch_ms
from apps.organisations.models import Organisation
from apps.telemetry.codecarbon.models import Experiment, Run
from apps.telemetry.models import DeclaredEmissions, MeterReading, Series, Source
from apps.telemetry.protocols.codecarbon import PUBLIC_EXPERIMENT, run_meter_name

MOST_RUNS = 20
MOST_SOURCES = 200
GAP_FROM = 3  # usual intervals between two posts, from which on some are missing
LOOKED_BACK_MS = 31 * DAY_MS


@dataclass(frozen=True, slots=True)
class ExperimentRow:
    """An experiment with what its registration leaves open."""

    experiment: Experiment
    runs: int
    last_run_at: object
    is_public: bool

    @property
    def pue(self) -> str:
        return "" if self.experiment.pue_ppm is None else f"{self.experiment.pue_ppm / PPM:g}"


@dataclass(frozen=True, slots=True)
class DeclaredRow:
    """What clients worked out themselves of one source: CO2 as declared [mg], the energy they said [uWh], since when
    and until when [ms], and the country that they saw."""

    source: str
    site_country: str
    runs: int
    first_ms: int
    last_ms: int
    emissions_mg: int
    energy_microwatt_hours: int
    country: str

    @property
    def energy_milliwatt_hours(self) -> int:
        return (self.energy_microwatt_hours + 500) // 1000

    @property
    def grams_per_kwh(self) -> float | None:
        """The factor that the client must have used."""
        if not self.energy_microwatt_hours:
            return None
        return self.emissions_mg / 1000 / (self.energy_microwatt_hours / MICROWATT_HOURS_PER_KWH)

    @property
    def is_fallback(self) -> bool:
        """Whether the client took Canada's factor, as it does when it cannot tell where it is, of a site elsewhere."""
        return self.country == "CAN" and self.site_country not in ("", "CA")


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run with its posts. ``interval_s``: usual time between two; ``unreported_s``: what is missing of the time
    between them, where it is longer than three usual ones."""

    run: Run
    posts: int
    last_at: datetime | None
    interval_s: int
    unreported_s: int


def experiments(organisation: Organisation) -> list[ExperimentRow]:
    """Those nobody has registered first."""
    rows = Experiment.objects.of(organisation).select_related("team", "site")
    found = rows.annotate(run_count=Count("runs"), last_run=Max("runs__started_at")).order_by("is_registered", "name")
    return [ExperimentRow(row, row.run_count, row.last_run, row.experiment_id == PUBLIC_EXPERIMENT) for row in found]


def experiment(organisation: Organisation, pk: int) -> Experiment | None:
    return Experiment.objects.of(organisation).select_related("team", "site").filter(pk=pk).first()


def runs(experiment: Experiment) -> list[RunRow]:
    """The latest runs of an experiment, newest first, with the time that their posts leave out.

    A client that cannot deliver a post goes on as if it had: only its emissions.csv still has the energy.
    """
    found = list(experiment.runs.all()[:MOST_RUNS])
    names = {run_meter_name(str(run.run_id)): run for run in found}
    meters = Series.objects.of(experiment.organisation_id).filter(meter__name__in=names)
    run_of = {pk: names[name].pk for pk, name in meters.values_list("pk", "meter__name")}
    since = epoch_ms(timezone.now()) - LOOKED_BACK_MS
    readings = MeterReading.objects.filter(series__in=list(run_of), at_ms__gte=since).order_by("at_ms")
    posts: dict[int, list[int]] = defaultdict(list)
    for series, at_ms in readings.values_list("series_id", "at_ms"):
        posts[run_of[series]].append(at_ms)
    return [_run_row(run, np.array(posts[run.pk], dtype=np.int64)) for run in found]


def _run_row(run: Run, at_ms: npt.NDArray[np.int64]) -> RunRow:
    between = np.diff(at_ms)
    usual = int(np.median(between)) if len(between) else 0
    missing = int((between[between > GAP_FROM * usual] - usual).sum())
    last_at = from_epoch_ms(int(at_ms[-1])) if len(at_ms) else None
    return RunRow(run, len(at_ms), last_at, interval_s=round(usual / 1000), unreported_s=round(missing / 1000))


def declared(organisation: Organisation) -> list[DeclaredRow]:
    """CO2 as clients declared it, by source, the latest first. Of a run's running totals the largest counts."""
    rows = DeclaredEmissions.objects.of(organisation).order_by()
    latest = rows.values("source").annotate(last=Max("at_ms")).order_by("-last")[:MOST_SOURCES]
    order = [row["source"] for row in latest]
    sums: Any = (
        rows.filter(source__in=order)
        .values("source", "run", "is_running_total")
        .annotate(
            first=Min("at_ms"),
            start=Min("start_ms", filter=Q(start_ms__gt=0)),
            last=Max("at_ms"),
            kept_mg=Max("emissions_mg"),
            added_mg=Sum("emissions_mg"),
            kept_uwh=Max("energy_microwatt_hours"),
            added_uwh=Sum("energy_microwatt_hours"),
            country=Max(KeyTextTransform("country_iso_code", "said")),
        )
    )
    by_source: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for run in sums:
        by_source[run["source"]].append(run)
    sources = Source.objects.of(organisation).select_related("site").in_bulk(order)
    return [_declared_row(sources[pk], by_source[pk]) for pk in order]


def _declared_row(source: Source, runs: list[dict[str, Any]]) -> DeclaredRow:
    way = ["kept" if run["is_running_total"] else "added" for run in runs]
    return DeclaredRow(
        source=source.name,
        site_country=source.site.country if source.site else "",
        runs=len(runs),
        first_ms=min(run["start"] or run["first"] for run in runs),
        last_ms=max(run["last"] for run in runs),
        emissions_mg=sum(int(run[f"{how}_mg"]) for how, run in zip(way, runs, strict=True)),
        energy_microwatt_hours=sum(int(run[f"{how}_uwh"]) for how, run in zip(way, runs, strict=True)),
        country=max(str(run["country"] or "") for run in runs),
    )
