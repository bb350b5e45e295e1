"""Tables and figures on energy: headline, boundary, electricity by site, factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from apps.core import svg
from apps.core.figures import DASH, count, number, pue
from apps.core.palette import ACCENT, KIND_GROUP, LABELS, PALETTE
from apps.disclosures.report.numbers import (
    ENERGY,
    MASS,
    change,
    factor,
    long_date,
    ratio,
    share,
    short_date,
    typographic,
    unit_for,
)
from apps.disclosures.report.parts import Column, Figures, Parts, Row, overhead, ranking

IT, FACILITY = "it_energy_milliwatt_hours", "facility_energy_milliwatt_hours"
CONTROL = {
    "owned": "Owned",
    "leased": "Leased, operational control",
    "colocation": "Colocation",
    "cloud": "Public cloud",
}
BOUNDARY = {"direct": "Direct", "life_cycle": "Life cycle"}
ADDS_UP = "Totals are made of the unrounded figures, so that rounded rows may differ from them in the last digit."


def series(meaning: str, values: Sequence[Any], name: str = "") -> svg.Series:
    """A series in the portal's colour and hatching for a meaning."""
    numbers = [None if value is None else float(value) for value in values]
    return svg.Series(name or LABELS[meaning], numbers, PALETTE[meaning].light, PALETTE[meaning].pattern)


def headline(snapshot: Mapping[str, Any], parts: Parts) -> None:
    totals = snapshot["totals"]
    names = [name for name in ("quarter", "previous", "year_ago", "year_to_date") if name in totals]
    columns = [totals[name]["figures"] for name in names]
    heads = {"quarter": "This quarter", "previous": "Previous quarter", "year_ago": "Same quarter last year"}
    now, before = totals["quarter"]["figures"], totals["previous"]["figures"]

    def row(label: str, field: str, ladder: Any) -> Row:
        values = [None if figures is None else figures[field] for figures in columns]
        unit = unit_for(values, ladder)
        return Row([label, unit.name, *map(unit.of, values), change(now[field], before[field] if before else None)])

    masses = [figures[field] for figures in columns if figures for field in ("location_mg", "market_mg")]
    both = ((unit_for(masses, MASS), 0),) * 2
    notes = [f"{DASH}: no readings in that period."] if None in columns else []
    parts.table(
        "headline",
        "Electricity and Scope 2 emissions of AI workloads",
        [
            Column("", is_text=True),
            Column("Unit", is_text=True),
            *(Column(heads.get(name, "Year to date"), totals[name]["label"]) for name in names),
            Column("Change on previous quarter"),
        ],
        [
            row("Electricity of the IT equipment", IT, ENERGY),
            row("Electricity of the facilities (IT × PUE)", FACILITY, ENERGY),
            row("Scope 2 emissions, location-based", "location_mg", both),
            row("Scope 2 emissions, market-based", "market_mg", both),
        ],
        notes=[*notes, "The two methods answer different questions and are never added, netted or averaged."],
    )
    shown = [
        (totals[name]["label"], totals[name]["figures"]) for name in reversed(names[:3]) if totals[name]["figures"]
    ]
    unit = both[0][0]
    pair = [series(m, [f[f"{m}_mg"] for _, f in shown]) for m in ("location", "market")]
    parts.figure(
        "headline",
        f"This quarter: {unit.of(now['location_mg'])} {unit.name} location-based,"
        f" {unit.of(now['market_mg'])} {unit.name} market-based",
        svg.paired_bars,
        [label for label, _ in shown],
        (pair[0], pair[1]),
        tuple([f"{unit.of(f[f'{m}_mg'])} {unit.name}" for _, f in shown] for m in ("location", "market")),
        description="Scope 2 emissions by quarter, both methods on one axis. The figures stand in the table above.",
    )


def boundary(snapshot: Mapping[str, Any], parts: Parts) -> None:
    parts.table(
        "boundary",
        "Sites, their control class and what follows from it",
        [
            Column(head, is_text=True)
            for head in ("Site", "Code", "Country", "Control class", "Grid zone", "Market", "Reported in")
        ],
        [
            Row(
                [
                    site["name"],
                    site["code"],
                    site["country"],
                    CONTROL[site["control"]],
                    site["grid_zone"],
                    site["market"],
                    "Scope 3, category 1 (memo)" if site["control"] == "cloud" else "Scope 2",
                ]
            )
            for site in snapshot["sites"]
        ],
        size="small",
    )
    for name, values in snapshot["method"]["gwp_sets"].items():
        parts.table(
            f"gwp_{name}",
            f"Global warming potentials of the set {name}, over 100 years",
            [Column("Gas", is_text=True), Column("GWP", "kg CO₂e per kg")],
            [Row([typographic(gas), value]) for gas, value in values],
            size="narrow",
        )
    total = snapshot["totals"]["quarter"]["figures"]
    unassigned, cloud = snapshot["unassigned"]["total"], snapshot["scope_3"]["total"]
    silent = sum(source["silent"] for source in snapshot["sources"])
    energies = [unassigned and unassigned[FACILITY], total["without_factor_milliwatt_hours"], cloud and cloud[FACILITY]]
    unit = unit_for(energies, ENERGY)

    def left_out(name: str, value: int | None, reason: str) -> Row:
        return Row([name, unit.of(value or 0), share(value or 0, total[FACILITY]), reason])

    def unknown(name: str, number_of: int, reason: str) -> Row:
        return Row([f"{name}: {count(number_of)}", DASH, DASH, reason])

    parts.table(
        "exclusions",
        "What the Scope 2 totals leave out, and its size",
        [
            Column("Left out", is_text=True),
            Column("Electricity", unit.name),
            Column("Against Scope\u00a02", "%"),
            Column("Reason", is_text=True),
        ],
        [
            left_out("Readings with no site", energies[0], "No site, so no grid and no PUE; shown in section 9"),
            left_out("Zones without a factor", energies[1], "Its energy is in the totals; its emissions are absent"),
            left_out("Public cloud", energies[2], "Scope 3, category 1; shown in section 9, never added"),
            unknown(
                "Hours not settled",
                snapshot["ledger"]["pending_hours"],
                "Readings that came shortly before the cut-off",
            ),
            unknown(
                "Silent sources",
                silent,
                "What they used after their last reading; only a recorded decision fills it in",
            ),
        ],
    )


def sites(snapshot: Mapping[str, Any], parts: Parts) -> None:
    rows, total = snapshot["by_site"], snapshot["totals"]["quarter"]["figures"]
    unit = unit_for([row[FACILITY] for row in rows], ENERGY)
    coverage: dict[str, list[int]] = {}
    for source in snapshot["sources"]:
        coverage.setdefault(source["site"] or "", []).append(min(source["coverage_ppm"], 1_000_000))

    def cells(row: Figures) -> list[str]:
        covered = (
            coverage.get(row.get("site", ""), []) if "site" in row else [c for cs in coverage.values() for c in cs]
        )
        mean = DASH if not covered else share(sum(covered), len(covered) * 1_000_000)
        ratio_of = ratio(row[FACILITY], row[IT])
        return [
            unit.of(row[IT]),
            DASH if ratio_of is None else number(ratio_of, 3),
            unit.of(row[FACILITY]),
            unit.of(overhead(row)),
            share(row[FACILITY], total[FACILITY]),
            mean,
            row.get("quality") or DASH,
        ]

    parts.table(
        "sites",
        "Electricity by site",
        [
            Column("Site", is_text=True),
            Column("IT", unit.name),
            Column("PUE", "mean"),
            Column("Facility", unit.name),
            Column("Overhead", unit.name),
            Column("Share", "%"),
            Column("Coverage", "%"),
            Column("Quality"),
        ],
        ranking(rows, lambda row: row["site_name"] or row["site"], cells, total=total),
        notes=[
            "PUE: facility electricity divided by IT electricity over the quarter.",
            "Coverage: mean over the site’s sources of the time covered by readings, out of the time in which they were"
            " expected.",
            "Quality: the weakest tier that makes up 5 % or more of the energy; see section 10.",
            ADDS_UP,
        ],
    )
    _pue(snapshot, parts)
    ordered = sorted(rows, key=lambda row: -row[FACILITY])
    if ordered and total[FACILITY]:
        first = ordered[0]
        parts.figure(
            "sites",
            f"{first['site_name']} used {share(first[FACILITY], total[FACILITY], 0)} % of the electricity;"
            f" overhead was {share(overhead(total), total[FACILITY], 0)} % of the whole",
            svg.stacked_rows,
            [row["site_name"] for row in ordered[:12]],
            [
                svg.Series("IT equipment", [float(row[IT]) for row in ordered[:12]], ACCENT),
                series("overhead", [overhead(row) for row in ordered[:12]], "Overhead"),
            ],
            [f"{unit.of(row[FACILITY])} {unit.name}" for row in ordered[:12]],
            description="Facility electricity of each site, cut into IT equipment and overhead.",
        )
    _weeks(snapshot, parts)


def _pue(snapshot: Mapping[str, Any], parts: Parts) -> None:
    parts.table(
        "pue",
        "Power usage effectiveness applied, and where it comes from",
        [
            Column("Site", is_text=True),
            Column("From", is_text=True),
            Column("Until", is_text=True),
            Column("PUE"),
            Column("Source", is_text=True),
        ],
        [
            Row(
                [
                    rate["site_name"],
                    short_date(rate["start"]),
                    short_date(rate["last_day"]),
                    pue(rate["pue_ppm"]),
                    rate["pue_source"],
                ]
            )
            for rate in snapshot["location_rates"]
        ],
    )


def _weeks(snapshot: Mapping[str, Any], parts: Parts) -> None:
    weeks = sorted({row["week_start"] for row in snapshot["by_week_kind"]})
    if not weeks:
        return
    unit = unit_for([sum(r[FACILITY] for r in snapshot["by_week_kind"] if r["week_start"] == w) for w in weeks], ENERGY)
    groups = ("training", "inference", "other", "idle")
    heights: dict[str, list[int]] = {name: [0] * len(weeks) for name in (*groups, "overhead")}
    for row in snapshot["by_week_kind"]:
        week = weeks.index(row["week_start"])
        heights[KIND_GROUP[row["kind"]]][week] += row[IT]
        heights["overhead"][week] += overhead(row)
    used = {name: values for name, values in heights.items() if any(values)}
    most = max(weeks, key=lambda week: sum(values[weeks.index(week)] for values in used.values()))
    parts.figure(
        "weeks",
        f"Most electricity was used in the week from {long_date(most)}",
        svg.stacked_columns,
        [f"{int(week[8:])} {long_date(week).split()[1][:3]}" for week in weeks],
        [series(name, [Decimal(value) / unit.size for value in values]) for name, values in used.items()],
        unit=f"{unit.name} a week",
        description="Facility electricity by week of the quarter, stacked by phase of work and overhead.",
        notes=[
            "Weeks count from the first day of the quarter; the last one is shorter. Training includes fine-tuning."
        ],
    )


def _reasons(rate: Mapping[str, Any]) -> list[str]:
    """Why this factor, without the sentence that only repeats which one it is: the row says that."""
    chosen = rate["factor"]
    name = f"{chosen['publisher']} ({chosen['edition']})" if chosen else None
    return [typographic(text) for text in rate["reasons"] if name is None or not text.startswith(f"{name}, ")]


def factors(snapshot: Mapping[str, Any], parts: Parts) -> None:
    rates = snapshot["location_rates"]
    notes: list[str] = []
    for rate in rates:
        notes += [text for text in _reasons(rate) if text not in notes]
    letters = {text: chr(ord("a") + i % 26) for i, text in enumerate(notes)}
    rows = []
    for rate in rates:
        chosen = rate["factor"]
        rows.append(
            Row(
                [
                    rate["site_name"],
                    chosen["zone"] if chosen else rate["grid_zone"],
                    factor(rate["factor_ug_per_kwh"]),
                    str(chosen["data_year"]) if chosen else DASH,
                    f"{chosen['publisher']}, {chosen['edition']}" if chosen else "No factor known",
                    BOUNDARY[chosen["boundary"]] if chosen else DASH,
                    rate["gwp_set"] or DASH,
                    " ".join(letters[text] for text in _reasons(rate)),
                ]
            )
        )
    parts.table(
        "location_factors",
        "Location-based factors in force",
        [
            Column("Site", is_text=True),
            Column("Zone", is_text=True),
            Column("Factor", "kg CO₂e/MWh"),
            Column("Data year"),
            Column("Publisher and edition", is_text=True),
            Column("Boundary", is_text=True),
            Column("GWP", is_text=True),
            Column("Note", is_text=True),
        ],
        rows,
        size="small",
        notes=[f"{letter}: {text}." for text, letter in letters.items()],
    )
    datasets: dict[tuple[str, str], dict[str, Any]] = {}
    for chosen in [rate["factor"] for rate in rates] + [rate["fallback_factor"] for rate in snapshot["market_rates"]]:
        if chosen:
            datasets.setdefault((chosen["dataset"], chosen["edition"]), chosen)
    parts.table(
        "datasets",
        "Datasets the factors come from",
        [Column(h, is_text=True) for h in ("Publisher, title and edition", "Boundary", "Basis", "Licence", "Address")],
        [
            Row(
                [
                    typographic(f"{one['publisher']}: {one['title']} ({one['edition']})"),
                    BOUNDARY[one["boundary"]],
                    typographic(one["basis"]) or DASH,
                    one["licence"],
                    one["source_url"] or DASH,
                ]
            )
            for _, one in sorted(datasets.items())
        ],
        size="small",
    )
