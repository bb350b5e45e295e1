"""What the accounts depend on besides readings, as one digest: equal digest, nothing to do.

A change is announced (``core.signals``) and looked at once; this finds those whose announcement was lost.
"""

from __future__ import annotations

import hashlib

from django.db import connection

from apps.accounting import accounts, market, rates
from apps.accounting.engine.version import ENGINE_VERSION
from apps.accounting.models import LedgerState
from apps.audit.services import canonical_json
from apps.factors.models import FactorDataset
from apps.organisations.models import Organisation
from apps.procurement.models import Instrument
from apps.sites.models import PuePeriod, Site

# Two different sums of each mapping: one changed row changes at least one of them.
_MAPPINGS = """
SELECT 0, COUNT(*), SUM(id * site_id %% 1000003), SUM(id %% 9973 * site_id)
FROM telemetry_source WHERE organisation_id = %s AND site_id IS NOT NULL
UNION ALL
SELECT 1, COUNT(*), SUM(id * team_id %% 1000003), SUM(id %% 9973 * team_id)
FROM telemetry_teamname WHERE organisation_id = %s AND team_id IS NOT NULL
ORDER BY 1
"""


def digest(organisation_id: int) -> str:
    """SHA-256 over the organisation's sites, PUE, instruments, mappings and the factor datasets there are.

    The mappings of sources and team names, which may be many, enter as sums made by the database.
    """
    organisation = Organisation.objects.get(pk=organisation_id)
    years = rates.years_covered(organisation_id)
    content = [
        ENGINE_VERSION,
        [organisation.name, organisation.claim_period, organisation.vintage_window_months],
        [years.start, years.stop],
        list(Site.objects.of(organisation).order_by("pk").values_list("pk", "control", "grid_zone", "market")),
        list(
            PuePeriod.objects.of(organisation)
            .order_by("pk")
            .values_list("pk", "site_id", "start", "end", "pue_ppm", "source")
        ),
        list(Instrument.objects.of(organisation).order_by("pk").values()),
        list(FactorDataset.objects.order_by("pk").values_list("pk", "digest")),
        _mappings(organisation_id),
    ]
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def _mappings(organisation_id: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(_MAPPINGS, [organisation_id, organisation_id])
        return [int(value or 0) for row in cursor.fetchall() for value in row]


def refresh(organisation_id: int) -> bool:
    """Bring accounts and rates in line with the inputs if these changed; what depends on them is marked dirty.

    Returns whether they had changed.
    """
    now = digest(organisation_id)
    state, _ = LedgerState.objects.get_or_create(organisation_id=organisation_id)
    if state.inputs_digest == now:
        return False
    accounts.repost_changed(organisation_id)
    rates.refresh(organisation_id)
    market.refresh_all(organisation_id)
    # The digest of before the work: what changed meanwhile is found the next time.
    LedgerState.objects.filter(pk=organisation_id).update(inputs_digest=now)
    return True


def stale(organisation_id: int) -> bool:
    """Whether the inputs changed since the accounts were last brought in line."""
    known = LedgerState.objects.filter(pk=organisation_id).values_list("inputs_digest", flat=True).first()
    return known != digest(organisation_id)
