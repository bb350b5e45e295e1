"""Deciding which edition of a factor dataset holds for which days. Each is one transaction with its audit event."""

from __future__ import annotations

from datetime import date

from django.core.exceptions import ValidationError
from django.db import transaction

from apps.accounting import locks
from apps.accounting.adoption.first import adopt_first
from apps.accounting.adoption.queries import adoptable
from apps.accounting.models import FactorAdoption
from apps.audit.services import record, state_of
from apps.core.signals import announce_inputs_changed
from apps.core.windows import Quarter
from apps.factors.models import FactorDataset
from apps.organisations.models import Organisation


@transaction.atomic
def adopt(
    *,
    organisation: Organisation,
    dataset: FactorDataset,
    start: date | None,
    end: date | None = None,
    actor: str,
    reason: str = "",
) -> FactorAdoption:
    """Use a dataset for activities of ``[start, end)``; empty ends have none. Figures follow at the next settling.

    Raises ``ValidationError`` by field: a dataset the organisation may not see, a day inside a claim period, an
    overlapping decision about the same dataset.
    """
    locks.lock(organisation.pk, locks.INPUTS)
    adopt_first(organisation.pk)
    if dataset.pk not in {row.pk for row in adoptable(organisation.pk)}:
        raise ValidationError({"dataset": "There is no such dataset to adopt."})
    errors = {
        name: message
        for name, day in (("start", start), ("end", end))
        if (message := boundary_fault(organisation, day))
    }
    if start and end and end <= start:
        errors["end"] = f"Expected a day after {start}, got {end}."
    if errors:
        raise ValidationError(errors)
    for other in FactorAdoption.objects.of(organisation).filter(dataset=dataset):
        if _before(other.start, end) and _before(start, other.end):
            raise ValidationError(
                {"start": f"This dataset is already in use {describe(other.start, other.end)}. End that first."}
            )
    adoption = FactorAdoption(
        organisation=organisation, dataset=dataset, start=start, end=end, adopted_by=actor, reason=reason
    )
    adoption.save()
    record(
        organisation_id=organisation.pk,
        actor=actor,
        action="factors.adopted",
        instance=dataset,
        after=state_of(adoption),
        reason=reason,
    )
    announce_inputs_changed(organisation.pk)
    return adoption


@transaction.atomic
def end_adoption(*, adoption: FactorAdoption, end: date, actor: str, reason: str = "") -> FactorAdoption:
    """Stop using a dataset for activities from ``end`` on. Raises ``ValidationError`` by field."""
    adoption = FactorAdoption.objects.of(adoption.organisation_id).select_for_update().get(pk=adoption.pk)
    fault = boundary_fault(adoption.organisation, end)
    if fault is None and adoption.start and end <= adoption.start:
        fault = f"Expected a day after {adoption.start}, got {end}."
    if fault is None and adoption.end and end > adoption.end:
        fault = f"Its use ends on {adoption.end}; adopt it anew for later days."
    if fault:
        raise ValidationError({"end": fault})
    before = state_of(adoption)
    adoption.end = end
    adoption.save(update_fields=["end"])
    record(
        organisation_id=adoption.organisation_id,
        actor=actor,
        action="factors.adoption_ended",
        instance=adoption.dataset,
        before=before,
        after=state_of(adoption),
        reason=reason,
    )
    announce_inputs_changed(adoption.organisation_id)
    return adoption


def boundary_fault(organisation: Organisation, day: date | None) -> str | None:
    """What is wrong with a day as the end of an adoption: a claim period has one residual mix, from its first day."""
    if day is None:
        return None
    if organisation.claim_period == Organisation.ClaimPeriod.YEAR and (day.month, day.day) != (1, 1):
        return f"Expected the first day of a year, which is the claim period, got {day}."
    if Quarter.of(day).first_day != day:
        return f"Expected the first day of a quarter, got {day}."
    return None


def describe(start: date | None, end: date | None) -> str:
    """A stretch of days in words; ``end`` is the first day after it."""
    if start is None and end is None:
        return "without limit"
    if start is None:
        return f"until {end}"
    return f"from {start}" + (f" until {end}" if end else "")


def _before(earlier: date | None, later: date | None) -> bool:
    return earlier is None or later is None or earlier < later
