"""API keys: made, shown once, found again by their SHA-256."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

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


def principal_for(key: str) -> KeyPrincipal:
    """The principal of a key. Raises ``AuthenticationFailed`` and says why: unknown, revoked or expired."""
    row = ApiKey.unscoped.select_related("organisation", "team").filter(digest=key_digest(key)).first()
    if row is None:
        raise AuthenticationFailed("The key is not known here. Copy it again, or make a new one on the Connect page.")
    now = timezone.now()
    if row.revoked_at is not None:
        raise AuthenticationFailed(f"The key {row.prefix}… was revoked on {row.revoked_at:%Y-%m-%d}.")
    if row.expires_at is not None and row.expires_at <= now:
        raise AuthenticationFailed(f"The key {row.prefix}… expired on {row.expires_at:%Y-%m-%d %H:%M} UTC.")
    if row.last_used_at is None or now - row.last_used_at >= LAST_USED_EVERY:
        ApiKey.unscoped.filter(pk=row.pk).update(last_used_at=now)
    return KeyPrincipal(
        key_id=row.pk,
        prefix=row.prefix,
        organisation_id=row.organisation_id,
        organisation_slug=row.organisation.slug,
        team_id=row.team_id,
        team_slug=row.team.slug if row.team else None,
        site_code=row.site_code,
        scopes=frozenset(row.scopes),
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
