"""What the dashboards' tests look at."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from apps.organisations.models import Organisation, Person
from tests.dashboards.example import build


@pytest.fixture
def figures(organisation: Organisation) -> Organisation:
    """The organisation with two quarters of settled readings."""
    build(organisation)
    return organisation


@pytest.fixture
def viewer(client: Client, make_person: Callable[..., Person]) -> Client:
    """A browser with a viewer of the organisation signed in."""
    client.force_login(make_person())
    return client
