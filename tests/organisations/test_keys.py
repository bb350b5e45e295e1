"""API keys: hashed, refused with a reason, marked as used at most once a minute."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from unittest.mock import patch

import pytest
from django.test import Client
from django.utils import timezone

from apps.organisations.authentication import key_digest
from apps.organisations.models import ApiKey, Organisation

pytestmark = pytest.mark.django_db

MakeKey = Callable[..., str]


def ask(client: Client, key: str) -> int:
    return client.get("/api/v1/teams", headers={"Authorization": f"Bearer {key}"}).status_code


def test_only_the_hash_of_a_key_is_stored(organisation: Organisation, make_key: MakeKey) -> None:
    key = make_key()
    (row,) = ApiKey.unscoped.values()
    assert row["digest"] == key_digest(key)
    assert row["prefix"] == key[:12]
    assert key not in str(row)


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer a b", "Basic YTpi", "Bearer esg_unknown", "Bearer ü"])
def test_a_header_without_a_known_key_is_401_and_says_how(client: Client, header: str | None) -> None:
    answer = client.get("/api/v1/teams", headers={"Authorization": header} if header else {})
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer")
    problem = answer.json()
    assert problem["title"] == "No valid API key"
    assert "key" in problem["detail"]


def test_an_expired_key_is_refused_and_says_since_when(client: Client, make_key: MakeKey) -> None:
    moment = timezone.now()
    key = make_key(expires_at=moment + timedelta(hours=1))
    assert ask(client, key) == 200
    with patch("apps.organisations.authentication.timezone.now", return_value=moment + timedelta(hours=1)):
        answer = client.get("/api/v1/teams", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 401
    assert "expired on" in answer.json()["detail"]


def test_last_use_is_written_at_most_once_a_minute(client: Client, make_key: MakeKey) -> None:
    key = make_key()
    start = timezone.now()
    seen = []
    for seconds in (0, 30, 59, 60, 90, 121):
        with patch("apps.organisations.authentication.timezone.now", return_value=start + timedelta(seconds=seconds)):
            assert ask(client, key) == 200
        used = ApiKey.unscoped.get().last_used_at
        assert used is not None
        seen.append(round((used - start).total_seconds()))
    assert seen == [0, 0, 0, 60, 60, 121]


def test_a_key_is_no_login_for_pages(client: Client, make_key: MakeKey) -> None:
    answer = client.get("/o/acme/settings/", headers={"Authorization": f"Bearer {make_key()}"})
    assert answer.status_code == 302


def test_a_session_is_no_key_for_the_api(client: Client, make_person: Callable) -> None:
    client.force_login(make_person("admin"))
    assert client.get("/api/v1/teams").status_code == 401
