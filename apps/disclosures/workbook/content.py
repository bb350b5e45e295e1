"""What stands in the workbook: every row of a snapshot, in fixed units, and nothing from anywhere else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any

from apps.disclosures.report.document import last_day
from apps.disclosures.report.electricity import BOUNDARY, CONTROL, FACILITY, IT
from apps.disclosures.report.emissions import INSTRUMENT, METHODS
from apps.disclosures.report.workload import KIND, TIERS
from apps.disclosures.workbook.writer import (
    COUNT,
    DAY,
    ENERGY,
    FACTOR,
    HOURS,
    MASS,
    MEAN,
    MOMENT,
    PERCENT,
    RATIO,
    SMALL,
    TEXT,
    YEAR,
    Column,
    Item,
    Kind,
    Sheet,
    Table,
    write,
)

LAYOUT = "1"  # goes up whenever the same snapshot would no longer give the same cells
MARKS = (("simulated_milliwatt_hours", "simulated"), ("published_milliwatt_hours", "published"))
Snapshot = Mapping[str, Any]


def workbook(snapshot: Snapshot, digest: str) -> bytes:
    """The workbook of a snapshot, made of nothing else. ``digest`` is the SHA-256 of its canonical JSON."""
    document = snapshot["document"]
    name, label = snapshot["organisation"]["name"], snapshot["period"]["label"]
    sheets = [
        about(snapshot, digest),
        headline(snapshot),
        sites(snapshot),
        factors(snapshot),
        Sheet("Location-based", _by_method(snapshot, "location")),
        Sheet("Market-based", [*_markets(snapshot), *_by_method(snapshot, "market")]),
        workload(snapshot),
        memo(snapshot),
        quality(snapshot),
    ]
    return write(
        sheets,
        line=f"{name} · {label} · version {document['version']} · {document['state']} · evidence {digest[:16]}…",
        title=f"{name}, {label}, version {document['version']}",
        state=document["state"],
        created=datetime.fromisoformat(document["collected_at"]),
    )


# --- Columns ------------------------------------------------------------------------------------------------------


def _column(head: str, kind: Kind, name: str) -> Column:
    return Column(head, kind, lambda row: row.get(name))


def _named(head: str, kind: Kind, name: str, names: Mapping[str, str]) -> Column:
    return Column(head, kind, lambda row: names.get(row[name], row[name]) if name in row else None)


def _ratio(part: int | None, whole: int | None, times: int = 1) -> Fraction | None:
    """part x times / whole; absent where either is, or the whole is 0."""
    return None if part is None or not whole else Fraction(part * times, whole)


def _share(head: str, name: str, total: Item) -> Column:
    """Of a total, in per cent; the kind takes parts per million."""
    return Column(head, PERCENT, lambda row: _ratio(row.get(name), total[name], 10**6))


def _overhead(row: Item) -> int | None:
    return row[FACILITY] - row[IT] if FACILITY in row else None


def _marks(row: Item) -> str:
    return ", ".join(word for name, word in MARKS if row.get(name))


FACILITY_COLUMN = _column("Facility electricity, MWh", ENERGY, FACILITY)
IT_COLUMN = _column("IT electricity, MWh", ENERGY, IT)
OVERHEAD_COLUMN = Column("Overhead, MWh", ENERGY, _overhead)
PUE_COLUMN = Column("PUE, mean", MEAN, lambda row: _ratio(row.get(FACILITY), row.get(IT)))
METHOD_COLUMNS = {
    method: _column(f"{name} emissions, t CO₂e", MASS, f"{method}_mg") for method, name in METHODS.items()
}
WORK_COLUMNS = [_column("Tokens", COUNT, "tokens"), _column("Requests", COUNT, "requests")]
PROVENANCE_COLUMNS = [
    _column("Of which simulated, MWh", ENERGY, "simulated_milliwatt_hours"),
    _column("Of which published runs, MWh", ENERGY, "published_milliwatt_hours"),
    Column("Marks", TEXT, _marks),
]
WITHOUT_FACTOR = _column("Without a factor, MWh", ENERGY, "without_factor_milliwatt_hours")
QUALITY_COLUMNS = [
    *(
        _column(f"{letter} {name.lower()}, MWh", ENERGY, f"tier_{tier}_milliwatt_hours")
        for tier, (letter, name, _) in TIERS.items()
    ),
    _column("Quality", TEXT, "quality"),
]
SITE_COLUMNS = [
    Column("Site", TEXT, lambda row: row.get("site_name") or row.get("site")),
    _column("Code", TEXT, "site"),
    _column("Country", TEXT, "country"),
    _named("Control class", TEXT, "control", CONTROL),
    _column("Grid zone", TEXT, "grid_zone"),
    _column("Market", TEXT, "market"),
]


def _name_columns(head: str, key: str) -> list[Column]:
    return [
        Column(head, TEXT, lambda row: row.get(f"{key}_name") or row.get(key) or "Unassigned"),
        _column("Identifier", TEXT, key),
    ]


def _ranked(rows: Iterable[Item], key: str, by: str = FACILITY) -> list[Item]:
    """The largest first, the unassigned last."""
    return sorted(rows, key=lambda row: (row.get(key) is None, -(row[by] or 0), str(row.get(key))))


def _sum(rows: Sequence[Item], *names: str) -> Item:
    present = {name: [row[name] for row in rows if row[name] is not None] for name in names}
    return {name: sum(values) if values else None for name, values in present.items()}


def _total(snapshot: Snapshot) -> Item:
    total: Item = snapshot["totals"]["quarter"]["figures"]
    return total


# --- Sheets -------------------------------------------------------------------------------------------------------


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
        "Ruleset": method["ruleset"],
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
    pair = (_column("Item", TEXT, "name"), _column("Value", TEXT, "value"))
    return Sheet(
        "About",
        [
            Table("About", "This document", pair, [{"name": name, "value": value} for name, value in facts.items()]),
            Table(
                "HowToRead",
                "How to read it",
                (_column("Subject", TEXT, "name"), _column("What holds", TEXT, "value")),
                [{"name": name, "value": value} for name, value in reading.items()],
            ),
            Table(
                "WarmingPotentials",
                "Global warming potentials over 100 years, kg CO₂e per kg",
                (_column("Set", TEXT, "set"), _column("Gas", TEXT, "gas"), _column("GWP", MEAN, "gwp")),
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
    now, before = _total(snapshot), totals["previous"]["figures"] or {}
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
                    _column("Period", TEXT, "name"),
                    _column("Quarters", TEXT, "label"),
                    IT_COLUMN,
                    OVERHEAD_COLUMN,
                    FACILITY_COLUMN,
                    PUE_COLUMN,
                    *METHOD_COLUMNS.values(),
                    WITHOUT_FACTOR,
                    *WORK_COLUMNS,
                    _column("Readings", COUNT, "readings"),
                    *QUALITY_COLUMNS,
                    *PROVENANCE_COLUMNS,
                ],
                rows,
            ),
            Table(
                "Change",
                "Change on the previous quarter",
                [_column("Measure", TEXT, "name"), _column("Change, %", PERCENT, "change")],
                [
                    {
                        "name": word,
                        "change": None
                        if now[name] is None or before.get(name) is None
                        else _ratio(now[name] - before[name], before[name], 10**6),
                    }
                    for name, word in measures.items()
                ],
            ),
        ],
    )


def sites(snapshot: Snapshot) -> Sheet:
    total = _total(snapshot)
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
                    _share("Share of facility electricity, %", FACILITY, total),
                    *QUALITY_COLUMNS,
                    *PROVENANCE_COLUMNS,
                ],
                _ranked(snapshot["by_site"], "site"),
                total,
                ["Quality: the weakest tier that makes up 5 % or more of the energy."],
            ),
            Table(
                "Boundary",
                "Sites, their control class and what follows from it",
                [
                    _column("Site", TEXT, "name"),
                    _column("Code", TEXT, "code"),
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
                    _column("From", DAY, "start"),
                    _column("Last day", DAY, "last_day"),
                    _column("PUE", RATIO, "pue_ppm"),
                    _column("Source", TEXT, "pue_source"),
                ],
                snapshot["location_rates"],
            ),
        ],
    )


def _of_factor(head: str, kind: Kind, name: str, key: str = "factor") -> Column:
    return Column(head, kind, lambda rate: (rate.get(key) or {}).get(name))


def factors(snapshot: Snapshot) -> Sheet:
    return Sheet(
        "Factors",
        [
            Table(
                "Factors",
                "Location-based factors in force",
                [
                    *SITE_COLUMNS[:2],
                    _column("Grid zone of the site", TEXT, "grid_zone"),
                    _column("From", DAY, "start"),
                    _column("Last day", DAY, "last_day"),
                    _column("Factor, kg CO₂e/MWh", FACTOR, "factor_ug_per_kwh"),
                    _of_factor("Zone of the factor", TEXT, "zone"),
                    _of_factor("Data year", YEAR, "data_year"),
                    _of_factor("Publisher", TEXT, "publisher"),
                    _of_factor("Title", TEXT, "title"),
                    _of_factor("Edition", TEXT, "edition"),
                    Column(
                        "Boundary", TEXT, lambda rate: BOUNDARY[rate["factor"]["boundary"]] if rate["factor"] else ""
                    ),
                    _of_factor("Basis", TEXT, "basis"),
                    _column("GWP set", TEXT, "gwp_set"),
                    _of_factor("Licence", TEXT, "licence"),
                    _of_factor("Address", TEXT, "source_url"),
                    _of_factor("Dataset, SHA-256", TEXT, "dataset_digest"),
                    Column("Why this one", TEXT, lambda rate: "; ".join(rate["reasons"])),
                ],
                snapshot["location_rates"],
            )
        ],
    )


def _by_method(snapshot: Snapshot, method: str) -> list[Table]:
    total, field = _total(snapshot), f"{method}_mg"
    figures = [
        FACILITY_COLUMN,
        METHOD_COLUMNS[method],
        _share("Share of emissions, %", field, total),
        Column("Mean factor, kg CO₂e/MWh", MEAN, lambda row: _ratio(row.get(field), row.get(FACILITY), 1000)),
        WITHOUT_FACTOR,
        *PROVENANCE_COLUMNS,
    ]
    name, prefix = METHODS[method], method.title()
    return [
        Table(
            f"{prefix}BySite",
            f"{name} emissions by country and site",
            [*SITE_COLUMNS, *figures],
            _ranked(snapshot["by_site"], "site", field),
            total,
        ),
        *(
            Table(
                f"{prefix}By{key.title()}",
                f"{name} emissions by {head}",
                [*_name_columns(head[0].upper() + head[1:], key), *figures],
                _ranked(snapshot[f"by_{key}"], key, field),
                total,
            )
            for key, head in (("team", "team"), ("model", "AI model"))
        ),
    ]


def _fallback(rate: Item) -> str:
    if "fallback" not in rate:
        return ""
    if not rate["uncovered_milliwatt_hours"]:
        return "not needed"
    return "grid average" if rate["fallback"] == "location" else "residual mix"


def _outcome(lot: Item) -> str:
    if "failed" not in lot:
        return ""
    return "fails a criterion" if lot["failed"] else "meets the criteria"


def _markets(snapshot: Snapshot) -> list[Table]:
    rates = snapshot["market_rates"]
    lots = [{"market": rate["market"], **lot} for rate in rates for lot in rate["instruments"]]
    sums = ("covered_milliwatt_hours", "uncovered_milliwatt_hours", "surplus_milliwatt_hours", "instruments_mg")
    yearly = snapshot["organisation"]["claim_period"] == "year"
    uncovered = Column(
        "Uncovered, %", PERCENT, lambda rate: _ratio(rate["uncovered_milliwatt_hours"], rate[FACILITY], 10**6)
    )
    return [
        Table(
            "Markets",
            "Market-based result by market",
            [
                _column("Market", TEXT, "market"),
                _column("Claim period from", DAY, "period_start"),
                Column(
                    "Last day", DAY, lambda rate: last_day(rate["period_end"]).isoformat() if "market" in rate else None
                ),
                FACILITY_COLUMN,
                _column("Covered, MWh", ENERGY, "covered_milliwatt_hours"),
                _column("Uncovered, MWh", ENERGY, "uncovered_milliwatt_hours"),
                uncovered,
                _column("Surplus, MWh", ENERGY, "surplus_milliwatt_hours"),
                METHOD_COLUMNS["location"],
                _column("Of the instruments, t CO₂e", MASS, "instruments_mg"),
                Column("Factor of the uncovered part", TEXT, _fallback),
                _column("Residual mix, kg CO₂e/MWh", FACTOR, "fallback_ug_per_kwh"),
                _of_factor("Data year", YEAR, "data_year", "fallback_factor"),
                _of_factor("Publisher", TEXT, "publisher", "fallback_factor"),
                _of_factor("Edition", TEXT, "edition", "fallback_factor"),
                METHOD_COLUMNS["market"],
                Column("Why", TEXT, lambda rate: "; ".join(rate.get("fallback_reasons", ()))),
            ],
            rates,
            _sum(rates, FACILITY, *sums, "location_mg", "market_mg") if rates else None,
            [
                "Covered: by instruments that meet the quality criteria. Surplus is disclosed and lapses.",
                *(["The claim period is the calendar year: this table covers the year, not the quarter."] * yearly),
            ],
        ),
        Table(
            "Instruments",
            "Instruments and the quality criteria of the Scope 2 Guidance, table 7.1",
            [
                _column("Lot", TEXT, "reference"),
                _column("Market", TEXT, "market"),
                _named("Type", TEXT, "type", INSTRUMENT),
                _column("Technology", TEXT, "technology"),
                _column("Vintage from", DAY, "vintage_start"),
                _column("Vintage, last day", DAY, "vintage_last_day"),
                _column("Volume, MWh", ENERGY, "volume_milliwatt_hours"),
                _column("Applied, MWh", ENERGY, "applied_milliwatt_hours"),
                _column("Surplus, MWh", ENERGY, "surplus_milliwatt_hours"),
                _column("Factor, kg CO₂e/MWh", FACTOR, "ug_per_kwh"),
                _column("Applied, t CO₂e", MASS, "applied_mg"),
                Column("Outcome", TEXT, _outcome),
                Column("Criteria failed", TEXT, lambda lot: "; ".join(lot.get("failed", ()))),
                _column("Registry", TEXT, "tracking_system"),
                _column("First serial number", TEXT, "serial_start"),
                _column("Last serial number", TEXT, "serial_end"),
                _column("Retired on", DAY, "retired_on"),
                _column("Beneficiary", TEXT, "beneficiary"),
                Column("Marks", TEXT, lambda lot: "example" if lot.get("simulated") else ""),
            ],
            lots,
        ),
    ]


def _per_thousand(head: str, name: str) -> Column:
    """mWh or mg a token, which is Wh or g per 1,000 tokens."""
    return Column(
        head,
        SMALL,
        lambda row: _ratio(row[name], row["tokens"]) if row.get("kind") == "inference" else None,
    )


def workload(snapshot: Snapshot) -> Sheet:
    total = _total(snapshot)
    phase = _named("Phase", TEXT, "kind", KIND)
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
                    _share("Share of facility electricity, %", FACILITY, total),
                    *QUALITY_COLUMNS,
                    *PROVENANCE_COLUMNS,
                ],
                _ranked(snapshot["by_kind"], "kind"),
                total,
                ["Overhead: facility minus IT electricity, carried by each phase in proportion to its IT electricity."],
            ),
            Table(
                "ModelKinds",
                "By AI model and phase of work, with the intensity of inference",
                [
                    *_name_columns("AI model", "model"),
                    phase,
                    *figures,
                    _per_thousand("Electricity, Wh per 1,000 tokens", FACILITY),
                    *(
                        _per_thousand(f"{name}, g CO₂e per 1,000 tokens", f"{method}_mg")
                        for method, name in METHODS.items()
                    ),
                    *PROVENANCE_COLUMNS,
                ],
                _ranked(snapshot["by_model_kind"], "model"),
                total,
                ["Intensity: facility electricity of inference that reports tokens, input and output together."],
            ),
            Table(
                "Weeks",
                "By week, counted from the first day of the quarter, and phase of work",
                [_column("Week from", DAY, "week_start"), phase, *figures, *PROVENANCE_COLUMNS],
                snapshot["by_week_kind"],
                total,
            ),
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
                _ranked(cloud["by_site"], "site"),
                cloud["total"],
                ["A market-based figure is for the provider to give: its instruments are not known here."],
            ),
            Table(
                "Unassigned",
                "Readings that have no site yet: not part of any total in this document",
                [_column("Source", TEXT, "source"), IT_COLUMN, _column("Readings", COUNT, "readings")],
                _ranked(unassigned["by_source"], "source", IT),
                unassigned["total"],
                ["Without a site there is no grid, no PUE and no emissions; they follow once the source is assigned."],
            ),
        ],
    )


def quality(snapshot: Snapshot) -> Sheet:
    total = _total(snapshot)
    simulated, published = total["simulated_milliwatt_hours"], total["published_milliwatt_hours"]
    share = _share("Share, %", FACILITY, total)
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
                    _column("Tier", TEXT, "tier"),
                    _column("Method", TEXT, "method"),
                    _column("What it means", TEXT, "meaning"),
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
                [_column("Origin", TEXT, "name"), FACILITY_COLUMN, share],
                [{"name": name, FACILITY: value} for name, value in origins.items()],
                {FACILITY: total[FACILITY]},
            ),
            Table(
                "Published",
                "Published runs shown as examples, and who published them",
                [_column("Run", TEXT, "name"), FACILITY_COLUMN, _column("Source", TEXT, "citation")],
                snapshot["published"],
            ),
            Table(
                "Sources",
                "Coverage by source, silent ones and the least covered first",
                [
                    _column("Source", TEXT, "source"),
                    Column("Site", TEXT, lambda one: one["site"] or "Unassigned"),
                    _column("First reading, UTC", MOMENT, "first_reading"),
                    _column("Last reading, UTC", MOMENT, "last_reading"),
                    _column("Covered, h", HOURS, "covered_ms"),
                    _column("Coverage, % of time expected", PERCENT, "coverage_ppm"),
                    Column("State", TEXT, lambda one: "Silent" if one["silent"] else ""),
                    _column("Overlap, h", HOURS, "overlap_ms"),
                ],
                sorted(snapshot["sources"], key=lambda one: (not one["silent"], one["coverage_ppm"], one["source"])),
                notes=["Overlap: time that two readings of one source both cover. Their energy is counted as sent."],
            ),
        ],
    )
