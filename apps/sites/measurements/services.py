"""Everything that writes meter readings and invoices.

Each function is one transaction with its audit events inside. What a user can mend is raised as Django's
``ValidationError`` by field. The site's row is held meanwhile, so that two readings entered at once cannot overlap.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime

from django.core.exceptions import ValidationError
from django.db import transaction

from apps.audit.services import record, state_of
from apps.organisations.models import Organisation
from apps.organisations.services import save_valid
from apps.sites.measurements import queries
from apps.sites.measurements.checks import Span, faults_of, pue_fault
from apps.sites.models import Site, SiteMeasurement


def today() -> date:
    """The present day, UTC."""
    return datetime.now(UTC).date()


def _check(row: SiteMeasurement) -> None:
    """Raise ``ValidationError`` unless the reading holds, alone and beside the site's others."""
    span = queries.span_of(row)
    stored = SiteMeasurement.objects.of(row.organisation_id).filter(site=row.site_id).exclude(pk=row.pk)
    others = [queries.span_of(other) for other in stored.order_by("start", "pk")]
    faults = faults_of(span, others, today())
    if not row.reference:
        faults["reference"] = "Say where the figure is found: the number of the invoice, or who read the meter when."
    if not faults and (fault := pue_fault([*others, span])):
        faults["amount"] = fault[1]
    if faults:
        raise ValidationError(faults)


def _hold(site: Site) -> Site:
    return Site.objects.of(site.organisation_id).select_for_update().get(pk=site.pk)


@transaction.atomic
def add_measurement(
    *,
    site: Site,
    quantity: str,
    start: date,
    end: date,
    amount: int,
    evidence: str,
    reference: str,
    actor: str,
    meter: str = "",
    note: str = "",
) -> SiteMeasurement:
    """A new reading over the days ``[start, end)``; amount in milliwatt-hours, water in millilitres.

    Raises ``ValidationError`` for a negative amount, days that are not over, an overlap with another reading of the
    same meter and quantity, and IT energy above facility energy.
    """
    row = SiteMeasurement(
        organisation_id=site.organisation_id,
        site=_hold(site),
        quantity=quantity,
        meter=meter.strip(),
        start=start,
        end=end,
        amount=amount,
        evidence=evidence,
        reference=reference.strip(),
        note=note.strip(),
    )
    _check(row)
    save_valid(row)
    _record("measurement.added", row, actor, None, state_of(row))
    return row


@transaction.atomic
def correct_measurement(
    *,
    measurement: SiteMeasurement,
    start: date,
    end: date,
    amount: int,
    evidence: str,
    reference: str,
    actor: str,
    meter: str = "",
    note: str = "",
    reason: str = "",
) -> SiteMeasurement:
    """Correct a reading; the log keeps what it said before. Site and quantity stay. Raises ``ValidationError``."""
    _hold(measurement.site)
    row = SiteMeasurement.objects.of(measurement.organisation_id).select_for_update().get(pk=measurement.pk)
    before = state_of(row)
    row.meter, row.start, row.end, row.amount = meter.strip(), start, end, amount
    row.evidence, row.reference, row.note = evidence, reference.strip(), note.strip()
    _check(row)
    save_valid(row)
    after = state_of(row)
    if after != before:
        _record("measurement.corrected", row, actor, before, after, reason)
    return row


@transaction.atomic
def withdraw_measurement(*, measurement: SiteMeasurement, actor: str, reason: str = "") -> None:
    """Take a reading back that was entered by mistake; the log keeps what it said."""
    _record("measurement.withdrawn", measurement, actor, state_of(measurement), None, reason)
    measurement.delete()


@transaction.atomic
def add_measurements(*, organisation: Organisation, rows: Sequence[SiteMeasurement], actor: str) -> int:
    """Add all of these readings or none: those of a file that was looked at before.

    Returns their number. Raises ``ValidationError`` when one no longer holds, as after somebody else's entry.
    """
    site_ids = sorted({row.site_id for row in rows})
    list(Site.objects.of(organisation).select_for_update().filter(pk__in=site_ids).order_by("pk"))
    seen: dict[tuple[int, str, str], list[Span]] = defaultdict(list)
    for span in queries.spans_of(site_ids, organisation):
        seen[span.site_id, span.quantity, span.meter].append(span)
    for row in rows:
        span = queries.span_of(row)
        own = seen[span.site_id, span.quantity, span.meter]
        if faults := faults_of(span, own, today()):
            raise ValidationError(f"{row.site.name}, {span.days}: {next(iter(faults.values()))} Nothing was imported.")
        own.append(span)
    for pk in site_ids:
        if fault := pue_fault([span for (site, *_), spans in seen.items() if site == pk for span in spans]):
            raise ValidationError(f"{fault[1]} Nothing was imported.")
    for row in rows:
        # Uniqueness was looked at above, for all rows at once; sites are held.
        row.full_clean(exclude=["organisation", "site"], validate_unique=False, validate_constraints=False)
        row.save(force_insert=True)
        _record("measurement.added", row, actor, None, state_of(row), "imported from a file")
    return len(rows)


def _record(
    action: str,
    row: SiteMeasurement,
    actor: str,
    before: dict[str, object] | None,
    after: dict[str, object] | None,
    reason: str = "",
) -> None:
    record(
        organisation_id=row.organisation_id,
        actor=actor,
        action=action,
        instance=row,
        before=before,
        after=after,
        reason=reason,
    )
