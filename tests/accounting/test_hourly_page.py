"""The page, the CSV file and the API list of hourly matching."""

from __future__ import annotations

import pytest

from apps.accounting import services as accounting
from apps.organisations.models import Role
from tests.accounting.readings import KWH, add, at, attribution_of
from tests.accounting.test_hourly_ledger import hourly_lot

pytestmark = pytest.mark.django_db

PAGE = "/o/acme/hourly/"
Q3 = {"period": "2026-Q3"}


@pytest.fixture
def matched(organisation, site, publish):
    """10 kWh in each of two hours, 4 kWh of the first and 15 of the second generated in them."""
    publish("DE", "400")
    publish("DE", "700", kind="residual")
    for hour in range(2):
        add(attribution_of(organisation, site=site), at(hour), at(hour + 1), 10 * KWH)
    hourly_lot(organisation, {0: 4, 1: 15})
    accounting.settle(organisation.pk)
    return organisation


@pytest.fixture
def reader(client, make_person):
    client.force_login(make_person(Role.VIEWER))
    return client


def test_the_page_says_that_it_is_a_what_if_and_shows_both_figures(matched, reader):
    answer = reader.get(PAGE, Q3)
    text = answer.content.decode()
    assert answer.status_code == 200
    assert "never the reported figure" in text
    assert "ghgp-scope2-draft-2025-10" in text
    assert "70.0\u202f%" in text  # 14 of 20 kWh
    total = answer.context["total"]
    assert (total.market_mg, total.reported_mg) == (4_200_000, 700_000)
    assert "No hourly carbon-free share of the grid is loaded" in text


def test_without_hours_the_page_says_what_to_do(organisation, reader):
    text = reader.get(PAGE).content.decode()
    assert "Hours appear once readings" in text
    assert "never the reported figure" in text


def test_without_instruments_an_officer_is_led_to_add_some(organisation, site, publish, client, make_person):
    publish("DE", "400")
    add(attribution_of(organisation, site=site), at(0), at(1), KWH)
    accounting.settle(organisation.pk)
    client.force_login(make_person(Role.OFFICER))
    text = client.get(PAGE, Q3).content.decode()
    assert "No instruments in these hours" in text
    assert "/o/acme/instruments/" in text
    assert "electricity from lignite" in text  # no residual mix is published: the default says so


def test_the_csv_file_has_every_hour(matched, reader):
    answer = reader.get(PAGE, {**Q3, "format": "csv"})
    head, *rows = answer.content.decode().splitlines()
    assert "what-if" in answer.headers["Content-Disposition"]
    assert head.startswith("market,hour,load_kwh")
    assert rows[0].startswith("DE,2026-07-01T00:00:00Z,10.0,0.0,4.0,6.0,0.0,")
    assert len(rows) == 2


def test_a_market_can_be_chosen(matched, reader):
    assert [row.market for row in [reader.get(PAGE, {**Q3, "market": "DE"}).context["total"]]] == [""]
    answer = reader.get(PAGE, {**Q3, "market": "nowhere"})  # not known: as if none were chosen
    assert answer.context["total"].load == 20_000_000


def test_the_api_lists_hours_page_by_page(matched, client, make_key):
    headers = {"Authorization": f"Bearer {make_key()}"}
    first = client.get("/api/v1/hourly?from=2026-07-01&to=2026-10-01&limit=1", headers=headers).json()
    assert [row["hour"] for row in first["results"]] == ["2026-07-01T00:00:00Z"]
    second = client.get(first["next"], headers=headers).json()
    [row] = second["results"]
    assert (row["matched_kwh"], row["surplus_kwh"], row["what_if_market_kg"]) == (10, 5, 0)
    assert (row["fallback"], row["fallback_g_per_kwh"]) == ("residual", 700)
    assert (row["carbon_free_kwh"], row["ruleset"]) == (None, "ghgp-scope2-draft-2025-10")
    assert second["next"] is None


def test_the_api_filters_by_market_and_time_and_refuses_what_it_does_not_know(matched, client, make_key):
    headers = {"Authorization": f"Bearer {make_key()}"}

    def got(query: str):
        return client.get(f"/api/v1/hourly?{query}", headers=headers)

    assert got("market=FR").json()["results"] == []
    assert len(got("from=2026-07-01T01:00:00Z&to=2026-07-02").json()["results"]) == 1
    assert len(got("").json()["results"]) == 2
    assert got("team=a").status_code == 400
    assert len(got("from=1990-01-01&to=2200-01-01").json()["results"]) == 2
    assert client.get("/api/v1/hourly?format=csv&market=FR", headers=headers).content.startswith(
        b"market,hour,load_kwh"
    )


def test_another_organisation_sees_none_of_it(matched, other_organisation, client, make_key):
    headers = {"Authorization": f"Bearer {make_key(organisation=other_organisation)}"}
    assert client.get("/api/v1/hourly", headers=headers).json()["results"] == []
