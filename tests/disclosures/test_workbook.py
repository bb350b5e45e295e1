"""The workbook of a disclosure, read as any program would: from the parts of the archive."""

from __future__ import annotations

import copy
import re
import time
import zipfile
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from io import BytesIO
from typing import Any
from xml.etree import ElementTree

import pytest
from django.test import Client
from django.urls import reverse

from apps.disclosures import services
from apps.disclosures.models import Disclosure
from apps.disclosures.workbook.content import workbook
from apps.organisations.models import Organisation, Person
from tests.disclosures.example import first_format

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
SHEETS = [
    "About",
    "Headline",
    "Sites",
    "Factors",
    "Location-based",
    "Market-based",
    "Hourly (informative)",
    "Workload kinds",
    "Memo",
    "Data quality",
    "Uncertainty",
    "Meters and gaps",
    "Data centres",
    "Rules",
]
UNIT = 10**9
FACILITY = "facility_energy_milliwatt_hours"
Cell = str | Decimal | None


class Book:
    """A workbook: its sheets as grids, its tables by name with the row of totals that stands below."""

    def __init__(self, content: bytes) -> None:
        self.archive = zipfile.ZipFile(BytesIO(content))
        assert self.archive.testzip() is None
        shared = self._xml("xl/sharedStrings.xml")
        self.texts = ["".join(t.text or "" for t in item.iter(f"{MAIN}t")) for item in shared]
        self.sheets = [sheet.attrib["name"] for sheet in self._xml("xl/workbook.xml").iter(f"{MAIN}sheet")]
        self.grids = {name: self._grid(i) for i, name in enumerate(self.sheets, 1)}
        self.tables: dict[str, tuple[str, str]] = {}
        for i, name in enumerate(self.sheets, 1):
            part = f"xl/worksheets/_rels/sheet{i}.xml.rels"
            relations = self.archive.read(part).decode() if part in self.archive.namelist() else ""
            for part in re.findall(r"tables/table\d+\.xml", relations):
                table = self._xml(f"xl/{part}")
                self.tables[table.attrib["name"]] = (name, table.attrib["ref"])

    def _xml(self, part: str) -> ElementTree.Element:
        return ElementTree.fromstring(self.archive.read(part))

    def sheet(self, number: int) -> ElementTree.Element:
        return self._xml(f"xl/worksheets/sheet{number}.xml")

    def _grid(self, number: int) -> dict[str, Cell]:
        found: dict[str, Cell] = {}
        for cell in self.sheet(number).iter(f"{MAIN}c"):
            assert cell.find(f"{MAIN}f") is None, "a formula"
            value = cell.find(f"{MAIN}v")
            if value is not None:
                text = value.text or ""
                found[cell.attrib["r"]] = self.texts[int(text)] if cell.attrib.get("t") == "s" else Decimal(text)
        return found

    def rows(self, table: str) -> list[dict[str, Cell]]:
        """The rows of a table by its heads; the last one is what stands below it."""
        sheet, ref = self.tables[table]
        first, last = (re.fullmatch(r"([A-Z]+)(\d+)", corner) for corner in ref.split(":"))
        assert first
        assert last
        grid, letters = self.grids[sheet], [chr(i) for i in range(ord("A"), ord(last[1]) + 1)]
        heads = {letter: grid[f"{letter}{first[2]}"] for letter in letters}
        return [
            {str(heads[letter]): grid.get(f"{letter}{row}") for letter in letters}
            for row in range(int(first[2]) + 1, int(last[2]) + 2)
        ]


@pytest.fixture(scope="module")
def book(snapshot: dict[str, Any], digest: str) -> Book:
    return Book(workbook(snapshot, digest))


def whole(value: Cell, unit: int = UNIT) -> int | None:
    assert not isinstance(value, str)
    return None if value is None else round(value * unit)


def test_its_sheets_and_what_the_first_says(book: Book, digest: str) -> None:
    assert book.sheets == SHEETS
    facts = {row["Item"]: row["Value"] for row in book.rows("About")[:-1]}
    assert facts["State"] == "Unassured interim data"
    assert facts["Evidence, SHA-256"] == digest
    assert (facts["Organisation"], facts["Period"], facts["Version"]) == ("Acme AI", "2026-Q3", 2)
    assert (facts["First day"], facts["Last day"]) == ("2026-07-01", "2026-09-30")
    for grid in book.grids.values():
        assert "Unassured interim data" in str(grid["A2"])


def test_totals_are_those_of_the_snapshot_to_the_last_milligram(book: Book, snapshot: dict[str, Any]) -> None:
    total = snapshot["totals"]["quarter"]["figures"]
    headline = book.rows("Headline")[0]
    assert whole(headline["Facility electricity, MWh"]) == total[FACILITY]
    assert whole(headline["IT electricity, MWh"]) == total["it_energy_milliwatt_hours"]
    assert whole(headline["Tokens"], 1) == total["tokens"]
    for method in ("Location", "Market"):
        column, field = f"{method}-based emissions, t CO₂e", f"{method.lower()}_mg"
        assert whole(headline[column]) == total[field]
        for table in (f"{method}BySite", f"{method}ByTeam", f"{method}ByModel", "Kinds", "ModelKinds", "Weeks"):
            *rows, below = book.rows(table)
            assert whole(below[column]) == total[field]
            assert sum(whole(row[column]) or 0 for row in rows) == total[field]
            assert sum(whole(row["Facility electricity, MWh"]) or 0 for row in rows) == total[FACILITY]


def test_every_row_of_the_snapshot_is_there_and_none_is_drawn_together(digest: str) -> None:
    from tests.disclosures.example import example_snapshot

    many = example_snapshot(models=60)
    rows = Book(workbook(many, digest)).rows("LocationByModel")[:-1]
    expected = {row["model"]: row["location_mg"] for row in many["by_model"]}
    assert {row["Identifier"]: whole(row["Location-based emissions, t CO₂e"]) for row in rows} == expected
    assert rows[-1]["AI model"] == "Unassigned"


def test_markets_and_instruments_with_their_criteria(book: Book, snapshot: dict[str, Any]) -> None:
    rates = {rate["market"]: rate for rate in snapshot["market_rates"]}
    *rows, below = book.rows("Markets")
    for row in rows:
        rate = rates[str(row["Market"])]
        assert whole(row["Covered, MWh"]) == rate["covered_milliwatt_hours"]
        assert whole(row["Uncovered, MWh"]) == rate["uncovered_milliwatt_hours"]
        assert whole(row["Residual mix, kg CO₂e/MWh"], 10**6) == rate["fallback_ug_per_kwh"]
    assert whole(below["Surplus, MWh"]) == sum(rate["surplus_milliwatt_hours"] for rate in rates.values())
    lots = {row["Lot"]: row for row in book.rows("Instruments")[:-1]}
    assert lots["DE-lot-1"]["Outcome"] == "meets the criteria"
    assert lots["DE-lot-1"]["First serial number"] == "643002406801000000000012345678"
    assert lots["DE-lot-1"]["Marks"] == "example"
    assert lots["DE-lot-2"]["Criteria failed"] == (
        "3: not retired for the reporter; 4: vintage is 27 months from the period"
    )


def test_every_lot_stands_with_all_eight_criteria(book: Book, snapshot: dict[str, Any]) -> None:
    rows = book.rows("Criteria")[:-1]
    lots = sum(len(rate["instruments"]) for rate in snapshot["market_rates"])
    assert len(rows) == 8 * lots
    third = next(row for row in rows if row["Lot"] == "DE-lot-2" and row["Criterion"] == 3)
    assert (third["Finding"], third["Reason"]) == ("Fails", "not retired for the reporter")


def test_intervals_meters_hours_and_indicators_are_whole_figures(book: Book, snapshot: dict[str, Any]) -> None:
    total = snapshot["uncertainty"]["total"]["location"]
    below = book.rows("Intervals")[-1]
    assert below["Location-based, t CO₂e"] == Decimal(total["value"]) / UNIT
    assert below["Location-based, t CO₂e, to"] == Decimal(total["high"]) / UNIT
    assert below["Location-based, ± %"] == pytest.approx(Decimal(10), abs=Decimal("0.001"))
    month = book.rows("Reconciliation")[0]
    stated = snapshot["reconciliation"][0]
    assert (month["Month"], month["State"]) == ("2026-07", "Difference")
    assert month["Difference, MWh"] == Decimal(stated["difference_milliwatt_hours"]) / UNIT
    assert book.rows("Gaps")[0]["Energy of the whole time, MWh"] == Decimal("0.0022")
    hours = book.rows("Hourly")[-1]
    assert hours["What-if, t CO₂e"] == Decimal(snapshot["hourly"]["total"]["draft_market_mg"]) / UNIT
    pue = book.rows("Indicators")[0]
    assert pue["Value"] == Decimal(snapshot["indicators"]["by_site"][0]["results"][0]["value_ppm"]) / 10**6
    assert book.rows("UnitsOfWork")[0]["Measured at"] == "node 70.0 %, accelerator 30.0 %"
    assert book.rows("ScopeThreeMemo")[1]["Emissions, t CO₂e"] is None
    assert book.rows("Receipts")[0]["Receipt, SHA-256"] == "1" * 64


def test_a_document_of_the_first_format_has_its_workbook(snapshot: dict[str, Any], digest: str) -> None:
    book = Book(workbook(first_format(snapshot), digest))
    assert book.sheets == SHEETS
    assert len(book.rows("Sites")) == len(snapshot["by_site"]) + 1
    assert "Criteria" not in book.tables
    assert "None in this quarter." in book.grids["Uncertainty"].values()


def test_absent_is_an_empty_cell_and_days_are_days(book: Book) -> None:
    year_ago = book.rows("Headline")[2]
    assert year_ago["Quarters"] == "2025-Q3"
    assert year_ago["Location-based emissions, t CO₂e"] is None
    assert year_ago["Facility electricity, MWh"] is None
    assert next(row for row in book.rows("Kinds") if row["Phase"] == "Training")["Tokens"] is None
    first = book.rows("Factors")[0]["From"]
    assert isinstance(first, Decimal)
    assert date(1899, 12, 30) + timedelta(days=int(first)) == date(2026, 7, 1)


def test_simulated_and_published_load_is_marked(book: Book, snapshot: dict[str, Any]) -> None:
    row = next(row for row in book.rows("Sites") if row["Code"] == "fra1")
    site = next(row for row in snapshot["by_site"] if row["site"] == "fra1")
    assert row["Marks"] == "simulated, published"
    assert whole(row["Of which simulated, MWh"]) == site["simulated_milliwatt_hours"]
    assert whole(row["Of which published runs, MWh"]) == site["published_milliwatt_hours"]


def test_heads_stay_in_sight_and_every_table_has_its_filter(book: Book) -> None:
    for number in range(1, len(SHEETS) + 1):
        pane = book.sheet(number).find(f".//{MAIN}pane")
        assert pane is not None
        assert pane.attrib["state"] == "frozen"
    parts = [name for name in book.archive.namelist() if name.startswith("xl/tables/")]
    assert len(parts) == len(book.tables)
    for part in parts:
        assert b"<autoFilter" in book.archive.read(part)


def test_the_same_snapshot_gives_the_same_bytes(snapshot: dict[str, Any], digest: str, book: Book) -> None:
    first = workbook(snapshot, digest)
    time.sleep(2)  # the resolution of times in a zip archive
    assert workbook(copy.deepcopy(snapshot), digest) == first
    assert b"2026-10-12T08:30:02Z" in book.archive.read("docProps/core.xml")


@pytest.mark.parametrize("text", ['=HYPERLINK("http://x.example","y")', "+1+1", "-2", "@SUM(A1)", "http://x.example"])
def test_a_name_is_never_a_formula_or_a_link(snapshot: dict[str, Any], digest: str, text: str) -> None:
    poisoned = copy.deepcopy(snapshot)
    poisoned["organisation"]["name"] = text
    for key in ("by_model", "by_model_kind"):
        for row in poisoned[key]:
            row["model_name"] = text
    poisoned["sources"][0]["source"] = text
    poisoned["market_rates"][0]["instruments"][0]["reference"] = text
    content = workbook(poisoned, digest)
    book = Book(content)  # refuses formulas
    assert book.rows("LocationByModel")[0]["AI model"] == text
    assert book.rows("Instruments")[0]["Lot"] == text
    for name in book.archive.namelist():
        if name.startswith("xl/worksheets/"):
            assert b"hyperlink" not in book.archive.read(name)
    prefixed = b'quotePrefix="1"' in book.archive.read("xl/styles.xml")
    assert prefixed == (text[0] in "=+-@")


def test_a_quarter_with_nothing_but_its_total(snapshot: dict[str, Any], digest: str) -> None:
    bare = copy.deepcopy(snapshot)
    for key in ("by_site", "by_team", "by_model", "by_kind", "by_model_kind", "by_week_kind", "published", "sources"):
        bare[key] = []
    for key in ("location_rates", "market_rates", "sites"):
        bare[key] = []
    bare["totals"]["previous"]["figures"] = None
    bare["document"]["supersedes"] = None
    bare["scope_3"] = {"total": None, "by_site": []}
    bare["unassigned"] = {"total": None, "by_source": []}
    book = Book(workbook(bare, digest))
    assert book.sheets == SHEETS
    assert "None in this quarter." in book.grids["Memo"].values()


@pytest.fixture
def ready(requested: Disclosure, fast_pdf: None) -> Disclosure:
    services.render(requested.pk)
    return Disclosure.unscoped.get(pk=requested.pk)


def test_a_collected_quarter_by_page_and_by_api(
    client: Client, ready: Disclosure, officer: Person, make_key: Callable[..., str]
) -> None:
    client.force_login(officer)
    page = client.get(reverse("period", args=[ready.organisation.slug, ready.period.label])).content.decode()
    url = reverse("disclosure-xlsx", args=[ready.organisation.slug, ready.public_id])
    assert f'href="{url}">XLSX</a>' in page
    answer = client.get(url)
    assert answer["Content-Disposition"] == 'attachment; filename="acme-2026-Q3-v1.xlsx"'
    book = Book(answer.content)
    total = ready.snapshot["totals"]["quarter"]["figures"]
    assert whole(book.rows("MarketBySite")[-1]["Market-based emissions, t CO₂e"]) == total["market_mg"]
    headers = {"Authorization": f"Bearer {make_key(scopes=('read',))}"}
    address = client.get(f"/api/v1/disclosures/{ready.public_id}", headers=headers).json()["xlsx"]
    for accept in ("*/*", answer["Content-Type"]):
        by_api = client.get(address, headers={**headers, "Accept": accept})
        assert by_api.status_code == 200
        assert by_api.content == answer.content
    address = f"/api/v1/disclosures/{ready.public_id}/pdf"
    assert client.get(address, headers={**headers, "Accept": "application/pdf"}).status_code == 200


def test_it_is_not_there_before_it_is_ready_nor_for_another_organisation(
    client: Client,
    requested: Disclosure,
    fast_pdf: None,
    officer: Person,
    other_organisation: Organisation,
    make_key: Callable[..., str],
) -> None:
    client.force_login(officer)
    url = reverse("disclosure-xlsx", args=[requested.organisation.slug, requested.public_id])
    assert client.get(url).status_code == 404
    services.render(requested.pk)
    assert client.get(url).status_code == 200
    foreign = make_key(scopes=("read",), organisation=other_organisation)
    answer = client.get(
        f"/api/v1/disclosures/{requested.public_id}/xlsx", headers={"Authorization": f"Bearer {foreign}"}
    )
    assert answer.status_code == 404
