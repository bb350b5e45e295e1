"""One inventory through both doors: as a scenario file, and as readings, factors and instruments in the live ledger.

Every total must be the same integer. Facility energies are whole kilowatt-hours and factors have three decimals: no
ledger row is rounded then, and the two ways of rounding (each row; each total) cannot differ.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from apps.accounting import services as accounting
from apps.accounting.engine.rulesets import RULESET_DRAFT_2025_10
from apps.accounting.engine.scenario import evaluate_text
from apps.accounting.hourly import queries as hourly
from apps.accounting.hourly import services as hourly_services
from apps.accounting.queries import LedgerQuery, ledger_frame, ledger_total, market_rates
from apps.core.units import ppm
from apps.core.windows import epoch_hour, epoch_ms
from apps.organisations.models import Organisation, Team
from apps.procurement.models import Instrument, InstrumentHour, StandardSupply
from apps.sites.models import PuePeriod, Site
from apps.telemetry.models import Boundary
from apps.workloads.models import AIModel
from tests.accounting.readings import Q3, add, attribution_of

pytestmark = pytest.mark.django_db

QUARTER = {"start": "2026-07-01T00:00:00Z", "end": "2026-10-01T00:00:00Z"}
MARKETS = {
    "DE": {"location_factors": [{"co2e_kg_per_mwh": "363.251"}], "residual_factors": [{"co2e_kg_per_mwh": "720.113"}]},
    "FR": {"location_factors": [{"co2e_kg_per_mwh": "44.007"}], "residual_factors": [{"co2e_kg_per_mwh": "51.9"}]},
}
FACILITIES = {
    "hall": {"market": "DE", "control": "owned", "pue": "1.25"},
    "colo": {"market": "FR", "control": "colocation", "pue": "1.5"},
    "cloud": {"market": "FR", "control": "cloud", "pue": "1"},
}


def use(facility: str, hour: int, kwh: str, team: str, boundary: str = "it", **more: str) -> dict[str, str]:
    start = f"2026-07-02T{hour:02d}:00:00Z"
    end = f"2026-07-02T{hour + 1:02d}:00:00Z"
    return {
        "facility": facility,
        "start": start,
        "end": end,
        "energy_kwh": kwh,
        "team": team,
        "boundary": boundary,
        **more,
    }


def lot(name: str, kwh: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": name,
        "type": "eac",
        "market": "DE",
        **QUARTER,
        "energy_kwh": kwh,
        "co2e_kg_per_mwh": "0",
        "tracking_system": "REG",
        "serial_start": f"{name}-1",
        "serial_end": f"{name}-999",
        "retired_on": "2026-10-15",
        "beneficiary": "reporter",
        **fields,
    }


CONSUMPTION = [
    use("hall", 3, "124", "vision", model="m1"),
    use("hall", 4, "76", "speech", model="m1"),
    use("hall", 5, "40", "speech", "facility", model="m2"),
    use("colo", 3, "250", "vision", model="m2"),
    use("cloud", 3, "1000", "speech", model="m1"),
]
PRO_RATA = {
    "period": QUARTER,
    "markets": MARKETS,
    "facilities": FACILITIES,
    "consumption": CONSUMPTION,
    "instruments": [
        lot("T", "55.001", type="supplier", co2e_kg_per_mwh="101.3", supplier_attested=True),
        lot("P", "30.7", type="ppa", co2e_kg_per_mwh="12.5"),
        lot("C", "80"),
        lot("F", "900", market="FR", co2e_kg_per_mwh="3.001"),
    ],
}
NO_RESIDUAL = {**PRO_RATA, "markets": {code: {**m, "residual_factors": []} for code, m in MARKETS.items()}}
FAILING = {
    **PRO_RATA,
    "instruments": [
        lot("GOOD", "20", serial_start="GO-1", serial_end="GO-50"),
        lot("TWIN", "20", serial_start="GO-50", serial_end="GO-99"),
        lot("OPEN", "20", retired_on=None),
        lot("OTHERS", "20", beneficiary="Rival Labs"),
        lot("OLD", "20", start="2024-01-01T00:00:00Z", end="2024-04-01T00:00:00Z"),
        lot("SOLD", "20", type="supplier", supplier_attested=False),
        lot("SHARED", "20", type="ppa", exclusive_claim=False),
        lot("BIO", "20", co2e_kg_per_mwh=None, co2_kg_per_mwh="0", ch4_kg_per_mwh="0.125", n2o_kg_per_mwh="0.02"),
    ],
}
NOTHING_BOUGHT = {**PRO_RATA, "instruments": []}
EARMARKED = {
    **PRO_RATA,
    "instruments": [
        lot("V", "60", earmark={"team": "vision"}),
        lot("S", "40", earmark={"team": "speech"}, co2e_kg_per_mwh="7"),
        lot("ALL", "25", type="ppa"),
    ],
    "policies": {"market_allocation": "earmarked"},
}
CASES = {
    "pro rata": PRO_RATA,
    "earmarked": EARMARKED,
    "no residual mix": NO_RESIDUAL,
    "failing lots": FAILING,
    "nothing bought": NOTHING_BOUGHT,
}


def settle_live(organisation: Organisation, scenario: dict[str, Any], publish: Callable[..., object]) -> None:
    """Put a scenario into the database as the portal's users would, and settle it."""
    for code, market in scenario["markets"].items():
        for kind in ("location", "residual"):
            for factor in market[f"{kind}_factors"]:
                publish(code, factor["co2e_kg_per_mwh"], kind=kind)
    sites = {}
    for code, facility in scenario["facilities"].items():
        sites[code] = Site.unscoped.create(
            organisation=organisation,
            code=code,
            name=code,
            control=facility["control"],
            country=facility["market"],
            grid_zone=facility["market"],
            market=facility["market"],
        )
        pue = ppm(Decimal(facility["pue"]))
        PuePeriod.unscoped.create(
            organisation=organisation, site=sites[code], start=date(2026, 1, 1), pue_ppm=pue, source="test"
        )
    for team in sorted({row["team"] for row in scenario["consumption"]}):
        Team.unscoped.create(organisation=organisation, slug=team, name=team.title())
    models = {
        name: AIModel.unscoped.create(organisation=organisation, slug=name, name=name)
        for name in sorted({row["model"] for row in scenario["consumption"]})
    }
    for number, row in enumerate(scenario["consumption"]):
        attribution = attribution_of(
            organisation,
            f"node-{number}",
            team=row["team"],
            site=sites[row["facility"]],
            model=models[row["model"]],
            boundary=Boundary.FACILITY if row["boundary"] == "facility" else Boundary.NODE,
        )
        start, end = (epoch_ms(datetime.fromisoformat(row[name])) for name in ("start", "end"))
        add(attribution, start, end, int(Decimal(row["energy_kwh"]) * 10**9))
    organisation.market_allocation = scenario.get("policies", {}).get("market_allocation", "pro_rata")
    organisation.save()
    for item in scenario["instruments"]:
        store(organisation, item)
    accounting.settle(organisation.pk)


def store(organisation: Organisation, item: dict[str, Any]) -> Instrument:
    factors = ("co2e_kg_per_mwh", "co2_kg_per_mwh", "ch4_kg_per_mwh", "n2o_kg_per_mwh")
    beneficiary = item["beneficiary"]
    return Instrument.unscoped.create(
        organisation=organisation,
        reference=item["id"],
        type=item["type"],
        market=item["market"],
        vintage_start=date.fromisoformat(item["start"][:10]),
        vintage_end=date.fromisoformat(item["end"][:10]),
        volume_milliwatt_hours=int(Decimal(item["energy_kwh"]) * 10**6),
        tracking_system=item["tracking_system"],
        serial_start=item["serial_start"],
        serial_end=item["serial_end"],
        retired_on=item["retired_on"] and date.fromisoformat(item["retired_on"]),
        beneficiary=organisation.name if beneficiary == "reporter" else beneficiary,
        claim_start=date(2026, 7, 1),
        claim_end=date(2026, 10, 1),
        supplier_attested=item.get("supplier_attested"),
        exclusive_claim=item.get("exclusive_claim"),
        deliverable=item.get("deliverable", True),
        earmark_team=Team.objects.of(organisation).filter(slug=item.get("earmark", {}).get("team", "")).first(),
        **{name: None if item.get(name) is None else Decimal(item[name]) for name in factors},
    )


def millionths(text: str | None) -> int | None:
    """kWh as mWh, kg as mg."""
    return None if text is None else int(Decimal(text) * 10**6)


def integers(row: dict[str, str | None], names: tuple[str, ...]) -> tuple[int | None, ...]:
    return tuple(millionths(row[name]) for name in names)


FIGURES = ("facility_energy_kwh", "location_kg", "market_kg")
STORED = ("facility_energy_milliwatt_hours", "location_mg", "market_mg")


def stored(row: Any) -> tuple[int | None, ...]:
    return tuple(None if pd.isna(row[name]) else int(row[name]) for name in STORED)


@pytest.mark.parametrize("scenario", CASES.values(), ids=CASES)
def test_both_doors_give_the_same_integers(scenario, organisation, publish):
    result = evaluate_text(json.dumps(scenario))
    # The database refuses what the engine rejects: one serial claimed twice never becomes a second lot.
    live = {**scenario, "instruments": [item for item in scenario["instruments"] if item["id"] != "TWIN"]}
    settle_live(organisation, live, publish)

    total = ledger_total(LedgerQuery(organisation.pk, Q3))
    assert stored(total) == integers(result["totals"], FIGURES)
    assert int(total["it_energy_milliwatt_hours"]) == millionths(result["totals"]["it_energy_kwh"])
    cloud = ledger_total(LedgerQuery(organisation.pk, Q3, scope="3"))
    assert stored(cloud)[:2] == integers(result["scope3"], FIGURES[:2])

    for dimension, name in (
        ("market", "by_market"),
        ("site", "by_facility"),
        ("team", "by_team"),
        ("model", "by_model"),
    ):
        frame = ledger_frame(LedgerQuery(organisation.pk, Q3, (dimension,)))
        found = {row[dimension]: stored(row) for row in frame.to_dict("records")}
        assert found == {key: integers(row, FIGURES) for key, row in result[name].items()}, dimension

    rates = market_rates(organisation.pk, Q3)
    for name, column in (("covered", "covered"), ("uncovered", "uncovered"), ("surplus", "surplus")):
        live_sum = sum(getattr(rate, f"{column}_milliwatt_hours") for rate in rates)
        assert live_sum == millionths(result["totals"][f"{name}_kwh"])
    assert sorted(flag for rate in rates for flag in rate.outcome["flags"]) == result["flags"]
    lots = {lot["id"]: lot for rate in rates for lot in rate.outcome["lots"]}
    for item in result["instruments"]:
        if item["id"] == "TWIN":
            assert item["rejected_criteria"] == [2]
            continue
        found = lots[item["id"]]
        assert found["rejected_criteria"] == item["rejected_criteria"]
        assert found["criteria"] == item["criteria"]
        assert [found[f"{name}_milliwatt_hours"] for name in ("accepted", "applied", "surplus")] == [
            millionths(item[f"{name}_kwh"]) for name in ("accepted", "applied", "surplus")
        ]


def test_both_doors_give_the_same_hours(organisation, publish):
    """The draft: a bundle of hours is one lot of the ledger and one lot an hour in the scenario."""
    hours = {3: "100", 4: "130", 5: "2.5", 6: "9"}
    scenario = {
        **PRO_RATA,
        "ruleset": RULESET_DRAFT_2025_10,
        "markets": {**MARKETS, "DE": {**MARKETS["DE"], "standard_supply": {"share": "0.1", "co2e_kg_per_mwh": "17"}}},
        "instruments": [
            {
                **lot(f"W{hour}", kwh),
                "start": f"2026-07-02T{hour:02d}:00:00Z",
                "end": f"2026-07-02T{hour + 1:02d}:00:00Z",
            }
            for hour, kwh in hours.items()
        ],
    }
    result = evaluate_text(json.dumps(scenario))
    settle_live(organisation, {**scenario, "instruments": []}, publish)
    bundle = store(organisation, lot("W", str(sum(map(Decimal, hours.values())))))
    first = epoch_hour(datetime.fromisoformat("2026-07-02T00:00:00Z"))
    InstrumentHour.unscoped.bulk_create(
        InstrumentHour(
            organisation=organisation,
            instrument=bundle,
            hour=first + hour,
            energy_milliwatt_hours=int(Decimal(kwh) * 10**6),
        )
        for hour, kwh in hours.items()
    )
    StandardSupply.unscoped.create(
        organisation=organisation,
        market="DE",
        start=date(2026, 7, 1),
        end=date(2026, 10, 1),
        share_ppm=100_000,
        co2e_kg_per_mwh=Decimal(17),
        source="test",
    )
    # The ledger's hours end with its last reading; one more lets the surplus of the sixth hour be seen.
    site = Site.objects.of(organisation).get(code="hall")
    start = epoch_ms(datetime.fromisoformat("2026-07-02T06:00:00Z"))
    add(attribution_of(organisation, "silent", site=site, boundary=Boundary.NODE), start, start + 3_600_000, 0)
    accounting.settle(organisation.pk)
    hourly_services.bring_up_to_date(organisation, Q3)
    rows = hourly.market_sums(organisation, Q3)
    for row in rows:
        found = (row.load, row.location_mg, row.market_mg)
        assert found == integers(result["by_market"][row.market], FIGURES), row.market
    whole = hourly.total_of(rows)
    assert whole.surplus == millionths(result["totals"]["surplus_kwh"])
    assert whole.matched == millionths(result["hourly"]["matched_kwh"])
    assert whole.standard_supply == millionths(result["hourly"]["standard_supply_kwh"])
    assert float(whole.matched_fraction) == pytest.approx(float(result["hourly"]["matched_fraction"]), abs=1e-9)
