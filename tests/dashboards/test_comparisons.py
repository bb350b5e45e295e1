"""The chart above a list: the list's own figures, the largest first, the rest in one bar, nobody's last."""

import csv
import io
import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounting.queries import LedgerQuery, ledger_total
from apps.core import figures as text
from apps.core.windows import Quarter
from apps.dashboards import comparisons
from apps.organisations.models import Organisation
from tests.dashboards.test_lists_and_details import heads_of

pytestmark = pytest.mark.django_db
Q3 = Quarter(2026, 3).window
LISTS = ("teams", "models", "sites", "workloads")


def get(client: Client, organisation: Organisation, route: str, query: str = "?period=2026-Q3") -> str:
    response = client.get(reverse(route, args=[organisation.slug]) + query)
    assert response.status_code == 200
    return response.text


def figure(html: str) -> dict[str, Any]:
    """What plotly.js is given."""
    found = re.search(r'<script id="largest-figure" type="application/json">(.*?)</script>', html, re.S)
    assert found
    return json.loads(found[1])


def title(html: str) -> str:
    found = re.search(r"<h2>(.*?)</h2>", html)
    assert found
    return found[1].replace("\u202f", " ")


def chart_table(html: str) -> str:
    return html.split('id="largest-table"')[1].split("</table>")[0]


@pytest.mark.parametrize("route", LISTS)
def test_the_charts_table_adds_up_to_the_ledgers_total(viewer: Client, figures: Organisation, route: str) -> None:
    html = get(viewer, figures, route)
    total = ledger_total(LedgerQuery(figures.pk, Q3))
    last = chart_table(html).split('<tr class="total">')[1]
    if route in ("teams", "sites"):
        assert text.mass_exact(total["location_mg"]) in last
        assert text.mass_exact(total["market_mg"]) in last
    else:
        assert text.energy_exact(total["facility_energy_milliwatt_hours"]) in last


def test_teams_stand_by_their_larger_method_and_nobodys_last(viewer: Client, figures: Organisation) -> None:
    html = get(viewer, figures, "teams")
    assert heads_of(chart_table(html)) == ["Assistant", "Research", "Search", "Unassigned to a team", "Total"]
    assert figure(html)["layout"]["yaxis"]["ticktext"] == heads_of(chart_table(html))[:-1]
    assert [trace["name"] for trace in figure(html)["data"]] == ["Location-based", "Market-based"]
    assert "Assistant" in title(html)
    assert "market-based" in title(html)


def test_a_models_energy_is_told_apart_by_kind(viewer: Client, figures: Organisation) -> None:
    html = get(viewer, figures, "models")
    assert [trace["name"] for trace in figure(html)["data"]] == ["Training", "Inference", "Idle", "Other kinds"]
    assert re.fullmatch(r"Atlas 7b used \d+ % of the energy, all for inference", title(html))


def test_many_workloads_leave_one_bar_for_the_rest(
    viewer: Client, figures: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "other workloads" not in get(viewer, figures, "workloads")
    monkeypatch.setattr(comparisons, "SHOWN", 2)
    html = get(viewer, figures, "workloads")
    assert heads_of(chart_table(html))[2:] == ["3 other workloads", "Total"]
    assert re.fullmatch(r"The 2 largest of 5 workloads used \d+ % of the energy", title(html))
    total = ledger_total(LedgerQuery(figures.pk, Q3))
    assert text.energy_exact(total["facility_energy_milliwatt_hours"]) in chart_table(html)


def test_one_row_is_one_sentence(viewer: Client, figures: Organisation) -> None:
    html = get(viewer, figures, "teams", "?period=2026-Q3&team=search")
    assert re.fullmatch(r"Search emitted [\d.]+ t location-based and [\d.]+ t market-based", title(html))


def test_without_emissions_there_is_no_chart_of_them_and_without_rows_none_at_all(
    viewer: Client, figures: Organisation
) -> None:
    for query in ("scope=unassigned", "team=search&model=rover"):
        html = get(viewer, figures, "teams", f"?period=2026-Q3&{query}")
        assert "data-chart" not in html
        assert "plotly" not in html
    assert title(get(viewer, figures, "models", "?period=2026-Q3&scope=unassigned")).startswith("Rover used")


def test_scopes_are_never_added_in_a_chart(viewer: Client, figures: Organisation) -> None:
    html = get(viewer, figures, "teams", "?period=2026-Q3&scope=all")
    assert "Assistant, Scope 3 (cloud)" in heads_of(chart_table(html))
    assert "total" not in chart_table(html)
    assert "%" not in title(html)


def test_the_chart_has_its_file(viewer: Client, figures: Organisation) -> None:
    content = get(viewer, figures, "models", "?period=2026-Q3&format=csv&panel=largest")
    rows = list(csv.DictReader(io.StringIO(content, newline="")))
    assert {(row["model"], row["kind"]) for row in rows} >= {("atlas-70b", "training"), ("atlas-70b", "evaluation")}
    assert viewer.get(reverse("teams", args=[figures.slug]) + "?format=csv&panel=x").status_code == 404


def test_a_search_narrows_the_chart_as_well(viewer: Client, figures: Organisation) -> None:
    html = get(viewer, figures, "workloads", "?period=2026-Q3&q=TRAIN")
    assert heads_of(chart_table(html)) == ["atlas-70b training"]
