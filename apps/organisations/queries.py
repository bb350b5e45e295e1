"""Everything that reads organisations, people, teams and keys for a page or the API."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.apps import apps
from django.db.models import QuerySet
from django.utils import timezone

from apps.organisations.models import ApiKey, Membership, Organisation, Person, Team


def organisations_of(person_id: int) -> list[Organisation]:
    """The organisations a person is a member of, by name."""
    return list(Organisation.objects.filter(pk__in=Membership.unscoped.filter(person=person_id).values("organisation")))


def members(organisation: Organisation) -> list[Membership]:
    """The organisation's people, by e-mail address."""
    return list(Membership.objects.of(organisation).select_related("person").order_by("person__email"))


def member(organisation: Organisation, membership_id: int) -> Membership | None:
    return Membership.objects.of(organisation).select_related("person", "organisation").filter(pk=membership_id).first()


def teams(organisation: Organisation | int) -> QuerySet[Team]:
    return Team.objects.of(organisation)


def team(organisation: Organisation | int, slug: str) -> Team | None:
    return teams(organisation).filter(slug=slug).first()


def site_choices(organisation: Organisation) -> list[tuple[str, str]]:
    """Code and label of the organisation's sites, for the default site of a key."""
    # By name and not by import: sites stand above organisations.
    sites = apps.get_model("sites", "Site").objects.of(organisation)  # type: ignore[attr-defined]
    return [(code, f"{name} ({code})") for code, name in sites.order_by("name").values_list("code", "name")]


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key as the list shows it. ``state``: active, unused, expired or revoked."""

    key: ApiKey
    state: str
    team: str
    created_by: str
    last_used_at: datetime | None


def _key_state(key: ApiKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None and key.expires_at <= now:
        return "expired"
    return "active" if key.last_used_at else "unused"


def keys(organisation: Organisation) -> list[KeyRow]:
    """The organisation's keys, usable ones first, then newest first."""
    now = timezone.now()
    rows = [
        KeyRow(
            key=key,
            state=_key_state(key, now),
            team=key.team.name if key.team else "",
            created_by=key.created_by.email if key.created_by else "",
            last_used_at=key.last_used_at,
        )
        for key in ApiKey.objects.of(organisation).select_related("team", "created_by")
    ]
    return sorted(rows, key=lambda row: row.state in {"revoked", "expired"})


def key(organisation: Organisation, key_id: int) -> ApiKey | None:
    return ApiKey.objects.of(organisation).filter(pk=key_id).first()


def person_may_revoke(person: Person, api_key: ApiKey, *, administers: bool) -> bool:
    """An administrator revokes every key, everybody else the keys they made."""
    return administers or api_key.created_by_id == person.pk
