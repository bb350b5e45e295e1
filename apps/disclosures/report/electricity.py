"""Tables and figures on energy: headline, boundary, sites, factors, phases of work, data quality."""

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
    unit_for,
)
from apps.disclosures.report.parts import Column, Figures, Parts, Row, added, marks_of, overhead, ranking

IT, FACILITY = "it_energy_milliwatt_hours", "facility_energy_milliwatt_hours"
CONTROL = {
    "owned": "Owned",
    "leased": "Leased, operational control",
    "colocation": "Colocation",
    "cloud": "Public cloud",
}
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
            Column("Change", "on the previous quarter"),
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
            [
                Row([gas.replace("CO2", "CO₂").replace("CH4", "CH₄").replace("N2O", "N₂O"), value])
                for gas, value in values
            ],
            size="narrow",
        )
    total = snapshot["totals"]["quarter"]["figures"]
    unassigned, cloud = snapshot["unassigned"]["total"], snapshot["scope_3"]["total"]
    silent = sum(source["silent"] for source in snapshot["sources"])
    energies = [unassigned and unassigned[FACILITY], total["without_factor_milliwatt_hours"], cloud and cloud[FACILITY]]
    unit = unit_for(energies, ENERGY)

    def size(value: int | None) -> list[str]:
        return [unit.of(value or 0), share(value or 0, total[FACILITY])]

    parts.table(
        "exclusions",
        "What the Scope 2 totals leave out, and its size",
        [
            Column("Left out", is_text=True),
            Column("Electricity", unit.name),
            Column("Against Scope 2", "%"),
            Column("Reason", is_text=True),
        ],
        [
            Row(["Readings with no site (unassigned)", *size(energies[0]), "No site, so no grid and no PUE; kept and shown in section 8"]),
            Row(["Energy of sites whose zone has no factor", *size(energies[1]), "Its energy is in the totals, its emissions are absent and not zero"]),
            Row(["Public cloud", *size(energies[2]), "Scope 3, category 1; shown in section 8, never added"]),
            Row([f"Hours not yet settled: {count(snapshot['ledger']['pending_hours'])}", DASH, DASH, "Readings that arrived shortly before the cut-off"]),
            Row([f"Silent sources: {count(silent)}", DASH, DASH, "What they used after their last reading is not known; nothing is filled in"]),
        ],
    )  # fmt: skip


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
            "PUE mean: facility electricity divided by IT electricity; readings of the whole facility carry no PUE a second time.",
            "Coverage: mean over the site's sources of the part of the quarter that their readings cover.",
            "Quality: the weakest tier that makes up 5 % or more of the energy; see section 9.",
            ADDS_UP,
        ],
    )
    parts.table(
        "pue",
        "Power usage effectiveness applied, and where it comes from",
        [Column("Site", is_text=True), Column("From", is_text=True), Column("Until", is_text=True), Column("PUE"), Column("Source", is_text=True)],
        [
            Row([rate["site_name"], short_date(rate["start"]), short_date(rate["last_day"]), pue(rate["pue_ppm"]), rate["pue_source"]])
            for rate in snapshot["location_rates"]
        ],
    )  # fmt: skip
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
            "Weeks are counted from the first day of the quarter; the last one is shorter. Training includes fine-tuning."
        ],
    )


def factors(snapshot: Mapping[str, Any], parts: Parts) -> None:
    rates = snapshot["location_rates"]
    rows, lettered = [], []
    for rate in rates:
        chosen = rate["factor"]
        letter = ""
        if rate["reasons"]:
            text = "; ".join(rate["reasons"])
            if text not in lettered:
                lettered.append(text)
            letter = chr(ord("a") + lettered.index(text) % 26)
        rows.append(
            Row(
                [
                    rate["site_name"],
                    f"{chosen['zone']}" if chosen else rate["grid_zone"],
                    factor(rate["factor_ug_per_kwh"]),
                    str(chosen["data_year"]) if chosen else DASH,
                    f"{chosen['publisher']}, {chosen['edition']}" if chosen else "No factor known",
                    {"direct": "Direct", "life_cycle": "Life cycle"}[chosen["boundary"]] if chosen else DASH,
                    rate["gwp_set"] or DASH,
                    letter,
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
        notes=[f"{chr(ord('a') + i % 26)}: {text}." for i, text in enumerate(lettered)],
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
                    f"{one['publisher']}: {one['title']} ({one['edition']})",
                    {"direct": "Direct", "life_cycle": "Life cycle"}[one["boundary"]],
                    one["basis"] or DASH,
                    one["licence"],
                    one["source_url"] or DASH,
                ]
            )
            for _, one in sorted(datasets.items())
        ],
        size="small",
    )


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
        notes=["Overhead: facility minus IT electricity, carried by each phase in proportion to its IT electricity at the site.", ADDS_UP],
    )  # fmt: skip
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
    served = [row for row in snapshot["by_model_kind"] if row["kind"] == "inference" and row["tokens"]]

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
            "Boundary: facility electricity (IT × PUE) of readings of the phase inference that report tokens, Scope 2 only."
            " Hardware manufacture, networks outside the sites and users’ devices are not included.",
            "Tokens as the client counts them, input and output together unless it says otherwise.",
        ],
    )
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
    for key, caption, name, place in (
        ("scope_3", "Public cloud, Scope 3 category 1: not part of any total in this document", "site_name", "by_site"),
        ("unassigned", "Readings that have no site yet: not part of any total in this document", "source", "by_source"),
    ):
        rows, total = snapshot[key][place], snapshot[key]["total"]
        if not rows or total is None:
            continue
        unit = unit_for([row[FACILITY] for row in rows], ENERGY)
        mass = unit_for([row[f"{m}_mg"] for row in rows for m in ("location", "market")], MASS)
        columns = [Column("Site" if key == "scope_3" else "Source", is_text=True), Column("IT", unit.name)]
        if key == "scope_3":
            columns += [
                Column("Facility", unit.name),
                Column("Location-based", mass.name),
                Column("Market-based", mass.name),
            ]
        else:
            columns += [Column("Readings")]

        def cells(row: Figures, unit: Any = unit, mass: Any = mass, key: str = key) -> list[str]:
            if key == "scope_3":
                return [
                    unit.of(row[IT]),
                    unit.of(row[FACILITY]),
                    mass.of(row["location_mg"]),
                    mass.of(row["market_mg"]),
                ]
            return [unit.of(row[IT]), count(row["readings"])]

        parts.table(
            key,
            caption,
            columns,
            ranking(rows, lambda row, name=name: row[name] or "Not named", cells, total=total, top=12),
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
            Row(["The organisation’s own telemetry", unit.of(own), share(own, total[FACILITY])]),
            Row(["Simulated load, not a measurement", unit.of(simulated), share(simulated, total[FACILITY])], marks="s" if simulated else ""),
            Row(["Published runs of other organisations, as examples", unit.of(published), share(published, total[FACILITY])], marks="p" if published else ""),
            Row(["Total", unit.of(total[FACILITY]), share(total[FACILITY], total[FACILITY])], "total"),
        ],
    )  # fmt: skip
    parts.table(
        "tiers",
        "How the electricity is known",
        [Column("Tier", is_text=True), Column("Method", is_text=True), Column("What it means", is_text=True), Column("Facility", unit.name), Column("Share", "%")],
        [
            *(Row([*TIERS[t], unit.of(value), share(value, total[FACILITY])]) for t, value in tiers.items()),
            Row(["", "Total", "", unit.of(total[FACILITY]), share(total[FACILITY], total[FACILITY])], "total"),
        ],
    )  # fmt: skip
    if total[FACILITY]:
        drawn = [
            svg.Series(f"{TIERS[t][0]} {TIERS[t][1].lower()}", [float(value)], *TIER_COLOURS[t])
            for t, value in tiers.items()
            if value
        ]  # fmt: skip
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


def _coverage(snapshot: Mapping[str, Any], parts: Parts) -> None:
    ordered = sorted(snapshot["sources"], key=lambda one: (not one["silent"], one["coverage_ppm"], one["source"]))
    shown, rest = (ordered, []) if len(ordered) <= 26 else (ordered[:25], ordered[25:])
    rows = [
        Row(
            [
                one["source"],
                one["site"] or "Unassigned",
                short_date(one["first_reading"]),
                short_date(one["last_reading"]),
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
            Column("Coverage", "% of the quarter"),
            Column("State", is_text=True),
            Column("Overlap", "h"),
        ],
        rows,
        size="small",
        notes=[
            "Overlap: time that two readings of one source both cover. Their energy is counted as sent; a person should look at it.",
            "Other: mean of the sources that are not listed; none of them is silent."
            if rest and not any(one["silent"] for one in rest)
            else "",
        ],
    )


def phases_total(snapshot: Mapping[str, Any], group: str) -> int:
    """IT electricity [mWh] of a group of phases (training, inference, idle, other)."""
    return sum(row[IT] for row in snapshot["by_kind"] if KIND_GROUP[row["kind"]] == group)


__all__ = ["boundary", "factors", "headline", "marks_of", "memo", "phases_total", "quality", "sites", "workload"]
