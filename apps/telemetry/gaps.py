"""Time without readings, and what an officer decided about it. Nothing is ever filled by itself.

A filled gap is a reading like any other: stored by the intake, of method *estimated*, of a source beside the silent
one. Both name the same device and the estimate has the higher precedence number, so that a true reading which arrives
late is counted and the estimate set aside. Times are UTC, half-open; energies [uWh].
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any, NamedTuple

import msgspec
import numpy as np
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from apps.audit.services import record, state_of
from apps.core.signals import announce_inputs_changed
from apps.core.units import MICROWATT_HOURS_PER_KWH, round_half_up
from apps.core.windows import DAY_MS, HOUR_MS, Window, epoch_ms
from apps.organisations.models import Organisation
from apps.telemetry import intake
from apps.telemetry.batch import Naming, SampleBatch, ShareNaming
from apps.telemetry.models import Attribution, AttributionShare, Boundary, GapDecision, Receipt, Source
from apps.telemetry.rules import RESERVED_SUFFIX
from apps.workloads.models import Kind

Basis = GapDecision.Basis

FILLED = RESERVED_SUFFIX
LONGEST_READING_MS = 31 * DAY_MS
AROUND = timedelta(hours=24)
LONGEST_GAP = timedelta(days=366)
PRECEDENCE_BEHIND = 100  # how far an estimate stands behind the source it stands in for
_LAST_PRECEDENCE = 2**15 - 1

# Readings inside one hour begin in the hours asked for; those that cross an hour are few and have an index.
_READINGS = """
SELECT start_ms, end_ms, energy_microwatt_hours, attribution_id FROM telemetry_reading
WHERE organisation_id = %(organisation)s AND start_ms >= %(first_hour_ms)s AND start_ms < %(past_ms)s
  AND source_id = %(source)s AND end_ms > %(first_ms)s
UNION ALL
SELECT start_ms, end_ms, energy_microwatt_hours, attribution_id FROM telemetry_reading {index}
WHERE organisation_id = %(organisation)s AND start_ms >= %(lookback_ms)s AND start_ms < %(first_hour_ms)s
  AND end_ms > start_ms / 3600000 * 3600000 + 3600000
  AND source_id = %(source)s AND end_ms > %(first_ms)s
ORDER BY 1, 2
"""


class DecidedTime(NamedTuple):
    """Time that decisions were recorded for [ms], and the end of the latest."""

    ms: int
    until: datetime


@dataclass(frozen=True, slots=True)
class GapEstimate:
    """What the mean power of a source around a gap makes of it, with the numbers it was worked out from."""

    source: Source
    start: datetime
    end: datetime
    around_microwatt_hours: int
    covered_ms: int
    energy_microwatt_hours: int
    naming: Naming

    @property
    def length_ms(self) -> int:
        return epoch_ms(self.end) - epoch_ms(self.start)

    @property
    def watts(self) -> float:
        return self.around_microwatt_hours * HOUR_MS / self.covered_ms / 1e6

    @property
    def working(self) -> str:
        """The calculation in words, with its numbers."""
        return (
            f"{self.around_microwatt_hours / MICROWATT_HOURS_PER_KWH:,.6f} kWh in {self.covered_ms / HOUR_MS:,.2f} h"
            f" of readings in the 24 hours before and the 24 hours after: {self.watts:,.1f} W."
            f" {self.watts:,.1f} W x {self.length_ms / HOUR_MS:,.2f} h"
            f" = {self.energy_microwatt_hours / MICROWATT_HOURS_PER_KWH:,.6f} kWh."
        )


def filled_name(source: Source) -> str:
    """The name of the source that holds the estimates for ``source``."""
    return source.name[: 200 - len(FILLED)] + FILLED


def is_filled_name(name: str) -> bool:
    """Whether a source holds estimates for another one, and is none itself."""
    return name.endswith(FILLED)


def decisions(organisation: Organisation | int, window: Window | None = None) -> QuerySet[GapDecision]:
    """The decisions in force, latest first; of gaps that reach into a window, if one is given."""
    rows = GapDecision.objects.of(organisation).select_related("source", "source__site", "receipt")
    if window is not None:
        rows = rows.filter(start__lt=window.end, end__gt=window.start)
    return rows.order_by("-decided_at", "-pk")


def decision(organisation: Organisation, pk: int) -> GapDecision | None:
    return GapDecision.objects.of(organisation).select_related("source").filter(pk=pk).first()


def decided_time(organisation_id: int, window: Window) -> dict[int, DecidedTime]:
    """What was decided about the window, by the primary key of the source; nothing for sources without a decision."""
    found: dict[int, DecidedTime] = {}
    for source_id, start, end in decisions(organisation_id, window).values_list("source_id", "start", "end"):
        length = epoch_ms(min(end, window.end)) - epoch_ms(max(start, window.start))
        earlier = found.get(source_id, DecidedTime(0, end))
        found[source_id] = DecidedTime(earlier.ms + length, max(earlier.until, end))
    return found


def estimate_gap(source: Source, start: datetime, end: datetime) -> GapEstimate:
    """The energy of a gap at the mean power of the source in the 24 hours before and after it.

    Mean power is the energy of the readings there divided by the time they cover, each counted once. What the
    estimate is attributed to is what carried most of that energy. Raises ``ValidationError`` where there is no
    reading, or where the time is no gap.
    """
    _check_gap(source, start, end)
    energy, covered, carried = Fraction(0), 0, defaultdict[int, Fraction](Fraction)
    for first, past in ((start - AROUND, start), (end, end + AROUND)):
        rows = _readings(source, first, past)
        first_ms, past_ms = epoch_ms(first), epoch_ms(past)
        until = first_ms
        for start_ms, end_ms, microwatt_hours, attribution_id in rows:
            inside = min(end_ms, past_ms) - max(start_ms, first_ms)
            part = Fraction(microwatt_hours * inside, end_ms - start_ms)
            energy += part
            carried[attribution_id] += part
            covered += max(min(end_ms, past_ms) - max(start_ms, until), 0)
            until = max(until, min(end_ms, past_ms))
    if not covered:
        raise ValidationError(
            {
                "basis": "Expected readings in the 24 hours before or after the gap; there are none."
                " State the energy instead, or leave the gap empty."
            }
        )
    most = max(sorted(carried), key=lambda pk: carried[pk])
    return GapEstimate(
        source=source,
        start=start,
        end=end,
        around_microwatt_hours=round_half_up(energy),
        covered_ms=covered,
        energy_microwatt_hours=round_half_up(energy * (epoch_ms(end) - epoch_ms(start)) / covered),
        naming=_naming(source, Attribution.objects.of(source.organisation_id).get(pk=most)),
    )


@transaction.atomic
def decide_gap(
    *,
    source: Source,
    start: datetime,
    end: datetime,
    basis: str,
    reason: str,
    actor: str,
    energy_microwatt_hours: int | None = None,
) -> GapDecision:
    """Record what becomes of time without readings, and store the estimate unless it is left empty.

    ``basis``: ``mean_power`` (see :func:`estimate_gap`), ``stated`` (with ``energy_microwatt_hours``) or
    ``left_empty``. Raises ``ValidationError`` for time that is no gap or already decided, a missing reason, an energy
    that does not belong to the basis.
    """
    reason = reason.strip()
    if not reason:
        raise ValidationError({"reason": "Expected why: it stands in the record beside the decision."})
    _check_gap(source, start, end)
    if GapDecision.objects.of(source.organisation_id).filter(source=source, start__lt=end, end__gt=start).exists():
        raise ValidationError("This time is decided already. Withdraw that decision first.")
    naming, energy, working = _naming(source, _latest_attribution(source)), 0, ""
    if basis == Basis.MEAN_POWER:
        found = estimate_gap(source, start, end)
        naming, energy, working = found.naming, found.energy_microwatt_hours, found.working
    elif basis == Basis.STATED:
        if energy_microwatt_hours is None or energy_microwatt_hours < 0:
            raise ValidationError({"energy": "Expected the energy of the gap, 0 kWh or more."})
        energy, working = energy_microwatt_hours, "Stated by the officer."
    elif basis != Basis.LEFT_EMPTY:
        raise ValidationError({"basis": f"Expected one of {', '.join(Basis.values)}."})
    made = GapDecision(
        organisation_id=source.organisation_id,
        source=source,
        start=start,
        end=end,
        basis=basis,
        energy_microwatt_hours=energy,
        reason=reason,
        working=working,
        decided_by=actor,
    )
    made.full_clean(exclude={"receipt"})
    if basis != Basis.LEFT_EMPTY:
        made.receipt = _store(source, start, end, energy, naming)
        _share_device(source, actor)
    try:
        with transaction.atomic():
            made.save(force_insert=True)
    except IntegrityError as error:
        raise ValidationError("Somebody else has just decided this gap.") from error
    record(
        organisation_id=source.organisation_id,
        actor=actor,
        action="gap.decided",
        instance=made,
        after=state_of(made) | {"source": source.name},
        reason=reason,
    )
    announce_inputs_changed(source.organisation_id)
    return made


@transaction.atomic
def withdraw_decision(*, decision: GapDecision, actor: str, reason: str = "") -> None:
    """Take a decision back: its estimate is superseded by 0 and the time is a gap again; the audit log keeps both."""
    decision = GapDecision.objects.of(decision.organisation_id).select_for_update().get(pk=decision.pk)
    source = decision.source
    if decision.receipt_id is not None:
        _store(source, decision.start, decision.end, 0, _stored_naming(decision))
    record(
        organisation_id=decision.organisation_id,
        actor=actor,
        action="gap.withdrawn",
        instance=decision,
        before=state_of(decision) | {"source": source.name},
        reason=reason.strip(),
    )
    decision.delete()
    announce_inputs_changed(source.organisation_id)


# --- Inside -------------------------------------------------------------------------------------------------------


def _check_gap(source: Source, start: datetime, end: datetime) -> None:
    if is_filled_name(source.name):
        raise ValidationError("Expected the silent source itself, not the one that holds its estimates.")
    if end <= start:
        raise ValidationError({"end": "Expected a time after the start."})
    if end > timezone.now():
        raise ValidationError({"end": "Expected a time that is over: what is still to come is no gap."})
    if end - start > LONGEST_GAP:
        raise ValidationError({"end": f"Expected at most {LONGEST_GAP.days} days."})
    if rows := _readings(source, start, end):
        when = datetime.fromtimestamp(rows[0][0] / 1000, UTC)
        raise ValidationError(
            f"{source.name} has readings in this time, the first from {when:%Y-%m-%d %H:%M:%S} UTC."
            " Choose times between which there are none."
        )


def _readings(source: Source, first: datetime, past: datetime) -> list[tuple[int, int, int, int]]:
    """The readings of a source with a part in the time: start and end [ms], energy, attribution; by start."""
    first_ms = epoch_ms(first)
    with connection.cursor() as cursor:
        cursor.execute(
            _READINGS.format(index="INDEXED BY reading_spanning" if connection.vendor == "sqlite" else ""),
            {
                "organisation": source.organisation_id,
                "source": source.pk,
                "first_ms": first_ms,
                "first_hour_ms": first_ms // HOUR_MS * HOUR_MS,
                "lookback_ms": first_ms - LONGEST_READING_MS,
                "past_ms": epoch_ms(past),
            },
        )
        return [(int(a), int(b), int(c), int(d)) for a, b, c, d in cursor.fetchall()]


def _latest_attribution(source: Source) -> Attribution | None:
    return Attribution.objects.of(source.organisation_id).filter(source=source).order_by("-pk").first()


def _stored_naming(decision: GapDecision) -> Naming:
    """What the stored estimate says: its zero takes the same place."""
    filled = Source.objects.of(decision.organisation_id).get(name=filled_name(decision.source))
    [(_, _, _, attribution_id), *_] = _readings(filled, decision.start, decision.end)
    return _naming(decision.source, Attribution.objects.of(decision.organisation_id).get(pk=attribution_id))


def _naming(source: Source, said: Attribution | None) -> Naming:
    """An attribution in words, as an estimate of the source beside ``source``."""
    place = (said.site if said else None) or source.site
    site = place.code if place else None
    if said is None:
        return Naming(source=filled_name(source), site=site, method="estimated")
    shares = None
    if said.has_shares:
        parts = AttributionShare.objects.filter(attribution=said).select_related("team_name", "model", "workload")
        shares = tuple(
            ShareNaming(
                team=part.team_name.name if part.team_name else None,
                model=part.model.name if part.model else None,
                workload=part.workload.name if part.workload else None,
                weight=part.weight_ppm / 1_000_000,
            )
            for part in parts.order_by("position")
        )
    return Naming(
        source=filled_name(source),
        site=site,
        team=said.team_name.name if said.team_name else None,
        model=said.model.name if said.model else None,
        workload=said.workload.name if said.workload else None,
        study=said.study.name if said.study else None,
        kind=Kind(said.kind).name.lower(),
        boundary=Boundary(said.boundary).name.lower(),
        method="estimated",
        hardware=said.hardware_id,
        accelerators=said.accelerators,
        shares=shares,
    )


def _pieces(start: datetime, end: datetime) -> list[int]:
    """The edges [ms] of readings of 31 days at most that make up the time."""
    first, past = epoch_ms(start), epoch_ms(end)
    return [*range(first, past, LONGEST_READING_MS), past]


def _store(source: Source, start: datetime, end: datetime, energy: int, naming: Naming) -> Receipt:
    """The estimate through the intake, in place of one that stood there; its receipt."""
    edges = np.array(_pieces(start, end), dtype=np.int64)
    upto = [energy * int(edge - edges[0]) // int(edges[-1] - edges[0]) for edge in edges]
    energies = np.array([upto[i + 1] - upto[i] for i in range(len(upto) - 1)], dtype=np.int64)
    body = repr((naming, edges.tolist(), upto)).encode()
    batch = SampleBatch(
        protocol="gap decision",
        index=np.arange(len(energies), dtype=np.int64),
        start_ms=edges[:-1],
        end_ms=edges[1:],
        energy_microwatt_hours=energies,
        naming_codes=np.zeros(len(energies), dtype=np.int64),
        namings=[tuple(naming)],
    )
    answer = intake.store(
        batch,
        intake.IntakeContext(
            organisation_id=source.organisation_id, body_digest=hashlib.sha256(body).hexdigest(), replace=True
        ),
    )
    content: dict[str, Any] = msgspec.json.decode(answer.body)
    if content["errors"]:
        error = content["errors"][0]
        raise ValidationError(f"The estimate was refused: {error['field']}: expected {error['expected']}.")
    return Receipt.objects.of(source.organisation_id).get(public_id=content["receipt"])


def _share_device(source: Source, actor: str) -> None:
    """Name one device on the silent source and the one that holds its estimates, which is counted behind it."""
    filled = Source.objects.of(source.organisation_id).get(name=filled_name(source))
    device = source.device or source.name
    behind = min(source.precedence + PRECEDENCE_BEHIND, _LAST_PRECEDENCE)
    for row, precedence in ((source, source.precedence), (filled, behind)):
        before = state_of(row)
        if (row.device, row.precedence) == (device, precedence):
            continue
        row.device, row.precedence = device, precedence
        row.save(update_fields=["device", "precedence"])
        record(
            organisation_id=row.organisation_id,
            actor=actor,
            action="source.device_named",
            instance=row,
            before=before,
            after=state_of(row),
            reason="A gap of this device was filled with an estimate.",
        )


def kwh_to_microwatt_hours(kwh: Any) -> int:
    """A decimal number of kWh as the stored integer."""
    return round_half_up(kwh * MICROWATT_HOURS_PER_KWH)


def named(naming: Naming) -> Sequence[tuple[str, str]]:
    """What an estimate is attributed to, in words, for a page."""
    pairs = (
        ("site", naming.site),
        ("team", naming.team),
        ("model", naming.model),
        ("workload", naming.workload),
        ("kind", naming.kind),
        ("boundary", naming.boundary),
    )
    return [(label, value) for label, value in pairs if value]
