"""Markets and factors of a receipt as JSON: rates with their instruments, and the publications behind them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from apps.accounting.calculations.sql import Sum
from apps.accounting.engine.receipt_rows import is_in, market_parts
from apps.accounting.market import lots_of
from apps.accounting.models import MarketRate
from apps.accounting.rates import GWP_SET
from apps.factors.models import Factor
from apps.organisations.models import Organisation
from apps.procurement.models import Instrument

Json = dict[str, Any]


def market_key(rate: MarketRate) -> str:
    """The name of a market's claim period inside a receipt."""
    return f"{rate.market} {rate.period_start.isoformat()}"


def factor_json(factor: Factor | None) -> Json | None:
    """A published factor with its dataset, edition, licence and gases as printed [kg/MWh]."""
    if factor is None:
        return None
    dataset = factor.dataset
    return {
        "dataset": dataset.slug,
        "edition": dataset.edition,
        "publisher": dataset.publisher,
        "title": dataset.title,
        "boundary": dataset.boundary,
        "basis": dataset.basis,
        "perimeter": dataset.perimeter,
        "gwp_set": dataset.gwp_set,
        "licence": dataset.licence,
        "source_url": dataset.source_url,
        "dataset_digest": dataset.digest,
        "zone": factor.zone_id,
        "zone_name": factor.zone.name,
        "data_year": factor.data_year,
        **{
            name: _decimal(getattr(factor, name))
            for name in ("co2e_kg_per_mwh", "co2_kg_per_mwh", "ch4_kg_per_mwh", "n2o_kg_per_mwh")
        },
    }


def _decimal(value: Decimal | None) -> str | None:
    return None if value is None else f"{value.normalize():f}"


def datasets(rates: Iterable[Json], markets: Iterable[Json]) -> list[Json]:
    """Each dataset that a factor of the receipt comes from, once."""
    used = [rate["factor"] for rate in rates] + [market["fallback_factor"] for market in markets]
    names = ("dataset", "edition", "publisher", "title", "licence", "source_url", "dataset_digest")
    known = [{name: factor[name] for name in names} for factor in used if factor]
    found = {(dataset["dataset"], dataset["edition"]): dataset for dataset in known}
    return [found[key] for key in sorted(found)]


def markets_of(
    organisation: Organisation, rates: Sequence[MarketRate], sums: Sequence[Sum], market_of: Mapping[int, str]
) -> list[Json]:
    """The markets that the selection has Scope 2 energy in, each with its instruments and the selection's months."""
    cells: dict[str, dict[tuple[Any, ...], list[Sum]]] = defaultdict(lambda: defaultdict(list))
    for each in sums:
        if each.scope == "2" and each.site_id is not None:
            cell = (each.month, each.earmark_team, each.earmark_model, each.pool)
            cells[market_of[each.site_id]][cell].append(each)
    found = []
    lots = {lot.id: lot for lot in lots_of(organisation)}
    rows = {row.reference: row for row in Instrument.objects.of(organisation)}
    for rate in rates:
        stated = _market(rate)
        held = {cell: _added(each) for cell, each in cells[rate.market].items() if is_in(stated, cell[0])}
        if held:
            instruments = [
                _instrument(outcome, lots.get(outcome["id"]), rows.get(outcome["id"]))
                for outcome in rate.outcome.get("lots", [])
            ]
            found.append({**stated, "instruments": instruments, "parts": market_parts(stated, held)})
    return found


def _added(sums: Sequence[Sum]) -> tuple[int, int | None]:
    known = [each.location_mg for each in sums if each.location_mg is not None]
    return sum(each.facility for each in sums), sum(known) if known else None


def _market(rate: MarketRate) -> Json:
    return {
        "market_period": market_key(rate),
        "market": rate.market,
        "period_start": rate.period_start.isoformat(),
        "period_end": rate.period_end.isoformat(),
        "facility_energy_milliwatt_hours": rate.facility_energy_milliwatt_hours,
        "location_mg": rate.location_mg,
        "covered_milliwatt_hours": rate.covered_milliwatt_hours,
        "uncovered_milliwatt_hours": rate.uncovered_milliwatt_hours,
        "surplus_milliwatt_hours": rate.surplus_milliwatt_hours,
        "instruments_mg": rate.instruments_mg,
        "fallback": rate.fallback,
        "fallback_factor": factor_json(rate.fallback_factor),
        "fallback_ug_per_kwh": rate.fallback_ug_per_kwh,
        "fallback_reasons": [str(reason) for reason in rate.outcome.get("residual_reasons", [])],
        "flags": [str(flag) for flag in rate.outcome.get("flags", [])],
        "gwp_set": GWP_SET,
        "market_mg": rate.market_mg,
        # Earmarked allocation: the consumption that lots were bought for, and what each class of it bears.
        "classes": [dict(part) for part in rate.parts],
        "engine_version": rate.engine_version,
    }


def _instrument(outcome: Json, lot: Any, row: Instrument | None) -> Json:
    """A lot with what the ledger made of it; of one that was deleted since, what the result kept."""
    failed = [
        {"number": number, "reason": reason}
        for number, reason in zip(outcome["rejected_criteria"], outcome["reasons"], strict=True)
    ]
    return {
        "reference": outcome["id"],
        "type": row.type if row else "eac",
        "technology": row.technology if row else "",
        "vintage_start": row.vintage_start.isoformat() if row else "0001-01-01",
        "vintage_end": row.vintage_end.isoformat() if row else "0001-01-02",
        "volume_milliwatt_hours": row.volume_milliwatt_hours if row else None,
        "tracking_system": row.tracking_system if row else "",
        "serial_start": row.serial_start if row else "",
        "serial_end": row.serial_end if row else "",
        "retired_on": row.retired_on.isoformat() if row and row.retired_on else None,
        "evidence_digest": row.evidence_digest if row else "",
        "simulated": bool(row and row.simulated),
        "ug_per_kwh": lot.ug_per_kwh if lot else None,
        "earmark": list(lot.earmark) if lot and lot.earmark else None,
        "accepted_milliwatt_hours": outcome["accepted_milliwatt_hours"],
        "applied_milliwatt_hours": outcome["applied_milliwatt_hours"],
        "surplus_milliwatt_hours": outcome["surplus_milliwatt_hours"],
        "applied_mg": outcome["applied_mg"],
        "failed": failed,
        "criteria": [
            {"number": check["number"], "status": check["status"], "reason": check["reason"]}
            for check in outcome.get("criteria", [])
        ],
    }
