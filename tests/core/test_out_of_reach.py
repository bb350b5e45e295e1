"""A test that runs on one backend only has none within reach: see ``tests/once.py``."""

from __future__ import annotations

import os

import pytest
import redis
from django.core.cache import cache

from apps.organisations.models import Organisation
from esgportal.celery import app
from tests.once import meets_a_backend


def test_this_file_runs_once(request: pytest.FixtureRequest) -> None:
    assert not meets_a_backend(request.node)


@pytest.mark.django_db
def test_what_may_use_the_database_runs_everywhere(request: pytest.FixtureRequest) -> None:
    assert meets_a_backend(request.node)
    assert not Organisation.objects.exists()


def test_the_database_refuses() -> None:
    with pytest.raises(RuntimeError, match="Database access not allowed"):
        Organisation.objects.exists()


def test_the_cache_refuses() -> None:
    with pytest.raises(redis.ConnectionError):
        cache.get("anything")


def test_the_broker_refuses() -> None:
    with app.connection_for_write() as broker, pytest.raises(pytest.fail.Exception, match="reached for the broker"):
        broker.connect()


def test_a_child_process_would_find_no_server() -> None:
    assert os.environ["DATABASE_URL"].endswith("@127.0.0.1:9/none")
    assert os.environ["REDIS_URL"] == "redis://127.0.0.1:9/0"
