"""What people write of AI models and workloads; telemetry makes both by naming them (``telemetry.intake``).

Each function is one transaction with its audit event inside. What a user can mend is raised as Django's
``ValidationError`` by field.
"""

from __future__ import annotations

from typing import TypeVar

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.text import slugify

from apps.audit.services import record, state_of
from apps.organisations.models import Organisation
from apps.organisations.services import save_valid
from apps.workloads.models import AIModel, Provenance, Workload

Named = TypeVar("Named", AIModel, Workload)


@transaction.atomic
def describe_model(
    *,
    organisation: Organisation,
    name: str,
    actor: str,
    provenance: str = Provenance.REPORTED,
    citation: str = "",
) -> AIModel:
    """Say where the figures of the model of this name come from, making the model if telemetry has not yet.

    Raises ``ValidationError``.
    """
    model = AIModel.objects.of(organisation).filter(name=name).first()
    if model is None:
        model = AIModel(organisation=organisation, name=name, slug=_free_slug(organisation, name))
    return _describe(model, "model", provenance, citation, actor)


@transaction.atomic
def describe_workload(
    *,
    organisation: Organisation,
    name: str,
    actor: str,
    provenance: str = Provenance.REPORTED,
    citation: str = "",
) -> Workload:
    """Say where the figures of the workload of this name come from, making it if telemetry has not yet.

    Raises ``ValidationError``.
    """
    workload = Workload.objects.of(organisation).filter(name=name).first()
    if workload is None:
        workload = Workload(organisation=organisation, name=name)
    return _describe(workload, "workload", provenance, citation, actor)


@transaction.atomic
def set_outcome(*, workload: Workload, outcome: str, actor: str) -> Workload:
    """Say how a run ended (:class:`Workload.Outcome`). It changes no figure, only which part of the line it is in.

    Raises ``ValidationError`` for an outcome that does not exist.
    """
    if outcome not in Workload.Outcome.values:
        known = ", ".join(Workload.Outcome.values)
        raise ValidationError({"outcome": f"Expected one of {known}, got {outcome!r}."})
    workload = Workload.objects.of(workload.organisation_id).select_for_update().get(pk=workload.pk)
    if workload.outcome == outcome:
        return workload
    before = state_of(workload)
    workload.outcome = outcome
    workload.save(update_fields=["outcome"])
    record(
        organisation_id=workload.organisation_id,
        actor=actor,
        action="workload.outcome_set",
        instance=workload,
        before=before,
        after=state_of(workload),
    )
    return workload


def _describe(row: Named, kind: str, provenance: str, citation: str, actor: str) -> Named:
    before = state_of(row) if row.pk else None
    row.provenance, row.citation = provenance, citation.strip()
    save_valid(row)
    after = state_of(row)
    if after != before:
        record(
            organisation_id=row.organisation_id,
            actor=actor,
            action=f"{kind}.described" if before else f"{kind}.created",
            instance=row,
            before=before,
            after=after,
        )
    return row


def _free_slug(organisation: Organisation, name: str) -> str:
    """A slug for the name that no other model of the organisation has: ``llama-2``, else ``llama-2-2`` and so on."""
    base = slugify(name)[:110] or "model"
    taken = set(AIModel.objects.of(organisation).filter(slug__startswith=base).values_list("slug", flat=True))
    slug, number = base, 2
    while slug in taken:
        slug, number = f"{base}-{number}", number + 1
    return slug
