"""Whether a market's result and a factor, as a receipt states them, follow from what stands beside them.

[2] GHG Protocol Scope 2 Guidance (2015), table 6.3: the hierarchy of the market-based method (``engine.market``).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from apps.accounting.engine.allocation import earmark_classes
from apps.accounting.engine.factor_choice import candidate_kg_per_mwh
from apps.accounting.engine.gases import GWP_SETS, factor_ug_per_kwh
from apps.accounting.engine.market import FAILED, FALLBACK_RESIDUAL, Lot, LotOutcome, MarketResult, order_of_use
from apps.accounting.engine.receipt_rows import Json
from apps.core.units import emissions_mg, round_half_up, scaled_product


def market_faults(market: Json) -> list[str]:
    """What in a market's result does not follow from its consumption, instruments and fallback, by [2]."""
    name = f"market {market['market']} {market['period_start']}"
    faults = factor_faults(name, market["fallback_factor"], market["fallback_ug_per_kwh"], market)
    rows = {row["reference"]: row for row in market["instruments"]}
    uncovered = whole = market["facility_energy_milliwatt_hours"]
    surplus = mg = 0
    for lot in order_of_use([_lot(row, market["market"]) for row in rows.values()]):
        row = rows[lot.id]
        applied = min(row["accepted_milliwatt_hours"], uncovered)
        uncovered -= applied
        surplus += row["accepted_milliwatt_hours"] - applied
        applied_mg = emissions_mg(applied, row["ug_per_kwh"] or 0)
        mg += applied_mg
        faults += [f"{name}, {lot.id}: {fault}" for fault in _acceptance_faults(row)]
        for quantity, value in (
            ("applied_milliwatt_hours", applied),
            ("surplus_milliwatt_hours", row["accepted_milliwatt_hours"] - applied),
            ("applied_mg", applied_mg),
        ):
            if row[quantity] != value:
                faults.append(f"{name}, {lot.id}, {quantity}: {row[quantity]} stated, {value} follows")
    if uncovered == 0:
        fallback = 0
    elif market["fallback"] == FALLBACK_RESIDUAL:
        fallback = scaled_product(uncovered, market["fallback_ug_per_kwh"], 9)
    else:
        fallback = round_half_up(Fraction(market["location_mg"] * uncovered, whole))
    for quantity, value in (
        ("covered_milliwatt_hours", whole - uncovered),
        ("uncovered_milliwatt_hours", uncovered),
        ("surplus_milliwatt_hours", surplus),
        ("instruments_mg", mg),
        ("market_mg", mg + fallback),
    ):
        if market[quantity] != value:
            faults.append(f"{name}, {quantity}: {market[quantity]} stated, {value} follows")
    if market["classes"]:
        faults += _class_faults(name, market)
    return faults


def _acceptance_faults(row: Json) -> list[str]:
    """What speaks against the energy that was accepted of a lot."""
    accepted, volume = row["accepted_milliwatt_hours"], row["volume_milliwatt_hours"]
    faults = []
    if accepted < 0 or (volume is not None and accepted > volume):
        faults.append(f"{accepted} mWh are accepted of a volume of {volume}")
    if not accepted:
        return faults
    if row["failed"] or any(check["status"] == FAILED for check in row["criteria"]):
        faults.append("fails a Quality Criterion and is accepted all the same")
    if row["retired_on"] is None and volume is not None:  # without a volume: a lot that was removed since
        faults.append("is accepted and was not retired")
    return faults


def _class_faults(name: str, market: Json) -> list[str]:
    """Whether the earmarked lots leave each class of consumption with what is stated for it."""
    consumption = {
        (part["team"], part["model"]): (part["facility_energy_milliwatt_hours"], part["location_mg"])
        for part in market["classes"]
    }
    lots = [_lot(row, market["market"]) for row in market["instruments"]]
    result = MarketResult(
        market=market["market"],
        period=(date.fromisoformat(market["period_start"]), date.fromisoformat(market["period_end"])),
        facility_energy_milliwatt_hours=market["facility_energy_milliwatt_hours"],
        location_mg=market["location_mg"],
        covered_milliwatt_hours=market["covered_milliwatt_hours"],
        uncovered_milliwatt_hours=market["uncovered_milliwatt_hours"],
        surplus_milliwatt_hours=market["surplus_milliwatt_hours"],
        instruments_mg=market["instruments_mg"],
        fallback=market["fallback"],
        fallback_ug_per_kwh=market["fallback_ug_per_kwh"],
        fallback_mg=market["market_mg"] - market["instruments_mg"],
        market_mg=market["market_mg"],
        lots=tuple(
            LotOutcome(
                id=row["reference"],
                accepted_milliwatt_hours=row["accepted_milliwatt_hours"],
                applied_milliwatt_hours=row["applied_milliwatt_hours"],
                surplus_milliwatt_hours=row["surplus_milliwatt_hours"],
                applied_mg=row["applied_mg"],
                rejected_criteria=(),
                reasons=(),
            )
            for row in market["instruments"]
        ),
    )
    found = [asdict(part) for part in earmark_classes(consumption, lots, result)]
    return [] if found == market["classes"] else [f"{name}, classes: {market['classes']} stated, {found} follow"]


def _lot(row: Json, market: str) -> Lot:
    return Lot(
        id=row["reference"],
        type=row["type"],
        market=market,
        vintage_start=date.fromisoformat(row["vintage_start"]),
        vintage_end=date.fromisoformat(row["vintage_end"]),
        energy_milliwatt_hours=row["accepted_milliwatt_hours"],
        ug_per_kwh=row["ug_per_kwh"],
        earmark=(row["earmark"][0], row["earmark"][1]) if row["earmark"] else None,
    )


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A factor of a receipt as ``engine.factor_choice`` wants one: the gas masses as printed [kg/MWh]."""

    label: str
    zone: str
    gwp_set: str
    co2e_kg_per_mwh: Decimal | None
    co2_kg_per_mwh: Decimal | None
    ch4_kg_per_mwh: Decimal | None
    n2o_kg_per_mwh: Decimal | None
    zone_type: str = ""
    data_year: int = 0
    boundary: str = ""
    rank: int = 0
    generation: int = 0


def factor_faults(name: str, factor: Json | None, ug_per_kwh: int | None, made_with: Json) -> list[str]:
    """Whether the integer factor is that of the published masses."""
    if factor is None:
        return [] if ug_per_kwh is None else [f"{name}: {ug_per_kwh} ug/kWh without a published factor"]
    candidate = _Candidate(
        label=factor["dataset"],
        zone=factor["zone"],
        gwp_set=factor["gwp_set"],
        co2e_kg_per_mwh=_decimal(factor["co2e_kg_per_mwh"]),
        co2_kg_per_mwh=_decimal(factor["co2_kg_per_mwh"]),
        ch4_kg_per_mwh=_decimal(factor["ch4_kg_per_mwh"]),
        n2o_kg_per_mwh=_decimal(factor["n2o_kg_per_mwh"]),
    )
    value, _ = candidate_kg_per_mwh(candidate, GWP_SETS[made_with["gwp_set"]])
    found = factor_ug_per_kwh(value)
    return [] if found == ug_per_kwh else [f"{name}: the factor is {ug_per_kwh} ug/kWh, its gases give {found}"]


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
