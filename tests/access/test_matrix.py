"""Who may open what: every route below ``/o/`` and ``/api/v1/`` times every kind of visitor.

The routes come from the URL resolver, so a new page or API view is tested from the day it exists. The expectation
comes from the view: ``capability`` of a page (``@requires``), ``scope`` of an API view.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import transaction
from django.http.response import HttpResponseBase
from django.test import Client
from django.test.client import ClientHandler
from django.urls import reverse
from pytest_django import DjangoDbBlocker

from apps.core.windows import Quarter
from apps.organisations.authentication import new_key
from apps.organisations.models import ApiKey, Membership, Role, Scope
from apps.organisations.roles import CAPABILITIES
from tests.access import estate as objects
from tests.access.estate import Estate, build, person
from tests.access.routes import Route, routes_below

pytestmark = pytest.mark.django_db  # without a marked test pytest-django makes no database

PAGES = routes_below("o/<slug:organisation_slug>/")
API = routes_below("api/v1/")
READ, WRITE = "GET", "POST"
HANDLER = ClientHandler(enforce_csrf_checks=False)  # one for all: each new one loads the middleware again


@dataclass
class World:
    """Two organisations, somebody signed in for each role of the own one, and an administrator of the foreign one."""

    own: Estate
    foreign: Estate
    people: dict[Role, Client]
    foreigner: Client


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    """Made once for all tests here, which take back what they write (``undone``); taken back itself at the end."""
    with django_db_blocker.unblock(), transaction.atomic():
        own, foreign = build("acme", Quarter(2025, 1)), build("rival", Quarter(2025, 2))
        people = {role: visitor(own, role) for role in Role}
        yield World(own, foreign, people, visitor(foreign, Role.ADMIN))
        transaction.set_rollback(True)


@contextmanager
def undone() -> Iterator[None]:
    """Take back what a request wrote, so that the next visitor meets the same estate."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def values(route: Route, estate: Estate) -> dict[str, Any]:
    """The route's own arguments for the objects of an estate; fails with what to do for one nobody knows."""
    found: dict[str, Any] = {}
    for name in route.own_arguments:
        here = (route.name, name)
        make = objects.NOT_OBJECTS.get(here) or objects.ROUTE_ARGUMENTS.get(here) or objects.ARGUMENTS.get(name)
        if make is None:
            pytest.fail(
                f"The access matrix does not know what `{name}` of the route `{route}` ({route.path}) means. Add it to"
                " ARGUMENTS, ROUTE_ARGUMENTS or NOT_OBJECTS in tests/access/estate.py."
            )
        found[name] = make(estate)
    return found


def page_url(route: Route, at: Estate, of: Estate | None = None) -> str:
    """The page's address in one organisation, naming the objects of that one or of another."""
    return reverse(route.name, kwargs={"organisation_slug": at.organisation.slug, **values(route, of or at)})


def visit(client: Client, url: str) -> HttpResponseBase:
    """Open a page; one that only takes forms is sent an empty one."""
    with undone():
        answer = client.get(url)
        if answer.status_code == 405:
            answer = client.post(url)
    return answer


def stranger(headers: dict[str, str] | None = None) -> Client:
    """A client that is not signed in."""
    client = Client(headers=headers)
    client.handler = HANDLER
    return client


def visitor(estate: Estate, role: str) -> Client:
    somebody = person(f"{role}@{estate.organisation.slug}.example")
    Membership.unscoped.create(organisation=estate.organisation, person=somebody, role=role)
    client = stranger()
    client.force_login(somebody)
    return client


def names_an_object(route: Route) -> bool:
    return any((route.name, name) not in objects.NOT_OBJECTS for name in route.own_arguments)


# --- Pages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", PAGES, ids=str)
def test_every_page_says_what_it_requires(route: Route) -> None:
    assert route.name, f"{route.path} has no name"
    assert getattr(route.view, "capability", None), f"{route} lacks @requires(Capability....)"
    assert len({page.path for page in PAGES if page.name == route.name}) == 1, f"two pages are named {route}"


@pytest.mark.parametrize("route", PAGES, ids=str)
def test_a_page_opens_for_the_roles_that_may_and_for_nobody_else(route: Route, world: World) -> None:
    url = page_url(route, world.own)
    for role, client in world.people.items():
        status = visit(client, url).status_code
        refused = role != Role.ADMIN and route.name in objects.STRICTER_THAN_CAPABILITY
        if refused or route.view.capability not in CAPABILITIES[role]:
            assert status == 403, f"{role} got {status} from {url}"
        else:
            assert status in {200, 302, 400, 422}, f"{role} got {status} from {url}"


@pytest.mark.parametrize("route", PAGES, ids=str)
def test_a_page_sends_a_visitor_who_is_not_signed_in_to_sign_in(route: Route, world: World) -> None:
    url = page_url(route, world.own)
    for method in (READ, WRITE):
        answer = stranger().generic(method, url)
        assert answer.status_code == 302
        assert answer["Location"].startswith("/accounts/login/?next=")


@pytest.mark.parametrize("route", PAGES, ids=str)
def test_a_page_does_not_exist_for_members_of_another_organisation(route: Route, world: World) -> None:
    for method in (READ, WRITE):
        assert world.foreigner.generic(method, page_url(route, world.own)).status_code == 404


@pytest.mark.parametrize("route", [page for page in PAGES if names_an_object(page)], ids=str)
def test_a_foreign_object_is_not_found_through_the_own_organisations_page(route: Route, world: World) -> None:
    role = next(role for role in reversed(Role) if route.view.capability in CAPABILITIES[role])
    client = world.people[role]
    url = page_url(route, world.own, of=world.foreign)
    for method in (READ, WRITE):
        with undone():
            status = client.generic(method, url).status_code
        assert status in {404, 405}, f"{method} {url} answered {status}"
    assert visit(client, url).status_code == 404


# --- API ----------------------------------------------------------------------------------------------------------


def view_of(route: Route) -> Any:
    """The class behind an API route."""
    return getattr(route.view, "cls", None) or getattr(route.view, "view_class", None) or route.view


def methods(route: Route) -> list[str]:
    return [method for method in ("GET", "POST", "PUT", "PATCH", "DELETE") if hasattr(view_of(route), method.lower())]


def key_of(estate: Estate, *scopes: str) -> dict[str, str]:
    key, prefix, digest = new_key()
    ApiKey.unscoped.create(
        organisation=estate.organisation, name="matrix", prefix=prefix, digest=digest, scopes=list(scopes)
    )
    return {"Authorization": f"Bearer {key}"}


def ask(route: Route, method: str, of: Estate, headers: dict[str, str]) -> HttpResponseBase:
    url = reverse(route.name, kwargs=values(route, of))
    with undone():
        return stranger(headers).generic(method, url, content_type="application/json")


def scope_of(route: Route, method: str) -> str:
    return getattr(view_of(route), "scope", {}).get(method, Scope.READ)


CALLS = [pytest.param(route, method, id=f"{method} {route}") for route in API for method in methods(route)]


@pytest.mark.parametrize("route", API, ids=str)
def test_every_api_view_is_one_the_matrix_can_read(route: Route) -> None:
    assert route.name, f"{route.path} has no name"
    assert methods(route), f"{route} is no class with methods; the matrix cannot tell what it answers"


@pytest.mark.parametrize(("route", "method"), CALLS)
def test_the_api_answers_nobody_without_a_valid_key(route: Route, method: str, world: World) -> None:
    for headers in ({}, {"Authorization": "Bearer esg_nonsense"}, {"Authorization": "Basic YTpi"}):
        answer = ask(route, method, world.own, headers)
        assert answer.status_code == 401
        assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(("route", "method"), CALLS)
def test_a_key_without_the_scope_is_refused(route: Route, method: str, world: World) -> None:
    others = [scope for scope in Scope.values if scope != scope_of(route, method)]
    assert ask(route, method, world.own, key_of(world.own, *others)).status_code == 403


@pytest.mark.parametrize(("route", "method"), CALLS)
def test_a_key_with_the_scope_is_answered(route: Route, method: str, world: World) -> None:
    status = ask(route, method, world.own, key_of(world.own, scope_of(route, method))).status_code
    assert status in ({200} if method == READ and route.own_arguments else {200, 201, 202, 400, 415, 422})


@pytest.mark.parametrize(
    ("route", "method"),
    [call for call in CALLS if names_an_object(call.values[0])],  # type: ignore[arg-type]
)
def test_a_foreign_object_is_not_found_with_the_own_key(route: Route, method: str, world: World) -> None:
    assert ask(route, method, world.foreign, key_of(world.own, *Scope.values)).status_code == 404
