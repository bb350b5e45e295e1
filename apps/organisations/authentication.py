"""API keys: made, shown once, found again by their SHA-256."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

from django.db import connection
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from apps.organisations.models import ApiKey

KEY_MARK = "esg_"
LAST_USED_EVERY = timedelta(minutes=1)


def new_key() -> tuple[str, str, str]:
    """A new key with its prefix and digest. 256 random bits need no slow hash: one look-up finds them."""
    key = KEY_MARK + secrets.token_urlsafe(32)
    return key, key[:12], key_digest(key)


def key_digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class KeyPrincipal:
    """Who a request with an API key is: ``request.auth`` of every API view."""

    key_id: int
    prefix: str
    organisation_id: int
    organisation_slug: str
    team_id: int | None
    team_slug: str | None
    site_code: str
    scopes: frozenset[str]

    @property
    def actor(self) -> str:
        return f"key:{self.prefix}"


class KeyUser:
    """``request.user`` of a request with a key: authenticated, and no person."""

    is_authenticated = True
    is_active = True
    pk = None


# By hand, because it runs before every request: Django's compiler would take longer over it than the database.
_FIND_KEY = """
    SELECT k.id, k.prefix, k.organisation_id, o.slug, k.team_id, t.slug, k.site_code, k.scopes,
           k.revoked_at, k.expires_at, k.last_used_at
    FROM organisations_apikey k
    JOIN organisations_organisation o ON o.id = k.organisation_id
    LEFT JOIN organisations_team t ON t.id = k.team_id
    WHERE k.digest = %s
"""


def _moment(value: datetime | None) -> datetime | None:
    """A time as the database's driver gives it: SQLite's knows no offset, and all times are UTC."""
    return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def principal_for(key: str) -> KeyPrincipal:
    """The principal of a key. Raises ``AuthenticationFailed`` and says why: unknown, revoked or expired."""
    with connection.cursor() as cursor:
        cursor.execute(_FIND_KEY, [key_digest(key)])
        row = cursor.fetchone()
    if row is None:
        raise AuthenticationFailed("The key is not known here. Copy it again, or make a new one on the Connect page.")
    pk, prefix, organisation_id, organisation_slug, team_id, team_slug, site_code, scopes, *moments = row
    revoked_at, expires_at, last_used_at = map(_moment, moments)
    now = timezone.now()
    if revoked_at is not None:
        raise AuthenticationFailed(f"The key {prefix}… was revoked on {revoked_at:%Y-%m-%d}.")
    if expires_at is not None and expires_at <= now:
        raise AuthenticationFailed(f"The key {prefix}… expired on {expires_at:%Y-%m-%d %H:%M} UTC.")
    if last_used_at is None or now - last_used_at >= LAST_USED_EVERY:
        ApiKey.unscoped.filter(pk=pk).update(last_used_at=now)
    return KeyPrincipal(
        key_id=pk,
        prefix=prefix,
        organisation_id=organisation_id,
        organisation_slug=organisation_slug,
        team_id=team_id,
        team_slug=team_slug,
        site_code=site_code,
        scopes=frozenset(json.loads(scopes)),
    )


def principal_of(request: Request) -> KeyPrincipal:
    """Whose key an authenticated API request carries."""
    return cast(KeyPrincipal, request.auth)


class ApiKeyAuthentication(BaseAuthentication):
    """``Authorization: Bearer KEY``. A request without a key is refused, not anonymous."""

    def authenticate(self, request: Request) -> tuple[KeyUser, KeyPrincipal]:
        header = get_authorization_header(request).decode("latin-1").split()
        if len(header) != 2 or header[0].lower() != "bearer":
            raise AuthenticationFailed("Send the key as the header `Authorization: Bearer KEY`.")
        return KeyUser(), principal_for(header[1])

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="esgportal"'
