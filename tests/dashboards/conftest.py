"""What the dashboards' tests look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.db import transaction
from django.test import Client

from apps.organisations.models import Organisation, Person
from tests.dashboards.example import build


@pytest.fixture(scope="package")
def example(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> Iterator[Organisation]:
    """The organisation with two quarters of settled readings, made once and rolled back after the last test.

    Every test runs in a savepoint inside this transaction.
    """
    with django_db_blocker.unblock(), transaction.atomic():  # type: ignore[attr-defined]
        organisation = Organisation.objects.create(slug="northwind", name="Northwind Intelligence")
        build(organisation)
        yield organisation
        transaction.set_rollback(True)


@pytest.fixture
def figures(example: Organisation, db: None) -> Organisation:
    """The same, for one test."""
    return Organisation.objects.get(pk=example.pk)


@pytest.fixture
def viewer(client: Client, make_person: Callable[..., Person], request: pytest.FixtureRequest) -> Client:
    """A browser with a viewer signed in: of the example where the test uses it, else of ``organisation``."""
    home = request.getfixturevalue("figures") if "figures" in request.fixturenames else None
    client.force_login(make_person(member_of=home))
    return client
