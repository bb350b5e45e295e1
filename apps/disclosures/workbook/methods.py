"""The sheets of the two Scope 2 methods: factors in force, figures by method, markets and their instruments."""

from __future__ import annotations

from apps.disclosures.report.document import last_day
from apps.disclosures.report.electricity import BOUNDARY, FACILITY
from apps.disclosures.report.emissions import INSTRUMENT, METHODS
from apps.disclosures.workbook.columns import (
    FACILITY_COLUMN,
    METHOD_COLUMNS,
    PROVENANCE_COLUMNS,
    SITE_COLUMNS,
    WITHOUT_FACTOR,
    Snapshot,
    column,
    name_columns,
    named_column,
    ranked,
    ratio,
    share_column,
    sum_of,
    total_of,
)
from apps.disclosures.workbook.writer import (
    DAY,
    ENERGY,
    FACTOR,
    MASS,
    MEAN,
    PERCENT,
    TEXT,
    YEAR,
    Column,
    Item,
    Kind,
    Sheet,
    Table,
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
                    column("Grid zone of the site", TEXT, "grid_zone"),
                    column("From", DAY, "start"),
                    column("Last day", DAY, "last_day"),
                    column("Factor, kg CO₂e/MWh", FACTOR, "factor_ug_per_kwh"),
                    _of_factor("Zone of the factor", TEXT, "zone"),
                    _of_factor("Data year", YEAR, "data_year"),
                    _of_factor("Publisher", TEXT, "publisher"),
                    _of_factor("Title", TEXT, "title"),
                    _of_factor("Edition", TEXT, "edition"),
                    Column(
                        "Boundary", TEXT, lambda rate: BOUNDARY[rate["factor"]["boundary"]] if rate["factor"] else ""
                    ),
                    _of_factor("Basis", TEXT, "basis"),
                    column("GWP set", TEXT, "gwp_set"),
                    _of_factor("Licence", TEXT, "licence"),
                    _of_factor("Address", TEXT, "source_url"),
                    _of_factor("Dataset, SHA-256", TEXT, "dataset_digest"),
                    Column("Why this one", TEXT, lambda rate: "; ".join(rate["reasons"])),
                ],
                snapshot["location_rates"],
            )
        ],
    )


def by_method(snapshot: Snapshot, method: str) -> list[Table]:
    total, field = total_of(snapshot), f"{method}_mg"
    figures = [
        FACILITY_COLUMN,
        METHOD_COLUMNS[method],
        share_column("Share of emissions, %", field, total),
        Column("Mean factor, kg CO₂e/MWh", MEAN, lambda row: ratio(row.get(field), row.get(FACILITY), 1000)),
        WITHOUT_FACTOR,
        *PROVENANCE_COLUMNS,
    ]
    name, prefix = METHODS[method], method.title()
    return [
        Table(
            f"{prefix}BySite",
            f"{name} emissions by country and site",
            [*SITE_COLUMNS, *figures],
            ranked(snapshot["by_site"], "site", field),
            total,
        ),
        *(
            Table(
                f"{prefix}By{key.title()}",
                f"{name} emissions by {head}",
                [*name_columns(head[0].upper() + head[1:], key), *figures],
                ranked(snapshot[f"by_{key}"], key, field),
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


def markets(snapshot: Snapshot) -> list[Table]:
    rates = snapshot["market_rates"]
    lots = [{"market": rate["market"], **lot} for rate in rates for lot in rate["instruments"]]
    sums = ("covered_milliwatt_hours", "uncovered_milliwatt_hours", "surplus_milliwatt_hours", "instruments_mg")
    yearly = snapshot["organisation"]["claim_period"] == "year"
    uncovered = Column(
        "Uncovered, %", PERCENT, lambda rate: ratio(rate["uncovered_milliwatt_hours"], rate[FACILITY], 10**6)
    )
    return [
        Table(
            "Markets",
            "Market-based result by market",
            [
                column("Market", TEXT, "market"),
                column("Claim period from", DAY, "period_start"),
                Column(
                    "Last day", DAY, lambda rate: last_day(rate["period_end"]).isoformat() if "market" in rate else None
                ),
                FACILITY_COLUMN,
                column("Covered, MWh", ENERGY, "covered_milliwatt_hours"),
                column("Uncovered, MWh", ENERGY, "uncovered_milliwatt_hours"),
                uncovered,
                column("Surplus, MWh", ENERGY, "surplus_milliwatt_hours"),
                METHOD_COLUMNS["location"],
                column("Of the instruments, t CO₂e", MASS, "instruments_mg"),
                Column("Factor of the uncovered part", TEXT, _fallback),
                column("Residual mix, kg CO₂e/MWh", FACTOR, "fallback_ug_per_kwh"),
                _of_factor("Data year", YEAR, "data_year", "fallback_factor"),
                _of_factor("Publisher", TEXT, "publisher", "fallback_factor"),
                _of_factor("Edition", TEXT, "edition", "fallback_factor"),
                METHOD_COLUMNS["market"],
                Column("Why", TEXT, lambda rate: "; ".join(rate.get("fallback_reasons", ()))),
            ],
            rates,
            sum_of(rates, FACILITY, *sums, "location_mg", "market_mg") if rates else None,
            [
                "Covered: by instruments that meet the quality criteria. Surplus is disclosed and lapses.",
                *(["The claim period is the calendar year: this table covers the year, not the quarter."] * yearly),
            ],
        ),
        Table(
            "Instruments",
            "Instruments and the quality criteria of the Scope 2 Guidance, table 7.1",
            [
                column("Lot", TEXT, "reference"),
                column("Market", TEXT, "market"),
                named_column("Type", TEXT, "type", INSTRUMENT),
                column("Technology", TEXT, "technology"),
                column("Vintage from", DAY, "vintage_start"),
                column("Vintage, last day", DAY, "vintage_last_day"),
                column("Volume, MWh", ENERGY, "volume_milliwatt_hours"),
                column("Applied, MWh", ENERGY, "applied_milliwatt_hours"),
                column("Surplus, MWh", ENERGY, "surplus_milliwatt_hours"),
                column("Factor, kg CO₂e/MWh", FACTOR, "ug_per_kwh"),
                column("Applied, t CO₂e", MASS, "applied_mg"),
                Column("Outcome", TEXT, _outcome),
                Column("Criteria failed", TEXT, lambda lot: "; ".join(lot.get("failed", ()))),
                column("Registry", TEXT, "tracking_system"),
                column("First serial number", TEXT, "serial_start"),
                column("Last serial number", TEXT, "serial_end"),
                column("Retired on", DAY, "retired_on"),
                column("Beneficiary", TEXT, "beneficiary"),
                Column("Marks", TEXT, lambda lot: "example" if lot.get("simulated") else ""),
            ],
            lots,
        ),
    ]
