"""The sheets on how the figures came about and on what stands beside them: every row of the evidence."""

from __future__ import annotations

from fractions import Fraction

from apps.disclosures.report.emissions import METHODS
from apps.disclosures.report.informative import FALLBACKS
from apps.disclosures.report.meters import ESTIMATE_BASIS, GAP_BASIS, STATES
from apps.disclosures.report.rules import FINDINGS, KINDS
from apps.disclosures.report.sureness import CAUSES, WEAKNESSES
from apps.disclosures.workbook.columns import FACILITY_COLUMN, Snapshot, column, named_column, ratio
from apps.disclosures.workbook.writer import (
    COUNT,
    DAY,
    ENERGY,
    HOURS,
    MASS,
    MEAN,
    MICRO_ENERGY,
    MOMENT,
    NANO,
    PERCENT,
    RATIO,
    TEXT,
    Column,
    Item,
    Kind,
    Sheet,
    Table,
)

HOUR_MS = 3_600_000


def rules(snapshot: Snapshot) -> Sheet:
    """Policies, adopted editions, receipts and the methodology by page."""
    method, text = snapshot["method"], snapshot["methodology"]
    return Sheet(
        "Rules",
        [
            Table(
                "Policies",
                "Policies in force",
                [column("Question", TEXT, "label"), column("Policy", TEXT, "words"), column("Value", TEXT, "value")],
                method["policies"],
            ),
            Table(
                "Adoptions",
                "Editions of factors adopted for the quarter",
                [
                    named_column("Kind", TEXT, "kind", KINDS),
                    column("Publisher", TEXT, "publisher"),
                    column("Title", TEXT, "title"),
                    column("Edition", TEXT, "edition"),
                    column("From", DAY, "from"),
                    column("First day after", DAY, "until"),
                    column("Adopted by", TEXT, "adopted_by"),
                    column("Adopted at, UTC", MOMENT, "adopted_at"),
                    column("Reason", TEXT, "reason"),
                    column("Licence", TEXT, "licence"),
                    column("Dataset, SHA-256", TEXT, "dataset_digest"),
                ],
                method["adoptions"],
                notes=["No date: without a limit on that side."],
            ),
            Table(
                "Receipts",
                "Recompute these figures: receipts at the cut-off",
                [
                    column("Figures", TEXT, "label"),
                    column("API call (GET)", TEXT, "path"),
                    column("Page", TEXT, "page"),
                    column("Receipt, SHA-256", TEXT, "sha256"),
                ],
                snapshot["receipts"],
            ),
            Table(
                "Methodology",
                "Pages of the methodology, whose text stands in annex D of the PDF and in the evidence",
                [column("Page", TEXT, "name"), column("Title", TEXT, "title")],
                text["texts"],
                notes=[f"Version {text['version']}, SHA-256 {text['digest']}."] if text["texts"] else (),
            ),
        ],
    )


def criteria(snapshot: Snapshot) -> Table:
    """One row for each lot and Quality Criterion."""
    rows = [
        {"market": rate["market"], "lot": lot["reference"], **check}
        for rate in snapshot["market_rates"]
        for lot in rate["instruments"]
        for check in lot["criteria"]
    ]
    return Table(
        "Criteria",
        "Each lot against the eight quality criteria of the Scope 2 Guidance, table 7.1",
        [
            column("Lot", TEXT, "lot"),
            column("Market", TEXT, "market"),
            column("Criterion", COUNT, "number"),
            named_column("Finding", TEXT, "status", {"passed": "Passed", **FINDINGS}),
            column("Reason", TEXT, "reason"),
        ],
        rows,
    )


def _interval(head: str, kind: Kind, name: str) -> list[Column]:
    def of(end: str) -> Column:
        words = {"value": head, "low": f"{head}, from", "high": f"{head}, to"}[end]
        return Column(words, kind, lambda row: (row.get(name) or {}).get(end))

    def half(row: Item) -> Fraction | None:
        one = row.get(name) or {}
        return None if one.get("high") is None else ratio(one["high"] - one["value"], one["value"], 10**6)

    return [of("value"), of("low"), of("high"), Column(f"{head.partition(',')[0]}, ± %", PERCENT, half)]


def uncertainty(snapshot: Snapshot) -> Sheet:
    found = snapshot["uncertainty"]
    columns = [
        Column("Site", TEXT, lambda row: row.get("site_name") or row.get("site")),
        *_interval("Facility electricity, MWh", ENERGY, "energy"),
        *(part for key, name in METHODS.items() for part in _interval(f"{name}, t CO₂e", MASS, key)),
    ]
    drivers = [
        {"cause": words, **{key: found["drivers"].get(key, {}).get(cause) for key in METHODS}}
        for cause, words in CAUSES.items()
    ]
    weaknesses = [{"why": WEAKNESSES[name], **row} for name, rows in found["weaknesses"].items() for row in rows]
    return Sheet(
        "Uncertainty",
        [
            Table(
                "Intervals",
                "95 % intervals by site",
                columns,
                found["by_site"],
                found["total"],
                ["The total’s interval is not the sum of the sites’: independent causes add up by their squares."],
            ),
            Table(
                "Drivers",
                "What the uncertainty of the totals comes from",
                [
                    column("Cause", TEXT, "cause"),
                    *(column(f"{name}, % of its square", PERCENT, key) for key, name in METHODS.items()),
                ],
                drivers if found["total"] else [],
            ),
            Table(
                "Weaknesses",
                "What would make the figures surer",
                [column("Weakness", TEXT, "why"), column("Site", TEXT, "site_name"), FACILITY_COLUMN],
                weaknesses,
            ),
            Table(
                "Uncertainties",
                "Relative uncertainties in force, half of 95 % intervals",
                [
                    column("Of", TEXT, "label"),
                    column("± %", PERCENT, "ppm"),
                    column("Portal’s assumption, ± %", PERCENT, "default_ppm"),
                    column("Rests on", TEXT, "basis"),
                    Column("The organisation’s own", TEXT, lambda row: "yes" if row["own"] else ""),
                ],
                found["table"],
            ),
        ],
    )


def meters(snapshot: Snapshot) -> Sheet:
    """Telemetry against the meters; gaps, estimates, and what two sources measured."""
    energy = column("Energy of the whole time, MWh", MICRO_ENERGY, "energy_microwatt_hours")
    return Sheet(
        "Meters and gaps",
        [
            Table(
                "Reconciliation",
                "Telemetry held against the meters of the facilities, by site and month",
                [
                    column("Site", TEXT, "site_name"),
                    column("Code", TEXT, "site"),
                    column("Month", TEXT, "month"),
                    column("Days", COUNT, "days"),
                    column("Metered days", COUNT, "metered_days"),
                    column("Metered, MWh", ENERGY, "metered_milliwatt_hours"),
                    column("Telemetry of these days, MWh", ENERGY, "telemetry_milliwatt_hours"),
                    column("Coverage, %", PERCENT, "coverage_ppm"),
                    column("Difference, MWh", ENERGY, "difference_milliwatt_hours"),
                    named_column("State", TEXT, "state", STATES),
                    column("Booked, MWh", ENERGY, "booked_milliwatt_hours"),
                    column("Booked by", TEXT, "booked_by"),
                    column("Booked at, UTC", MOMENT, "booked_at"),
                    Column("Booking out of date", TEXT, lambda row: "yes" if row.get("booking_is_out_of_date") else ""),
                    column("Note", TEXT, "note"),
                    Column("Days without a reading", TEXT, lambda row: "; ".join(row.get("missing", ()))),
                ],
                snapshot["reconciliation"],
            ),
            Table(
                "Gaps",
                "Time without readings, and what was decided about it",
                [
                    column("Source", TEXT, "source"),
                    column("Site", TEXT, "site"),
                    column("From, UTC", MOMENT, "start"),
                    column("To, UTC", MOMENT, "end"),
                    named_column("Decision", TEXT, "basis", GAP_BASIS),
                    energy,
                    column("Reason", TEXT, "reason"),
                    column("Working", TEXT, "working"),
                    column("Decided by", TEXT, "decided_by"),
                    column("Decided at, UTC", MOMENT, "decided_at"),
                ],
                snapshot["gap_decisions"],
            ),
            Table(
                "Estimates",
                "Electricity modelled where nothing is measured",
                [
                    column("Source", TEXT, "source"),
                    column("From, UTC", MOMENT, "start"),
                    column("To, UTC", MOMENT, "end"),
                    named_column("Method", TEXT, "basis", ESTIMATE_BASIS),
                    energy,
                    column("Publication", TEXT, "profile_source"),
                    column("Working", TEXT, "working"),
                    column("Made by", TEXT, "created_by"),
                ],
                snapshot["estimates"],
            ),
            Table(
                "SetAside",
                "Electricity measured twice and counted once",
                [
                    column("Not counted", TEXT, "source"),
                    column("Counted instead", TEXT, "counted_source"),
                    column("Not counted, IT, MWh", ENERGY, "it_energy_milliwatt_hours"),
                    column("Time, h", HOURS, "covered_ms"),
                ],
                snapshot["set_aside"],
            ),
        ],
    )


def hourly(snapshot: Snapshot) -> Sheet:
    found = snapshot["hourly"]

    def fallbacks(row: Item) -> str:
        return ", ".join(FALLBACKS[level] for level in FALLBACKS if level in row.get("unmatched_by_fallback", {}))

    return Sheet(
        "Hourly (informative)",
        [
            Table(
                "Hourly",
                "Hourly matching by market: informative, in no reported figure",
                [
                    column("Market", TEXT, "market"),
                    column("Hours", COUNT, "hours"),
                    column("Load, MWh", ENERGY, "load_milliwatt_hours"),
                    column("Matched, MWh", ENERGY, "matched_milliwatt_hours"),
                    column("Standard supply, MWh", ENERGY, "standard_supply_milliwatt_hours"),
                    column("Not matched, MWh", ENERGY, "unmatched_milliwatt_hours"),
                    column("Surplus, MWh", ENERGY, "surplus_milliwatt_hours"),
                    Column(
                        "Contracted match, %",
                        PERCENT,
                        lambda row: ratio(row["matched_milliwatt_hours"], row["load_milliwatt_hours"], 10**6),
                    ),
                    Column(
                        "24/7 score, %",
                        PERCENT,
                        lambda row: ratio(row["carbon_free_milliwatt_hours"], row["cfe_load_milliwatt_hours"], 10**6),
                    ),
                    column("Load with a known grid share, MWh", ENERGY, "cfe_load_milliwatt_hours"),
                    column("Location-based, t CO₂e", MASS, "location_mg"),
                    column("Reported market-based, t CO₂e", MASS, "reported_market_mg"),
                    column("What-if, t CO₂e", MASS, "draft_market_mg"),
                    Column("Not matched took", TEXT, fallbacks),
                ],
                found["markets"],
                found["total"],
                [f"By {found['ruleset']['id']}, a draft that binds nobody. Never a reported figure."]
                if found["ruleset"]
                else (),
            )
        ],
    )


def memo_tables(snapshot: Snapshot) -> list[Table]:
    """Scope 3 categories 1 to 3, in rows; parts have no sum together."""
    return [
        Table(
            "ScopeThreeMemo",
            "Scope 3 categories 1, 2 and 3: beside Scope 2, added to nothing and not to each other",
            [
                column("Category", TEXT, "category"),
                column("Part", TEXT, "part"),
                column("Site", TEXT, "site_name"),
                column("Hardware", TEXT, "hardware"),
                column("Electricity, MWh", ENERGY, "energy_milliwatt_hours"),
                column("Accelerator-hours", HOURS, "accelerator_ms"),
                column("Emissions, t CO₂e", MASS, "mg"),
                column("Factor or figure", TEXT, "factor"),
                column("Working", TEXT, "working"),
                column("Why absent", TEXT, "note"),
            ],
            snapshot["scope_3_memo"]["rows"],
        )
    ]


def indicators(snapshot: Snapshot) -> Sheet:
    found = snapshot["indicators"]
    rows = [{"site_name": each["site_name"], **one} for each in found["by_site"] for one in each["results"]]
    rows += [{"site_name": "All sites", **one} for one in found["total"]]
    return Sheet(
        "Data centres",
        [
            Table(
                "Indicators",
                "Data-centre indicators and their terms",
                [
                    column("Site", TEXT, "site_name"),
                    column("Indicator", TEXT, "label"),
                    column("Numerator is", TEXT, "numerator_is"),
                    column("Numerator, MWh, 1,000 m³ or t", ENERGY, "numerator"),
                    column("Denominator is", TEXT, "denominator_is"),
                    column("Denominator, MWh", ENERGY, "denominator"),
                    column("Value", RATIO, "value_ppm"),
                    column("Unit", TEXT, "unit"),
                    column("Days with both", COUNT, "days"),
                    column("IT energy", TEXT, "it_from"),
                    column("Numerator", TEXT, "numerator_from"),
                    column("Why no value", TEXT, "why"),
                    column("Clause", TEXT, "clause"),
                ],
                rows,
                notes=["Ratios of sums over the days on which both terms are known; All sites: sums divided."],
            )
        ],
    )


def work_tables(snapshot: Snapshot) -> list[Table]:
    """Per unit of AI work, with the boundary of each figure, and SCI for AI."""

    def shares(row: Item) -> str:
        return ", ".join(f"{name} {ppm / 10_000:.1f} %" for name, ppm in row.get("boundary", ()))

    def work(row: Item) -> Fraction | None:
        hours = row.get("unit") == "accelerator_hours"
        return Fraction(row["count"], HOUR_MS if hours else 1) if "count" in row else None

    rows = [
        {"model": row["model"], "model_name": row["model_name"], **one}
        for row in snapshot["intensities"]
        for one in row["units"]
    ]
    scores = [
        {"model_name": row["model_name"], "boundary": words, **score, "missing": ", ".join(row["embodied_missing"])}
        for row in snapshot["intensities"]
        for words, score in (("Consumer", row["sci_consumer"]), ("Provider", row["sci_provider"]))
        if score
    ]
    name = Column("AI model", TEXT, lambda row: row.get("model_name") or row.get("model") or "Not named")
    return [
        Table(
            "UnitsOfWork",
            "Per unit of AI work, by model",
            [
                name,
                column("Per", TEXT, "label"),
                Column("Work (tokens, requests, hours, runs)", MEAN, work),
                FACILITY_COLUMN,
                column("Electricity, Wh a unit", NANO, "wh_nano"),
                column("Location-based, g CO₂e a unit", NANO, "location_g_nano"),
                column("Market-based, g CO₂e a unit", NANO, "market_g_nano"),
                Column("Measured at", TEXT, shares),
            ],
            rows,
        ),
        Table(
            "Sci",
            "Software Carbon Intensity for AI (ISO/IEC 21031:2024)",
            [
                name,
                column("Boundary", TEXT, "boundary"),
                column("Per", TEXT, "unit"),
                column("Operational, g CO₂e", NANO, "operational_g_nano"),
                column("Embodied, g CO₂e", NANO, "embodied_g_nano"),
                column("SCI, g CO₂e", NANO, "total_g_nano"),
                column("No embodied figure for", TEXT, "missing"),
            ],
            scores,
        ),
    ]
