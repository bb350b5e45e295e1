"""Energy where nothing is measured: worked out from a published profile, and stored as readings like any other.

The readings are of method *modelled*, so that every figure made of them carries tier C, and of a source that the user
names, so that they can be told apart. What they were made from stays with the :class:`Estimate`.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from apps.accounting.engine.estimation import (
    Part,
    Worked,
    energy_of_accelerator_hours,
    energy_of_tokens,
    split_by_month,
    text_of,
)
from apps.audit.services import record, state_of
from apps.core.units import round_half_up
from apps.core.windows import HOUR_MS, epoch_ms
from apps.organisations.authentication import KeyPrincipal
from apps.organisations.models import Organisation
from apps.sites.models import Site
from apps.telemetry import bulk, intake
from apps.telemetry.batch import ABSENT, Naming, SampleBatch
from apps.telemetry.models import Boundary, Estimate, Method, Reading, Receipt, Source, SupersededReading
from apps.telemetry.rules import MAX_INTERVAL_MS, MAX_MEAN_POWER_W, is_reserved
from apps.telemetry.wake import wake_worker
from apps.workloads import queries as workloads
from apps.workloads.models import HardwareProfile, InferenceProfile, Kind

PROTOCOL = "estimate"
MOST_WORK = 10**15  # tokens or requests of one estimate
MOST_ACCELERATORS = 1_000_000
LONGEST = timedelta(days=366)
# What the watts of a profile are of, by how its scope begins.
BOUNDARIES = (("one device", Boundary.ACCELERATOR), ("one CPU package", Boundary.HOST))


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody says of a stretch of time ``[start, end)`` in which nothing was measured.

    By accelerator-hours: ``hardware`` (code of a profile), ``utilisation`` (0 to 1) and either ``accelerators``, which
    ran the whole time, or ``accelerator_hours``. By tokens: ``profile`` (id of an inference profile) and ``tokens``.
    """

    basis: str
    source: str
    start: datetime
    end: datetime
    hardware: str = ""
    utilisation: Decimal | None = None
    accelerators: int | None = None
    accelerator_hours: Decimal | None = None
    profile: int | None = None
    tokens: int | None = None
    requests: int | None = None
    site: str = ""
    team: str = ""
    model: str = ""
    workload: str = ""
    study: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """An estimate worked out and not stored: the energy, what entered, and what its readings will say."""

    worked: Worked
    inputs: dict[str, Any]
    profile_source: str
    boundary: Boundary
    kind: str
    hardware: str | None
    accelerators: int | None


def work_out(said: Request) -> Outcome:
    """The energy of a request, with the formula and the numbers put in. Raises ``ValidationError`` by field."""
    if said.end <= said.start:
        raise ValidationError({"end": f"Expected a time after the start, got {said.end:%Y-%m-%d %H:%M}."})
    if said.end > timezone.now():
        raise ValidationError({"end": "Expected a time that is over: an estimate is of the past."})
    if said.start.year < 1970:
        raise ValidationError({"start": "Expected a time in 1970 or later."})
    if said.end - said.start > LONGEST:
        raise ValidationError(
            {"end": f"Expected at most {LONGEST.days} days after the start; make an estimate for each year."}
        )
    for name in ("tokens", "requests"):
        count = getattr(said, name)
        if count is not None and not 0 <= count <= MOST_WORK:
            raise ValidationError({name: f"Expected a whole number from 0 to {MOST_WORK:,}, got {count:,}."})
    if said.basis == Estimate.Basis.ACCELERATOR_HOURS:
        outcome = _by_accelerator_hours(said)
    elif said.basis == Estimate.Basis.TOKENS:
        outcome = _by_tokens(said)
    else:
        raise ValidationError({"basis": f"Expected accelerator_hours or tokens, got {said.basis!r}."})
    mean_power_w = Fraction(outcome.worked.energy_microwatt_hours, 10**6) / _hours(said)
    if mean_power_w > int(MAX_MEAN_POWER_W):
        field = "accelerators" if said.basis == Estimate.Basis.ACCELERATOR_HOURS else "tokens"
        raise ValidationError(
            {field: f"Comes to a mean power of {text_of(mean_power_w / 10**6)} MW; at most 100 MW are taken."}
        )
    return outcome


def check_place(organisation_id: int, said: Request) -> str:
    """Whether an estimate may stand where it is said to, as :func:`record_estimate` asks too; the source's name.

    Raises ``ValidationError`` by field: a name that is no name or the portal's own, a site that nobody knows, a
    source that has readings or an estimate in that time.
    """
    source_name = said.source.strip()
    if not source_name or len(source_name) > 200 or not source_name.isprintable():
        raise ValidationError({"source": "Expected a name of 1 to 200 printable characters."})
    if is_reserved(source_name):
        raise ValidationError({"source": f"Expected another name: {source_name} stands for what the portal books."})
    if said.site and not Site.objects.of(organisation_id).filter(code=said.site).exists():
        raise ValidationError({"site": f"Expected the code of a site of yours; got {said.site!r}."})
    _refuse_overlap(organisation_id, source_name, said)
    return source_name


@transaction.atomic
def record_estimate(
    *, organisation: Organisation | int, said: Request, actor: str, key: KeyPrincipal | None = None
) -> Estimate:
    """Work a request out and store it as readings of 31 days at most, which add up to the energy exactly.

    ``key``: who sends by the API; a key bound to a team may only name that team. Raises ``ValidationError`` by field:
    also where the source has readings or an estimate in that time.
    """
    organisation_id = organisation if isinstance(organisation, int) else organisation.pk
    outcome = work_out(said)
    # One estimate at a time: two of the same source and time would each find the place free.
    Organisation.objects.select_for_update(no_key=True).get(pk=organisation_id)
    source_name = check_place(organisation_id, said)
    parts = split_by_month(
        start_ms=epoch_ms(said.start),
        end_ms=epoch_ms(said.end),
        energy_microwatt_hours=outcome.worked.energy_microwatt_hours,
        work=said.tokens,
    )
    receipt = _store(organisation_id, source_name, said, outcome, parts, key)
    estimate = Estimate.unscoped.create(
        organisation_id=organisation_id,
        source=Source.objects.of(organisation_id).get(name=source_name),
        basis=said.basis,
        start=said.start,
        end=said.end,
        inputs=outcome.inputs,
        profile_source=outcome.profile_source,
        working=outcome.worked.working,
        energy_microwatt_hours=outcome.worked.energy_microwatt_hours,
        receipt=receipt,
        created_by=actor,
    )
    record(
        organisation_id=organisation_id,
        actor=actor,
        action="estimate.recorded",
        instance=estimate,
        after=state_of(estimate),
    )
    return estimate


@transaction.atomic
def withdraw_estimate(*, estimate: Estimate, actor: str, reason: str) -> int:
    """Take an estimate out of the accounts; how many readings that were. The history and the log keep what it said.

    Raises ``ValidationError`` without a reason.
    """
    if not reason.strip():
        raise ValidationError({"reason": "Say why it is withdrawn; the audit log keeps it."})
    organisation_id = estimate.organisation_id
    stored = Reading.objects.filter(
        organisation_id=organisation_id,
        source_id=estimate.source_id,
        receipt_id=estimate.receipt_id,
        start_ms__gte=epoch_ms(estimate.start),
        start_ms__lt=epoch_ms(estimate.end),
    )
    readings = list(stored)
    receipt = Receipt.unscoped.create(
        organisation_id=organisation_id,
        public_id=uuid.uuid4(),
        protocol=PROTOCOL,
        received_at=timezone.now(),
        accepted=0,
        duplicates=0,
        rejected=0,
        replaced=len(readings),
        body_digest=hashlib.sha256(f"withdraw {estimate.pk}".encode()).hexdigest(),
    )
    kept = [field.attname for field in Reading._meta.concrete_fields]
    SupersededReading.objects.bulk_create(
        SupersededReading(replaced_by=receipt, **{name: getattr(row, name) for name in kept}) for row in readings
    )
    stored.delete()
    if readings:
        start, end = (np.array([getattr(row, name) for row in readings]) for name in ("start_ms", "end_ms"))
        bulk.writer().mark_dirty(organisation_id, intake.touched_hours(start, end))
        transaction.on_commit(lambda: wake_worker(organisation_id))
    record(
        organisation_id=organisation_id,
        actor=actor,
        action="estimate.withdrawn",
        instance=estimate,
        before=state_of(estimate),
        reason=reason.strip(),
    )
    estimate.delete()
    return len(readings)


# --- Inside -------------------------------------------------------------------------------------------------------


def _hours(said: Request) -> Fraction:
    """The duration [h], exact."""
    return Fraction(epoch_ms(said.end) - epoch_ms(said.start), HOUR_MS)


def _by_accelerator_hours(said: Request) -> Outcome:
    profile = workloads.hardware_profile(said.hardware) if said.hardware else None
    if profile is None:
        got = f"got {said.hardware!r}" if said.hardware else "got none"
        raise ValidationError({"hardware": f"Expected the code of a hardware profile, {got}."})
    if profile.tdp_w is None:
        raise ValidationError(
            {"hardware": f"No TDP is published for {profile.name}, so nothing can be worked out from it."}
        )
    if said.utilisation is None or not 0 <= said.utilisation <= 1:
        got = "got none" if said.utilisation is None else f"got {text_of(said.utilisation)}"
        raise ValidationError({"utilisation": f"Expected a share from 0 to 1 (60 % is 0.6), {got}."})
    hours, accelerators = _accelerator_hours(said)
    try:
        worked = energy_of_accelerator_hours(
            accelerator_hours=hours, utilisation=said.utilisation, tdp_w=profile.tdp_w, idle_w=profile.idle_w
        )
    except ValueError as error:
        raise ValidationError({"hardware": f"The profile of {profile.name} does not hold: {error}."}) from None
    numbers = {
        "hardware": profile.code,
        "accelerator_hours": text_of(hours).replace(",", ""),
        "accelerators": accelerators,
        "utilisation": text_of(said.utilisation),
        "tdp_w": text_of(profile.tdp_w).replace(",", ""),
        "idle_w": None if profile.idle_w is None else text_of(profile.idle_w).replace(",", ""),
    }
    boundary = next((level for start, level in BOUNDARIES if profile.scope.startswith(start)), Boundary.NODE)
    return _outcome(said, worked, numbers, _source_of(profile), boundary, profile.code, accelerators)


def _accelerator_hours(said: Request) -> tuple[Fraction, int]:
    """Accelerator-hours, and the whole number of accelerators that the readings state: the mean of the time."""
    if said.accelerators is not None and not 1 <= said.accelerators <= MOST_ACCELERATORS:
        raise ValidationError({"accelerators": f"Expected 1 to {MOST_ACCELERATORS:,}, got {said.accelerators:,}."})
    whole = None if said.accelerators is None else said.accelerators * _hours(said)
    if said.accelerator_hours is None:
        if whole is None:
            raise ValidationError(
                {"accelerators": "Expected the number of accelerators, or the accelerator-hours in its place."}
            )
        return whole, said.accelerators or 1
    hours, least = Fraction(said.accelerator_hours), _hours(said)
    if hours < least:
        raise ValidationError(
            {
                "accelerator_hours": f"Expected at least {text_of(least)}, one accelerator over the whole time, got"
                f" {text_of(hours)}. Choose the time in which they ran."
            }
        )
    if whole is not None and hours > whole:
        raise ValidationError(
            {
                "accelerator_hours": f"Expected at most {text_of(whole)}: {said.accelerators} accelerators over"
                f" {text_of(_hours(said))} hours; got {text_of(hours)}."
            }
        )
    return hours, round_half_up(hours / least)


def _by_tokens(said: Request) -> Outcome:
    profile = workloads.inference_profile(said.profile) if said.profile is not None else None
    if profile is None:
        raise ValidationError({"profile": "Expected a published energy per token; choose one of the list."})
    if said.tokens is None:
        raise ValidationError({"tokens": "Expected the number of output tokens."})
    worked = energy_of_tokens(tokens=said.tokens, microjoules_per_token=profile.microjoules_per_token)
    numbers = {
        "profile": str(profile),
        "task": profile.task,
        "microjoules_per_token": profile.microjoules_per_token,
        "configurations": profile.configurations,
    }
    return _outcome(said, worked, numbers, _source_of(profile), Boundary.ACCELERATOR, None, None)


def _outcome(
    said: Request,
    worked: Worked,
    numbers: dict[str, Any],
    profile_source: str,
    boundary: Boundary,
    hardware: str | None,
    accelerators: int | None,
) -> Outcome:
    kind = said.kind or ("inference" if said.basis == Estimate.Basis.TOKENS else "other")
    if kind.upper() not in Kind.__members__:
        raise ValidationError({"kind": f"Expected one of {', '.join(each.label for each in Kind)}, got {kind!r}."})
    inputs: dict[str, Any] = {
        "basis": said.basis,
        "formula": worked.formula,
        **numbers,
        "start": said.start.astimezone(UTC).isoformat(),
        "end": said.end.astimezone(UTC).isoformat(),
        "kind": kind,
        "boundary": boundary.label,
        **{name: getattr(said, name) or None for name in ("site", "team", "model", "workload", "study")},
        "tokens": said.tokens,
        "requests": said.requests,
    }
    return Outcome(worked, inputs, profile_source[:300], boundary, kind, hardware, accelerators)


def _source_of(profile: HardwareProfile | InferenceProfile) -> str:
    """The publication behind a profile, with its licence and, where it has another one, that of the idle power."""
    note = f"; {profile.note}" if isinstance(profile, HardwareProfile) and profile.note else ""
    return f"{profile.source_title} ({profile.licence}){note}"


def _refuse_overlap(organisation_id: int, source_name: str, said: Request) -> None:
    source = Source.objects.of(organisation_id).filter(name=source_name).first()
    if source is None:
        return
    other = Estimate.objects.of(organisation_id).filter(source=source, start__lt=said.end, end__gt=said.start).first()
    if other is not None:
        raise ValidationError(
            {
                "start": f"Overlaps the estimate of {source_name} from {other.start:%Y-%m-%d %H:%M} to"
                f" {other.end:%Y-%m-%d %H:%M} UTC. Withdraw that one first, or choose another time."
            }
        )
    first, last = source.first_reading_at, source.last_reading_at
    # The last reading is known to five minutes only.
    if first is None or last is None or first >= said.end or last + timedelta(minutes=5) <= said.start:
        return
    start_ms, end_ms = epoch_ms(said.start), epoch_ms(said.end)
    measured = Reading.objects.filter(
        organisation_id=organisation_id,
        start_ms__gte=start_ms - MAX_INTERVAL_MS,
        start_ms__lt=end_ms,
        source_id=source.pk,
        end_ms__gt=start_ms,
    )
    if measured.exists():
        raise ValidationError(
            {
                "source": f"{source_name} has readings in this time. Estimate only what is not measured: choose another"
                " time, or name a source of its own."
            }
        )


def _store(
    organisation_id: int, source_name: str, said: Request, outcome: Outcome, parts: list[Part], key: KeyPrincipal | None
) -> Receipt:
    """Hand the parts to the intake. Raises ``ValidationError`` for what it does not take: an unknown site, a team."""

    def column(values: list[int | None]) -> Any:
        return None if values[0] is None else np.array([ABSENT if v is None else v for v in values], dtype=np.int64)

    start_ms, end_ms = epoch_ms(said.start), epoch_ms(said.end)
    requests = split_by_month(start_ms=start_ms, end_ms=end_ms, energy_microwatt_hours=0, work=said.requests)
    naming = Naming(
        source=source_name,
        site=said.site or None,
        team=said.team or None,
        model=said.model or None,
        workload=said.workload or None,
        study=said.study or None,
        kind=outcome.kind,
        boundary=outcome.boundary.label,
        method=Method.MODELLED.label,
        hardware=outcome.hardware,
        accelerators=outcome.accelerators,
    )
    batch = SampleBatch(
        protocol=PROTOCOL,
        index=np.arange(len(parts), dtype=np.int64),
        start_ms=np.array([part.start_ms for part in parts], dtype=np.int64),
        end_ms=np.array([part.end_ms for part in parts], dtype=np.int64),
        energy_microwatt_hours=np.array([part.energy_microwatt_hours for part in parts], dtype=np.int64),
        naming_codes=np.zeros(len(parts), dtype=np.int64),
        namings=[naming],
        tokens=column([part.work for part in parts]),
        requests=column([part.work for part in requests]),
    )
    answer = intake.store(
        batch,
        intake.IntakeContext(
            organisation_id=organisation_id,
            key_id=key.key_id if key else None,
            team_id=key.team_id if key else None,
            team_slug=key.team_slug if key else None,
            site_code=key.site_code if key else "",
            body_digest=hashlib.sha256(json.dumps(outcome.inputs, sort_keys=True).encode()).hexdigest(),
        ),
    )
    body = json.loads(answer.body)
    if body["errors"]:
        raise ValidationError({error["field"]: _sentence(error) for error in body["errors"]})
    return Receipt.objects.of(organisation_id).get(public_id=uuid.UUID(body["receipt"]))


def _sentence(error: dict[str, Any]) -> str:
    return f"Expected {error['expected']}; got {error['got']!r}."
