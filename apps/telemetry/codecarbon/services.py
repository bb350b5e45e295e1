"""Runs of CodeCarbon taken in, and experiments registered."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import numpy as np
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from apps.audit.services import audited, record, state_of
from apps.core.units import MG_PER_KG, PPM
from apps.core.windows import epoch_ms
from apps.organisations.models import Organisation
from apps.telemetry.attribution.services import reapply
from apps.telemetry.codecarbon.models import Experiment, Run
from apps.telemetry.intake import IntakeContext
from apps.telemetry.meters import intake, interning
from apps.telemetry.meters.batch import MeterBatch, SeriesSaid
from apps.telemetry.meters.intake import MeterAnswer
from apps.telemetry.meters.services import mark_meters_dirty
from apps.telemetry.models import DeclaredEmissions, Meter, MeterKind, Series, Source
from apps.telemetry.protocols import codecarbon
from apps.telemetry.protocols.codecarbon import FaultyFieldError, Whose

MOST_PUE_PPM = 10 * PPM
_EXPERIMENT_ID = re.compile(r"[\w.:/-]{1,64}")


@transaction.atomic
def announce_run(*, content: dict[str, Any], context: IntakeContext) -> Run:
    """Keep a run as ``POST /runs`` announces it; an experiment that nobody registered is kept too.

    Raises :class:`FaultyFieldError`.
    """
    experiment_id = codecarbon.text(content, "experiment_id", required=True)
    if not _EXPERIMENT_ID.fullmatch(experiment_id):
        raise FaultyFieldError("experiment_id", experiment_id, "an id of up to 64 letters, digits and -")
    started = codecarbon.moment(content, "timestamp") or timezone.now()
    Experiment.unscoped.bulk_create(
        [Experiment(organisation_id=context.organisation_id, experiment_id=experiment_id)], ignore_conflicts=True
    )
    experiment = Experiment.objects.of(context.organisation_id).get(experiment_id=experiment_id)
    return Run.unscoped.create(
        organisation_id=context.organisation_id,
        experiment=experiment,
        api_key_id=context.key_id,
        team_slug=context.team_slug or "",
        site_code=context.site_code,
        started_at=started,
        said=codecarbon.descriptive(content),
    )


def whose_is(experiment: Experiment) -> Whose:
    """What the registration says of an experiment's runs."""
    return Whose(
        name=experiment.name or experiment.experiment_id,
        team=experiment.team.slug if experiment.team else None,
        model=experiment.model or None,
        site=experiment.site.code if experiment.site else None,
        kind=experiment.get_kind_display(),
        device=experiment.device,
        pue_ppm=experiment.pue_ppm or PPM,
    )


def series_of(run: Run) -> SeriesSaid:
    labels = {**run.said, "experiment_id": run.experiment.experiment_id, "run_id": str(run.run_id)}
    return codecarbon.run_series(str(run.run_id), whose_is(run.experiment), labels)


def take_emission(*, content: dict[str, Any], context: IntakeContext) -> MeterAnswer:
    """Store the energy of one ``POST /emissions``. The same run and timestamp again count once.

    Raises :class:`FaultyFieldError`.
    """
    run = _run(content, context.organisation_id)
    at = codecarbon.moment(content, "timestamp") or timezone.now()
    energy = codecarbon.number(content, "energy_consumed")
    duration = codecarbon.number(content, "duration", required=False)
    kg = codecarbon.number(content, "emissions_sum", required=False)
    # A run is announced just before its first post: only there does its duration say since when the energy was used.
    name = codecarbon.run_meter_name(str(run.run_id))
    is_first = not Meter.objects.of(context.organisation_id).filter(name=name).exists()
    at_ms = epoch_ms(at)
    start_ms = at_ms - max(1, round(duration)) * 1000 if is_first else 0
    answer = _store(series_of(run), at_ms, energy, start_ms, context)
    _declare(name, str(run.run_id), at_ms, energy, kg, run.said, context)
    return answer


def _run(content: dict[str, Any], organisation_id: int) -> Run:
    given = content.get("run_id")
    expected = "the id that POST /runs answered for this organisation"
    try:
        run_id = UUID(str(given))
    except ValueError:
        raise FaultyFieldError("run_id", given, expected) from None
    runs = Run.objects.of(organisation_id).select_related("experiment__team", "experiment__site")
    run = runs.filter(run_id=run_id).first()
    if run is None:
        raise FaultyFieldError("run_id", given, expected)
    return run


def take_total(*, content: dict[str, Any], context: IntakeContext) -> MeterAnswer:
    """Store the running total of one post of the http output. Raises :class:`FaultyFieldError`."""
    now = timezone.now()
    project = codecarbon.text(content, "project_name") or "codecarbon"
    energy = codecarbon.number(content, "energy_consumed")
    duration = codecarbon.number(content, "duration")
    kg = codecarbon.number(content, "emissions", required=False)
    pue = codecarbon.number(content, "pue", required=False) or 1.0
    if not 1 <= pue <= MOST_PUE_PPM / PPM:
        raise FaultyFieldError("pue", content.get("pue"), "a PUE from 1 to 10")
    codecarbon.moment(content, "timestamp")  # says what is wrong with one that is none
    at = codecarbon.arrival(content, now)
    labels = {
        **codecarbon.descriptive(content),
        "project_name": project,
        "experiment_id": codecarbon.text(content, "experiment_id"),
        "run_id": codecarbon.text(content, "run_id"),
    }
    labels = {name: value for name, value in labels.items() if value}
    start = at - timedelta(seconds=duration)
    identity = _identity(labels, pue, context)
    start_ms = _known_start(identity, epoch_ms(start), context.organisation_id)
    whose = _whose_total(project, labels.get("experiment_id", ""), round(pue * PPM), context.organisation_id)
    said = codecarbon.total_series(identity, start_ms, whose, labels)
    answer = _store(said, epoch_ms(at), energy, min(start_ms, epoch_ms(at) - 1), context)
    _declare(said.meter.name, f"{identity} {start_ms}", epoch_ms(at), energy, kg, labels, context, start_ms=start_ms)
    return answer


def _whose_total(project: str, experiment_id: str, pue_ppm: int, organisation_id: int) -> Whose:
    """What is registered of the experiment that a running total names; its PUE is the payload's own."""
    known = Experiment.objects.of(organisation_id).select_related("team", "site")
    experiment = known.filter(experiment_id=experiment_id, is_registered=True).first()
    whose = Whose(name=project) if experiment is None else whose_is(experiment)
    return replace(whose, name=project, pue_ppm=pue_ppm)


def _identity(labels: dict[str, str], pue: float, context: IntakeContext) -> str:
    said = json.dumps([labels, pue, context.team_slug, context.site_code], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _known_start(identity: str, start_ms: int, organisation_id: int) -> int:
    """The start under which a run is known already: what posts of one run work out differs by a moment."""
    names = Meter.objects.of(organisation_id).filter(name__startswith=f"codecarbon_http {identity} ")
    starts = [int(name.rsplit(" ", 1)[1]) for name in names.values_list("name", flat=True)]
    near = [known for known in starts if abs(known - start_ms) <= codecarbon.START_TOLERANCE_MS]
    return min(near, key=lambda known: abs(known - start_ms), default=start_ms)


def _store(said: SeriesSaid, at_ms: int, energy_kwh: float, start_ms: int, context: IntakeContext) -> MeterAnswer:
    batch = MeterBatch(
        protocol=codecarbon.DOOR,
        index=np.zeros(1, dtype=np.int64),
        series_codes=np.zeros(1, dtype=np.int64),
        at_ms=np.array([at_ms], dtype=np.int64),
        value=np.array([energy_kwh], dtype=np.float64),
        start_ms=np.array([start_ms], dtype=np.int64),
        series=[said],
    )
    return intake.store(batch, context)


def _declare(
    meter_name: str,
    run: str,
    at_ms: int,
    energy_kwh: float,
    kg: float,
    said: dict[str, str],
    context: IntakeContext,
    *,
    start_ms: int = 0,
) -> None:
    """Keep the client's own CO2 as declared. It is compared with the portal's figure and never used."""
    meter = Meter.objects.of(context.organisation_id).filter(name=meter_name).first()
    if meter is None:
        return
    row = DeclaredEmissions(
        organisation_id=context.organisation_id,
        source_id=meter.source_id,
        run=run[:200],
        at_ms=at_ms,
        start_ms=start_ms,
        is_running_total=bool(start_ms),
        emissions_mg=round(min(kg, 1e9) * MG_PER_KG),
        energy_microwatt_hours=round(min(energy_kwh, 1e9) * 10**9),
        said=said,
    )
    DeclaredEmissions.unscoped.bulk_create([row], ignore_conflicts=True)


@transaction.atomic
def new_experiment(*, organisation: Organisation, actor: str, **fields: Any) -> Experiment:
    """Register an experiment that has not run yet; it gets an id of its own. Raises ``ValidationError``."""
    experiment = Experiment(organisation=organisation, experiment_id=str(uuid4()), is_registered=True, **fields)
    _check(experiment)
    experiment.save()
    record(
        organisation_id=organisation.pk,
        actor=actor,
        action="experiment.registered",
        instance=experiment,
        after=state_of(experiment),
    )
    return experiment


@transaction.atomic
def register(*, experiment: Experiment, actor: str, **fields: Any) -> bool:
    """Say what an experiment is; whether anything differs. Holds for its past runs too. Raises ``ValidationError``."""

    def change() -> None:
        for name, value in fields.items():
            setattr(experiment, name, value)
        experiment.is_registered = True
        _check(experiment)
        experiment.save()

    organisation_id = experiment.organisation_id
    changed = audited(experiment, change, organisation_id=organisation_id, actor=actor, action="experiment.registered")
    if changed:
        _follow(experiment)
    return changed


def _check(experiment: Experiment) -> None:
    experiment.full_clean(exclude=["organisation"])
    for name in ("team", "site"):
        chosen = getattr(experiment, name)
        if chosen is not None and chosen.organisation_id != experiment.organisation_id:
            raise ValidationError({name: "Expected one of the same organisation."})
    if experiment.pue_ppm is not None and not PPM <= experiment.pue_ppm <= MOST_PUE_PPM:
        raise ValidationError({"pue_ppm": "Expected a PUE from 1 to 10."})


def _follow(experiment: Experiment) -> None:
    """Have the runs of an experiment counted as it is registered now, by whichever output they came."""
    organisation_id = experiment.organisation_id
    whose = whose_is(experiment)
    meters = Meter.objects.of(organisation_id).select_related("source")
    meters = meters.filter(series__door=codecarbon.DOOR, series__labels__experiment_id=experiment.experiment_id)
    found = {meter.pk: meter for meter in meters}
    for meter in found.values():
        said = interning.said_of(codecarbon.naming_of(meter.source.name, whose))
        Series.objects.of(organisation_id).filter(meter=meter).update(said=said)
    # Running totals say their PUE themselves.
    posted = [pk for pk, meter in found.items() if meter.kind == MeterKind.DELTA]
    Meter.objects.of(organisation_id).filter(pk__in=posted).update(pue_included_ppm=whose.pue_ppm)
    Source.objects.of(organisation_id).filter(meters__in=list(found)).update(device=whose.device)
    if found:
        mark_meters_dirty(organisation_id, list(found))
    reapply(organisation_id)
