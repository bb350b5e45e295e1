"""What still works when Redis is away, and what the schedule promises."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import caches
from django.test import Client
from redis.backoff import NoBackoff
from redis.retry import Retry

from apps.organisations.models import Organisation, Person
from esgportal.celery import app
from tests.backends import free_port


@pytest.fixture
def no_redis(settings: Any) -> None:
    settings.CACHES = {
        "default": {
            "BACKEND": "esgportal.cache.RedisCache",
            "LOCATION": f"redis://127.0.0.1:{free_port()}/0",
            "OPTIONS": {"retry": Retry(NoBackoff(), 1)},
        }
    }
    caches.close_all()


def test_people_sign_in_while_the_cache_is_away(
    no_redis: None, organisation: Organisation, make_person: Callable[..., Person], client: Client
) -> None:
    person = make_person("officer")
    started = time.monotonic()
    answer = client.post("/accounts/login/", {"login": person.email, "password": "a long enough password"})
    assert answer.status_code == 302
    assert client.get(f"/o/{organisation.slug}/").status_code == 200
    assert time.monotonic() - started < 5


def test_every_scheduled_task_exists() -> None:
    app.loader.import_default_modules()
    missing = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()} - set(app.tasks)
    assert missing == set()
