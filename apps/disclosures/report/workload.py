"""Tables and figures on what the electricity was used for, on memo items and on the quality of the data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from apps.core import svg
from apps.core.figures import DASH, count, number
from apps.core.palette import ACCENT, KIND_GROUP, PALETTE
from apps.disclosures.report.electricity import ADDS_UP, FACILITY, IT, series
from apps.disclosures.report.numbers import ENERGY, MASS, long_date, ratio, share, short_date, unit_for
from apps.disclosures.report.parts import Column, Figures, Parts, Row, added, overhead, ranking

KIND = {
    "training": "Training",
    "fine_tuning": "Fine-tuning",
    "inference": "Inference",
    "evaluation": "Evaluation",
    "data": "Data preparation",
    "idle": "Idle",
    "other": "Other or not named",
}
TIERS = {
    "a": ("A", "Metered", "utility meter, PDU or board controller"),
    "b": ("B", "Measured", "counter of the device, such as NVML or RAPL"),
    "c": ("C", "Modelled", "from utilisation and a power model"),
    "d": ("D", "Estimated", "from run time and rated power, or a default"),
}
# From well known to hardly known, in one hue: none of the colours that mean something else.
TIER_COLOURS = {"a": (ACCENT, ""), "b": ("#4f9a98", ""), "c": ("#9cc7c4", "/"), "d": (PALETTE["missing"].light, "x")}


def workload(snapshot: Mapping[str, Any], parts: Parts) -> None:
    total = snapshot["totals"]["quarter"]["figures"]
    rows = snapshot["by_kind"]
    unit = unit_for([row[FACILITY] for row in rows], ENERGY)
    mass = unit_for([row[f"{m}_mg"] for row in rows for m in ("location", "market")], MASS)

    def cells(row: Figures) -> list[str]:
        return [
            unit.of(row[IT]),
            unit.of(overhead(row)),
            unit.of(row[FACILITY]),
            share(row[FACILITY], total[FACILITY]),
            mass.of(row["location_mg"]),
            mass.of(row["market_mg"]),
        ]

    parts.table(
        "kinds",
        "Electricity and emissions by phase of work",
        [
            Column("Phase", is_text=True),
            Column("IT", unit.name),
            Column("Overhead", unit.name),
            Column("Facility", unit.name),
            Column("Share", "%"),
            Column("Location-based", mass.name),
            Column("Market-based", mass.name),
        ],
        ranking(rows, lambda row: KIND[row["kind"]], cells, total=total),
        notes=[
            "Overhead: facility minus IT electricity, carried by each phase in proportion to its IT electricity.",
            ADDS_UP,
        ],
    )
    groups = {
        name: sum(row[IT] for row in rows if KIND_GROUP[row["kind"]] == name)
        for name in ("training", "inference", "other", "idle")
    }
    groups["overhead"] = overhead(total)
    if total[FACILITY]:
        parts.figure(
            "kinds",
            f"Training took {share(groups['training'], total[FACILITY], 0)} % of the electricity and inference"
            f" {share(groups['inference'], total[FACILITY], 0)} %, before overhead",
            svg.stacked_rows,
            ["Facility electricity"],
            [series(name, [value]) for name, value in groups.items() if value],
            [""],
            whole=True,
            description="Facility electricity cut into training, inference, other work, idle machines and overhead.",
        )
    _intensity(snapshot, parts)


def _intensity(snapshot: Mapping[str, Any], parts: Parts) -> None:
    if not snapshot["intensities"]:
        served = [row for row in snapshot["by_model_kind"] if row["kind"] == "inference" and row["tokens"]]
        _per_thousand_tokens(served, parts)
    _by_week(snapshot, parts)


def _per_thousand_tokens(served: list[Figures], parts: Parts) -> None:
    """What a document of the first format holds of the intensity of its models."""

    def cells(row: Figures) -> list[str]:
        def per_thousand(value: int | None) -> str:
            each = ratio(value, row["tokens"])
            return DASH if each is None else number(each, 4)

        return [
            number(Decimal(row["tokens"]) / 10**6, 1),
            per_thousand(row[FACILITY]),
            per_thousand(row["location_mg"]),
            per_thousand(row["market_mg"]),
        ]

    parts.table(
        "intensity",
        "Intensity of inference, per 1,000 tokens",
        [
            Column("AI model", is_text=True),
            Column("Tokens", "million"),
            Column("Electricity", "Wh per 1,000"),
            Column("Location-based", "g CO₂e per 1,000"),
            Column("Market-based", "g CO₂e per 1,000"),
        ],
        ranking(
            served,
            lambda row: row["model_name"] or "Not named",
            cells,
            total=added(served) if len(served) > 1 else None,
            top=12,
        ),
        notes=[
            "Boundary: facility electricity (IT × PUE) of readings of the phase inference that report tokens; Scope 2."
            " Hardware manufacture, networks outside the sites and users’ devices are not included.",
            "Tokens as the client counts them, input and output together unless it says otherwise.",
        ],
    )


def _by_week(snapshot: Mapping[str, Any], parts: Parts) -> None:
    weeks = sorted({row["week_start"] for row in snapshot["by_week_kind"]})
    weekly = {
        row["week_start"]: row for row in snapshot["by_week_kind"] if row["kind"] == "inference" and row["tokens"]
    }
    if len(weekly) > 1:
        lines = [
            series(m, [ratio(weekly[w][f"{m}_mg"], weekly[w]["tokens"]) if w in weekly else None for w in weeks])
            for m in ("location", "market")
        ]
        first, last = (
            ratio(weekly[week]["location_mg"], weekly[week]["tokens"]) for week in (min(weekly), max(weekly))
        )
        both = f"{number(first, 3)} g in the first week and {number(last, 3)} g in the last" if first and last else ""
        parts.figure(
            "intensity",
            f"1,000 tokens took {both}, location-based" if both else "Emissions of 1,000 tokens by week",
            svg.line,
            [f"{int(week[8:])} {long_date(week).split()[1][:3]}" for week in weeks],
            lines,
            unit="g CO₂e per 1,000 tokens",
            description="Scope 2 emissions of inference per 1,000 tokens by week, both methods.",
        )


def memo(snapshot: Mapping[str, Any], parts: Parts) -> None:
    cloud, unassigned = snapshot["scope_3"], snapshot["unassigned"]
    unit = unit_for([row[FACILITY] for row in cloud["by_site"]], ENERGY)
    mass = unit_for([row["location_mg"] for row in cloud["by_site"]], MASS)
    parts.table(
        "scope_3",
        "Public cloud, Scope 3 category 1: not part of any total in this document",
        [
            Column("Site", is_text=True),
            Column("IT", unit.name),
            Column("Facility", unit.name),
            Column("Location-based", mass.name),
        ],
        ranking(
            cloud["by_site"],
            lambda row: str(row["site_name"] or row["site"]),
            lambda row: [unit.of(row[IT]), unit.of(row[FACILITY]), mass.of(row["location_mg"])],
            total=cloud["total"],
            top=12,
        ),
        notes=["A market-based figure is for the provider to give: its instruments are not known here."],
    )
    energy = unit_for([row[IT] for row in unassigned["by_source"]], ENERGY)
    parts.table(
        "unassigned",
        "Readings that have no site yet: not part of any total in this document",
        [Column("Source", is_text=True), Column("IT", energy.name), Column("Readings")],
        ranking(
            unassigned["by_source"],
            lambda row: str(row["source"]),
            lambda row: [energy.of(row[IT]), count(row["readings"])],
            total=unassigned["total"],
            top=12,
        ),
        notes=["Without a site there is no grid, no PUE and no emissions; they follow once the source is assigned."],
    )


def _published(snapshot: Mapping[str, Any], parts: Parts) -> None:
    rows = snapshot["published"]
    unit = unit_for([row[FACILITY] for row in rows], ENERGY)
    parts.table(
        "published",
        "Published runs shown as examples, and who published them",
        [Column("Run", is_text=True), Column("Facility", unit.name), Column("Source", is_text=True)],
        [Row([row["name"], unit.of(row[FACILITY]), row["citation"] or DASH], marks="p") for row in rows],
        size="small",
    )


def quality(snapshot: Mapping[str, Any], parts: Parts) -> None:
    total = snapshot["totals"]["quarter"]["figures"]
    tiers = {tier: total[f"tier_{tier}_milliwatt_hours"] for tier in TIERS}
    unit = unit_for(tiers.values(), ENERGY)
    simulated, published = total["simulated_milliwatt_hours"], total["published_milliwatt_hours"]
    own = total[FACILITY] - simulated - published
    parts.table(
        "provenance",
        "Whose data it is",
        [Column("Origin", is_text=True), Column("Facility", unit.name), Column("Share", "%")],
        [
            Row([name, unit.of(value), share(value, total[FACILITY])], kind, mark if value else "")
            for name, value, kind, mark in (
                ("The organisation’s own telemetry", own, "", ""),
                ("Simulated load, not a measurement", simulated, "", "s"),
                ("Published runs of other organisations, as examples", published, "", "p"),
                ("Total", total[FACILITY], "total", ""),
            )
        ],
    )
    _published(snapshot, parts)
    parts.table(
        "tiers",
        "How the electricity is known",
        [
            Column("Tier", is_text=True),
            Column("Method", is_text=True),
            Column("What it means", is_text=True),
            Column("Facility", unit.name),
            Column("Share", "%"),
        ],
        [
            *(Row([*TIERS[t], unit.of(value), share(value, total[FACILITY])]) for t, value in tiers.items()),
            Row(["", "Total", "", unit.of(total[FACILITY]), share(total[FACILITY], total[FACILITY])], "total"),
        ],
    )
    if total[FACILITY]:
        drawn = [
            svg.Series(f"{TIERS[t][0]} {TIERS[t][1].lower()}", [float(value)], *TIER_COLOURS[t])
            for t, value in tiers.items()
            if value
        ]
        parts.figure(
            "tiers",
            f"{share(tiers['a'] + tiers['b'], total[FACILITY], 0)} % of the electricity was metered or measured",
            svg.stacked_rows,
            ["Facility electricity"],
            drawn,
            [""],
            whole=True,
            description="Facility electricity by quality tier.",
        )
    _coverage(snapshot, parts)


def _last_day(end: str) -> str:
    """The day on which an interval that ends then still lay: one that ends at midnight ended the day before."""
    return (datetime.fromisoformat(end) - timedelta(seconds=1)).isoformat()


def _coverage(snapshot: Mapping[str, Any], parts: Parts) -> None:
    ordered = sorted(snapshot["sources"], key=lambda one: (not one["silent"], one["coverage_ppm"], one["source"]))
    shown, rest = (ordered, []) if len(ordered) <= 26 else (ordered[:25], ordered[25:])
    rows = [
        Row(
            [
                one["source"],
                one["site"] or "Unassigned",
                short_date(one["first_reading"]),
                short_date(_last_day(one["last_reading"])),
                share(one["coverage_ppm"], 1_000_000),
                "Silent" if one["silent"] else "",
                number(Decimal(one["overlap_ms"]) / 3_600_000, 1) if one["overlap_ms"] else "",
            ]
        )
        for one in shown
    ]
    if rest:
        mean = sum(one["coverage_ppm"] for one in rest)
        rows.append(Row([f"Other ({len(rest)})", "", "", "", share(mean, len(rest) * 1_000_000), "", ""], "rest"))
    parts.table(
        "coverage",
        "Coverage by source, silent ones and the least covered first",
        [
            Column("Source", is_text=True),
            Column("Site", is_text=True),
            Column("First reading", is_text=True),
            Column("Last reading", is_text=True),
            Column("Coverage", "% of time expected"),
            Column("State", is_text=True),
            Column("Overlap", "h"),
        ],
        rows,
        size="small",
        notes=[
            "Overlap: time that two readings of one source both cover. Their energy is counted as sent.",
            "Other: mean of the sources that are not listed; none of them is silent."
            if rest and not any(one["silent"] for one in rest)
            else "",
        ],
    )
