"""Fixtures that the tests of every room share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_django.fixtures import Settings

from apps.organisations.authentication import new_key
from apps.organisations.models import ApiKey, Membership, Organisation, Person, Role, Team
from apps.sites.models import ControlClass, Site

pytest_plugins = ["tests.processes", "tests.browsing", "tests.once"]


@pytest.fixture(autouse=True)
def static_files_by_their_own_names(settings: Settings) -> None:
    """Pages are rendered without `collectstatic` having run."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}


@pytest.fixture
def organisation(db: None) -> Organisation:
    return Organisation.objects.create(slug="acme", name="Acme AI")


@pytest.fixture
def other_organisation(db: None) -> Organisation:
    """A foreign organisation on the same installation."""
    return Organisation.objects.create(slug="rival", name="Rival Labs")


@pytest.fixture
def team(organisation: Organisation) -> Team:
    return Team.unscoped.create(organisation=organisation, slug="vision", name="Vision")


@pytest.fixture
def site(organisation: Organisation) -> Site:
    return Site.unscoped.create(
        organisation=organisation,
        code="fra1",
        name="Frankfurt hall",
        control=ControlClass.OWNED,
        country="DE",
        grid_zone="DE",
        market="DE",
    )


@pytest.fixture
def make_key(organisation: Organisation) -> Callable[..., str]:
    """A function that makes an API key of ``organisation`` (or another) and returns the key itself."""

    def make(scopes: tuple[str, ...] = ("ingest", "read"), **fields: object) -> str:
        key, prefix, digest = new_key()
        fields.setdefault("organisation", organisation)
        ApiKey.unscoped.create(name="test", prefix=prefix, digest=digest, scopes=list(scopes), **fields)
        return key

    return make


@pytest.fixture
def make_person(organisation: Organisation) -> Callable[..., Person]:
    """A function that makes a person with a role in ``organisation`` (or another)."""

    def make(role: str = Role.VIEWER, email: str | None = None, member_of: Organisation | None = None) -> Person:
        person = Person.objects.create_user(email or f"{role}@example.org", "a long enough password")
        Membership.unscoped.create(organisation=member_of or organisation, person=person, role=role)
        return person

    return make
