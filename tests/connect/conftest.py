"""What the tests of the Connect page share."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.test import Client

from apps.organisations.models import Person, Role, Team
from apps.sites.models import Site


@pytest.fixture
def engineer(make_person: Callable[..., Person]) -> Person:
    return make_person(Role.ENGINEER)


@pytest.fixture
def signed_in(client: Client, engineer: Person) -> Client:
    client.force_login(engineer)
    return client


@pytest.fixture
def form(signed_in: Client, team: Team, site: Site) -> dict[str, str]:
    """The form as the page gives it, filled in."""
    page = signed_in.get("/o/acme/connect/").content.decode()
    found = re.search(r'name="form_id" value="(\w+)"', page)
    assert found
    return {"name": "trainer-17", "kind": "training", "team": "vision", "site": "fra1", "form_id": found[1]}
