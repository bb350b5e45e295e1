"""What stands in the workbook: every row of a snapshot, in fixed units, and nothing from anywhere else."""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction

from apps.disclosures.formats import in_present_format
from apps.disclosures.report.document import last_day
from apps.disclosures.report.electricity import FACILITY, IT
from apps.disclosures.report.emissions import METHODS
from apps.disclosures.report.workload import KIND, TIERS
from apps.disclosures.workbook import accounting
from apps.disclosures.workbook.columns import (
    FACILITY_COLUMN,
    IT_COLUMN,
    METHOD_COLUMNS,
    OVERHEAD_COLUMN,
    PROVENANCE_COLUMNS,
    PUE_COLUMN,
    QUALITY_COLUMNS,
    SITE_COLUMNS,
    WITHOUT_FACTOR,
    WORK_COLUMNS,
    Snapshot,
    column,
    name_columns,
    named_column,
    ranked,
    ratio,
    share_column,
    total_of,
)
from apps.disclosures.workbook.methods import by_method, factors, markets
from apps.disclosures.workbook.writer import (
    COUNT,
    DAY,
    HOURS,
    MEAN,
    MOMENT,
    PERCENT,
    RATIO,
    SMALL,
    TEXT,
    Column,
    Sheet,
    Table,
    write,
)

LAYOUT = "2"  # goes up whenever the same snapshot would no longer give the same cells


def workbook(snapshot: Snapshot, digest: str) -> bytes:
    """The workbook of a snapshot, made of nothing else. ``digest`` is the SHA-256 of its canonical JSON."""
    snapshot = in_present_format(snapshot)
    document = snapshot["document"]
    name, label = snapshot["organisation"]["name"], snapshot["period"]["label"]
    sheets = [
        about(snapshot, digest),
        headline(snapshot),
        sites(snapshot),
        factors(snapshot),
        Sheet("Location-based", by_method(snapshot, "location")),
        Sheet("Market-based", [*markets(snapshot), accounting.criteria(snapshot), *by_method(snapshot, "market")]),
        accounting.hourly(snapshot),
        workload(snapshot),
        memo(snapshot),
        quality(snapshot),
        accounting.uncertainty(snapshot),
        accounting.meters(snapshot),
        accounting.indicators(snapshot),
        accounting.rules(snapshot),
    ]
    return write(
        sheets,
        line=f"{name} · {label} · version {document['version']} · {document['state']} · evidence {digest[:16]}…",
        title=f"{name}, {label}, version {document['version']}",
        state=document["state"],
        created=datetime.fromisoformat(document["collected_at"]),
    )


def about(snapshot: Snapshot, digest: str) -> Sheet:
    """What this is, of which version, made under which rules, and how to read it."""
    organisation, period, document = (snapshot[name] for name in ("organisation", "period", "document"))
    method, superseded = snapshot["method"], snapshot["document"]["supersedes"]
    yearly = organisation["claim_period"] == "year"
    facts: dict[str, str | int | None] = {
        "Organisation": organisation["name"],
        "Period": period["label"],
        "First day": period["start"],
        "Last day": last_day(period["end"]).isoformat(),
        "The period had ended": "yes" if period["ended"] else "no",
        "State": document["state"],
        "Version": document["version"],
        "Replaces": f"version {superseded['version']}, evidence {superseded['snapshot_digest']}" if superseded else "",
        "Document": document["id"],
        "Prepared by": document["prepared_by"],
        "Asked for": document["requested_at"],
        "Figures read": document["collected_at"],
        "Ledger last settled": snapshot["ledger"]["last_settled_at"],
        "Hours not settled": snapshot["ledger"]["pending_hours"],
        "Evidence, SHA-256": digest,
        "Criteria": "GHG Protocol Scope 2 Guidance (2015), location-based and market-based side by side",
        "Ruleset": method["ruleset"]["id"],
        "Source of the ruleset": method["ruleset"]["source"],
        "Energy boundary": method["energy_boundary"],
        "Calculation engine": method["engine_version"],
        "Claim period": "calendar year" if yearly else "quarter",
        "Vintage window, months": organisation["vintage_window_months"],
        "Consolidation": "operational control",
        "Layout of this workbook": LAYOUT,
    }
    reading = {
        "Source": "Every figure was taken from evidence.json, the frozen figures that are embedded in the PDF of the"
        " same version. Nothing was calculated from live data.",
        "Units": "Electricity in MWh, emissions in t CO₂e, factors in kg CO₂e/MWh (equal to g/kWh), everywhere. The"
        " unit stands in the head of the column.",
        "Precision": "A cell holds the whole figure and shows three decimals. MWh or t times 1,000,000,000, rounded, is"
        " the whole number of milliwatt-hours or milligrams in the evidence.",
        "Empty cells": "A figure that is absent. It is not zero.",
        "Totals": "Stand below each table, outside its filter, and are figures of the evidence: exact, and not the sum"
        " of what is shown.",
        "The two methods": "Location-based and market-based emissions answer different questions and are never added,"
        " netted or averaged.",
        "Days": "Begin at 00:00 UTC; all times are UTC.",
        "Marks": "simulated: holds simulated load, which is no measurement. published: holds published figures of"
        " another organisation’s run. example: a certificate that is no real purchase.",
        "State": "A quarter is unassured interim data until a practitioner’s report exists.",
        "Left out": "Public cloud (Scope 3) and readings without a site stand on the sheet Memo and are in no total.",
    }
    if organisation["demo"]:
        reading["Demonstration"] = "This organisation was made for demonstration."
    pair = (column("Item", TEXT, "name"), column("Value", TEXT, "value"))
    return Sheet(
        "About",
        [
            Table("About", "This document", pair, [{"name": name, "value": value} for name, value in facts.items()]),
            Table(
                "HowToRead",
                "How to read it",
                (column("Subject", TEXT, "name"), column("What holds", TEXT, "value")),
                [{"name": name, "value": value} for name, value in reading.items()],
            ),
            Table(
                "WarmingPotentials",
                "Global warming potentials over 100 years, kg CO₂e per kg",
                (column("Set", TEXT, "set"), column("Gas", TEXT, "gas"), column("GWP", MEAN, "gwp")),
                [
                    {"set": name, "gas": gas, "gwp": Fraction(value)}
                    for name, values in method["gwp_sets"].items()
                    for gas, value in values
                ],
            ),
        ],
    )


def headline(snapshot: Snapshot) -> Sheet:
    totals = snapshot["totals"]
    words = {
        "quarter": "This quarter",
        "previous": "Previous quarter",
        "year_ago": "Same quarter last year",
        "year_to_date": "Year to date",
    }
    rows = [
        {"name": word, "label": totals[name]["label"], **(totals[name]["figures"] or {})}
        for name, word in words.items()
        if name in totals
    ]
    now, before = total_of(snapshot), totals["previous"]["figures"] or {}
    measures = {
        IT: "IT electricity",
        FACILITY: "Facility electricity",
        **{f"{method}_mg": f"{name} emissions" for method, name in METHODS.items()},
    }
    return Sheet(
        "Headline",
        [
            Table(
                "Headline",
                "Electricity and Scope 2 emissions of AI workloads",
                [
                    column("Period", TEXT, "name"),
                    column("Quarters", TEXT, "label"),
                    IT_COLUMN,
                    OVERHEAD_COLUMN,
                    FACILITY_COLUMN,
                    PUE_COLUMN,
                    *METHOD_COLUMNS.values(),
                    WITHOUT_FACTOR,
                    *WORK_COLUMNS,
                    column("Readings", COUNT, "readings"),
                    *QUALITY_COLUMNS,
                    *PROVENANCE_COLUMNS,
                ],
                rows,
            ),
            Table(
                "Change",
                "Change on the previous quarter",
                [column("Measure", TEXT, "name"), column("Change, %", PERCENT, "change")],
                [
                    {
                        "name": word,
                        "change": None
                        if now[name] is None or before.get(name) is None
                        else ratio(now[name] - before[name], before[name], 10**6),
                    }
                    for name, word in measures.items()
                ],
            ),
        ],
    )


def sites(snapshot: Snapshot) -> Sheet:
    total = total_of(snapshot)
    return Sheet(
        "Sites",
        [
            Table(
                "Sites",
                "Electricity by site",
                [
                    *SITE_COLUMNS,
                    IT_COLUMN,
                    OVERHEAD_COLUMN,
                    FACILITY_COLUMN,
                    PUE_COLUMN,
                    share_column("Share of facility electricity, %", FACILITY, total),
                    *QUALITY_COLUMNS,
                    *PROVENANCE_COLUMNS,
                ],
                ranked(snapshot["by_site"], "site"),
                total,
                ["Quality: the weakest tier that makes up 5 % or more of the energy."],
            ),
            Table(
                "Boundary",
                "Sites, their control class and what follows from it",
                [
                    column("Site", TEXT, "name"),
                    column("Code", TEXT, "code"),
                    *SITE_COLUMNS[2:],
                    Column(
                        "Reported in",
                        TEXT,
                        lambda site: "Scope 3, category 1 (memo)" if site["control"] == "cloud" else "Scope 2",
                    ),
                ],
                snapshot["sites"],
            ),
            Table(
                "PueApplied",
                "Power usage effectiveness applied, and where it comes from",
                [
                    *SITE_COLUMNS[:2],
                    column("From", DAY, "start"),
                    column("Last day", DAY, "last_day"),
                    column("PUE", RATIO, "pue_ppm"),
                    column("Source", TEXT, "pue_source"),
                ],
                snapshot["location_rates"],
            ),
        ],
    )


def _per_thousand(head: str, name: str) -> Column:
    """mWh or mg a token, which is Wh or g per 1,000 tokens."""
    return Column(
        head,
        SMALL,
        lambda row: ratio(row[name], row["tokens"]) if row.get("kind") == "inference" else None,
    )


def workload(snapshot: Snapshot) -> Sheet:
    total = total_of(snapshot)
    phase = named_column("Phase", TEXT, "kind", KIND)
    figures = [IT_COLUMN, OVERHEAD_COLUMN, FACILITY_COLUMN, *METHOD_COLUMNS.values(), *WORK_COLUMNS]
    return Sheet(
        "Workload kinds",
        [
            Table(
                "Kinds",
                "Electricity and emissions by phase of work",
                [
                    phase,
                    *figures,
                    share_column("Share of facility electricity, %", FACILITY, total),
                    *QUALITY_COLUMNS,
                    *PROVENANCE_COLUMNS,
                ],
                ranked(snapshot["by_kind"], "kind"),
                total,
                ["Overhead: facility minus IT electricity, carried by each phase in proportion to its IT electricity."],
            ),
            Table(
                "ModelKinds",
                "By AI model and phase of work, with the intensity of inference",
                [
                    *name_columns("AI model", "model"),
                    phase,
                    *figures,
                    _per_thousand("Electricity, Wh per 1,000 tokens", FACILITY),
                    *(
                        _per_thousand(f"{name}, g CO₂e per 1,000 tokens", f"{method}_mg")
                        for method, name in METHODS.items()
                    ),
                    *PROVENANCE_COLUMNS,
                ],
                ranked(snapshot["by_model_kind"], "model"),
                total,
                ["Intensity: facility electricity of inference that reports tokens, input and output together."],
            ),
            Table(
                "Weeks",
                "By week, counted from the first day of the quarter, and phase of work",
                [column("Week from", DAY, "week_start"), phase, *figures, *PROVENANCE_COLUMNS],
                snapshot["by_week_kind"],
                total,
            ),
            *accounting.work_tables(snapshot),
        ],
    )


def memo(snapshot: Snapshot) -> Sheet:
    cloud, unassigned = snapshot["scope_3"], snapshot["unassigned"]
    return Sheet(
        "Memo",
        [
            Table(
                "ScopeThree",
                "Public cloud, Scope 3 category 1: not part of any total in this document",
                [*SITE_COLUMNS[:3], IT_COLUMN, FACILITY_COLUMN, METHOD_COLUMNS["location"], *PROVENANCE_COLUMNS],
                ranked(cloud["by_site"], "site"),
                cloud["total"],
                ["A market-based figure is for the provider to give: its instruments are not known here."],
            ),
            Table(
                "Unassigned",
                "Readings that have no site yet: not part of any total in this document",
                [column("Source", TEXT, "source"), IT_COLUMN, column("Readings", COUNT, "readings")],
                ranked(unassigned["by_source"], "source", IT),
                unassigned["total"],
                ["Without a site there is no grid, no PUE and no emissions; they follow once the source is assigned."],
            ),
            *accounting.memo_tables(snapshot),
        ],
    )


def quality(snapshot: Snapshot) -> Sheet:
    total = total_of(snapshot)
    simulated, published = total["simulated_milliwatt_hours"], total["published_milliwatt_hours"]
    share = share_column("Share, %", FACILITY, total)
    origins = {
        "The organisation’s own telemetry": total[FACILITY] - simulated - published,
        "Simulated load, not a measurement": simulated,
        "Published runs of other organisations, as examples": published,
    }
    return Sheet(
        "Data quality",
        [
            Table(
                "Tiers",
                "How the electricity is known",
                [
                    column("Tier", TEXT, "tier"),
                    column("Method", TEXT, "method"),
                    column("What it means", TEXT, "meaning"),
                    FACILITY_COLUMN,
                    share,
                ],
                [
                    {
                        "tier": letter,
                        "method": name,
                        "meaning": meaning,
                        FACILITY: total[f"tier_{tier}_milliwatt_hours"],
                    }
                    for tier, (letter, name, meaning) in TIERS.items()
                ],
                {FACILITY: total[FACILITY]},
            ),
            Table(
                "Provenance",
                "Whose data it is",
                [column("Origin", TEXT, "name"), FACILITY_COLUMN, share],
                [{"name": name, FACILITY: value} for name, value in origins.items()],
                {FACILITY: total[FACILITY]},
            ),
            Table(
                "Published",
                "Published runs shown as examples, and who published them",
                [column("Run", TEXT, "name"), FACILITY_COLUMN, column("Source", TEXT, "citation")],
                snapshot["published"],
            ),
            Table(
                "Sources",
                "Coverage by source, silent ones and the least covered first",
                [
                    column("Source", TEXT, "source"),
                    Column("Site", TEXT, lambda one: one["site"] or "Unassigned"),
                    column("First reading, UTC", MOMENT, "first_reading"),
                    column("Last reading, UTC", MOMENT, "last_reading"),
                    column("Covered, h", HOURS, "covered_ms"),
                    column("Coverage, % of time expected", PERCENT, "coverage_ppm"),
                    Column("State", TEXT, lambda one: "Silent" if one["silent"] else ""),
                    column("Overlap, h", HOURS, "overlap_ms"),
                ],
                sorted(snapshot["sources"], key=lambda one: (not one["silent"], one["coverage_ppm"], one["source"])),
                notes=["Overlap: time that two readings of one source both cover. Their energy is counted as sent."],
            ),
        ],
    )
