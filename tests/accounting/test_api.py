"""The ledger over HTTP, with a key."""

from __future__ import annotations

import csv
import io
from datetime import date

import pytest

from apps.accounting import services
from apps.organisations.models import Team
from apps.sites.models import PuePeriod
from tests.accounting.readings import KWH, add, at, attribution_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def get(client, make_key):
    key = make_key()

    def ask(path, status=200, **headers):
        response = client.get(path, headers={"Authorization": f"Bearer {key}", **headers})
        assert response.status_code == status, response.content
        return response

    return ask


@pytest.fixture
def booked(organisation, site, publish):
    publish("DE", "400")
    PuePeriod.unscoped.create(
        organisation=organisation, site=site, start=date(2026, 1, 1), pue_ppm=1_250_000, source="meter"
    )
    for i, name in enumerate(("a", "b")):
        Team.unscoped.create(organisation=organisation, slug=name, name=name.upper())
        add(attribution_of(organisation, f"gpu{i}", team=name, site=site), at(i), at(i + 1), (i + 1) * KWH + 123_000)
    services.settle(organisation.pk)
    return organisation


def test_it_gives_energy_and_emissions_by_group(get, booked):
    for path in ("energy", "energy/", "emissions", "emissions/"):
        body = get(f"/api/v1/{path}?group_by=team,month&from=2026-07-01&to=2026-10-01").json()
        assert body["next"] is None
        assert [row["team"] for row in body["results"]] == ["a", "b"]
        assert body["results"][0] == {
            "team": "a",
            "team_name": "A",
            "month": "2026-07",
            "scope": "2",
            "it_energy_kwh": 1.000123,
            "facility_energy_kwh": 1.250154,
            "location_kg": 0.500062,
            "market_kg": 0.500062,
            "location_g_per_kwh": 400.00032,
            "quality": "B",
        }


def test_without_a_window_it_covers_the_whole_ledger(get, booked):
    [row] = get("/api/v1/energy").json()["results"]
    assert row["it_energy_kwh"] == 3.000246


def test_groups_and_filters_may_be_repeated(get, booked):
    body = get("/api/v1/energy?group_by=team&group_by=source&team=a&team=b&site=fra1").json()
    assert [(row["team"], row["source"]) for row in body["results"]] == [("a", "gpu0"), ("b", "gpu1")]
    assert get("/api/v1/energy?team=").json()["results"] == []


def test_what_is_absent_is_null(get, organisation):
    add(attribution_of(organisation), at(1), at(2), KWH)
    services.settle(organisation.pk)
    assert get("/api/v1/emissions").json()["results"] == []
    [row] = get("/api/v1/emissions?scope=all&group_by=site").json()["results"]
    assert (row["site"], row["scope"], row["location_kg"], row["market_kg"]) == (None, "unassigned", None, None)
    assert row["location_g_per_kwh"] is None


def test_pages_are_walked_by_cursor(get, booked):
    seen, url = [], "/api/v1/energy?group_by=team&limit=1"
    while url:
        body = get(url).json()
        seen += [row["team"] for row in body["results"]]
        url = body["next"]
    assert seen == ["a", "b"]


def test_csv_has_the_same_rows(get, booked):
    response = get("/api/v1/energy?group_by=team", Accept="text/csv")
    assert response.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(response.content.decode())))
    assert [(row["team"], row["it_energy_kwh"]) for row in rows] == [("a", "1.000123"), ("b", "2.000123")]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("from=yesterday", "/query/from"),
        ("from=2026-07-02&to=2026-07-01", "/query/to"),
        ("from=2026-07-01T00:00:00", "/query/from"),
        ("group_by=planet", "/query/group_by"),
        ("scope=1", "/query/scope"),
        ("kind=dreaming", "/query/kind"),
        ("teem=a", "/query/teem"),
        ("cursor=zzz", "/query/cursor"),
    ],
)
def test_a_bad_query_says_what_was_expected(get, booked, query, pointer):
    response = get(f"/api/v1/energy?{query}", status=400)
    assert response.headers["Content-Type"] == "application/problem+json"
    [error] = response.json()["errors"]
    assert error["pointer"] == pointer
    assert error["expected"]


def test_status_says_what_is_pending(get, booked):
    status = get("/api/v1/status").json()
    assert status["pending_hours"] == status["pending_uploads"] == 0
    assert status["last_settled_at"].endswith("Z")
    add(attribution_of(booked, "new"), at(5), at(7), KWH)
    assert get("/api/v1/status/").json()["pending_hours"] == 2


def test_a_key_reads_its_own_organisation_only(client, make_key, booked, other_organisation):
    key = make_key(organisation=other_organisation)
    response = client.get("/api/v1/energy?scope=all&group_by=team", headers={"Authorization": f"Bearer {key}"})
    assert response.json()["results"] == []


def test_a_key_that_may_not_read_is_refused(client, make_key):
    key = make_key(scopes=("ingest",))
    assert client.get("/api/v1/energy", headers={"Authorization": f"Bearer {key}"}).status_code == 403
    assert client.get("/api/v1/status").status_code == 401


def test_the_schema_documents_the_parameters(client):
    schema = client.get("/api/schema/", headers={"Accept": "application/json"}).json()
    names = {parameter["name"] for parameter in schema["paths"]["/api/v1/energy/"]["get"]["parameters"]}
    assert {"from", "to", "group_by", "scope", "team", "cursor"} <= names


def test_a_bad_kind_is_answered_with_the_kinds_there_are(get):
    error = get("/api/v1/energy?from=2026-07-01&to=2026-07-02&kind=serving", status=400).json()["errors"][0]
    assert error["got"] == "serving"
    assert error["expected"].startswith("one of other, training")
    assert error["expected"].endswith(", or empty")


def test_the_csv_of_an_empty_answer_has_its_header_line(get, booked):
    for asked in ("/api/v1/energy?group_by=team&team=", "/api/v1/emissions?group_by=team&team=&uncertainty=true"):
        empty = get(asked, Accept="text/csv").content.decode()
        full = get(asked.replace("&team=", ""), Accept="text/csv").content.decode()
        assert empty.splitlines() == full.splitlines()[:1]
    assert get("/api/v1/samples?from=2020-01-01&to=2020-01-02", Accept="text/csv").content.startswith(b"source,start")


def test_uncertainty_is_given_when_it_is_asked_for(get, booked):
    for row in get("/api/v1/emissions?group_by=team").json()["results"]:
        assert "location_uncertainty" not in row
    for row in get("/api/v1/emissions?group_by=team&uncertainty=true").json()["results"]:
        # measured 10 %, PUE stated 5 %, factor of the country 10 %
        assert row["location_uncertainty"] == row["market_uncertainty"] == pytest.approx(0.15, abs=1e-4)
    [row] = get("/api/v1/energy?uncertainty=true").json()["results"]
    assert 0.1118 < row["location_uncertainty"] < 0.15
    assert get("/api/v1/energy?uncertainty=perhaps", status=400).json()["errors"][0]["pointer"] == "/query/uncertainty"


def test_the_uncertainty_of_an_absent_figure_is_null(get, organisation, site):
    add(attribution_of(organisation, site=site), at(1), at(2), KWH)
    services.settle(organisation.pk)
    [row] = get("/api/v1/emissions?uncertainty=true").json()["results"]
    assert row["location_kg"] is row["location_uncertainty"] is row["market_uncertainty"] is None


def test_the_schema_documents_uncertainty(client):
    operation = client.get("/api/schema/", headers={"Accept": "application/json"}).json()
    operation = operation["paths"]["/api/v1/emissions/"]["get"]
    assert "uncertainty" in {parameter["name"] for parameter in operation["parameters"]}
    row = operation["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["results"]["items"]
    assert row["properties"]["location_uncertainty"]["nullable"]
