"""Make the demo organisation, through the same doors as any other: services for what is kept, the intake for energy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from itertools import chain, islice
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.accounting.services import settle
from apps.core.windows import HOUR_MS, epoch_ms
from apps.dashboards.demo import decisions, estate, fleets, readings
from apps.dashboards.demo.people import LOGINS
from apps.dashboards.demo.published import DATED, PublishedRun, published_runs
from apps.organisations.models import Organisation
from apps.organisations.services import create_organisation, create_team, invite_person
from apps.sites.services import create_site, set_pue
from apps.telemetry.batch import SampleBatch
from apps.telemetry.intake import IntakeContext, store
from apps.telemetry.protocols import samples
from apps.workloads.models import HardwareProfile, Provenance, Workload
from apps.workloads.services import describe_model, describe_workload, set_outcome

ACTOR = "system"


class NotADemonstrationError(RuntimeError):
    """The installation is no demonstration, so people whose passwords everybody knows may not exist in it."""


def demo_organisation() -> Organisation | None:
    return Organisation.objects.filter(slug=estate.SLUG).first()


def create_demo() -> Organisation:
    """The demo organisation with its two quarters, settled.

    Everything up to the officer's decisions is one transaction: a run that is interrupted leaves nothing behind. Only
    the difference between a meter and its telemetry can be booked no sooner than the month is settled. Raises
    :class:`NotADemonstrationError` unless ``ESGPORTAL_DEMO`` is on, ``LookupError`` when reference data are missing.
    """
    if not settings.DEMO:
        raise NotADemonstrationError("The demo organisation is only made where ESGPORTAL_DEMO=1 is set.")
    # Made before the transaction is opened, so that it holds the database for as short a time as it can.
    batches = list(_batches(_hardware()))
    with transaction.atomic():
        organisation = create_organisation(slug=estate.SLUG, name=estate.NAME, is_demo=True, actor=ACTOR)
        _people(organisation)
        _estate(organisation)
        _workloads(organisation)
        for batch in batches:
            _store(organisation, batch)
        decisions.decide(organisation)
    settle(organisation.pk)
    decisions.book(organisation)
    settle(organisation.pk)
    return organisation


def _hardware() -> dict[str, HardwareProfile]:
    profiles = HardwareProfile.objects.in_bulk()
    wanted = {fleets.H100, *(job.hardware for job in fleets.JOBS)}
    if missing := sorted(wanted - set(profiles)):
        raise LookupError(f"no hardware profile {', '.join(missing)}; run `manage.py load_reference_data` first")
    return profiles


def _people(organisation: Organisation) -> None:
    for login in LOGINS:
        invite_person(
            organisation=organisation,
            email=login.email,
            name=login.name,
            role=login.role,
            password=login.password,
            actor=ACTOR,
        )


def _estate(organisation: Organisation) -> None:
    for slug, name in estate.TEAMS:
        create_team(organisation=organisation, slug=slug, name=name, actor=ACTOR)
    for place in estate.SITES:
        site = create_site(
            organisation=organisation,
            code=place.code,
            name=place.name,
            control=place.control,
            country=place.country,
            grid_zone=place.grid_zone,
            market=place.market,
            time_zone=place.time_zone,
            actor=ACTOR,
        )
        starts = [start for start, _, _ in place.pue]
        for (start, value, source), end in zip(place.pue, [*starts[1:], None], strict=True):
            set_pue(site=site, start=start, end=end, pue=Decimal(value), source=source, actor=ACTOR)


def _workloads(organisation: Organisation) -> None:
    """Say of each model and workload where its figures come from, before the first reading names it."""
    models: dict[str, tuple[Provenance, str]] = {}
    workloads: dict[str, tuple[Provenance, str]] = {}
    outcomes: dict[str, str] = {}
    for fleet in fleets.FLEETS:
        models.setdefault(fleet.model, (Provenance.SIMULATED, fleet.citation))
        workloads[fleet.name] = (Provenance.SIMULATED, fleet.citation)
    for job in fleets.JOBS:
        models.setdefault(job.model, (Provenance.SIMULATED, job.citation))
        workloads[job.workload] = (Provenance.SIMULATED, job.citation)
        outcomes[job.workload] = job.outcome
    workloads[fleets.POOL_WORKLOAD] = (Provenance.SIMULATED, f"{fleets.ORGANISATION_BASIS}: idle power of the pools")
    for run in published_runs():
        models[run.model] = (Provenance.PUBLISHED, run.citation)
        workloads[run.workload] = (Provenance.PUBLISHED, run.citation)
        outcomes[run.workload] = "finished"
    workloads[decisions.ESTIMATE.workload] = (Provenance.SIMULATED, decisions.ESTIMATE_CITATION)
    for name, (provenance, citation) in models.items():
        describe_model(organisation=organisation, name=name, provenance=provenance, citation=citation, actor=ACTOR)
    for name, (provenance, citation) in workloads.items():
        workload = describe_workload(
            organisation=organisation, name=name, provenance=provenance, citation=citation, actor=ACTOR
        )
        set_outcome(workload=workload, outcome=outcomes.get(name, Workload.Outcome.UNKNOWN), actor=ACTOR)


def all_readings(hardware: dict[str, HardwareProfile]) -> Iterator[dict[str, Any]]:
    """Every reading of the demo as ``POST /api/v1/samples`` takes it."""
    h100 = hardware[fleets.H100]
    pools = [
        *chain.from_iterable(readings.job_rows(job, _watts(hardware[job.hardware])[0]) for job in fleets.JOBS),
        *chain.from_iterable(readings.pool_rows(pool, *_watts(hardware[pool.hardware])) for pool in fleets.POOLS),
    ]
    return chain(
        chain.from_iterable(_published(run) for run in published_runs()),
        chain.from_iterable(readings.fleet_rows(fleet, *_watts(h100)) for fleet in fleets.FLEETS),
        pools,
        readings.driver_rows(pools),
    )


def _watts(profile: HardwareProfile) -> tuple[float, float | None]:
    """TDP and, where known, idle power of a device [W]."""
    if profile.tdp_w is None:
        raise LookupError(f"the hardware profile {profile.code} has no TDP")
    return float(profile.tdp_w), None if profile.idle_w is None else float(profile.idle_w)


def _published(run: PublishedRun) -> Iterator[dict[str, Any]]:
    shared: dict[str, Any] = {
        "source": run.source,
        "site": run.site,
        "team": run.team,
        "model": run.model,
        "workload": run.workload,
        "kind": run.kind,
        "boundary": run.boundary,
        "method": run.method,
        "tags": {"published": run.source_url, "note": DATED},
    }
    if run.hardware:
        shared["hardware"] = run.hardware
    if run.accelerators:
        shared["accelerators"] = run.accelerators
    for start, end, milliwatt_hours in run.hourly():
        yield {**shared, **readings.interval(start, end, milliwatt_hours)}


def _batches(hardware: dict[str, HardwareProfile]) -> Iterator[SampleBatch]:
    """All readings, checked as those of a request would be, at most as many in a batch as a request may have."""
    # A clock that lies before the demo's quarters would make all of them readings of the future.
    now_ms = max(epoch_ms(timezone.now()), fleets.END_HOUR * HOUR_MS)
    most = settings.INGEST_MAX_SAMPLES
    remaining = all_readings(hardware)
    while rows := list(islice(remaining, most)):
        batch = samples.decode(json.dumps(rows).encode(), samples.JSON, now_ms=now_ms, max_rows=most)
        if len(batch) != len(rows):
            raise RuntimeError(f"readings of the demo are not valid: {batch.errors[:3]}")
        yield batch


def _store(organisation: Organisation, batch: SampleBatch) -> None:
    answer = json.loads(store(batch, IntakeContext(organisation_id=organisation.pk)).body)
    if answer["accepted"] != len(batch):
        raise RuntimeError(f"the intake refused readings of the demo: {answer['errors'][:3]}")
