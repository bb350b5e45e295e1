"""Tables on the rules behind the figures: policies, adopted factors, quality criteria, receipts, the methodology."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.safestring import SafeString, mark_safe

from apps.accounting.engine.market import CRITERIA, FAILED, PASSED
from apps.core.texts import Text, as_html
from apps.disclosures.report.numbers import short_date, typographic
from apps.disclosures.report.parts import Column, Parts, Row

CELLS = {PASSED: "✓", FAILED: "fails", "not_stated": "–"}
FINDINGS = {FAILED: "Fails", "not_stated": "Not stated"}
KINDS = {
    "location": "Location average",
    "residual": "Residual mix",
    "supplier": "Supplier rate",
    "fossil_default": "Fossil default",
    "upstream": "Upstream (category 3)",
    "losses": "Line losses (category 3)",
}


def policies(snapshot: Mapping[str, Any], parts: Parts) -> None:
    parts.table(
        "policies",
        "Policies in force",
        [Column("Question", is_text=True), Column("Policy", is_text=True)],
        [Row([one["label"], one["words"]]) for one in snapshot["method"]["policies"]],
        size="small",
    )


def adoptions(snapshot: Mapping[str, Any], parts: Parts) -> None:
    """The editions adopted for the quarter."""

    def days(one: Mapping[str, Any]) -> str:
        start = f"from {short_date(one['from'])}" if one["from"] else ""
        until = f"until {short_date(one['until'])}" if one["until"] else ""
        return " ".join(filter(None, (start, until))) or "all\u00a0days"

    series: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for one in snapshot["method"]["adoptions"]:
        key = (KINDS.get(one["kind"], one["kind"]), one["publisher"], one["dataset"], days(one), one["adopted_by"])
        series.setdefault(key, []).append(one)
    parts.table(
        "adoptions",
        "Editions of factors adopted for the quarter",
        [
            Column(head, is_text=True)
            for head in ("Kind", "Publisher and title", "Editions", "In\u00a0use", "Adopted\u00a0by")
        ],
        [
            Row(
                [
                    kind,
                    typographic(f"{publisher}: {rows[-1]['title']}"),
                    ", ".join(row["edition"] for row in rows),
                    in_use,
                    adopted_by,
                ]
            )
            for (kind, publisher, _, in_use, adopted_by), rows in series.items()
        ],
        size="small",
        notes=[
            "An edition that is loaded and not adopted changes no figure; of several with one zone and year the newer"
            " is used. The title is that of the last edition named. Until: the first day after."
        ],
    )


def criteria(snapshot: Mapping[str, Any], parts: Parts) -> None:
    """All eight Quality Criteria by lot, and why those that a lot did not pass were not."""
    lots = [
        (rate["market"], lot) for rate in snapshot["market_rates"] for lot in rate["instruments"] if lot["criteria"]
    ]
    parts.table(
        "criteria",
        "The eight Quality Criteria by lot",
        [
            Column("Lot", is_text=True),
            Column("Market", is_text=True),
            *(Column(str(number)) for number in CRITERIA),
            Column("Outcome", is_text=True),
        ],
        [
            Row(
                [
                    lot["reference"],
                    market,
                    *(CELLS[check["status"]] for check in sorted(lot["criteria"], key=lambda check: check["number"])),
                    "Falls to the next level" if lot["failed"] else "Stands",
                ],
                marks="e" if lot["simulated"] else "",
            )
            for market, lot in lots
        ],
        size="small",
        notes=[
            "Scope 2 Guidance, table 7.1. ✓ passed; fails: the lot covers nothing and its electricity takes the next"
            " level; – not stated: an attestation that would decide is not on file; the lot is not refused for that.",
            "The instrument " + "; ".join(f"{number} {words}" for number, words in CRITERIA.items()) + ".",
        ],
    )
    found: dict[tuple[int, str, str], list[str]] = {}
    for _, lot in lots:
        for check in lot["criteria"]:
            if check["status"] != PASSED:
                found.setdefault((check["number"], check["status"], check["reason"]), []).append(lot["reference"])
    parts.table(
        "not_passed",
        "Criteria that a lot does not pass, and why",
        [Column(head, is_text=True) for head in ("Criterion", "Finding", "Reason", "Lots")],
        [
            Row([str(number), FINDINGS[status], typographic(reason), ", ".join(names)])
            for (number, status, reason), names in sorted(found.items())
        ],
        size="small",
    )


def receipts(snapshot: Mapping[str, Any], parts: Parts) -> None:
    parts.table(
        "receipts",
        "Recompute these figures: receipts at the cut-off",
        [Column(head, is_text=True) for head in ("Figures", "GET", "SHA-256 of the receipt")],
        [Row([one["label"], one["path"], one["sha256"]]) for one in snapshot["receipts"]],
        size="small",
        notes=[
            "The receipt holds the ledger’s lines, allocation, PUE, factors with edition and licence, instruments,"
            " policies and the formula; verify_calculation recomputes the figure from it alone, to the integer.",
            "Later readings, factors or instruments change the live receipt and its digest, and not this document.",
        ],
    )


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the methodology, set for print."""

    name: str
    title: str
    body: SafeString


def methodology(snapshot: Mapping[str, Any]) -> list[Page]:
    """The frozen text of the methodology, in its order; links between its pages stay inside the document."""
    pages = []
    names = {one["name"] for one in snapshot["methodology"]["texts"]}

    def link(name: str) -> str:
        return f"#methodology-{name}" if name in names else "#methodology"

    for one in snapshot["methodology"]["texts"]:
        text = Text(one["name"], one["title"], one["body"])
        # Safe: as_html shows raw HTML of the text and does not pass it on.
        body = mark_safe(  # noqa: S308
            as_html(text, link=link, headings_from=4).replace("\n\n</code></pre>", "\n</code></pre>")
        )
        pages.append(Page(text.name, text.title, body))
    return pages
