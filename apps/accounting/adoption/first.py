"""The adoption nobody is asked for: what an organisation starts with."""

from __future__ import annotations

from django.utils import timezone

from apps.accounting.adoption.queries import ADOPTED_KINDS
from apps.accounting.models import FactorAdoption
from apps.audit.services import record
from apps.factors.models import FactorDataset
from apps.organisations.models import Organisation

ACTOR = "portal"
REASON = "loaded with the portal when the accounts were opened"


def adopt_first(organisation_id: int) -> int:
    """Adopt every dataset shipped with the portal, without end, for an organisation that has decided on none yet.

    Older editions too: they hold the years that newer ones no longer print. Returns how many were adopted; 0 once
    there is any decision, so that whatever is loaded later waits for one. Called inside the lock of the inputs.
    """
    if FactorAdoption.objects.of(organisation_id).exists():
        return 0
    datasets = list(FactorDataset.objects.filter(organisation=None, kind__in=ADOPTED_KINDS).order_by("pk"))
    now = timezone.now()
    FactorAdoption.unscoped.bulk_create(
        FactorAdoption(
            organisation_id=organisation_id, dataset=dataset, adopted_by=ACTOR, adopted_at=now, reason=REASON
        )
        for dataset in datasets
    )
    if datasets:
        record(
            organisation_id=organisation_id,
            actor=ACTOR,
            action="factors.adopted",
            instance=Organisation.objects.get(pk=organisation_id),
            after={"datasets": [f"{dataset.slug} {dataset.edition}" for dataset in datasets]},
            reason=REASON,
        )
    return len(datasets)
