"""The rail: pages that exist, that the role may open, the present one marked; the switcher between organisations."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from apps.dashboards.navigation import GROUPS, url_of
from apps.organisations.models import Membership, Organisation, Person

pytestmark = pytest.mark.django_db


def rail(client: Client, organisation: Organisation, route: str = "overview", *arguments: object) -> str:
    html = client.get(reverse(route, args=[organisation.slug, *arguments])).text
    return html.split('aria-label="Main (wide)"')[1].split("</nav>")[0]


@pytest.mark.parametrize("role", ["viewer", "engineer", "officer", "approver", "auditor", "admin"])
def test_every_link_of_the_rail_can_be_opened(
    client: Client, organisation: Organisation, make_person: Callable[..., Person], role: str
) -> None:
    client.force_login(make_person(role))
    links = [part.split('"')[0] for part in rail(client, organisation).split('<a href="')[1:]]
    assert len(links) >= 8
    for link in links:
        assert client.get(link).status_code == 200, link


def test_a_role_sees_only_what_it_may_open(
    client: Client, organisation: Organisation, make_person: Callable[..., Person]
) -> None:
    client.force_login(make_person("viewer"))
    assert reverse("audit-log", args=[organisation.slug]) not in rail(client, organisation)
    client.force_login(make_person("auditor"))
    assert reverse("audit-log", args=[organisation.slug]) in rail(client, organisation)


def test_every_route_of_the_rail_exists(organisation: Organisation) -> None:
    assert [route for _, links in GROUPS for route, _ in links if url_of(route, organisation) is None] == []


def test_the_present_page_and_the_list_above_it_are_marked(viewer: Client, figures: Organisation) -> None:
    teams = reverse("teams", args=[figures.slug])
    assert f'<a href="{teams}" aria-current="page">' in rail(viewer, figures, "teams")
    assert f'<a href="{teams}" aria-current="true">' in rail(viewer, figures, "team", "search")
    assert rail(viewer, figures, "teams").count("aria-current") == 1


def test_a_member_of_two_organisations_can_change_over(
    viewer: Client, figures: Organisation, other_organisation: Organisation
) -> None:
    url = reverse("overview", args=[other_organisation.slug])
    assert url not in viewer.get(reverse("overview", args=[figures.slug])).text
    person = Person.objects.get(memberships__organisation=figures)
    Membership.unscoped.create(organisation=other_organisation, person=person, role="viewer")
    assert f'<a href="{url}">Rival Labs</a>' in viewer.get(reverse("overview", args=[figures.slug])).text
