"""Hours of the what-if in the live ledger: from readings, instruments and factors to stored rows."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from apps.accounting import services as accounting
from apps.accounting.hourly import queries, services
from apps.accounting.models import HourlyRun, MarketHour
from apps.accounting.tasks import hourly
from apps.core.windows import Window, epoch_hour
from apps.factors.models import FactorDataset, GridZone, HourlyFactor
from apps.procurement.models import InstrumentHour, StandardSupply
from apps.sites.models import ControlClass, Site
from tests.accounting.readings import JULY, KWH, Q3, add, at, attribution_of
from tests.accounting.test_market import buy

pytestmark = pytest.mark.django_db

FIRST = epoch_hour(JULY)
Q3_START = date(2026, 7, 1)


@pytest.fixture
def loaded(organisation, site, publish):
    """10 kWh in each of the first four hours of July, in Germany; the residual mix is 700 g/kWh."""
    publish("DE", "400")
    publish("DE", "700", kind="residual")
    gpu = attribution_of(organisation, site=site)
    for hour in range(4):
        add(gpu, at(hour), at(hour + 1), 10 * KWH)
    accounting.settle(organisation.pk)
    return organisation


def series(kind: str, zone: str, values: dict[int, int], organisation=None) -> FactorDataset:
    place, _ = GridZone.objects.get_or_create(
        code=zone, defaults={"name": zone, "type": "country", "country": zone[:2]}
    )
    dataset = FactorDataset.objects.create(
        slug=f"hours-{kind}-{zone}-{len(values)}",
        edition="1",
        kind=kind,
        publisher="Test",
        title="Test hours",
        boundary=FactorDataset.Boundary.DIRECT,
        basis="consumption",
        licence="none",
        digest=f"{kind}{zone}{sorted(values.items())}"[:64],
        organisation=organisation,
    )
    HourlyFactor.objects.bulk_create(
        HourlyFactor(dataset=dataset, zone=place, hour=FIRST + hour, value=value) for hour, value in values.items()
    )
    return dataset


def rows_of(organisation, name: str) -> list[int | None]:
    services.bring_up_to_date(organisation, Q3)
    field = name if name.endswith("_mg") or name.startswith("fallback") else f"{name}_milliwatt_hours"
    return list(queries.hours(organisation, Q3).values_list(field, flat=True))


def hourly_lot(organisation, hours: dict[int, int], reference: str = "GC-1", **fields):
    lot = buy(organisation, sum(hours.values()), reference=reference, **fields)
    InstrumentHour.unscoped.bulk_create(
        InstrumentHour(organisation=organisation, instrument=lot, hour=FIRST + hour, energy_milliwatt_hours=kwh * 10**6)
        for hour, kwh in hours.items()
    )
    return lot


def test_uncovered_hours_take_the_annual_residual_mix(loaded):
    assert rows_of(loaded, "load") == [10_000_000] * 4
    assert rows_of(loaded, "market_mg") == [7_000_000] * 4
    assert rows_of(loaded, "location_mg") == [4_000_000] * 4
    assert rows_of(loaded, "fallback") == [MarketHour.Fallback.RESIDUAL] * 4


def test_certificates_cover_their_own_hours_alone(loaded):
    hourly_lot(loaded, {0: 4, 1: 25, 5: 8})
    assert rows_of(loaded, "matched") == [4_000_000, 10_000_000, 0, 0]
    assert rows_of(loaded, "surplus") == [0, 15_000_000, 0, 0]  # the sixth hour is not in the ledger yet
    assert rows_of(loaded, "market_mg") == [4_200_000, 0, 7_000_000, 7_000_000]
    [run] = queries.runs(loaded, Q3)
    [lot] = run.outcome["lots"]["DE"]
    assert (lot["accepted_milliwatt_hours"], lot["applied_milliwatt_hours"], lot["flags"]) == (
        29_000_000,
        14_000_000,
        [],
    )


def test_a_lot_without_hours_is_spread_evenly_over_its_vintage_and_says_so(loaded):
    buy(loaded, 92 * 24 * 3)  # 3 kWh in each hour of the quarter
    assert rows_of(loaded, "matched") == [3_000_000] * 4
    [run] = queries.runs(loaded, Q3)
    assert run.outcome["lots"]["DE"][0]["flags"] == ["flat_profile"]


def test_of_another_vintage_than_the_consumption_nothing_is_matched(loaded):
    """The claim names the third quarter, and the criteria of 2015 are met; the draft asks for the same hour."""
    buy(
        loaded,
        40,
        vintage_start=date(2026, 1, 1),
        vintage_end=date(2026, 4, 1),
        claim_start=date(2026, 7, 1),
        claim_end=date(2026, 10, 1),
    )
    assert rows_of(loaded, "matched") == [0] * 4
    [run] = queries.runs(loaded, Q3)
    assert run.outcome["lots"]["DE"][0]["rejected_criteria"] == [4]


def test_what_cannot_be_delivered_covers_nothing(loaded):
    hourly_lot(loaded, {0: 4}, deliverable=False)
    assert rows_of(loaded, "matched") == [0] * 4
    assert rows_of(loaded, "surplus") == [0] * 4


def test_standard_supply_comes_before_what_was_bought(loaded):
    StandardSupply.unscoped.create(
        organisation=loaded,
        market="DE",
        start=Q3_START,
        end=date(2026, 10, 1),
        share_ppm=300_000,
        co2e_kg_per_mwh=20,
        source="test",
    )
    hourly_lot(loaded, {0: 9})
    assert rows_of(loaded, "standard_supply") == [3_000_000] * 4
    assert rows_of(loaded, "matched") == [7_000_000, 0, 0, 0]
    assert rows_of(loaded, "surplus") == [2_000_000, 0, 0, 0]
    assert rows_of(loaded, "market_mg") == [60_000, *[60_000 + 4_900_000] * 3]


def test_hourly_series_stand_before_annual_factors(loaded):
    series("hourly", "DE", {0: 100_000_000, 1: 200_000_000})
    series("hourly_residual", "DE", {1: 500_000_000})
    assert rows_of(loaded, "location_mg") == [1_000_000, 2_000_000, 4_000_000, 4_000_000]
    assert rows_of(loaded, "market_mg") == [7_000_000, 5_000_000, 7_000_000, 7_000_000]
    assert rows_of(loaded, "fallback") == [2, 1, 2, 2]


def test_somebody_elses_series_is_not_used(loaded, other_organisation):
    series("hourly", "DE", {0: 100_000_000}, organisation=other_organisation)
    assert rows_of(loaded, "location_mg") == [4_000_000] * 4


def test_the_carbon_free_score_is_absent_where_the_grid_is_not_known(loaded):
    hourly_lot(loaded, {0: 4, 1: 10})
    series("hourly_cfe", "DE", {0: 500_000, 3: 250_000})
    # 4 + 6 / 2; covered altogether, but the grid is not known; not known; 10 / 4
    assert rows_of(loaded, "carbon_free") == [7_000_000, None, None, 2_500_000]
    [row] = queries.market_sums(loaded, Q3)
    assert (row.cfe_fraction, row.cfe_known) == (pytest.approx(9.5 / 20), pytest.approx(0.5))
    assert row.matched_fraction == pytest.approx(14 / 40)


def test_without_a_residual_mix_the_fossil_average_and_then_a_conservative_default(organisation, site, publish):
    publish("DE", "400")
    add(attribution_of(organisation, site=site), at(0), at(1), KWH)
    accounting.settle(organisation.pk)
    assert rows_of(organisation, "fallback") == [MarketHour.Fallback.DEFAULT]
    assert rows_of(organisation, "market_mg") == [1_043_234]  # lignite: 1,043.2337 g
    [run] = queries.runs(organisation, Q3)
    assert run.outcome["flags"] == ["default_fossil_factor:DE"]
    publish("DE", "820", kind="fossil_default")
    assert rows_of(organisation, "fallback") == [MarketHour.Fallback.FOSSIL]
    assert rows_of(organisation, "market_mg") == [820_000]


def test_cloud_sites_and_other_markets_stay_apart(loaded, publish):
    publish("FR", "50")
    for code, control in (("cloud", ControlClass.CLOUD), ("paris", ControlClass.COLOCATION)):
        place = Site.unscoped.create(
            organisation=loaded, code=code, name=code, control=control, country="FR", grid_zone="FR", market="FR"
        )
        add(attribution_of(loaded, code, site=place), at(0), at(1), 5 * KWH)
    accounting.settle(loaded.pk)
    hourly_lot(loaded, {0: 100})
    services.bring_up_to_date(loaded, Q3)
    german, french = queries.market_sums(loaded, Q3)
    assert (german.market, german.matched, german.surplus) == ("DE", 10_000_000, 90_000_000)
    assert (french.market, french.load, french.matched) == ("FR", 5_000_000, 0)
    whole = queries.total_of([german, french])
    assert (whole.load, whole.matched_fraction) == (45_000_000, pytest.approx(10 / 45))


def test_hours_are_worked_out_again_only_when_something_changed(loaded):
    assert services.refresh_hours(loaded.pk, Q3_START) == 4
    assert services.refresh_hours(loaded.pk, Q3_START) == 0
    calculated_at = HourlyRun.objects.of(loaded).get().calculated_at
    services.bring_up_to_date(loaded, Q3)
    assert HourlyRun.objects.of(loaded).get().calculated_at == calculated_at
    add(attribution_of(loaded, "late", site=Site.objects.of(loaded).get()), at(2), at(3), KWH)
    accounting.settle(loaded.pk)
    assert rows_of(loaded, "load")[2] == 11_000_000
    hourly_lot(loaded, {0: 4})
    assert rows_of(loaded, "matched")[0] == 4_000_000


def test_a_great_many_hours_are_left_to_a_worker(loaded, monkeypatch):
    asked = []
    monkeypatch.setattr(services, "INLINE_CELLS", 100)
    monkeypatch.setattr(services.current_app, "send_task", lambda name, args, **options: asked.append((name, args)))
    assert services.bring_up_to_date(loaded, Q3) is False
    assert asked == [("accounting.hourly", (loaded.pk, "2026-07-01"))]
    hourly(*asked[0][1])
    assert services.bring_up_to_date(loaded, Q3) is True
    assert len(asked) == 1


def test_the_sums_stand_beside_the_reported_figure(loaded):
    hourly_lot(loaded, {0: 4, 1: 25})
    accounting.settle(loaded.pk)
    services.bring_up_to_date(loaded, Q3)
    [row] = queries.market_sums(loaded, Q3)
    assert row.market_mg == 18_200_000
    assert row.reported_mg == 7_700_000  # over the quarter 29 of 40 kWh are covered, 11 take 700 g
    assert row.load == row.standard_supply + row.matched + row.unmatched


def test_profiles(loaded):
    services.bring_up_to_date(loaded, Q3)
    day = queries.day_profile(loaded, Q3)
    assert day["load"] == [10_000_000] * 4 + [0] * 20
    first, week = queries.week(loaded, Q3)
    assert first == FIRST
    assert sum(week["load"]) == 40_000_000
    empty = Window(datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 4, 1, tzinfo=UTC))
    assert sum(queries.week(loaded, empty)[1]["load"]) == 0
