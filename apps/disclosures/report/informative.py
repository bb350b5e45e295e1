"""Tables and figures on what is in no Scope 2 total: hourly what-if, Scope 3 memo, data-centre indicators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from apps.core import svg
from apps.core.figures import DASH, count, mass, number
from apps.core.palette import PALETTE
from apps.disclosures.report.numbers import ENERGY, MASS, Unit, share, typographic, unit_for
from apps.disclosures.report.parts import Column, Figures, Parts, Row

HOUR_MS = 3_600_000
FALLBACKS = {
    "hourly_residual": "hourly residual mix",
    "residual": "annual residual mix",
    "fossil": "fossil average of the market",
    "default": "conservative fossil default",
}
SPLIT = (
    ("matched", "Matched in the hour", "inference"),
    ("standard_supply", "Standard supply", "other"),
    ("unmatched", "Not matched", "missing"),
)
KNOWN_FOR = " known for "
PARTS_OF_3 = {"upstream": "Upstream of purchased electricity", "losses": "Transmission and distribution losses"}


def hourly(snapshot: Mapping[str, Any], parts: Parts) -> None:
    """Each market's hours in sum, and the figure by the draft beside the reported one."""
    rows, total = snapshot["hourly"]["markets"], snapshot["hourly"]["total"]
    rows = [row for row in rows if row["load_milliwatt_hours"] or row["surplus_milliwatt_hours"]]
    if not rows:
        return
    energy = unit_for([row["load_milliwatt_hours"] for row in rows], ENERGY)
    unit = unit_for([row[f"{name}_market_mg"] for row in rows for name in ("draft", "reported")], MASS)

    def cells(name: str, row: Figures, kind: str = "") -> Row:
        return Row(
            [
                name,
                *(
                    energy.of(row[f"{each}_milliwatt_hours"])
                    for each in ("load", "matched", "standard_supply", "unmatched", "surplus")
                ),
                share(row["matched_milliwatt_hours"], row["load_milliwatt_hours"]),
                share(row["carbon_free_milliwatt_hours"], row["cfe_load_milliwatt_hours"]),
                unit.of(row["reported_market_mg"]),
                unit.of(row["draft_market_mg"]),
            ],
            kind,
        )

    levels = {level for row in rows for level in row["unmatched_by_fallback"]}
    body = [cells(row["market"], row) for row in rows]
    parts.table(
        "hourly",
        "Hourly matching by market (informative)",
        [
            Column("Market", is_text=True),
            *(Column(head, energy.name) for head in ("Load", "Matched", "Standard supply", "Not matched", "Surplus")),
            Column("Contracted match", "%"),
            Column("24/7 score", "%"),
            Column("Reported", unit.name),
            Column("What-if", unit.name),
        ],
        [*body, cells("Total", total, "total")] if len(rows) > 1 else body,
        size="small",
        notes=[
            "Contracted match: matched / load. 24/7 score: carbon-free electricity / load of the hours in which the"
            f" grid’s carbon-free share is known; {DASH} where it never is. Both are ratios of sums over all hours.",
            "Surplus: generated in hours with less load; it moves to no other hour.",
            "Not matched took: " + ", ".join(FALLBACKS[level] for level in FALLBACKS if level in levels) + "."
            if levels
            else "",
        ],
    )
    parts.figure(
        "hourly",
        f"Hour by hour, instruments match"
        f" {share(total['matched_milliwatt_hours'], total['load_milliwatt_hours'], 0)} % of the load",
        svg.stacked_rows,
        [row["market"] for row in rows],
        [
            svg.Series(
                words,
                [float(row[f"{name}_milliwatt_hours"]) for row in rows],
                PALETTE[meaning].light,
                PALETTE[meaning].pattern,
            )
            for name, words, meaning in SPLIT
            if any(row[f"{name}_milliwatt_hours"] for row in rows)
        ],
        [f"{energy.of(row['load_milliwatt_hours'])} {energy.name}" for row in rows],
        description="Load of each market by what covers it in the same hour. Informative.",
    )


def memo(snapshot: Mapping[str, Any], parts: Parts) -> None:
    """Scope 3 categories 2 and 3, each by itself; what has no figure says why."""
    rows = snapshot["scope_3_memo"]["rows"]
    hardware = [row for row in rows if row["part"] == "embodied"]
    unit = unit_for([row["mg"] for row in hardware], MASS)
    known = [row for row in hardware if row["mg"] is not None]
    lifetime = snapshot["scope_3_memo"]["lifetime_years"]
    parts.table(
        "embodied",
        "Scope 3 category 2: hardware in use, in no total",
        [
            Column("Hardware", is_text=True),
            Column("Accelerator-hours"),
            Column("Emissions", unit.name),
            Column("Working and source", is_text=True),
        ],
        [
            Row(
                [
                    row["hardware"],
                    count((row["accelerator_ms"] + HOUR_MS // 2) // HOUR_MS),
                    unit.of(row["mg"]),
                    "; ".join(filter(None, (row["working"], row["factor"]))),
                ]
            )
            for row in known
        ],
        size="small",
        notes=[
            f"A share of a life of {lifetime} years, an assumption; category 2 is booked in the year of purchase.",
            *_absent(hardware),
        ],
    )
    energy_related = [row for row in rows if row["part"] in PARTS_OF_3]
    unit = unit_for([row["mg"] for row in energy_related], MASS)
    energy = unit_for([row["energy_milliwatt_hours"] for row in energy_related], ENERGY)
    parts.table(
        "category_3",
        "Scope 3 category 3: upstream and line losses, in no total",
        [
            Column("What", is_text=True),
            Column("Site", is_text=True),
            Column("Electricity", energy.name),
            Column("Emissions", unit.name),
            Column("Factor", is_text=True),
        ],
        [
            Row(
                [
                    PARTS_OF_3[row["part"]],
                    row["site_name"] or DASH,
                    energy.of(row["energy_milliwatt_hours"]),
                    unit.of(row["mg"]),
                    row["factor"],
                ]
            )
            for row in energy_related
            if row["mg"] is not None
        ],
        size="small",
        notes=_absent(energy_related),
    )


def reasons(rows: Sequence[Figures]) -> list[str]:
    """Why figures are absent, each reason once: ``no upstream factor known for DE, SE``."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row["mg"] is None:
            why, known, what = row["note"].partition(KNOWN_FOR)
            found.setdefault(why + known, []).append(what)
    return [why + ", ".join(dict.fromkeys(whats)) for why, whats in found.items()]


def _absent(rows: Sequence[Figures]) -> list[str]:
    found = reasons(rows)
    return [f"Absent, which is not zero: {'; '.join(found)}."] if found else []


def indicators(snapshot: Mapping[str, Any], parts: Parts) -> None:
    """PUE, WUE, REF, ERF and CUE with their terms; those without a value are named with the reason."""
    found = snapshot["indicators"]
    groups = [(each["site_name"], each["results"]) for each in found["by_site"]]
    if len(groups) > 1:
        groups.append(("All sites", found["total"]))
    rows: list[Row] = []
    for name, results in groups:
        shown = [one for one in results if one["value_ppm"] is not None or one["error"]]
        for position, one in enumerate(shown):
            kind = "group" if position == 0 and rows else ""
            rows.append(Row([name if position == 0 else "", *_indicator(one, found["days"])], kind))
    parts.table(
        "indicators",
        "Data-centre indicators and their terms",
        [
            Column("Site", is_text=True),
            Column("Indicator", is_text=True),
            Column("Numerator"),
            Column("Denominator"),
            Column("Value"),
            Column("Unit", is_text=True),
            Column("Days"),
            Column("Rests on", is_text=True),
        ],
        rows,
        size="small",
        notes=[
            "Each is a ratio of sums over the days on which both terms are known, of all sites together too.",
            "Clauses: " + typographic("; ".join(dict.fromkeys(_clause(one) for one in found["total"]))) + ".",
        ],
    )


def _clause(one: Figures) -> str:
    return f"{one['label'].split(',')[0]} {one['clause']}"


def _term(value: int | None, what: str) -> str:
    if value is None:
        return DASH
    if what.lower().startswith("water"):
        return f"{number(Decimal(value) / 10**6, 1)}\u202fm³"
    if "emissions" in what.lower():
        return f"{mass(value)}"
    unit: Unit = unit_for([value], ENERGY)
    return f"{unit.of(value, 1)}\u202f{unit.name}"


def _indicator(one: Figures, days: int) -> list[str]:
    decimals = 2 if one["key"] in ("pue", "wue") else 3
    value = DASH if one["value_ppm"] is None else number(Decimal(one["value_ppm"]).scaleb(-6), decimals)
    rests = f"IT {one['it_from']}" if one["it_from"] else one["numerator_from"]
    words = one["why"] if one["error"] else rests + (", capped at 1" if one["capped"] else "")
    return [
        one["label"],
        _term(one["numerator"], one["numerator_is"]),
        _term(one["denominator"], one["denominator_is"]),
        value,
        one["unit"],
        count(one["days"]) if one["days"] < days else "all",
        ("Data error: " if one["error"] else "") + words,
    ]


def missing_indicators(snapshot: Mapping[str, Any]) -> str:
    """Which indicators no site has, in words; empty where each has a value."""
    absent = [one for one in snapshot["indicators"]["total"] if one["value_ppm"] is None]
    return ", ".join(one["label"] for one in absent)
