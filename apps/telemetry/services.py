"""Everything that people change about telemetry: where a source stands, which team a name means. And expiry.

Readings themselves are written by :mod:`apps.telemetry.intake`. Each function is one transaction with its audit event
inside; the accounts, told of the change, book the readings concerned anew and mark their hours.
"""

from __future__ import annotations

from datetime import timedelta

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from apps.audit.services import record, state_of
from apps.core.signals import announce_inputs_changed
from apps.organisations.models import Team
from apps.sites.models import Site
from apps.telemetry import names
from apps.telemetry.models import NamingVersion, Receipt, Source, TeamName
from apps.telemetry.replay import services as replay

IDEMPOTENCY_KEYS_KEPT = timedelta(days=7)
MOST_PRECEDENCE = 9_999


def mappings_changed(organisation_id: int) -> None:
    """Have every process drop the ids it cached, and the accounts look at their inputs again."""
    NamingVersion.objects.bulk_create([NamingVersion(organisation_id=organisation_id)], ignore_conflicts=True)
    NamingVersion.objects.filter(organisation=organisation_id).update(version=F("version") + 1)
    transaction.on_commit(lambda: names.drop_cache(organisation_id))
    announce_inputs_changed(organisation_id)


@transaction.atomic
def assign_source_site(*, source: Source, site: Site | None, actor: str) -> Source:
    """Say at which site a source stands; with ``None``, that nobody knows.

    Holds for the source's readings that came without a site, past ones too, and for later ones that name none.
    Readings that were booked to another site when they came stay there. Raises ``ValidationError`` for a site of
    another organisation.
    """
    if site is not None and site.organisation_id != source.organisation_id:
        raise ValidationError({"site": "Expected a site of the same organisation."})
    if source.site_id == (site.pk if site else None):
        return source
    before = state_of(source)
    source.site = site
    source.save(update_fields=["site"])
    record(
        organisation_id=source.organisation_id,
        actor=actor,
        action="source.site_assigned",
        instance=source,
        before=before,
        after=state_of(source),
    )
    mappings_changed(source.organisation_id)
    return source


@transaction.atomic
def assign_source_device(*, source: Source, device: str, precedence: int, actor: str) -> Source:
    """Say which physical device a source measures, and its place among the sources that measure it too.

    Of the sources of one device the lowest ``precedence`` (0 to 9,999) is counted, and what the others say of the same
    time is set aside; with an empty ``device`` the source is counted for itself. Holds for past readings too. Raises
    ``ValidationError``.
    """
    if not 0 <= precedence <= MOST_PRECEDENCE:
        raise ValidationError({"precedence": f"Expected a number from 0 to {MOST_PRECEDENCE:,}."})
    before = state_of(source)
    source.device, source.precedence = device.strip(), precedence
    source.clean_fields(exclude=[field.name for field in Source._meta.fields if field.name != "device"])
    after = state_of(source)
    if after == before:
        return source
    source.save(update_fields=["device", "precedence"])
    record(
        organisation_id=source.organisation_id,
        actor=actor,
        action="source.device_assigned",
        instance=source,
        before=before,
        after=after,
    )
    announce_inputs_changed(source.organisation_id)
    return source


@transaction.atomic
def map_team_name(*, team_name: TeamName, team: Team | None, actor: str) -> TeamName:
    """Say which team a spelling means; with ``None``, that its energy is unassigned. Holds for past readings too.

    Raises ``ValidationError`` for a team of another organisation.
    """
    if team is not None and team.organisation_id != team_name.organisation_id:
        raise ValidationError({"team": "Expected a team of the same organisation."})
    if team_name.team_id == (team.pk if team else None):
        return team_name
    before = state_of(team_name)
    team_name.team = team
    team_name.save(update_fields=["team"])
    record(
        organisation_id=team_name.organisation_id,
        actor=actor,
        action="team_name.mapped",
        instance=team_name,
        before=before,
        after=state_of(team_name),
    )
    mappings_changed(team_name.organisation_id)
    return team_name


def expire() -> int:
    """Forget idempotency keys older than :data:`IDEMPOTENCY_KEYS_KEPT` and bodies kept for mending; receipts stay.

    Returns how many keys were forgotten.
    """
    replay.forget_old()
    oldest = timezone.now() - IDEMPOTENCY_KEYS_KEPT
    expired = Receipt.unscoped.filter(idempotency_key__isnull=False, received_at__lt=oldest)
    return expired.update(idempotency_key=None)
