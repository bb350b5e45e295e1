"""Market-based figures of the live ledger: instruments, residual mix, claim periods, and parts that add up."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from apps.accounting import services
from apps.accounting.market import claim_period
from apps.accounting.market_parts import parts_mg
from apps.accounting.models import LedgerHour, MarketRate
from apps.accounting.queries import LedgerQuery, ledger_frame, ledger_total, market_rates
from apps.core.windows import Window
from apps.organisations.models import Team
from apps.procurement.models import Instrument
from apps.sites.models import ControlClass, Site
from tests.accounting.readings import KWH, Q3, add, at, attribution_of

pytestmark = pytest.mark.django_db


def buy(organisation, kwh, market="DE", co2e="0", reference="GO-1", **fields):
    fields = {
        "type": Instrument.Type.EAC,
        "vintage_start": date(2026, 7, 1),
        "vintage_end": date(2026, 10, 1),
        "tracking_system": "AIB",
        "serial_start": f"{reference}-1",
        "serial_end": f"{reference}-9",
        "retired_on": date(2026, 10, 15),
        "beneficiary": "Acme AI",
        **fields,
    }
    return Instrument.unscoped.create(
        organisation=organisation,
        reference=reference,
        market=market,
        volume_milliwatt_hours=kwh * 1_000_000,
        co2e_kg_per_mwh=co2e,
        **fields,
    )


@pytest.fixture
def booked(organisation, site, publish):
    """100 kWh of three teams in Germany, at 400 g/kWh."""
    publish("DE", "400")
    for i, (name, kwh) in enumerate({"a": 50, "b": 30, "c": 20}.items()):
        Team.unscoped.create(organisation=organisation, slug=name, name=name)
        add(attribution_of(organisation, f"gpu{i}", team=name, site=site), at(i), at(i + 1), kwh * KWH)
    services.settle(organisation.pk)
    return organisation


def test_without_a_residual_mix_the_grid_average_stands_in(booked):
    [rate] = market_rates(booked.pk, Q3)
    assert (rate.fallback, rate.market_mg, rate.location_mg) == ("location", 40_000_000, 40_000_000)
    assert rate.outcome["flags"] == ["no_residual_mix:DE"]
    assert ledger_total(LedgerQuery(booked.pk, Q3))["market_mg"] == 40_000_000


def test_the_residual_mix_takes_what_instruments_leave(booked, publish):
    publish("DE", "700", kind="residual")
    buy(booked, 60)
    before = LedgerHour.objects.order_by("hour").values_list()
    assert services.settle(booked.pk) == 0  # only rates were written
    assert list(LedgerHour.objects.order_by("hour").values_list()) == list(before)
    [rate] = market_rates(booked.pk, Q3)
    assert (rate.covered_milliwatt_hours, rate.uncovered_milliwatt_hours) == (60_000_000, 40_000_000)
    assert rate.market_mg == 28_000_000  # 40 kWh at 700 g
    assert rate.fallback_factor is not None
    frame = ledger_frame(LedgerQuery(booked.pk, Q3, ("team",)))
    assert frame["market_mg"].tolist() == [14_000_000, 8_400_000, 5_600_000]
    assert frame["location_mg"].tolist() == [20_000_000, 12_000_000, 8_000_000]


def test_surplus_is_shown_and_never_negative(booked):
    buy(booked, 150)
    services.settle(booked.pk)
    [rate] = market_rates(booked.pk, Q3)
    assert (rate.surplus_milliwatt_hours, rate.market_mg) == (50_000_000, 0)
    assert ledger_total(LedgerQuery(booked.pk, Q3))["market_mg"] == 0


def test_a_lot_retired_for_somebody_else_covers_nothing(booked):
    buy(booked, 60, beneficiary="Rival Labs")
    services.settle(booked.pk)
    [rate] = market_rates(booked.pk, Q3)
    assert rate.market_mg == 40_000_000
    assert rate.outcome["lots"][0]["rejected_criteria"] == [3]


def test_a_lot_for_another_market_is_surplus_there(booked):
    Site.unscoped.create(
        organisation=booked, code="f", name="F", control=ControlClass.OWNED, country="FR", grid_zone="FR", market="FR"
    )
    buy(booked, 60, market="FR")
    services.settle(booked.pk)
    german, french = market_rates(booked.pk, Q3)
    assert (german.market, german.market_mg) == ("DE", 40_000_000)
    assert (french.market, french.surplus_milliwatt_hours) == ("FR", 60_000_000)


def test_cloud_energy_is_not_covered(booked, publish):
    cloud = Site.unscoped.create(
        organisation=booked, code="c", name="C", control=ControlClass.CLOUD, country="DE", grid_zone="DE", market="DE"
    )
    add(attribution_of(booked, "vm", site=cloud), at(9), at(10), 900 * KWH)
    buy(booked, 60)
    services.settle(booked.pk)
    [rate] = market_rates(booked.pk, Q3)
    assert (rate.facility_energy_milliwatt_hours, rate.covered_milliwatt_hours) == (100_000_000, 60_000_000)


def test_a_site_that_becomes_owned_enters_the_market(booked):
    cloud = Site.unscoped.create(
        organisation=booked, code="c", name="C", control=ControlClass.CLOUD, country="DE", grid_zone="DE", market="DE"
    )
    add(attribution_of(booked, "vm", site=cloud), at(9), at(10), 100 * KWH)
    services.settle(booked.pk)
    Site.objects.of(booked).filter(code="c").update(control=ControlClass.COLOCATION)
    services.settle(booked.pk)
    assert market_rates(booked.pk, Q3)[0].facility_energy_milliwatt_hours == 200_000_000
    assert ledger_total(LedgerQuery(booked.pk, Q3))["market_mg"] == 80_000_000


def test_parts_of_a_quarter_add_up_to_its_rate(booked, publish):
    publish("DE", "701.234567", kind="residual")
    buy(booked, 7, co2e="12.345678")
    for i in range(7):
        add(attribution_of(booked, "odd", team="a"), at(24 * 13 * i), at(24 * 13 * i, 7), 1_234_567_891)
    services.settle(booked.pk)
    [rate] = market_rates(booked.pk, Q3)
    total = ledger_total(LedgerQuery(booked.pk, Q3))
    assert total["market_mg"] == rate.market_mg
    for group_by in (("team",), ("day",), ("month", "source"), ("hour", "team")):
        assert ledger_frame(LedgerQuery(booked.pk, Q3, group_by))["market_mg"].sum() == rate.market_mg


def test_a_year_may_be_the_claim_period(booked):
    buy(booked, 60, vintage_start=date(2026, 1, 1), vintage_end=date(2027, 1, 1), retired_on=date(2027, 1, 15))
    services.settle(booked.pk)
    [quarter] = market_rates(booked.pk, Q3)
    assert 15_000_000 < quarter.covered_milliwatt_hours < 15_200_000  # 92 of 365 days of 60 kWh
    booked.claim_period = "year"
    booked.save()
    services.settle(booked.pk)
    [year] = market_rates(booked.pk, Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)))
    assert (year.period_start, year.period_end) == (date(2026, 1, 1), date(2027, 1, 1))
    assert year.covered_milliwatt_hours == 60_000_000
    assert MarketRate.objects.of(booked).count() == 1


def test_without_location_factor_and_residual_mix_the_figure_is_absent(organisation, site):
    add(attribution_of(organisation, site=site), at(1), at(2), KWH)
    services.settle(organisation.pk)
    assert str(ledger_total(LedgerQuery(organisation.pk, Q3))["market_mg"]) == "<NA>"


def test_parts_add_up_where_one_grid_of_a_market_has_no_factor(booked):
    Site.unscoped.create(
        organisation=booked, code="b", name="B", control="owned", country="DE", grid_zone="none", market="DE"
    )
    add(attribution_of(booked, "bare", site=Site.objects.of(booked).get(code="b")), at(9), at(10), 33 * KWH)
    query = LedgerQuery(booked.pk, Q3, ("site",))
    services.settle(booked.pk)
    assert ledger_frame(query)["market_mg"].isna().tolist() == [True, False]
    buy(booked, 50, co2e="30")
    services.settle(booked.pk)
    [rate] = market_rates(booked.pk, Q3)
    assert ledger_total(query)["market_mg"] == ledger_frame(query)["market_mg"].sum() == rate.market_mg


def test_ties_go_by_name():
    rate = MarketRate(facility_energy_milliwatt_hours=3, market_mg=4, fallback="residual")
    assert parts_mg(rate, [1, 1, 1], [None] * 3, ["c", "a", "b"]) == [1, 2, 1]
    assert parts_mg(rate, [1], [None], ["a"]) == [1]


def test_quarters_and_years():
    assert claim_period(date(2026, 12, 31), "quarter") == (date(2026, 10, 1), date(2027, 1, 1))
    assert claim_period(date(2026, 12, 31), "year") == (date(2026, 1, 1), date(2027, 1, 1))


def test_a_lot_of_a_market_without_a_scope_2_site_fails_criterion_5_and_is_no_surplus(booked):
    buy(booked, 60, market="FR", reference="GO-FR")
    services.settle(booked.pk)
    [rate] = [rate for rate in market_rates(booked.pk, Q3) if rate.market == "FR"]
    [lot] = rate.outcome["lots"]
    assert (lot["rejected_criteria"], lot["accepted_milliwatt_hours"], rate.surplus_milliwatt_hours) == ([5], 0, 0)
    assert "nothing is consumed there in Scope 2" in lot["reasons"][0]
