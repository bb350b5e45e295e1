"""Lists and pages of teams, models, sites and workloads."""

import csv
import io
import re

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounting.queries import LedgerQuery, ledger_total
from apps.core import figures as text
from apps.core.windows import Quarter
from apps.organisations.models import Organisation
from apps.workloads.models import Workload

pytestmark = pytest.mark.django_db
Q3 = Quarter(2026, 3).window
LISTS = ("teams", "models", "sites", "workloads")


def get(client: Client, route: str, *arguments: object, query: str = "?period=2026-Q3") -> str:
    response = client.get(reverse(route, args=arguments) + query)
    assert response.status_code == 200, response.status_code
    return response.text


def names(html: str) -> list[str]:
    """The row heads of the list, top to bottom."""
    return heads_of(html.split('id="list"')[1])


def heads_of(html: str) -> list[str]:
    """The row heads of the first table, top to bottom."""
    table = html.split("<tbody>")[1].split("</tbody>")[0]
    heads = re.findall(r'<th scope="row"[^>]*>(.*?)</th>', table, re.S)
    return [re.sub(r"<span.*?</span>|<[^>]+>", "", head).strip() for head in heads]


@pytest.mark.parametrize("route", LISTS)
def test_the_total_is_the_ledgers_whatever_the_grouping(viewer: Client, figures: Organisation, route: str) -> None:
    html = get(viewer, route, figures.slug)
    total = ledger_total(LedgerQuery(figures.pk, Q3))
    last = html.split('id="list"')[1].split('<tr class="total">')[1]
    assert text.energy_exact(total["facility_energy_milliwatt_hours"]) in last
    assert text.mass_exact(total["location_mg"]) in last
    assert text.mass_exact(total["market_mg"]) in last


def test_unassigned_stands_last_however_it_is_sorted(viewer: Client, figures: Organisation) -> None:
    for sort, first in (("-energy", "Assistant"), ("energy", "Search"), ("name", "Assistant"), ("-name", "Search")):
        found = names(get(viewer, "teams", figures.slug, query=f"?period=2026-Q3&sort={sort}"))
        assert found[0] == first
        assert found[-2:] == ["Unassigned to a team", "Total"]


def test_filters_narrow_the_figures_and_stay_in_every_link(viewer: Client, figures: Organisation) -> None:
    html = get(viewer, "models", figures.slug, query="?period=2026-Q3&team=research&sort=name")
    assert names(html) == ["Atlas 70b", "Total"]
    total = ledger_total(LedgerQuery(figures.pk, Q3, filters={"team": ("research",)}))
    assert text.mass_exact(total["location_mg"]) in html.split('id="list"')[1].split('<tr class="total">')[1]
    for link in re.findall(r'<th scope="col".*?href="([^"]+)"', html, re.S):
        assert "team=research" in link
        assert "period=2026-Q3" in link
    assert '<option value="research" selected>' in html


def test_the_unassigned_can_be_filtered_for(viewer: Client, figures: Organisation) -> None:
    assert names(get(viewer, "workloads", figures.slug, query="?period=2026-Q3&team=~none")) == [
        "fra1/idle idle",
        "Total",
    ]


def test_scopes_stay_apart(viewer: Client, figures: Organisation) -> None:
    scope_3 = get(viewer, "sites", figures.slug, query="?period=2026-Q3&scope=3")
    assert names(scope_3) == ["Cloud, eu-central-1", "Total"]
    everything = get(viewer, "teams", figures.slug, query="?period=2026-Q3&scope=all")
    assert 'class="total"' not in everything
    assert "Scope 3</span>" in everything


def test_the_file_has_the_tables_figures_in_full(viewer: Client, figures: Organisation) -> None:
    content = get(viewer, "teams", figures.slug, query="?period=2026-Q3&format=csv")
    rows = list(csv.DictReader(io.StringIO(content, newline="")))
    assert [row["team"] for row in rows] == ["assistant", "research", "search", ""]
    total = ledger_total(LedgerQuery(figures.pk, Q3))
    kilograms = sum(round(float(row["location_kg"]) * 1_000_000) for row in rows)
    assert kilograms == total["location_mg"]


def test_the_api_call_asks_for_the_same(viewer: Client, figures: Organisation) -> None:
    html = get(viewer, "teams", figures.slug, query="?period=2026-Q3&kind=inference")
    assert "/api/v1/emissions?from=2026-07-01&amp;to=2026-10-01&amp;group_by=team&amp;kind=inference" in html


@pytest.mark.parametrize("route", LISTS)
def test_a_list_asks_few_queries(
    viewer: Client, figures: Organisation, route: str, django_assert_max_num_queries: object
) -> None:
    with django_assert_max_num_queries(16):  # type: ignore[operator]
        get(viewer, route, figures.slug)


def test_a_workload_is_found_by_part_of_its_name(viewer: Client, figures: Organisation) -> None:
    html = get(viewer, "workloads", figures.slug, query="?period=2026-Q3&q=TRAIN")
    assert names(html) == ["atlas-70b training"]
    assert "No name matches" in get(viewer, "workloads", figures.slug, query="?period=2026-Q3&q=zzz")


@pytest.mark.parametrize(
    ("route", "key", "name"),
    [("team", "assistant", "Assistant"), ("model", "atlas-7b", "Atlas 7b"), ("site", "fra1", "Frankfurt hall")],
)
def test_the_page_of_one_thing_shows_its_own_figures(
    viewer: Client, figures: Organisation, route: str, key: str, name: str
) -> None:
    html = get(viewer, route, figures.slug, key)
    total = ledger_total(LedgerQuery(figures.pk, Q3, filters={route: (key,)}))
    assert f"<h1>{name}</h1>" in html
    assert text.energy_exact(total["facility_energy_milliwatt_hours"]) in html
    assert text.mass_exact(total["market_mg"]) in html


def test_a_site_names_its_factor_edition_licence_and_pue_source(viewer: Client, figures: Organisation) -> None:
    html = get(viewer, "site", figures.slug, "fra1")
    for words in ("National agency", "edition 2026", "CC BY 4.0", "facility meter", "363.0", "725.0", "residual mix"):
        assert words in html
    assert "fra1/idle" in html
    assert "dub2/serving" not in html


def test_a_site_leads_to_its_meters_in_the_same_period_and_a_cloud_has_none(
    viewer: Client, figures: Organisation
) -> None:
    head = get(viewer, "site", figures.slug, "fra1").split('<div class="page-head">')[1].split("<form")[0]
    links = re.findall(r'<a class="button" href="([^"]+)">', head)
    assert [link.split("?")[0] for link in links] == [
        reverse(route, args=[figures.slug]) for route in ("meters", "reconciliation", "indicators")
    ]
    for link in links:
        assert link.endswith("period=2026-Q3&amp;site=fra1")
        assert viewer.get(link.replace("&amp;", "&")).status_code == 200
    cloud = get(viewer, "site", figures.slug, "aws-eu").split('<div class="page-head">')[1].split("<form")[0]
    assert "reconciliation" not in cloud


def test_a_cloud_site_is_never_scope_2(viewer: Client, figures: Organisation) -> None:
    html = get(viewer, "site", figures.slug, "aws-eu")
    assert "Scope 3, category 1" in html
    assert "Scope 2, location-based" not in html
    assert "How the market-based figure is made" not in html


def test_a_model_names_the_boundary_of_its_intensity(viewer: Client, figures: Organisation) -> None:
    html = get(viewer, "model", figures.slug, "atlas-7b")
    assert "g CO₂e/1k tokens" in html
    assert "idle not in it" in html
    assert "measured at: accelerator" in html
    assert re.search(r"1,000 tokens emitted \d+\.\d{3} g at first", html)


def test_simulated_things_say_so_with_their_citation(viewer: Client, figures: Organisation) -> None:
    assert "Simulated load, not a measurement. Seeded load model of the tests" in get(
        viewer, "model", figures.slug, "embed-large"
    )


def test_a_workloads_page_shows_its_whole_life(viewer: Client, figures: Organisation) -> None:
    run = Workload.objects.of(figures).get(name="atlas-70b training")
    html = get(viewer, "workload", figures.slug, run.pk, query="")
    assert "11 May to 9 Aug 2026" in html
    assert "fra1/training" in html
    assert "It drew up to" in html


def test_energy_without_a_site_has_no_emissions_and_says_why(viewer: Client, figures: Organisation) -> None:
    html = get(viewer, "model", figures.slug, "rover")
    assert "no site yet" in html
    assert "0 t CO₂e" not in html


@pytest.mark.parametrize("route", ["team", "model", "site", "workload"])
def test_what_belongs_to_others_does_not_exist(
    viewer: Client, figures: Organisation, other_organisation: Organisation, route: str
) -> None:
    workload = Workload.unscoped.create(organisation=other_organisation, name="secret")
    key = workload.pk if route == "workload" else "no-such"
    assert viewer.get(reverse(route, args=[figures.slug, key])).status_code == 404
    assert viewer.get(reverse(route, args=[other_organisation.slug, key])).status_code == 404


def test_nobody_reads_without_signing_in(client: Client, organisation: Organisation) -> None:
    response = client.get(reverse("teams", args=[organisation.slug]))
    assert response.status_code == 302
    assert "login" in response.headers["Location"]
