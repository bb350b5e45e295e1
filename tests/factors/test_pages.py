"""Factors as people and machines read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apps.factors.models import FactorDataset
from apps.organisations.models import Organisation, Person

pytestmark = pytest.mark.usefixtures("shared_reference_data")


@pytest.fixture
def viewer(client: Client, make_person: Callable[..., Person]) -> Client:
    client.force_login(make_person("viewer"))
    return client


def test_datasets_are_listed_and_searched_by_zone(viewer: Client, organisation: Organisation) -> None:
    base = f"/o/{organisation.slug}/factors/"
    page = viewer.get(base).content.decode()
    for text in ("European Environment Agency", "CC BY 4.0", "life cycle", "Green-e (Center for Resource Solutions)"):
        assert text in page
    found = viewer.get(base, {"zone": "ERCT"}).content.decode()
    assert "ERCOT All" in found
    assert "Namibia" in viewer.get(base, {"zone": "NA"}).content.decode()
    assert "Ontario" in viewer.get(base, {"zone": "ontar"}).content.decode()
    assert "No factor for" in viewer.get(base, {"zone": "<script>"}).content.decode()


def test_a_dataset_shows_its_source_and_what_follows_it(viewer: Client, organisation: Organisation) -> None:
    older = viewer.get(f"/o/{organisation.slug}/factors/epa-egrid/2022/").content.decode()
    assert "supersedes this one" in older
    assert "US public domain" in older
    aib = FactorDataset.objects.get(slug="aib-residual-mix")
    page = viewer.get(f"/o/{organisation.slug}/factors/{aib.slug}/{aib.edition}/").content.decode()
    assert "701.47" in page
    assert "absent, not zero" in page
    assert viewer.get(f"/o/{organisation.slug}/factors/none/1/").status_code == 404


def test_a_long_dataset_is_paged(viewer: Client, organisation: Organisation) -> None:
    url = f"/o/{organisation.slug}/factors/ember-carbon-intensity/2026-04/"
    assert "Page 1 of 24" in viewer.get(url).content.decode()
    assert "Page 24 of 24" in viewer.get(url, {"page": "99"}).content.decode()


def test_machines_filter_and_page_factors(client: Client, make_key: Callable[..., str]) -> None:
    headers = {"authorization": f"Bearer {make_key(('read',))}"}

    def get(path: str) -> Any:
        return client.get(path, headers=headers)

    rows = get("/api/v1/factors?zone=DE&kind=residual").json()["results"]
    assert [(row["co2_kg_per_mwh"], row["co2e_kg_per_mwh"], row["data_year"]) for row in rows] == [(701.47, None, 2025)]
    assert rows[0]["dataset"] == "aib-residual-mix"
    assert get(f"/api/v1/factors/{rows[0]['id']}").json() == rows[0]
    years = [row["data_year"] for row in get("/api/v1/factors?zone=NA").json()["results"]]
    assert years == sorted(years)
    seen: list[int] = []
    url = "/api/v1/factors?year=2023&limit=200"
    while url:
        answer = get(url).json()
        seen += [row["id"] for row in answer["results"]]
        url = answer["next"]
    assert len(seen) == len(set(seen)) > 300
    assert get("/api/v1/factors?year=soon").status_code == 400
    assert get("/api/v1/factors?kind=marginal").status_code == 400
    assert get("/api/v1/factors/999999").status_code == 404
    assert client.get("/api/v1/factors").status_code == 401
