"""The whole document as HTML, made from a snapshot alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.metadata import version
from typing import Any

from django.template.loader import render_to_string

from apps.core.palette import ACCENT, INK, INK_SOFT, RULE
from apps.core.windows import Quarter
from apps.disclosures.formats import in_present_format
from apps.disclosures.report import electricity, emissions, informative, meters, rules, sureness, units, workload
from apps.disclosures.report.numbers import ENERGY, MASS, long_date, moment, share, unit_for
from apps.disclosures.report.parts import Parts

# Goes up whenever the same snapshot would no longer give the same bytes.
TEMPLATE = "2"
# Packages whose version the bytes depend on.
RENDERERS = {"weasyprint": "weasyprint", "markdown": "markdown-it-py"}
ORDINAL = ("First", "Second", "Third", "Fourth")
FACILITY = electricity.FACILITY


@dataclass(frozen=True, slots=True)
class Section:
    number: str
    key: str
    title: str

    follows: bool = False  # goes on after the section before it; the others begin a page

    @property
    def template(self) -> str:
        return f"disclosures/report/{self.key}.html"


SECTIONS = (
    Section("1", "headline", "Headline figures"),
    Section("2", "basis", "Basis of preparation"),
    Section("3", "electricity", "Electricity by site", follows=True),
    Section("4", "factors", "Emission factors", follows=True),
    Section("5", "location", "Location-based emissions", follows=True),
    Section("6", "market", "Market-based emissions", follows=True),
    Section("7", "hourly", "Hourly matching (informative)", follows=True),
    Section("8", "workload", "AI workloads: training, inference, idle, overhead", follows=True),
    Section("9", "memo", "Memo items, in no total", follows=True),
    Section("10", "quality", "Data quality and uncertainty", follows=True),
    Section("A", "recompute", "How to recompute this document"),
    Section("B", "indicators", "Data-centre indicators", follows=True),
    Section("C", "glossary", "Glossary", follows=True),
    Section("D", "methodology", "Methodology"),
)


def renderer() -> dict[str, str]:
    """What a document is rendered with here: the same versions give the same bytes."""
    return {**{name: version(package) for name, package in RENDERERS.items()}, "template": TEMPLATE}


def last_day(end: str) -> date:
    """The last day of a period whose first day after is given."""
    return date.fromisoformat(end) - timedelta(days=1)


def _halves(parts: list[Any]) -> tuple[list[Any], list[Any]]:
    """For two columns on the contents page: cut here, because balancing them takes the layout seconds."""
    middle = (len(parts) + 1) // 2
    return parts[:middle], parts[middle:]


def context(snapshot: Mapping[str, Any], digest: str) -> dict[str, Any]:
    """Everything that the templates print. ``digest`` is the SHA-256 of the snapshot's canonical JSON."""
    snapshot = in_present_format(snapshot)
    parts = Parts()
    electricity.headline(snapshot, parts)
    sureness.headline(snapshot, parts)
    electricity.boundary(snapshot, parts)
    rules.policies(snapshot, parts)
    electricity.sites(snapshot, parts)
    meters.reconciliation(snapshot, parts)
    meters.gaps(snapshot, parts)
    meters.set_aside(snapshot, parts)
    electricity.factors(snapshot, parts)
    rules.adoptions(snapshot, parts)
    emissions.by_method(snapshot, parts, "location")
    emissions.markets(snapshot, parts)
    rules.criteria(snapshot, parts)
    emissions.by_method(snapshot, parts, "market")
    emissions.side_by_side(snapshot, parts)
    informative.hourly(snapshot, parts)
    workload.workload(snapshot, parts)
    units.intensities(snapshot, parts)
    units.sci(snapshot, parts)
    workload.memo(snapshot, parts)
    informative.memo(snapshot, parts)
    workload.quality(snapshot, parts)
    sureness.uncertainty(snapshot, parts)
    rules.receipts(snapshot, parts)
    informative.indicators(snapshot, parts)

    quarter = Quarter.parse(snapshot["period"]["label"])
    total = snapshot["totals"]["quarter"]["figures"]
    intervals = snapshot["uncertainty"]["total"] or {}
    energy = unit_for([total[FACILITY]], ENERGY)
    mass = unit_for([total["location_mg"], total["market_mg"]], MASS)
    sources = snapshot["sources"]
    not_own = total["simulated_milliwatt_hours"] + total["published_milliwatt_hours"]
    ends = last_day(snapshot["period"]["end"])
    return {
        "snapshot": snapshot,
        "digest": digest,
        "sections": SECTIONS,
        "tables": parts.tables,
        "figures": parts.figures,
        "table_halves": _halves(list(parts.tables.values())),
        "figure_halves": _halves(list(parts.figures.values())),
        "gwp_tables": [table for key, table in parts.tables.items() if key.startswith("gwp_")],
        "organisation": snapshot["organisation"],
        "period": snapshot["period"],
        "document": snapshot["document"],
        "method": snapshot["method"],
        "title": f"{ORDINAL[quarter.number - 1]} quarter {quarter.year}",
        "range": f"{long_date(snapshot['period']['start'])} to {long_date(ends)}",
        "running_head": f"{snapshot['organisation']['name']} · {quarter} · version {snapshot['document']['version']}",
        "collected": moment(snapshot["document"]["collected_at"]),
        "requested": moment(snapshot["document"]["requested_at"]),
        "settled": moment(snapshot["ledger"]["last_settled_at"]),
        "pending_hours": snapshot["ledger"]["pending_hours"],
        "key_figures": {
            "location": (mass.of(total["location_mg"]), mass.name),
            "market": (mass.of(total["market_mg"]), mass.name),
            "energy": (energy.of(total[FACILITY]), energy.name),
            "it": (energy.of(total[electricity.IT]), energy.name),
        },
        "ranges": {
            name: sureness.range_text(intervals.get(name), unit)
            for name, unit in (("location", mass), ("market", mass))
        },
        "energy_half_width": sureness.half_width(intervals["energy"]) if intervals else "",
        "unmetered": meters.unmetered(snapshot),
        "receipt": next((one for one in snapshot["receipts"] if one["of"] == "quarter"), None),
        "hourly": snapshot["hourly"],
        "memo_absent": _absent_memo(snapshot),
        "missing_indicators": informative.missing_indicators(snapshot),
        "has_indicators": bool(snapshot["indicators"]["total"]),
        "uncertainty": snapshot["uncertainty"],
        "methodology": snapshot["methodology"],
        "methodology_pages": rules.methodology(snapshot),
        "allocation": snapshot["organisation"]["market_allocation"],
        "tier_ab": share(total["tier_a_milliwatt_hours"] + total["tier_b_milliwatt_hours"], total[FACILITY], 0),
        "mean_coverage": share(sum(min(s["coverage_ppm"], 10**6) for s in sources), len(sources) * 10**6),
        "source_count": len(sources),
        "silent_count": sum(s["silent"] for s in sources),
        "overlap_count": sum(bool(s["overlap_ms"]) for s in sources),
        "not_own": share(not_own, total[FACILITY], 0) if not_own else "",
        "simulated": share(total["simulated_milliwatt_hours"], total[FACILITY], 0)
        if total["simulated_milliwatt_hours"]
        else "",
        "published": share(total["published_milliwatt_hours"], total[FACILITY], 0)
        if total["published_milliwatt_hours"]
        else "",
        "control_classes": sorted({electricity.CONTROL[site["control"]] for site in snapshot["sites"]}),
        "has_fallback_location": any(
            rate["fallback"] == "location" and rate["uncovered_milliwatt_hours"] for rate in snapshot["market_rates"]
        ),
        "life_cycle": sorted(
            {
                rate["site_name"]
                for rate in snapshot["location_rates"]
                if rate["factor"] and rate["factor"]["boundary"] == "life_cycle"
            }
        ),
        "ink": INK,
        "soft": INK_SOFT,
        "rule": RULE,
        "accent": ACCENT,
    }


def _absent_memo(snapshot: Mapping[str, Any]) -> dict[str, str]:
    """Why a part of the Scope 3 memo has no figure at all, by part; "" where one is known or nothing was read."""
    rows = snapshot["scope_3_memo"]["rows"]
    found = {}
    for part in ("embodied", "upstream", "losses"):
        own = [row for row in rows if row["part"] == part]
        known = any(row["mg"] is not None for row in own)
        found[part] = "" if known else "; ".join(informative.reasons(own))
    return found


def html(snapshot: Mapping[str, Any], digest: str) -> str:
    """The document as one HTML text: style, tables and drawings inside, fonts by name (see ``pdf``)."""
    return render_to_string("disclosures/report/document.html", context(snapshot, digest))
