"""Tables and figures on emissions: location-based, market-based, both side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from apps.core import svg
from apps.core.figures import DASH
from apps.core.palette import ACCENT
from apps.disclosures.report.electricity import ADDS_UP, FACILITY, series
from apps.disclosures.report.numbers import ENERGY, MASS, factor, mean_factor, share, short_date, unit_for
from apps.disclosures.report.parts import Column, Figures, Parts, Row, added, ranking

METHODS = {"location": "Location-based", "market": "Market-based"}
INSTRUMENT = {
    "eac": "Certificate",
    "ppa": "Power purchase agreement",
    "supplier": "Supplier rate",
}
WORDS = {"site": "country and site", "team": "team", "model": "AI model"}
SHARES = (
    ("team", "by_team", "Team", "team_name"),
    ("model", "by_model", "AI model", "model_name"),
)


def _breakdown(
    snapshot: Mapping[str, Any],
    parts: Parts,
    method: str,
    key: str,
    rows: list[Figures],
    head: str,
    name_of: Callable[[Figures], str],
    is_unassigned: Callable[[Figures], bool],
) -> None:
    """Energy, emissions by one method, their share and the mean factor, for any grouping."""
    total = snapshot["totals"]["quarter"]["figures"]
    energy = unit_for([row[FACILITY] for row in rows], ENERGY)
    mass = unit_for([row[f"{m}_mg"] for row in rows for m in METHODS], MASS)
    field = f"{method}_mg"

    def cells(row: Figures) -> list[str]:
        return [
            *([row.get("country", "")] if key == "site" else []),
            energy.of(row[FACILITY]),
            mass.of(row[field]),
            share(row[field], total[field]),
            mean_factor(row[field], row[FACILITY]),
        ]

    absent = any(row[field] is None for row in rows)
    parts.table(
        f"{method}_{key}",
        f"{METHODS[method]} emissions by {WORDS[key]}",
        [
            Column(head, is_text=True),
            *([Column("Country", is_text=True)] if key == "site" else []),
            Column("Facility electricity", energy.name),
            Column(METHODS[method], mass.name),
            Column("Share", "%"),
            Column("Mean factor", "kg CO₂e/MWh"),
        ],
        ranking(rows, name_of, cells, is_unassigned=is_unassigned, by=field, total=total),
        notes=[ADDS_UP] + ([f"{DASH}: no factor is known for the zone; see section 4."] if absent else []),
    )


def by_method(snapshot: Mapping[str, Any], parts: Parts, method: str) -> None:
    """The tables of one method: by country and site, by team, by AI model."""
    _breakdown(
        snapshot,
        parts,
        method,
        "site",
        snapshot["by_site"],
        "Site",
        lambda row: str(row["site_name"] or row["site"]),
        lambda row: False,
    )
    for key, source, head, name in SHARES:
        _breakdown(
            snapshot,
            parts,
            method,
            key,
            snapshot[source],
            head,
            lambda row, name=name, key=key: str(row[name] or row[key]),  # type: ignore[misc]
            lambda row, key=key: row[key] is None,  # type: ignore[misc]
        )


def side_by_side(snapshot: Mapping[str, Any], parts: Parts) -> None:
    """Both methods on one axis, by team and by AI model."""
    total = snapshot["totals"]["quarter"]["figures"]
    for key, source, _, name in SHARES:
        named = sorted(
            (row for row in snapshot[source] if row[key] is not None),
            key=lambda row: (-(row["location_mg"] or 0), str(row[name])),
        )
        shown, rest = (named, []) if len(named) <= 9 else (named[:8], named[8:])
        drawn = [(str(row[name] or row[key]), row) for row in shown]
        if rest:
            drawn.append((f"Other ({len(rest)})", added(rest)))
        if unassigned := [row for row in snapshot[source] if row[key] is None]:
            drawn.append(("Unassigned", added(unassigned)))
        if not drawn or not total["location_mg"]:
            continue
        mass = unit_for([row[f"{m}_mg"] for _, row in drawn for m in METHODS], MASS)
        first = drawn[0]
        pair = [series(m, [row[f"{m}_mg"] for _, row in drawn]) for m in METHODS]
        parts.figure(
            f"both_{key}",
            f"{first[0]} caused {share(first[1]['location_mg'], total['location_mg'], 0)} % of the location-based and"
            f" {share(first[1]['market_mg'], total['market_mg'], 0)} % of the market-based emissions",
            svg.paired_bars,
            [label for label, _ in drawn],
            (pair[0], pair[1]),
            tuple([f"{mass.of(row[f'{m}_mg'])} {mass.name}" for _, row in drawn] for m in METHODS),
            description=f"Scope 2 emissions by {WORDS[key]}, both methods on one axis, the largest first.",
        )


def markets(snapshot: Mapping[str, Any], parts: Parts) -> None:
    rates = snapshot["market_rates"]
    yearly = snapshot["organisation"]["claim_period"] == "year"
    energy = unit_for([rate[FACILITY] for rate in rates], ENERGY)
    mass = unit_for([rate["market_mg"] for rate in rates], MASS)
    total = {
        name: sum(rate[name] for rate in rates)
        for name in (
            FACILITY,
            "covered_milliwatt_hours",
            "uncovered_milliwatt_hours",
            "surplus_milliwatt_hours",
            "instruments_mg",
            "market_mg",
        )
    }

    def row(name: str, rate: Mapping[str, Any], fallback: str, kind: str = "") -> Row:
        return Row(
            [
                name,
                energy.of(rate[FACILITY]),
                energy.of(rate["covered_milliwatt_hours"]),
                energy.of(rate["uncovered_milliwatt_hours"]),
                share(rate["uncovered_milliwatt_hours"], rate[FACILITY]),
                fallback,
                mass.of(rate["market_mg"]),
                energy.of(rate["surplus_milliwatt_hours"]),
            ],
            kind,
        )

    def fallback(rate: Mapping[str, Any]) -> str:
        if not rate["uncovered_milliwatt_hours"]:
            return "not needed"
        if rate["fallback"] == "location":
            return "grid average"
        chosen = rate["fallback_factor"]
        year = f", {chosen['data_year']}" if chosen else ""
        return f"residual mix {factor(rate['fallback_ug_per_kwh'])}{year}"

    rows = [row(rate["market"], rate, fallback(rate)) for rate in rates]
    parts.table(
        "markets",
        "Market-based result by market",
        [
            Column("Market", is_text=True),
            Column("Facility", energy.name),
            Column("Covered", energy.name),
            Column("Uncovered", energy.name),
            Column("Uncovered", "%"),
            Column("Factor of the uncovered part", "kg CO₂e/MWh, data year", is_text=True),
            Column("Market-based", mass.name),
            Column("Surplus", energy.name),
        ],
        rows + ([row("Total", total, "", "total")] if len(rows) > 1 else []),
        size="small",
        notes=[
            "Covered: by instruments that meet the quality criteria, up to what the market’s sites used.",
            "The claim period is the calendar year: this table covers the year and not the quarter alone."
            if yearly
            else "",
            "Surplus is disclosed and lapses: it moves to no other market or period and never makes a figure negative.",
            "Grid average: no residual mix is known for the market, so the location-based factor stands in; what others"
            " claimed may then be counted twice (criterion 8)."
            if any(rate["fallback"] == "location" and rate["uncovered_milliwatt_hours"] for rate in rates)
            else "",
        ],
    )
    if rates and total[FACILITY]:
        covered = [float(rate["covered_milliwatt_hours"]) for rate in rates]
        by_fallback = {
            name: [rate["uncovered_milliwatt_hours"] if rate["fallback"] == name else 0 for rate in rates]
            for name in ("residual", "location")
        }
        drawn = [
            svg.Series("Covered by instruments", covered, ACCENT),
            series("market", by_fallback["residual"], "Residual mix"),
            series("location", by_fallback["location"], "Grid average"),
        ]
        parts.figure(
            "markets",
            f"Instruments covered {share(total['covered_milliwatt_hours'], total[FACILITY], 0)} % of the"
            f" {'year’s ' if yearly else ''}electricity",
            svg.stacked_rows,
            [rate["market"] for rate in rates],
            [one for one in drawn if any(one.values)],
            [f"{energy.of(rate[FACILITY])} {energy.name}" for rate in rates],
            description="Facility electricity of each market by what its market-based figure rests on.",
        )
    _instruments(rates, parts)


def _instruments(rates: list[dict[str, Any]], parts: Parts) -> None:
    lots = [(rate["market"], lot) for rate in rates for lot in rate["instruments"]]
    unit = unit_for([lot["volume_milliwatt_hours"] for _, lot in lots], ENERGY)

    def serials(lot: Mapping[str, Any]) -> str:
        numbers = " to ".join(filter(None, (lot["serial_start"], lot["serial_end"])))
        retired = f"retired {short_date(lot['retired_on'])}" if lot["retired_on"] else "not retired"
        return ", ".join(filter(None, (lot["tracking_system"], numbers, retired)))

    parts.table(
        "instruments",
        "Instruments applied",
        [
            Column("Lot", is_text=True),
            Column("Market", is_text=True),
            Column("Type and technology", is_text=True),
            Column("Vintage", is_text=True),
            Column("Volume", unit.name),
            Column("Applied", unit.name),
            Column("Factor", "kg CO₂e/MWh"),
            Column("Registry and serial numbers", is_text=True),
        ],
        [
            Row(
                [
                    lot["reference"],
                    market,
                    f"{INSTRUMENT[lot['type']]}{', ' + lot['technology'] if lot['technology'] else ''}",
                    f"{short_date(lot['vintage_start'])} to {short_date(lot['vintage_last_day'])}",
                    unit.of(lot["volume_milliwatt_hours"]),
                    unit.of(lot["applied_milliwatt_hours"]),
                    factor(lot["ug_per_kwh"]),
                    serials(lot),
                ],
                marks="e" if lot["simulated"] else "",
            )
            for market, lot in lots
            if not lot["failed"]
        ],
        size="small",
    )
    parts.table(
        "failing",
        "Instruments not applied, and the criterion they fail",
        [
            Column("Lot", is_text=True),
            Column("Market", is_text=True),
            Column("Type", is_text=True),
            Column("Volume", unit.name),
            Column("Quality criterion of the Scope 2 Guidance, table 7.1", is_text=True),
        ],
        [
            Row(
                [
                    lot["reference"],
                    market,
                    INSTRUMENT[lot["type"]],
                    unit.of(lot["volume_milliwatt_hours"]),
                    "; ".join(lot["failed"]),
                ],
                marks="e" if lot["simulated"] else "",
            )
            for market, lot in lots
            if lot["failed"] and not lot["criteria"]
        ],
        size="small",
    )
