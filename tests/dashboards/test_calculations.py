"""The page of a calculation: figure, formulas, factors, instruments, lines, readings, and the links that lead there."""

from __future__ import annotations

import html
import json
import re

import pytest

from apps.accounting import services
from apps.accounting.calculations.queries import receipt_digest
from apps.accounting.engine.receipt import differences
from apps.accounting.models import LedgerHour
from apps.accounting.queries import LedgerQuery
from apps.core.windows import from_epoch_hour
from apps.organisations.models import Organisation, Team
from apps.telemetry.models import Source
from apps.workloads.models import Kind
from tests.accounting.conftest import publish_factor
from tests.accounting.readings import KWH, Q3, add, at, attribution_of
from tests.accounting.receipts import build
from tests.sharing import taken_back

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def built(django_db_setup, django_db_blocker):
    """Made once for the file; each test gets it as ``estate`` or ``organisation`` and changes it for itself alone."""
    with taken_back(django_db_blocker):
        organisation = Organisation.objects.create(slug="acme", name="Acme AI")
        build(organisation, publish_factor)
        Source.unscoped.update(first_reading_at=Q3.start, last_reading_at=Q3.end)
        yield organisation


@pytest.fixture
def organisation(built, db):
    return Organisation.objects.get(pk=built.pk)


@pytest.fixture
def estate(organisation):
    return organisation


@pytest.fixture
def page(client, make_person, estate):
    client.force_login(make_person("auditor"))

    def get(path: str, status: int = 200) -> str:
        answer = client.get(f"/o/acme/{path}")
        assert answer.status_code == status, path
        return html.unescape(answer.content.decode())

    return get


def test_it_shows_figure_formula_factor_licence_and_digest(page, estate):
    text = page("calculations/?period=2026-Q3")
    assert receipt_digest(LedgerQuery(estate.pk, Q3)) in text
    for words in ("× PUE 1.253", "× 350.5 g/kWh", "test-location, edition 1", "Licence", "ghgp-scope2-2015", "AR5"):
        assert words in text, words
    assert "no residual mix is published, so the grid average" in text.lower()
    assert "not retired in AIB" in text  # the failing lot, with the reason


@pytest.mark.parametrize("query", ["", "period=2026-Q3&team=~none", "period=2026-Q3&scope=all&source=node-0-owned"])
def test_it_takes_the_query_string_of_every_page(page, query):
    assert "Lines of the ledger" in page(f"calculations/?{query}")


def test_nothing_is_said_to_be_nothing(page):
    assert "Nothing matches these filters" in page("calculations/?period=2026-Q3&model=unheard-of")
    assert "No readings in" in page("calculations/?period=2020-Q1")


def test_its_lines_are_walked_page_by_page(page, estate):
    seen, url = [], "calculations/?period=2026-Q3&scope=all"
    while url:
        text = page(url)
        seen += re.findall(r"calculations/line/\?hour=(\S+?)&account=(\d+)", text)
        following = re.search(r'href="(\?[^"]+)" rel="next"', text)
        url = following and "calculations/" + following[1].partition("#")[0]
    assert len(seen) == len(set(seen)) == LedgerHour.objects.filter(organisation_id=estate.pk).count() > 50


def test_a_line_leads_to_its_readings_and_receipts(page, estate):
    hour, account = LedgerHour.objects.values_list("hour", "account_id").first()
    text = page(f"calculations/line/?hour={from_epoch_hour(hour):%Y-%m-%dT%H:00:00Z}&account={account}")
    assert "to the milliwatt-hour" in text
    assert "rounded half up" in text
    page("calculations/line/?hour=2026-07-01T00:00:00Z&account=999999", status=404)
    page("calculations/line/?hour=now", status=400)


def test_the_download_is_a_receipt_that_verifies(client, page):
    page("calculations/?period=2026-Q3")  # signs in
    answer = client.get("/o/acme/calculations/download/?period=2026-Q3&team=~none")
    assert "attachment" in answer.headers["Content-Disposition"]
    assert differences(json.loads(b"".join(answer.streaming_content))) == []
    table = client.get("/o/acme/calculations/download/?period=2026-Q3&as=csv")
    assert b"".join(table.streaming_content).startswith(b"hour,account,scope")


@pytest.mark.parametrize(
    "path", ["?period=2026-Q3", "teams/?period=2026-Q3", "sites/?period=2026-Q3&scope=all", "teams/nlp/?period=2026-Q3"]
)
def test_every_figure_leads_to_its_calculation(page, path):
    links = set(re.findall(r'href="/o/acme/(calculations/\?[^"]+)"', page(path)))
    assert len(links) > 1
    for link in links:
        assert "Lines of the ledger" in page(link), link


def test_pools_are_shown_with_the_weight_that_is_borne(page, estate, site):
    for name in ("a", "b"):
        Team.unscoped.create(organisation=estate, slug=name, name=name)
        add(attribution_of(estate, f"gpu-{name}", team=name, site=site), at(5), at(6), KWH * (1 if name == "a" else 3))
    add(attribution_of(estate, "spare", site=site, kind=Kind.IDLE), at(7), at(8), KWH)
    Organisation.objects.filter(pk=estate.pk).update(idle_policy="by_energy")
    services.settle(estate.pk)
    text = page("calculations/?period=2026-Q3&team=a&site=fra1")
    assert "Shared pools" in text
    assert re.search(r"Idle energy, Frankfurt hall, 2026-07: 1.00\W+kWh × 25.0\W+% borne by this selection", text)
    assert "of the pools, borne by others" in text
