"""The document itself: what stands in it, on every page, and that it is the same every time."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from apps.audit.services import canonical_json
from apps.disclosures.formats import in_present_format
from apps.disclosures.pdf import EVIDENCE, render_pdf
from apps.disclosures.report.document import context, html
from tests.disclosures.example import example_snapshot, first_format

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def reader(pdf: bytes) -> PdfReader:
    return PdfReader(io.BytesIO(pdf))


@pytest.fixture(scope="session")
def pages(reader: PdfReader) -> list[str]:
    return [page.extract_text() for page in reader.pages]


def test_every_page_says_whose_it_is_and_that_nobody_has_assured_it(pages: list[str]) -> None:
    assert len(pages) >= 12
    for number, text in enumerate(pages, 1):
        assert "Unassured interim data" in text
        assert f"{number} / {len(pages)}" in text
    for text in pages[1:]:
        assert "Acme AI · 2026-Q3 · version 2" in text


def test_both_methods_stand_in_the_headline_at_the_same_size(
    snapshot: dict[str, Any], digest: str, pages: list[str]
) -> None:
    text = html(snapshot, digest)
    values = re.findall(r'<p class="label">(Scope 2, [a-z-]+)</p><p class="value">([\d,.]+) <span>([^<]+)</span>', text)
    assert [label for label, _, _ in values] == ["Scope 2, location-based", "Scope 2, market-based"]
    assert {unit for _, _, unit in values} == {"t\u00a0CO₂e"}
    headline = next(page for page in pages if "Headline figures" in page and "Contents" not in page)
    for _, value, _ in values:
        assert value in headline


def test_the_contents_page_gives_the_page_on_which_each_section_begins(reader: PdfReader, pages: list[str]) -> None:
    contents = next(page for page in pages if "\nContents\n" in page)
    begins = {
        str(mark.title): (reader.get_destination_page_number(mark) or 0) + 1
        for mark in reader.outline
        if not isinstance(mark, list)
    }
    assert len(begins) == 15  # with the contents
    for title, page in begins.items():
        assert title == "Contents" or re.search(rf"^{re.escape(title)}\s+{page}$", contents, re.M), (
            title,
            page,
            contents,
        )


def test_all_sections_are_there(pages: list[str]) -> None:
    whole = "\n".join(pages)
    for text in (
        "Basis of preparation", "control class", "Global warming potentials", "What is left out",
        "Power usage effectiveness applied", "Location-based factors in force", "CC BY 4.0", "Life cycle",
        "Location-based emissions by team", "Market-based emissions by AI model", "Instruments applied",
        "not retired for the reporter", "Training took", "Per 1,000 tokens of inference", "Memo items, in no total",
        "How the electricity is known", "Coverage by source", "Silent", "How to recompute", "Glossary",
        "Policies in force", "Telemetry held against the meters", "measured twice and counted once", "Filled in",
        "Editions of factors adopted", "The eight Quality Criteria by lot", "Hourly matching by market (informative)",
        "node 70 %, accelerator 30 %", "Software Carbon Intensity", "hardware in use, in no total",
        "no upstream factor known for NO", "95 % intervals by site", "What the uncertainty", "Calibration certificate",
        "Data-centre indicators and their terms", "Recompute these figures", "Rule. PUE is facility energy",
    ):  # fmt: skip
        assert text in whole, text


def test_simulated_and_published_data_are_marked(snapshot: dict[str, Any], digest: str, pages: list[str]) -> None:
    assert "Not all of it is the organisation’s own measurement" in pages[0]
    own = deepcopy(snapshot)
    for rows in (own["totals"]["quarter"]["figures"],):
        rows["simulated_milliwatt_hours"] = rows["published_milliwatt_hours"] = 0
    cover = html(own, digest).split('id="contents"')[0]
    assert "own measurement" not in cover


def test_the_evidence_is_inside_and_its_digest_on_the_cover(
    snapshot: dict[str, Any], digest: str, reader: PdfReader, pages: list[str]
) -> None:
    attached = reader.attachments[EVIDENCE][0]
    assert hashlib.sha256(attached).hexdigest() == digest
    assert json.loads(attached) == snapshot
    assert digest in pages[0].replace("\n", "")


def test_it_is_a_tagged_archive_document_with_its_own_fonts(reader: PdfReader) -> None:
    root = reader.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "en-GB"
    metadata = root["/Metadata"].get_data().decode()
    assert re.search(r'part="3"', metadata)
    assert re.search(r'conformance="A"', metadata)
    fonts = {
        font.get_object()["/BaseFont"].split("+")[-1]
        for page in reader.pages
        for font in page["/Resources"]["/Font"].values()
    }
    assert fonts
    assert all(name.startswith("Source-Sans") for name in fonts), fonts


def test_every_chart_has_a_text_alternative(reader: PdfReader) -> None:
    figures = []
    for number in range(1, int(reader.trailer["/Size"])):
        one = reader.get_object(number)
        if isinstance(one, dict) and one.get("/S") == "/Figure":
            figures.append(one)
    assert len(figures) >= 8
    assert all(one.get("/Alt") for one in figures)


def test_the_same_snapshot_gives_the_same_bytes_in_another_process(
    snapshot: dict[str, Any], pdf: bytes, tmp_path: Path
) -> None:
    (tmp_path / "snapshot.json").write_text(json.dumps(snapshot))
    script = (
        "import sys, json, hashlib, django; django.setup();"
        "from apps.audit.services import canonical_json; from apps.disclosures.services import pdf_of;"
        "s = json.load(open(sys.argv[1])); d = hashlib.sha256(canonical_json(s).encode()).hexdigest();"
        "open(sys.argv[2], 'wb').write(pdf_of(s, d))"
    )
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "snapshot.json"), str(tmp_path / "again.pdf")],
        check=True, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": "4711", "TZ": "Asia/Kolkata",
                                   "DJANGO_SETTINGS_MODULE": "tests.settings"},
    )  # fmt: skip
    assert (tmp_path / "again.pdf").read_bytes() == pdf


def test_a_long_table_shows_the_largest_and_draws_the_rest_together() -> None:
    snapshot = example_snapshot(models=60)
    table = context(snapshot, "0" * 64)["tables"]["location_model"]
    kinds = [row.kind for row in table.rows]
    assert kinds == [""] * 20 + ["rest", "unassigned", "total"]
    assert table.rows[20].cells[0] == "Other (39)"
    total = snapshot["totals"]["quarter"]["figures"]
    assert table.rows[-1].cells[2] == f"{total['location_mg'] / 10**9:,.2f}"


def test_a_quarter_without_factors_prints_dashes_and_never_zero(snapshot: dict[str, Any]) -> None:
    bare = deepcopy(snapshot)
    for rows in (
        [one["figures"] for one in bare["totals"].values() if one["figures"]], bare["by_site"], bare["by_team"],
        bare["by_model"], bare["by_kind"], bare["by_model_kind"], bare["by_week_kind"],
    ):  # fmt: skip
        for row in rows:
            row["location_mg"] = row["market_mg"] = None
    bare["market_rates"] = []
    bare["location_rates"] = [{**one, "factor": None, "factor_ug_per_kwh": None} for one in bare["location_rates"]]
    values = context(bare, "0" * 64)
    assert values["key_figures"]["location"][0] == "—"
    assert "No factor known" in html(bare, "0" * 64)
    assert [row.cells[3] for row in values["tables"]["location_site"].rows] == ["—"] * 4


def test_a_bare_quarter_still_reads(snapshot: dict[str, Any]) -> None:
    bare = deepcopy(snapshot)
    for name in ("by_model_kind", "by_week_kind", "published", "location_rates", "market_rates", "sources"):
        bare[name] = []
    bare["scope_3"] = {"total": None, "by_site": []}
    bare["unassigned"] = {"total": None, "by_source": []}
    bare["totals"]["previous"]["figures"] = bare["document"]["supersedes"] = None
    text = html(bare, "0" * 64)
    for sentence in (
        "No instrument was applied in this period.",
        "No reading came from a public cloud in this period.",
        "Every reading of this period has a site.",
        "No source fell silent.",
        "Nothing: first version of this period",
    ):
        assert sentence in text


def test_the_headline_has_its_intervals_with_whiskers_and_leads_to_its_receipt(
    snapshot: dict[str, Any], digest: str, pages: list[str]
) -> None:
    headline = next(
        page for page in pages if "1 Headline figures" in page.replace("\n", " ") and "Contents" not in page
    )
    for name, per_cent in (("location", "10.0"), ("market", "12.0")):
        interval = snapshot["uncertainty"]["total"][name]
        low, high = (f"{interval[end] / 10**9:,.2f}" for end in ("low", "high"))
        assert f"95 %: {low} to {high} (±\u202f{per_cent}\u202f%)" in headline
    assert "Whiskers: the 95 % interval" in headline
    receipt = snapshot["receipts"][0]
    assert receipt["path"] in headline.replace("\n", "")
    assert receipt["sha256"] in headline.replace("\n", "")


def test_every_criterion_of_every_lot_stands_in_the_matrix(snapshot: dict[str, Any]) -> None:
    table = context(snapshot, "0" * 64)["tables"]["criteria"]
    assert [list(row.cells[2:]) for row in table.rows[:2]] == [
        ["✓", "✓", "✓", "✓", "✓", "✓", "–", "✓", "Stands"],
        ["✓", "✓", "fails", "fails", "✓", "✓", "–", "✓", "Falls to the next level"],
    ]
    reasons = context(snapshot, "0" * 64)["tables"]["not_passed"].rows
    assert ["3", "Fails", "not retired for the reporter"] in [list(row.cells[:3]) for row in reasons]
    assert all("lot-1" in row.cells[3] for row in reasons if row.cells[1] == "Not stated")


def test_what_is_informative_is_in_no_total(snapshot: dict[str, Any], digest: str) -> None:
    changed = deepcopy(snapshot)
    for row in (*changed["hourly"]["markets"], changed["hourly"]["total"]):
        row["draft_market_mg"] *= 1_000
    for row in changed["scope_3_memo"]["rows"]:
        row["mg"] = row["mg"] and row["mg"] * 1_000
    before, after = context(snapshot, digest), context(changed, digest)
    assert after["key_figures"] == before["key_figures"]
    for key in ("headline", "sites", "markets", "market_site", "kinds"):
        assert [row.cells for row in after["tables"][key].rows] == [row.cells for row in before["tables"][key].rows]
    text = html(snapshot, digest)
    assert "no figure of this section is a reported one" in text
    assert text.index('class="informative"') < text.index('id="table-hourly"')


def test_the_methodology_is_that_of_the_evidence_and_not_of_today(snapshot: dict[str, Any]) -> None:
    changed = deepcopy(snapshot)
    changed["methodology"]["texts"] = [
        {
            "name": "README",
            "title": "Rules of that day",
            "body": "See [one](one.md) and [none](none.md).\n\n<b>raw</b>",
        },
        {"name": "one", "title": "One", "body": "## Part\n\n```python\n>>> 1 + 1\n2\n\n```"},
    ]
    annex = html(changed, "0" * 64).split('id="methodology"')[1]
    assert "<h3>Rules of that day</h3>" in annex
    assert "<h4>Part</h4>" in annex
    assert '<a href="#methodology-one">' in annex
    assert '<a href="#methodology">' in annex  # a page that was not frozen leads to the annex
    assert "&lt;b&gt;raw&lt;/b&gt;" in annex
    assert "Energy: boundary and PUE" not in annex


def test_parts_without_data_are_one_sentence_and_never_an_empty_table(snapshot: dict[str, Any]) -> None:
    bare = in_present_format(first_format(snapshot))
    for text in (html(bare, "0" * 64), html(first_format(snapshot), "0" * 64)):
        for sentence in (
            "No reading of a meter or invoice was recorded for the quarter.",
            "No decision on a gap was recorded in the quarter",
            "No electricity was modelled",
            "No device was measured by two sources at once.",
            "No hourly matching was worked out for this quarter.",
            "No interval was worked out for these figures.",
            "No data-centre indicator was worked out",
            "No calculation receipts were frozen",
            "made before the methodology was frozen",
            "Intensity of inference, per 1,000 tokens",
        ):
            assert sentence in text
        assert not re.search(r"<tbody>\s*</tbody>", text)


def test_a_yearly_claim_period_is_said_to_be_provisional(snapshot: dict[str, Any]) -> None:
    yearly = deepcopy(snapshot)
    yearly["organisation"]["claim_period"] = "year"
    text = html(yearly, "0" * 64)
    assert "provisional" in text
    assert "this table covers the year and not the quarter alone" in text


def test_names_cannot_become_markup_nor_reach_for_files(snapshot: dict[str, Any]) -> None:
    hostile = deepcopy(snapshot)
    hostile["organisation"]["name"] = (
        '</style><img src="file:///etc/passwd"><link rel=attachment href="file:///etc/passwd">'
    )
    text = html(hostile, "0" * 64)
    assert "<img" not in text
    assert "<link" not in text


def test_the_renderer_fetches_fonts_and_nothing_else(snapshot: dict[str, Any], tmp_path: Path) -> None:
    from datetime import UTC, datetime

    secret = tmp_path / "secret.txt"
    secret.write_text("not for readers")
    text = f'<html lang="en"><title>t</title><link rel="attachment" href="{secret.as_uri()}"><p>x'
    pdf = render_pdf(text, canonical_json({}), datetime(2026, 10, 1, tzinfo=UTC))
    assert list(PdfReader(io.BytesIO(pdf)).attachments) == [EVIDENCE]
