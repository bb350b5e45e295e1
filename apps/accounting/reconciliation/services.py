"""Booking the difference between a site's meter and its telemetry, and taking a booking out again."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import numpy as np
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from apps.accounting import inputs
from apps.accounting.engine.reconciliation import booked_readings
from apps.accounting.models import Reconciliation
from apps.accounting.queries import RECONCILIATION_PREFIX
from apps.accounting.reconciliation import queries
from apps.audit.services import record, state_of
from apps.core import figures
from apps.core.units import MICROWATT_HOURS_PER_MILLIWATT_HOUR
from apps.core.windows import HOUR_MS, epoch_ms, midnight
from apps.organisations.models import Organisation
from apps.sites.models import SCOPE_2_CONTROL_CLASSES, Site
from apps.telemetry import intake
from apps.telemetry.batch import Naming, SampleBatch

PROTOCOL = "reconciliation"


def book_difference(
    *, organisation: Organisation, site: Site, month: int, note: str, actor: str, now: datetime | None = None
) -> Reconciliation:
    """Put what a site's meter says beyond its telemetry in a month (``yyyymm``) into the accounts.

    It becomes a reading of the source ``meter/<site code>``, *metered, facility, no team*, and so part of every figure
    of the site; booked again, it replaces the one before. A difference of 0 or less takes the booked one out. Only a
    month that is over, metered in full and settled can be booked. Raises ``ValidationError`` with what to do.
    """
    note = note.strip()
    if not note:
        raise ValidationError({"note": "Say what the difference is taken to be, or why it is booked."})
    # A PUE or a mapping that has just changed marks its hours, which are then waited for like any others.
    inputs.refresh(organisation.pk)
    with transaction.atomic():
        return _book(organisation, _hold(site), month, note, actor, now or datetime.now(UTC))


def _book(organisation: Organisation, site: Site, month: int, note: str, actor: str, now: datetime) -> Reconciliation:
    row = queries.month_row(organisation, site, month, now)
    _check(organisation, row)
    comparison = row.comparison
    booking = row.booking or Reconciliation(organisation=organisation, site=site, month=month)
    before = state_of(booking) if row.booking else None
    booking.metered_milliwatt_hours = comparison.metered_milliwatt_hours or 0
    booking.telemetry_milliwatt_hours = comparison.telemetry_milliwatt_hours
    booking.booked_milliwatt_hours = row.wanted_milliwatt_hours or 0
    booking.booked_by, booking.booked_at, booking.note = actor, timezone.now(), note
    booking.full_clean()
    booking.save()
    action = "reconciliation.booked" if before is None else "reconciliation.rebooked"
    record(
        organisation_id=organisation.pk,
        actor=actor,
        action=action,
        instance=booking,
        before=before,
        after=state_of(booking),
        reason=note,
    )
    _store(organisation, site, month, booking.booked_milliwatt_hours)
    return booking


@transaction.atomic
def withdraw_booking(*, organisation: Organisation, site: Site, month: int, actor: str, reason: str = "") -> None:
    """Take a booked difference out of the accounts; the audit log keeps it. Raises ``ValidationError`` without one."""
    site = _hold(site)
    booking = Reconciliation.objects.of(organisation).filter(site=site, month=month).first()
    if booking is None:
        raise ValidationError(f"Nothing is booked for {site.name} in {queries.month_text(month)}.")
    record(
        organisation_id=organisation.pk,
        actor=actor,
        action="reconciliation.withdrawn",
        instance=booking,
        before=state_of(booking),
        reason=reason,
    )
    booking.delete()
    _store(organisation, site, month, 0)


def _hold(site: Site) -> Site:
    """The site's row, held so that two bookings of one month come one after the other."""
    return Site.objects.of(site.organisation_id).select_for_update().get(pk=site.pk)


def _check(organisation: Organisation, row: queries.MonthRow) -> None:
    if row.site.control not in SCOPE_2_CONTROL_CLASSES:
        raise ValidationError("A public cloud has no meter of yours: its electricity is the provider's, Scope 3.")
    if not row.is_over:
        raise ValidationError(f"{row.name} is not over (UTC). Book it when it is.")
    if not row.comparison.is_fully_metered:
        missing = f" Missing: {'; '.join(row.missing)}." if row.missing else ""
        raise ValidationError(
            f"{row.comparison.metered_days} of {row.comparison.days} days are metered in full; only a month that is"
            f" can be booked.{missing} Enter the readings under Meters."
        )
    pending = queries.pending_hours(organisation.pk, [row.month])
    if pending:
        raise ValidationError(
            f"{pending:,} hour{'' if pending == 1 else 's'} of {row.name} are still being settled, so the difference is"
            " not known yet. Try again in a minute."
        )
    difference = row.comparison.difference_milliwatt_hours or 0
    if row.booking is None and difference <= 0:
        raise ValidationError(
            "The telemetry explains all that the meter says; there is nothing to book."
            if difference == 0
            else f"The meter is {figures.energy(-difference)} below the telemetry. That is never booked: check the"
            " site's PUE, the boundary of its sources and double counting."
        )
    if row.booking is not None and not row.is_stale:
        raise ValidationError("This difference is booked already.")


def _store(organisation: Organisation, site: Site, month: int, milliwatt_hours: int) -> None:
    """Write the month's reading through the intake, in place of the one before.

    Two rows, the last hour apart, so that the ledger's hours add up to the milliwatt-hour: see
    :func:`apps.accounting.engine.reconciliation.booked_readings`.
    """
    first, end = (epoch_ms(midnight(day)) for day in queries.month_days(month))
    parts = booked_readings(milliwatt_hours, (end - first) // HOUR_MS)
    naming = Naming(
        source=f"{RECONCILIATION_PREFIX}{site.code}",
        site=site.code,
        kind="other",
        boundary="facility",
        method="metered",
    )
    batch = SampleBatch(
        protocol=PROTOCOL,
        index=np.arange(2, dtype=np.int64),
        start_ms=np.array([first, end - HOUR_MS], dtype=np.int64),
        end_ms=np.array([end - HOUR_MS, end], dtype=np.int64),
        energy_microwatt_hours=np.array(parts, dtype=np.int64) * MICROWATT_HOURS_PER_MILLIWATT_HOUR,
        naming_codes=np.zeros(2, dtype=np.int64),
        namings=[naming],
    )
    digest = hashlib.sha256(f"{naming.source} {month} {parts}".encode()).hexdigest()
    answer = intake.store(
        batch, intake.IntakeContext(organisation_id=organisation.pk, body_digest=digest, replace=True)
    )
    if answer.status != 200:
        raise ValidationError(f"The reading was not stored: {answer.body.decode()[:300]}")
