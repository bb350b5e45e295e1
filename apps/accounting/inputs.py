"""What the accounts depend on besides readings, as one digest: equal digest, nothing to do.

A change is announced (``core.signals``) and looked at once; this finds those whose announcement was lost.
"""

from __future__ import annotations

import hashlib

from django.db import connection

from apps.accounting import accounts, market, rates
from apps.accounting.engine.version import ENGINE_VERSION
from apps.accounting.models import LedgerState
from apps.accounting.overlap import services as overlap
from apps.accounting.overlap.devices import shared_sources

# Asked at every settling, and so without the ORM, which takes longer than the database does.
_INPUTS = (
    "SELECT name, slug, claim_period, vintage_window_months, market_allocation, idle_policy, difference_policy,"
    " EXISTS (SELECT 1 FROM telemetry_source source"
    " WHERE source.organisation_id = organisation.id AND (source.device <> '' OR source.within <> ''))"
    " FROM organisations_organisation organisation WHERE id = %s",
    "SELECT id, control, grid_zone, market FROM sites_site WHERE organisation_id = %s ORDER BY id",
    'SELECT id, site_id, start, "end", pue_ppm, source FROM sites_pueperiod WHERE organisation_id = %s ORDER BY id',
    "SELECT * FROM procurement_instrument WHERE organisation_id = %s ORDER BY id",
    # Two different sums of each mapping: one changed row changes at least one of them.
    "SELECT COUNT(*), SUM(id * site_id %% 1000003), SUM(id %% 9973 * site_id)"
    " FROM telemetry_source WHERE organisation_id = %s AND site_id IS NOT NULL",
    "SELECT COUNT(*), SUM(id * team_id %% 1000003), SUM(id %% 9973 * team_id)"
    " FROM telemetry_teamname WHERE organisation_id = %s AND team_id IS NOT NULL",
)
_ADOPTED = (
    'SELECT adoption.dataset_id, adoption.start, adoption."end", dataset.digest FROM accounting_factoradoption adoption'
    " JOIN factors_factordataset dataset ON dataset.id = adoption.dataset_id"
    " WHERE adoption.organisation_id = %s ORDER BY adoption.id"
)


def digest(organisation_id: int) -> str:
    """SHA-256 over the organisation's policies, sites, PUE, instruments, mappings, shared devices and datasets.

    The mappings of sources and team names, which may be many, enter as sums made by the database.
    """
    content: list[object] = [ENGINE_VERSION, accounts.LAYOUT, rates.years_covered(organisation_id)]
    with connection.cursor() as cursor:
        answers = []
        for question in _INPUTS:
            cursor.execute(question, [organisation_id])
            answers.append(cursor.fetchall())
        content += answers
        # A dataset counts once it is adopted; before the first adoption, its being there asks for one.
        cursor.execute(_ADOPTED, [organisation_id])
        adopted = cursor.fetchall()
        if not adopted:
            cursor.execute("SELECT id, digest FROM factors_factordataset WHERE organisation_id IS NULL ORDER BY id")
            adopted = cursor.fetchall()
        content.append(adopted)
    if any(row[-1] for row in answers[0]):  # whether any source names a device, its own or a container
        content.append(shared_sources(organisation_id))
    return hashlib.sha256(repr(content).encode()).hexdigest()


def refresh(organisation_id: int) -> bool:
    """Bring accounts and rates in line with the inputs if these changed; what depends on them is marked dirty.

    Returns whether they had changed.
    """
    now = digest(organisation_id)
    if _known(organisation_id) == now:
        return False
    LedgerState.objects.get_or_create(organisation_id=organisation_id)
    accounts.repost_changed(organisation_id)
    overlap.mark_changed(organisation_id)
    rates.refresh(organisation_id)
    market.refresh_all(organisation_id)
    # The digest of before the work: what changed meanwhile is found the next time.
    LedgerState.objects.filter(pk=organisation_id).update(inputs_digest=now)
    return True


def stale(organisation_id: int) -> bool:
    """Whether the inputs changed since the accounts were last brought in line."""
    return _known(organisation_id) != digest(organisation_id)


def _known(organisation_id: int) -> str | None:
    """The digest at which accounts and rates were last brought in line."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT inputs_digest FROM accounting_ledgerstate WHERE organisation_id = %s", [organisation_id])
        row = cursor.fetchone()
    return row[0] if row else None
