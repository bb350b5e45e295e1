"""The page of the literature check, and the check of figures that a person is about to quote."""

from __future__ import annotations

import pytest
from django.urls import reverse

pytestmark = pytest.mark.django_db


@pytest.fixture
def url(organisation, client, make_person, publish):
    publish("US", "350")
    client.force_login(make_person())
    return reverse("literature", args=[organisation.slug])


def test_the_page_shows_every_table_with_its_verdict(client, url):
    page = client.get(url).text
    for words in ("Strubell et al. 2019", "Transformer big", "agrees", "Llama 3.3 70B", "flagged", "1,163,088"):
        assert words in page


def test_a_misprint_is_doubted_and_its_sibling_is_not(client, url):
    table = "name,energy_kwh,emissions_kg,zone\nLlama 3.1 70B,4900000,2040000,US\nLlama 3.3 70B,4900000,12900,us\n"
    judged = client.post(url, {"table": table}).context["judged"]
    assert [len(row.doubts) for row in judged] == [0, 1]
    assert judged[1].doubts[0].rule == "not-this-grid"


def test_a_bad_row_is_named_and_loses_no_other(client, url):
    table = "name,energy_kwh,emissions_kg,zone\na,many,1,\nb,1,1,ATLANTIS\nc,1,5,\n"
    judged = client.post(url, {"table": table}).context["judged"]
    assert [bool(row.error) for row in judged] == [True, True, False]
    assert "'many'" in judged[0].error
    assert "ATLANTIS" in judged[1].error
    assert judged[2].doubts[0].is_impossible  # 5,000 g/kWh


def test_a_table_without_its_columns_is_refused_with_what_was_expected(client, url):
    answer = client.post(url, {"table": "x,y\n1,2\n"})
    assert answer.status_code == 422
    assert "energy_kwh, emissions_kg is missing" in answer.text
