"""The overview: the ledger's figures, both methods alike, what is absent said, and few queries."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from unittest import mock

import pytest
from django.http import QueryDict
from django.test import Client
from django.urls import reverse

from apps.accounting.models import LedgerState
from apps.accounting.queries import LedgerQuery, ledger_total, source_coverage
from apps.core import figures as text
from apps.core.filters import parse_filters
from apps.core.windows import Quarter
from apps.dashboards import queries
from apps.organisations.models import Organisation, Person
from apps.telemetry.models import Source

pytestmark = pytest.mark.django_db
Q3 = Quarter(2026, 3).window


def page(client: Client, organisation: Organisation, query: str = "") -> str:
    response = client.get(reverse("overview", args=[organisation.slug]) + query)
    assert response.status_code == 200
    return response.text


def test_key_figures_are_the_ledgers(viewer: Client, figures: Organisation) -> None:
    html = page(viewer, figures, "?period=2026-Q3")
    total = ledger_total(LedgerQuery(figures.pk, Q3))
    for milliwatt_hours in (total["facility_energy_milliwatt_hours"],):
        assert text.energy_exact(milliwatt_hours) in html
    assert text.mass_exact(total["location_mg"]) in html
    assert text.mass_exact(total["market_mg"]) in html


@pytest.mark.parametrize("query", ["", "&kind=inference", "&team=~none"])
def test_the_totals_made_of_the_sites_are_the_ledgers(figures: Organisation, query: str) -> None:
    filters = parse_filters(QueryDict(f"period=2026-Q3{query}"), None)
    selection = filters.ledger_filters
    by_site = queries.breakdown(figures, filters.window, selection, "all", ("site",))
    assert queries.totals_of(by_site) == queries.totals(figures, filters.window, selection)


def test_what_needs_a_person_is_looked_up_again_when_the_ledger_has_changed(
    viewer: Client, figures: Organisation
) -> None:
    with mock.patch("apps.accounting.queries.source_coverage", wraps=source_coverage) as asked:
        page(viewer, figures, "?period=2026-Q3")
        page(viewer, figures, "?period=2026-Q3")
        assert asked.call_count <= 1
        LedgerState.objects.filter(pk=figures.pk).update(last_settled_at=datetime.now(UTC))
        asked.reset_mock()
        page(viewer, figures, "?period=2026-Q3")
        assert asked.call_count == 1


def test_both_methods_have_the_same_unit_and_size(viewer: Client, figures: Organisation) -> None:
    html = page(viewer, figures, "?period=2026-Q3")
    cards = html.split('<div class="kpi">')
    location = next(card for card in cards if "Scope 2, location-based" in card)
    market = next(card for card in cards if "Scope 2, market-based" in card)
    assert cards.index(market) == cards.index(location) + 1
    classes = [re.findall(r'class="([^"]+)"', card.split("kpi-note")[0]) for card in (location, market)]
    assert classes[0] == classes[1]
    assert 'kpi-unit">t CO₂e' in location
    assert 'kpi-unit">t CO₂e' in market


def test_cloud_energy_is_a_memo_and_in_no_scope_2_total(viewer: Client, figures: Organisation) -> None:
    html = page(viewer, figures, "?period=2026-Q3")
    memo = ledger_total(LedgerQuery(figures.pk, Q3, scope="3"))
    assert '<div class="kpi memo">' in html
    assert text.mass_exact(memo["location_mg"]) in html
    assert "cloud · Scope 3" in html


def test_without_a_period_the_latest_ended_quarter_is_shown(viewer: Client, figures: Organisation) -> None:
    assert "1 Jul to 30 Sep 2026" in page(viewer, figures)


@contextmanager
def reading_in_q4(organisation: Organisation) -> Iterator[None]:
    """It is the fourth quarter of 2026, and a first source has just sent something."""
    source = Source.objects.of(organisation).get(name="fra1/serving")
    Source.objects.of(organisation).filter(pk=source.pk).update(
        last_reading_at=datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
    )
    with (
        mock.patch("apps.dashboards.queries.present_quarter", return_value=Quarter(2026, 4)),
        mock.patch("apps.dashboards.scenes.present_quarter", return_value=Quarter(2026, 4)),
    ):
        yield


def test_a_reading_of_today_does_not_push_the_full_quarter_off_the_page(viewer: Client, figures: Organisation) -> None:
    with reading_in_q4(figures):
        html = page(viewer, figures)
        assert "1 Jul to 30 Sep 2026" in html
        assert "2026-Q4 is running, with readings up to 2026-11-02 09:30 UTC." in html
        narrowed = viewer.get(reverse("models", args=[figures.slug]) + "?team=search&scope=all").text
        assert 'href="?team=search&amp;scope=all&amp;period=2026-Q4"' in narrowed
        assert "is running" not in page(viewer, figures, "?period=2026-Q4")
        assert "is running" not in page(viewer, figures, "?period=2026")


def test_an_organisation_in_its_first_quarter_sees_that(viewer: Client, figures: Organisation) -> None:
    with (
        mock.patch("apps.dashboards.queries.present_quarter", return_value=Quarter(2026, 2)),
        mock.patch("apps.core.filters.present_quarter", return_value=Quarter(2026, 2)),
    ):
        assert "1 Apr to 30 Jun 2026" in page(viewer, figures)


def test_what_needs_a_person_is_listed(viewer: Client, figures: Organisation) -> None:
    html = page(viewer, figures, "?period=2026-Q3")
    assert "without a site" in html
    assert "belong to no team" in html
    assert "1 team name sent by a client matches no team" in html
    assert "Silent: lab/node-3." in html  # and not the training run, which has ended
    assert "<b>4</b> open issues" in html


def test_simulated_figures_are_marked(viewer: Client, figures: Organisation) -> None:
    html = page(viewer, figures, "?period=2026-Q3")
    assert re.search(r'class="chip warn"[^>]*>\d+\s% simulated', html)
    assert "Seeded load model of the tests" in html


def test_a_demonstration_says_so_on_every_page(viewer: Client, figures: Organisation) -> None:
    Organisation.objects.filter(pk=figures.pk).update(is_demo=True)
    for route in ("overview", "teams", "models", "sites", "workloads"):
        assert "Demonstration organisation" in viewer.get(reverse(route, args=[figures.slug])).text


def test_the_number_of_queries_does_not_grow_with_the_organisation(
    viewer: Client, figures: Organisation, django_assert_max_num_queries: object
) -> None:
    with django_assert_max_num_queries(39):  # type: ignore[operator]
        page(viewer, figures, "?period=2026-Q3")


def test_an_organisation_without_readings_is_led_to_connect(
    client: Client, viewer: Client, organisation: Organisation, make_person: Callable[..., Person]
) -> None:
    assert "Ask an engineer" in page(viewer, organisation)
    client.force_login(make_person("engineer"))
    html = page(client, organisation)
    assert "No readings yet" in html
    assert f'class="button primary" href="{reverse("connect", args=[organisation.slug])}' in html
    assert "<script src" in html
    assert "plotly" not in html


def test_a_filter_too_narrow_can_be_reset(viewer: Client, figures: Organisation) -> None:
    html = page(viewer, figures, "?period=2026-Q3&team=search&model=rover")
    assert "Nothing matches these filters" in html
    assert 'href="?period=2026-Q3"' in html


def test_a_period_without_readings_names_the_time_that_has_some(viewer: Client, figures: Organisation) -> None:
    assert "run from 2026-04-01 00:00 UTC to 2026-10-01 00:00 UTC" in page(viewer, figures, "?period=2020-Q1")


def test_a_nonsense_period_is_named_and_not_a_fault(viewer: Client, figures: Organisation) -> None:
    html = page(viewer, figures, "?period=<script>")
    assert "was not understood" in html
    assert "<script>&#x27;" not in html
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize("panel", ["energy-over-time", "methods", "teams", "models", "sites"])
def test_every_panel_has_its_file(viewer: Client, figures: Organisation, panel: str) -> None:
    response = viewer.get(reverse("overview", args=[figures.slug]) + f"?period=2026-Q3&format=csv&panel={panel}")
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "location_kg,market_kg" in response.text.splitlines()[0]
    assert len(response.text.splitlines()) > 2


def test_an_unknown_panel_has_none(viewer: Client, figures: Organisation) -> None:
    assert viewer.get(reverse("overview", args=[figures.slug]) + "?format=csv&panel=x").status_code == 404


def test_charts_come_as_data_and_never_as_code(viewer: Client, figures: Organisation) -> None:
    html = page(viewer, figures, "?period=2026-Q3")
    assert html.count('type="application/json"') == 3
    assert not re.search(r"<script(?![^>]*(src=|application/json))", html)
    assert not re.search(r"\son\w+=", html)


def test_a_filter_with_cloud_energy_alone_says_that_none_of_it_is_scope_2(
    viewer: Client, figures: Organisation
) -> None:
    html = page(viewer, figures, "?period=2026-Q3&site=aws-eu")
    assert "None of this energy is Scope 2" in html
    assert "No energy at Scope 2 sites." in html
    assert "teams/?period=2026-Q3&amp;site=aws-eu&amp;scope=all" in html


def test_market_based_is_provisional_while_a_claim_year_runs(viewer: Client, figures: Organisation) -> None:
    assert "Provisional: instruments" not in page(viewer, figures, "?period=2026-Q3")
    Organisation.objects.filter(pk=figures.pk).update(claim_period="year")
    with mock.patch("apps.dashboards.scenes.datetime", wraps=datetime) as clock:
        clock.now.return_value = datetime(2026, 11, 1, tzinfo=UTC)
        assert page(viewer, figures, "?period=2026-Q3").count("Provisional: instruments") == 1
        clock.now.return_value = datetime(2027, 1, 2, tzinfo=UTC)
        assert "Provisional: instruments" not in page(viewer, figures, "?period=2026-Q3")


@pytest.mark.parametrize(
    "query",
    [
        "kind=bogus", "site=bogus", "team=%27%22%3Cx%3E", "from=1990-01-01&to=2200-01-01", "period=2030-Q1",
        "from=2026-07-01&to=2026-07-02", "from=2026-07-01&to=2026-07-15", "page=999999", "sort=-nothing", "scope=all",
        "scope=3", "scope=unassigned", "team=~none&model=~none&site=~none", "workload=~none", "q=%25_%5C",
    ],
)  # fmt: skip
@pytest.mark.parametrize("route", ["overview", "models", "workloads"])
def test_no_query_string_breaks_a_page(viewer: Client, figures: Organisation, route: str, query: str) -> None:
    response = viewer.get(f"{reverse(route, args=[figures.slug])}?{query}")
    assert response.status_code == 200
    assert "<x>" not in response.text
