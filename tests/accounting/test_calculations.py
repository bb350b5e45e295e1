"""Calculation receipts: any figure recomputed from its receipt alone is the same integer, and tampering is seen."""

from __future__ import annotations

import copy
import csv
import io
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounting import services
from apps.accounting.calculations import files
from apps.accounting.calculations.queries import Calculation, receipt_digest, receipt_url
from apps.accounting.engine.receipt import UnreadableReceiptError, differences, head_digest, recompute
from apps.accounting.models import Account, LedgerHour
from apps.accounting.queries import LedgerQuery, ledger_total
from apps.core.windows import from_epoch_hour
from apps.organisations.models import Organisation
from tests.accounting.conftest import publish_factor
from tests.accounting.readings import KWH, Q3, add, at, attribution_of
from tests.accounting.receipts import build, downloaded, joined
from tests.sharing import taken_back

pytestmark = pytest.mark.django_db

WINDOW = "from=2026-07-01&to=2026-10-01"
SELECTIONS = {
    "everything of Scope 2": "",
    "cloud": "scope=3",
    "no site": "scope=unassigned",
    "all scopes apart": "scope=all",
    "a team": "team=nlp",
    "nobody's": "team=",
    "a model and none": "model=llama&model=",
    "a site": "site=owned",
    "the site without residual mix": "site=colo",
    "the site without a factor": "site=bare",
    "kinds": "kind=idle,inference",
    "a workload of a team": "workload=serving&team=vision&scope=all",
    "a market": "market=DE",
    "a month": "month=2026-08",
    "days that cut a rate": "from=2026-08-09T05:00:00Z&to=2026-08-11T13:00:00Z&scope=all",
    "a day and a quarter": "day=2026-08-10&day=2026-08-09&quarter=2026-Q3&scope=all",
    "nothing": "team=nlp&team=vision&day=2020-01-01",
    "teams by month": "group_by=team,month",
    "markets by kind of a team": "group_by=market,kind&team=nlp&scope=all",
    "sources by hour": "group_by=source,hour&scope=all",
}


@pytest.fixture(scope="module")
def built(django_db_setup, django_db_blocker):
    """Made once for the file; each test gets it as ``estate`` or ``organisation`` and changes it for itself alone."""
    with taken_back(django_db_blocker):
        organisation = Organisation.objects.create(slug="acme", name="Acme AI")
        build(organisation, publish_factor)
        yield organisation


@pytest.fixture
def organisation(built, db):
    return Organisation.objects.get(pk=built.pk)


@pytest.fixture
def estate(organisation):
    return organisation


def windowed(selection: str) -> str:
    return selection if "from=" in selection else f"{WINDOW}&{selection}"


def test_recomputing_a_receipt_gives_the_figure_to_the_integer(client, make_key, estate):
    key = make_key()
    for name, selection in SELECTIONS.items():
        query = windowed(selection)
        for receipt in (joined(client, key, query, limit=40), downloaded(client, key, query)):
            assert differences(receipt) == [], name
            stated = {figure["scope"]: figure for figure in receipt["head"]["figures"]}
            found = recompute(receipt).figures
            assert found.keys() == stated.keys(), name
            for scope, figures in found.items():
                assert figures == {quantity: stated[scope][quantity] for quantity in figures}, name
            assert bool(found) == (name != "nothing"), name


def test_the_figures_are_those_of_the_ledger_and_of_the_emissions(client, make_key, estate):
    key = make_key()
    total = ledger_total(LedgerQuery(estate.pk, Q3))
    answer = client.get(f"/api/v1/emissions?{WINDOW}", headers={"Authorization": f"Bearer {key}"}).json()
    link = urlsplit(answer["calculation"])
    assert link.path == "/api/v1/calculations"
    receipt = downloaded(client, key, link.query)
    [figure] = receipt["head"]["figures"]
    for name in ("it_energy_milliwatt_hours", "facility_energy_milliwatt_hours", "location_mg", "market_mg"):
        assert figure[name] == total[name] > 0
    [row] = answer["results"]
    assert float(figure["location_kg"]) == row["location_kg"]
    assert float(figure["market_kg"]) == row["market_kg"]
    assert figure["location_mg"] != figure["market_mg"]


def test_rows_of_a_grouping_are_recomputed_too(client, make_key, estate):
    key = make_key()
    query = f"{WINDOW}&group_by=team,kind&scope=all"
    answer = client.get(f"/api/v1/emissions?{query}&limit=1000", headers={"Authorization": f"Bearer {key}"}).json()
    groups = recompute(downloaded(client, key, query)).groups
    assert len(groups) == len(answer["results"]) > 5
    for row in answer["results"]:
        found = groups[row["team"], row["kind"], row["scope"]]
        for quantity, shown in (("market_mg", "market_kg"), ("location_mg", "location_kg")):
            assert row[shown] == (None if found[quantity] is None else found[quantity] / 1_000_000)


def numbers(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every number in a JSON value."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from numbers(each, (*path, name))
    elif isinstance(value, list):
        for i, each in enumerate(value):
            yield from numbers(each, (*path, i))
    elif type(value) is int:
        yield path


def altered(receipt: dict[str, Any], path: tuple[Any, ...], by: int = 1) -> dict[str, Any]:
    changed = copy.deepcopy(receipt)
    place = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] += by
    return changed


def is_refused(receipt: dict[str, Any]) -> bool:
    try:
        return bool(differences(receipt))
    except UnreadableReceiptError:
        return True


def test_altering_any_number_is_seen(client, make_key, estate):
    receipt = downloaded(client, make_key(), f"{WINDOW}&site=owned&kind=training&group_by=team")
    paths = list(numbers(receipt))
    assert len(paths) > 100
    assert [path for path in paths if not is_refused(altered(receipt, path))] == []


IN_THE_ARITHMETIC = [
    ("head", "rates", 0, "pue_ppm"),
    ("head", "rates", 0, "factor_ug_per_kwh"),
    ("head", "figures", 0, "it_energy_milliwatt_hours"),
    ("head", "figures", 0, "location_mg"),
    ("head", "figures", 0, "market_mg"),
    ("head", "markets", 0, "market_mg"),
    ("head", "markets", 0, "uncovered_milliwatt_hours"),
    ("head", "markets", 0, "fallback_ug_per_kwh"),
    ("head", "markets", 0, "instruments", 0, "accepted_milliwatt_hours"),
    ("head", "markets", 0, "parts", 0, "market_mg"),
    ("head", "groups", 0, "market_mg"),
    ("lines", 0, "it_energy_milliwatt_hours"),
    ("lines", 0, "location_mg"),
    ("lines", 0, "readings"),
]


def test_a_forger_who_hashes_again_is_seen_by_the_arithmetic(client, make_key, estate):
    receipt = joined(client, make_key(), f"{WINDOW}&market=DE&group_by=team", limit=100)
    for path in IN_THE_ARITHMETIC:
        forged = altered(receipt, path, by=1_000)
        forged["head"]["digest"] = head_digest(forged["head"])
        assert is_refused(forged), path


def test_altering_any_word_of_an_account_is_seen(client, make_key, estate):
    receipt = downloaded(client, make_key(), f"{WINDOW}&group_by=team")
    said = [(i, name) for i, row in enumerate(receipt["accounts"]) for name in row if name != "account"]
    assert len(said) > 50
    for position, name in said:
        forged = json.loads(json.dumps(receipt))
        forged["accounts"][position][name] = "somebody-else"
        assert is_refused(forged), name


def lot_accepted_beyond_its_volume(head):
    head["markets"][0]["instruments"][0]["volume_milliwatt_hours"] = 1


def lot_not_retired(head):
    head["markets"][0]["instruments"][0]["retired_on"] = None


def criterion_failed(head):
    head["markets"][0]["instruments"][0]["criteria"][4]["status"] = "failed"


def cloud_counted_in_scope_2(head):
    head["rates"][0]["control"] = "cloud"


def day_that_is_none(head):
    head["markets"][0]["instruments"][0]["vintage_start"] = "2026-07-01x"


@pytest.mark.parametrize(
    "forge",
    [lot_accepted_beyond_its_volume, lot_not_retired, criterion_failed, cloud_counted_in_scope_2, day_that_is_none],
)
def test_what_contradicts_the_rules_is_seen_whatever_the_digest_says(client, make_key, estate, forge):
    forged = joined(client, make_key(), f"{WINDOW}&market=DE", limit=100)
    assert not is_refused(forged)
    forge(forged["head"])
    forged["head"]["digest"] = head_digest(forged["head"])
    assert is_refused(forged)


def test_a_line_left_out_or_told_twice_is_seen(client, make_key, estate):
    receipt = joined(client, make_key(), WINDOW)
    for lines in (receipt["lines"][1:], [receipt["lines"][0], *receipt["lines"]], receipt["lines"][::-1]):
        assert is_refused({**receipt, "lines": lines})


def test_a_forged_factor_is_seen_by_its_gases(client, make_key, estate):
    """Rate, lines, sums and figures all changed in step: the published factor contradicts them."""
    receipt = joined(client, make_key(), f"{WINDOW}&scope=3")
    assert [rate["factor"]["co2e_kg_per_mwh"] for rate in receipt["head"]["rates"]] == ["401.7"]
    forged = json.loads(json.dumps(receipt).replace("401700000", "301700000"))
    for line in forged["lines"]:
        line["location_mg"] = (line["facility_energy_milliwatt_hours"] * 301_700_000 + 500_000_000) // 10**9
    found = [line for line in differences(forged) if "its gases give 401700000" in line]
    assert len(found) == 1


def test_what_is_no_receipt_is_refused():
    for wrong in ({}, {"head": {}, "lines": []}, {"head": {"format": "other"}, "lines": []}):
        with pytest.raises(UnreadableReceiptError):
            differences(wrong)


def test_the_command_reads_a_file(client, make_key, estate, tmp_path, capsys):
    receipt = downloaded(client, make_key(), WINDOW)
    file = tmp_path / "receipt.json"
    file.write_text(json.dumps(receipt))
    call_command("verify_calculation", str(file), digest=receipt_digest(LedgerQuery(estate.pk, Q3)))
    assert "to the integer" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        call_command("verify_calculation", str(file), digest="0" * 64)
    file.write_text(json.dumps(altered(receipt, ("head", "figures", 0, "market_mg"))))
    with pytest.raises(SystemExit):
        call_command("verify_calculation", str(file))
    assert "market_mg" in capsys.readouterr().out
    file.write_text("not json")
    with pytest.raises(CommandError, match="no JSON"):
        call_command("verify_calculation", str(file))


def test_the_head_names_what_a_figure_was_made_with(client, make_key, estate):
    head = joined(client, make_key(), f"{WINDOW}&scope=all")["head"]
    assert head["method"]["ruleset"] == "ghgp-scope2-2015"
    assert head["method"]["engine_version"]
    assert head["method"]["gwp_set"] == "AR5"
    assert head["method"]["energy_boundaries"] == ["accelerator", "facility", "node"]
    assert [dataset["dataset"] for dataset in head["datasets"]] == ["test-location", "test-residual"]
    assert all(dataset["licence"] and dataset["dataset_digest"] for dataset in head["datasets"])
    assert head["policies"]["market_allocation"] == "pro_rata"
    rates = {rate["rate"]: rate for rate in head["rates"]}
    assert rates["owned 2026-01-01"]["pue_ppm"] == 1_253_000
    assert rates["owned 2026-08-10"]["pue_source"] == "meter"
    assert rates["bare 2026-01-01"]["factor"] is None
    assert rates["no site"]["sums"]
    markets = {market["market"]: market for market in head["markets"]}
    assert markets["DE"]["fallback"] == "residual"
    assert markets["SE"]["fallback"] == "location"
    failed = {lot["reference"]: [each["number"] for each in lot["failed"]] for lot in markets["DE"]["instruments"]}
    assert failed == {"GO-1": [], "GO-2": [], "GO-3": [3]}


def test_the_digest_follows_the_inputs_and_nothing_else(estate):
    query = LedgerQuery(estate.pk, Q3)
    before = receipt_digest(query)
    assert receipt_digest(query) == before
    assert receipt_digest(LedgerQuery(estate.pk, Q3, filters={"team": ("nlp",)})) != before
    add(attribution_of(estate, "late"), at(3), at(4), KWH)  # belongs to no site, and so not to Scope 2
    services.settle(estate.pk)
    assert receipt_digest(query) == before
    add(attribution_of(estate, "node-0-owned", site=Account.objects.of(estate).exclude(site=None).first().site),
        at(3), at(4), KWH)  # fmt: skip
    services.settle(estate.pk)
    assert receipt_digest(query) != before


def test_the_head_takes_as_many_queries_for_many_lines_as_for_few(estate):
    def cost(window) -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            Calculation(LedgerQuery(estate.pk, window)).head()
        return len(captured)

    few = cost(type(Q3)(from_epoch_hour(at(0) // 3_600_000), from_epoch_hour(at(0) // 3_600_000 + 48)))
    assert cost(Q3) <= few + 1
    assert few <= 14


def test_every_line_follows_from_its_readings(client, make_key, estate):
    key, count = make_key(), 0
    for hour, account in LedgerHour.objects.values_list("hour", "account_id"):
        moment = from_epoch_hour(hour).strftime("%Y-%m-%dT%H:00:00Z")
        answer = client.get(
            f"/api/v1/calculations/readings?hour={moment}&account={account}", headers={"Authorization": f"Bearer {key}"}
        ).json()
        assert answer["agrees"] is True
        assert answer["reading_count"] == answer["line"]["readings"]
        assert sum(share["share_microwatt_hours"] for share in answer["shares"]) == answer["energy_microwatt_hours"]
        count += 1
    assert count > 50


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ("calculations?teem=a", "/query/teem"),
        ("calculations?cursor=zzz", "/query/cursor"),
        ("calculations?cursor=WzEsMl0x", "/query/cursor"),
        ("calculations?scope=4", "/query/scope"),
        ("calculations/download?format=pdf", "/query/format"),
        ("calculations/readings?hour=yesterday&account=1", "/query/hour"),
        ("calculations/readings?hour=2026-07-01T05:30:00Z&account=1", "/query/hour"),
        ("calculations/readings?hour=2026-07-01T05:00:00Z&account=x", "/query/account"),
    ],
)
def test_a_bad_query_says_what_was_expected(client, make_key, organisation, path, pointer):
    answer = client.get(f"/api/v1/{path}", headers={"Authorization": f"Bearer {make_key()}"})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_a_line_of_somebody_else_is_not_found(client, make_key, estate, other_organisation):
    hour, account = LedgerHour.objects.values_list("hour", "account_id").first()
    moment = from_epoch_hour(hour).strftime("%Y-%m-%dT%H:00:00Z")
    key = make_key(organisation=other_organisation)
    path = f"/api/v1/calculations/readings?hour={moment}&account={account}"
    assert client.get(path, headers={"Authorization": f"Bearer {key}"}).status_code == 404
    assert downloaded(client, key, WINDOW)["lines"] == []


def test_the_lines_come_as_a_table(client, make_key, estate):
    headers = {"Authorization": f"Bearer {make_key()}"}
    answer = client.get(f"/api/v1/calculations/download?{WINDOW}&format=csv", headers=headers)
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))
    total = ledger_total(LedgerQuery(estate.pk, Q3))
    assert sum(int(row["facility_energy_milliwatt_hours"]) for row in rows) == total["facility_energy_milliwatt_hours"]
    assert sum(int(row["location_mg"] or 0) for row in rows) == total["location_mg"]
    page = client.get(f"/api/v1/calculations?{WINDOW}&limit=5&format=csv", headers=headers)
    assert len(page.content.decode().splitlines()) == 6


def test_a_receipt_that_no_file_takes_says_so(client, make_key, estate, monkeypatch):
    monkeypatch.setattr(files, "FILE_LINES", 10)
    answer = client.get(f"/api/v1/calculations/download?{WINDOW}", headers={"Authorization": f"Bearer {make_key()}"})
    assert answer.status_code == 400
    assert "shorter time" in answer.json()["detail"]


def test_the_link_of_a_total_is_the_page_of_its_query(estate):
    query = LedgerQuery(estate.pk, Q3, ("team",), "3", {"team": ("",)})
    assert receipt_url(estate, query) == (
        "/o/acme/calculations/?from=2026-07-01&to=2026-10-01&team=~none&scope=3&group_by=team"
    )
    assert not pd.isna(receipt_digest(query))
