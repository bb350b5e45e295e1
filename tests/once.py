"""Which tests give the same answer on every backend, and the proof of it while they run.

A test meets a backend when pytest-django lets it at the database, when it is about the processes and services
themselves (``tests/platform``), or when one of its fixtures is a server or a worker. Every other test is run with
database, cache and broker out of reach, in its own process and in those it starts: whoever reaches for one fails, and
then belongs to the first kind (``pytest.mark.django_db``).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NoReturn

import pytest

ONCE = "ESGPORTAL_TESTS_WITHOUT_A_BACKEND"  # "elsewhere": another run of the same suite has them
PLATFORM = Path(__file__).parent / "platform"
BACKEND_FIXTURES = {
    *("db", "transactional_db", "django_db_setup", "django_db_serialized_rollback"),
    *("django_db_reset_sequences", "live_server", "empty_broker"),
}


def meets_a_backend(item: pytest.Item) -> bool:
    """Whether a test's result can depend on the backend that it runs on."""
    return (
        PLATFORM in item.path.parents
        or item.get_closest_marker("django_db") is not None
        or not BACKEND_FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get(ONCE) == "elsewhere":
        config.hook.pytest_deselected(items=[item for item in items if not meets_a_backend(item)])
        items[:] = [item for item in items if meets_a_backend(item)]


@pytest.fixture(autouse=True)
def out_of_reach(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Every backend, for a test that meets none."""
    if meets_a_backend(request.node):
        yield
        return

    def refuse(*args: object, **kwargs: object) -> NoReturn:
        pytest.fail("This test reached for the broker. Mark it with pytest.mark.django_db: it depends on the backend.")

    monkeypatch.setattr("kombu.connection.Connection._establish_connection", refuse)
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:9/0")
    request.getfixturevalue("settings").CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:9/0"}
    }
    with request.getfixturevalue("django_db_blocker").block():
        yield
