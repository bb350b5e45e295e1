"""An organisation with two quarters of figures: three sites of different control class, four models, one gap."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np

from apps.accounting.services import settle
from apps.core.windows import DAY_MS, epoch_ms
from apps.factors.models import Factor, FactorDataset, GridZone
from apps.organisations.models import Organisation, Team
from apps.sites.models import ControlClass, PuePeriod, Site
from apps.telemetry.bulk import writer
from apps.telemetry.models import Attribution, Boundary, DirtyHour, Method, Reading, Source, TeamName
from apps.workloads.models import AIModel, Kind, Provenance, Workload

KWH = 1_000_000_000  # in microwatt-hours
FIRST = date(2026, 4, 1)
LAST = date(2026, 9, 30)
RUN_END = date(2026, 8, 9)


@dataclass(frozen=True)
class Job:
    """One workload on one source, sending one reading a day."""

    source: str
    site: str | None
    team: str | None
    model: str | None
    kind: Kind
    kwh_a_day: float
    tokens_a_day: int | None = None
    growth: float = 0.0
    first: date = FIRST
    last: date = LAST
    method: Method = Method.MEASURED


JOBS = (
    Job("fra1/serving", "fra1", "assistant", "atlas-7b", Kind.INFERENCE, 820, 95_000_000, 0.9),
    Job("fra1/training", "fra1", "research", "atlas-70b", Kind.TRAINING, 1900, None, 0, date(2026, 5, 11), RUN_END),
    Job("fra1/idle", "fra1", None, None, Kind.IDLE, 210),
    Job("dub2/serving", "dub2", "search", "embed-large", Kind.INFERENCE, 260, 310_000_000, 0.3, method=Method.METERED),
    Job("dub2/evaluation", "dub2", "research", "atlas-70b", Kind.EVALUATION, 40),
    Job("cloud/serving", "aws-eu", "assistant", "atlas-7b", Kind.INFERENCE, 150, 17_000_000),
    Job("lab/node-3", None, "Field Lab", "rover", Kind.INFERENCE, 9, None, 0, date(2026, 8, 1), date(2026, 9, 12)),
)


def publish(zone: str, name: str, kg_per_mwh: str, kind: str = "location") -> None:
    place, _ = GridZone.objects.get_or_create(
        code=zone, defaults={"name": name, "type": GridZone.Type.COUNTRY, "country": zone[:2]}
    )
    dataset = FactorDataset.objects.create(
        slug=f"example-{kind}-{zone.lower()}", edition="2026", kind=kind, publisher="National agency",
        title=f"Emission factor of electricity, {name}", boundary=FactorDataset.Boundary.DIRECT, basis="consumption",
        licence="CC BY 4.0", digest=hashlib.sha256(f"{zone}{kind}".encode()).hexdigest(),
    )  # fmt: skip
    for year in (2025, 2026):
        Factor.objects.create(
            dataset=dataset, zone=place, data_year=year, valid_from=date(year, 1, 1), valid_to=date(year + 1, 1, 1),
            co2e_kg_per_mwh=Decimal(kg_per_mwh),
        )  # fmt: skip


def build(organisation: Organisation, jobs: Sequence[Job] = JOBS) -> None:
    """Write the example into an organisation and settle it."""
    publish("DE", "Germany", "363")
    publish("IE", "Ireland", "254.9")
    publish("DE", "Germany", "725", "residual")
    sites = {}
    for code, name, control, country, pue in (
        ("fra1", "Frankfurt hall", ControlClass.OWNED, "DE", 1_280_000),
        ("dub2", "Dublin suite", ControlClass.COLOCATION, "IE", 1_150_000),
        ("aws-eu", "Cloud, eu-central-1", ControlClass.CLOUD, "DE", 1_135_000),
    ):
        sites[code] = Site.unscoped.create(
            organisation=organisation, code=code, name=name, control=control, country=country, grid_zone=country,
            market=country,
        )  # fmt: skip
        PuePeriod.unscoped.create(
            organisation=organisation, site=sites[code], start=date(2026, 1, 1), pue_ppm=pue, source="facility meter"
        )
    teams = {
        slug: Team.unscoped.create(organisation=organisation, slug=slug, name=slug.title())
        for slug in ("assistant", "research", "search")
    }
    names: dict[str, TeamName] = {}
    models: dict[str, AIModel] = {}
    hours: set[int] = set()
    for job in jobs:
        if job.team and job.team not in names:
            names[job.team] = TeamName.unscoped.create(
                organisation=organisation, name=job.team, team=teams.get(job.team)
            )
        if job.model and job.model not in models:
            simulated = job.model == "embed-large"
            models[job.model] = AIModel.unscoped.create(
                organisation=organisation, slug=job.model, name=job.model.replace("-", " ").capitalize(),
                provenance=Provenance.SIMULATED if simulated else Provenance.REPORTED,
                citation="Seeded load model of the tests" if simulated else "",
            )  # fmt: skip
        site = sites[job.site] if job.site else None
        source = Source.unscoped.create(
            organisation=organisation, name=job.source, site=site,
            first_reading_at=datetime(job.first.year, job.first.month, job.first.day, tzinfo=UTC),
            last_reading_at=datetime(job.last.year, job.last.month, job.last.day, tzinfo=UTC) + timedelta(days=1),
        )  # fmt: skip
        model = models.get(job.model or "")
        workload, _ = Workload.unscoped.get_or_create(
            organisation=organisation, name=f"{job.model or job.source} {job.kind.label}",
            defaults={"provenance": model.provenance if model else Provenance.REPORTED},
        )  # fmt: skip
        attribution = Attribution.unscoped.create(
            organisation=organisation, source=source, site=site, team_name=names.get(job.team or ""), model=model,
            workload=workload, kind=job.kind, boundary=Boundary.ACCELERATOR, method=job.method,
            digest=hashlib.sha256(job.source.encode()).hexdigest(),
        )  # fmt: skip
        hours |= _add(organisation, job, attribution)
    DirtyHour.objects.bulk_create(DirtyHour(organisation=organisation, hour=hour) for hour in sorted(hours))
    settle(organisation.pk)


def _add(organisation: Organisation, job: Job, attribution: Attribution) -> set[int]:
    readings, hours = [], set()
    days = (job.last - job.first).days + 1
    for index in range(days):
        day = job.first + timedelta(days=index)
        start = epoch_ms(datetime(day.year, day.month, day.day, tzinfo=UTC))
        swing = 1 + job.growth * index / days + (0.08 if day.weekday() < 5 else -0.2)
        readings.append(
            Reading(
                organisation=organisation, start_ms=start, end_ms=start + DAY_MS, source_id=attribution.source_id,
                attribution=attribution, energy_microwatt_hours=int(job.kwh_a_day * swing * KWH),
                tokens=int(job.tokens_a_day * swing) if job.tokens_a_day else None, receipt_id=1,
            )
        )  # fmt: skip
        hours |= set(range(start // 3_600_000, (start + DAY_MS) // 3_600_000))
    writer().prepare(np.array([reading.start_ms for reading in readings]))
    Reading.objects.bulk_create(readings)
    return hours
