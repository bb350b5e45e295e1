"""Pages in a real browser, with an organisation that has a month of figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest

from apps.organisations.models import Organisation, Person
from tests.dashboards.example import JOBS, build

AUGUST = (date(2026, 8, 1), date(2026, 8, 31))


@pytest.fixture
def organisation(transactional_db: None) -> Organisation:
    organisation = Organisation.objects.create(slug="northwind", name="Northwind Intelligence")
    build(organisation, [replace(job, first=AUGUST[0], last=min(job.last, AUGUST[1])) for job in JOBS])
    return organisation


@pytest.fixture
def home(organisation: Organisation, make_person: Callable[..., Person], log_in: Callable[[Person], None]) -> str:
    """The address of the organisation's overview, with an officer signed in."""
    log_in(make_person("officer"))
    return f"/o/{organisation.slug}/"
