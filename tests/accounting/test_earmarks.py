"""Earmarked instruments: the lot serves the team or model it was bought for first, and the total stays as it is."""

from __future__ import annotations

import json
from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.accounting import services
from apps.accounting.engine.allocation import earmark_classes, earmarked_market_mg
from apps.accounting.engine.market import Lot, market_based
from apps.accounting.engine.scenario import evaluate_text
from apps.accounting.models import LedgerDay, LedgerHour
from apps.accounting.queries import LedgerQuery, ledger_frame, ledger_total, market_rates
from apps.organisations.models import Organisation, Team
from apps.workloads.models import AIModel
from tests.accounting.readings import KWH, Q3, add, at, attribution_of
from tests.accounting.test_market import buy

pytestmark = pytest.mark.django_db


def choose(organisation, policy):
    Organisation.objects.filter(pk=organisation.pk).update(market_allocation=policy)
    services.settle(organisation.pk)


@pytest.fixture
def booked(organisation, site, publish):
    """100 kWh of three teams in Germany at 400 g/kWh; c runs the model big."""
    publish("DE", "400")
    big = AIModel.unscoped.create(organisation=organisation, slug="big", name="Big")
    for i, (name, kwh) in enumerate({"a": 50, "b": 30, "c": 20}.items()):
        Team.unscoped.create(organisation=organisation, slug=name, name=name)
        model = {"model": big} if name == "c" else {}
        add(attribution_of(organisation, f"gpu{i}", team=name, site=site, **model), at(i), at(i + 1), kwh * KWH)
    services.settle(organisation.pk)
    return organisation


def of_team(organisation, name):
    return Team.objects.of(organisation).get(slug=name)


def market_mg(organisation, dimension="team"):
    frame = ledger_frame(LedgerQuery(organisation.pk, Q3, (dimension,)))
    return dict(zip(frame[dimension], frame["market_mg"], strict=True))


def check(organisation):
    [rate] = market_rates(organisation.pk, Q3)
    for group_by in ((), ("team",), ("model",), ("day", "team"), ("hour",), ("source", "month")):
        query = LedgerQuery(organisation.pk, Q3, group_by)
        assert ledger_frame(query)["market_mg"].sum() == ledger_total(query)["market_mg"] == rate.market_mg
    return rate


def test_a_lot_serves_the_team_it_was_bought_for_first(booked, publish):
    publish("DE", "700", kind="residual")
    buy(booked, 25, earmark_team=of_team(booked, "a"))
    choose(booked, "pro_rata")
    whole = check(booked).market_mg
    assert market_mg(booked) == {"a": 26_250_000, "b": 15_750_000, "c": 10_500_000}
    rows = list(LedgerHour.objects.order_by("hour").values_list()), list(LedgerDay.objects.values_list())
    choose(booked, "earmarked")
    assert (list(LedgerHour.objects.order_by("hour").values_list()), list(LedgerDay.objects.values_list())) == rows
    assert check(booked).market_mg == whole
    assert market_mg(booked) == {"a": 17_500_000, "b": 21_000_000, "c": 14_000_000}


def test_what_the_team_cannot_use_is_shared_like_all_others(booked):
    buy(booked, 30, earmark_team=of_team(booked, "c"), co2e="100")
    choose(booked, "earmarked")
    rate = check(booked)
    # 20 kWh cover c; the other 10 are shared by 80 kWh of a and b: 3 kg in all, and 70 kWh at the grid's 400 g.
    assert rate.market_mg == 31_000_000
    assert market_mg(booked) == {"a": 18_125_000, "b": 10_875_000, "c": 2_000_000}
    parts = {part["team"]: part for part in rate.parts}
    assert parts["c"]["covered_milliwatt_hours"] == 20_000_000
    assert parts["c"]["instruments_mg"] == 2_000_000
    assert sum(part["covered_milliwatt_hours"] for part in rate.parts) == rate.covered_milliwatt_hours
    assert sum(part["instruments_mg"] for part in rate.parts) == rate.instruments_mg


def test_a_lot_may_be_bought_for_a_model(booked):
    buy(booked, 20, earmark_model=AIModel.objects.of(booked).get())
    buy(booked, 50, earmark_team=of_team(booked, "a"), reference="GO-2")
    choose(booked, "earmarked")
    check(booked)
    assert market_mg(booked) == {"a": 0, "b": 12_000_000, "c": 0}
    assert market_mg(booked, "model") == {"big": 0, None: 12_000_000}


def test_an_earmark_that_fails_the_criteria_or_that_nobody_uses_changes_nothing(booked):
    buy(booked, 25, earmark_team=of_team(booked, "a"), beneficiary="Rival Labs")
    choose(booked, "earmarked")
    assert check(booked).parts == []
    assert market_mg(booked) == {"a": 20_000_000, "b": 12_000_000, "c": 8_000_000}
    Team.unscoped.create(organisation=booked, slug="new", name="New")
    buy(booked, 50, earmark_team=of_team(booked, "new"), reference="GO-2")
    services.settle(booked.pk)
    check(booked)
    assert market_mg(booked) == {"a": 10_000_000, "b": 6_000_000, "c": 4_000_000}


def test_a_single_team_is_told_the_same_alone(booked):
    buy(booked, 25, earmark_team=of_team(booked, "a"), co2e="33.333333")
    choose(booked, "earmarked")
    every = market_mg(booked)
    for name, mg in every.items():
        alone = ledger_total(LedgerQuery(booked.pk, Q3, filters={"team": (name,)}))["market_mg"]
        assert abs(alone - mg) <= 1


keys = st.tuples(st.sampled_from([None, "a", "b"]), st.sampled_from([None, "m"]))
lots = st.lists(
    st.tuples(
        st.sampled_from([None, ("team", "a"), ("team", "b"), ("model", "m")]),
        st.integers(1, 10**12),
        st.integers(0, 10**9),
    ),
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(
    consumption=st.dictionaries(keys, st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)), min_size=1),
    bought=lots,
    residual=st.none() | st.integers(0, 10**9),
)
def test_classes_add_up_to_the_market_and_are_never_negative(consumption, bought, residual):
    period = (date(2026, 7, 1), date(2026, 10, 1))
    instruments = [
        Lot(
            id=f"lot {i}", type="eac", market="DE", vintage_start=period[0], vintage_end=period[1],
            energy_milliwatt_hours=energy, ug_per_kwh=factor, tracking_system="AIB", serial_start=f"{i}-1",
            serial_end=f"{i}-9", retired_on=period[1], earmark=earmark,
        )
        for i, (earmark, energy, factor) in enumerate(bought)
    ]  # fmt: skip
    result = market_based(
        facility_energy_milliwatt_hours=sum(energy for energy, _ in consumption.values()),
        location_mg=sum(mg for _, mg in consumption.values()),
        instruments=instruments,
        residual_ug_per_kwh=residual,
        period=period,
        market="DE",
        vintage_window_months=12,
    )
    parts = earmark_classes(consumption, instruments, result)
    if not parts:
        return
    assert sum(part.market_mg for part in parts) == result.market_mg
    assert sum(part.instruments_mg for part in parts) == result.instruments_mg
    assert sum(part.covered_milliwatt_hours for part in parts) == result.covered_milliwatt_hours
    for part in parts:
        assert part.market_mg >= 0
        assert 0 <= part.covered_milliwatt_hours <= part.facility_energy_milliwatt_hours
        halves = [
            [quantity // 2, quantity - quantity // 2]
            for quantity in (part.facility_energy_milliwatt_hours, part.location_mg)
        ]
        shares = earmarked_market_mg(
            part,
            facility_energy_milliwatt_hours=halves[0],
            location_mg=halves[1],
            names=["x", "y"],
            fallback=result.fallback,
        )
        assert sum(share or 0 for share in shares) == part.market_mg
        assert all(share is None or share >= 0 for share in shares)
        assert Fraction(part.market_mg).denominator == 1


@pytest.mark.parametrize("residual", [None, "701.234567"])
def test_a_scenario_gives_the_same_milligrams_by_team_and_model(booked, publish, residual):
    if residual:
        publish("DE", residual, kind="residual")
    buy(booked, 25, earmark_team=of_team(booked, "a"), co2e="12.345678")
    buy(booked, 30, earmark_model=AIModel.objects.of(booked).get(), co2e="7.654321", reference="GO-2")
    buy(booked, 11, co2e="33.3", reference="GO-3")
    choose(booked, "earmarked")
    check(booked)
    quarter = {"start": "2026-07-01T00:00:00Z", "end": "2026-10-01T00:00:00Z"}

    def lot(reference, kwh, kg, earmark=None):
        return {
            "id": reference, "type": "eac", "market": "DE", "energy_kwh": kwh, **quarter, "tracking_system": "AIB",
            "serial_start": f"{reference}-1", "serial_end": f"{reference}-9", "retired_on": "2026-10-15",
            "beneficiary": "reporter", "co2e_kg_per_mwh": kg, **({"earmark": earmark} if earmark else {}),
        }  # fmt: skip

    market = {"location_factors": [{"co2e_kg_per_mwh": "400"}]}
    found = evaluate_text(
        json.dumps(
            {
                "ruleset": "ghgp-scope2-2015",
                "gwp_set": "AR5",
                "period": quarter,
                "markets": {"DE": market | ({"residual_factors": [{"co2e_kg_per_mwh": residual}]} if residual else {})},
                "facilities": {"fra1": {"market": "DE", "control": "owned", "pue": "1"}},
                "consumption": [
                    {"facility": "fra1", **quarter, "energy_kwh": kwh, "team": team, "model": model}
                    for team, kwh, model in (("a", "50", "none"), ("b", "30", "none"), ("c", "20", "big"))
                ],
                "instruments": [
                    lot("GO-1", "25", "12.345678", {"team": "a"}),
                    lot("GO-2", "30", "7.654321", {"model": "big"}),
                    lot("GO-3", "11", "33.3"),
                ],
                "policies": {"market_allocation": "earmarked"},
            }
        )
    )
    live = market_mg(booked)
    for team, mg in live.items():
        assert abs(mg - float(found["by_team"][team]["market_kg"]) * 1e6) <= 1
    assert sum(live.values()) == round(float(found["totals"]["market_kg"]) * 1e6)
