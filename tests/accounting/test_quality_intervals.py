"""Intervals of the ledger's figures: by hand, and whatever they are grouped by."""

from __future__ import annotations

from datetime import date
from math import ceil, sqrt

import pandas as pd
import pytest

from apps.accounting import services
from apps.accounting.quality.queries import intervals
from apps.accounting.queries import LedgerQuery, ledger_frame
from apps.organisations.models import Team
from apps.procurement.models import Instrument
from apps.sites.models import ControlClass, PuePeriod, Site
from apps.telemetry.models import Boundary, Method
from tests.accounting.readings import KWH, Q3, add, at, attribution_of

pytestmark = pytest.mark.django_db
G = 1_000  # mg


def query(organisation, *group_by, **fields):
    return LedgerQuery(organisation_id=organisation.pk, window=fields.pop("window", Q3), group_by=group_by, **fields)


def only(frame):
    assert len(frame) == 1
    return frame.iloc[0]


@pytest.fixture
def pue(organisation, site):
    return PuePeriod.unscoped.create(
        organisation=organisation, site=site, start=date(2026, 1, 1), pue_ppm=1_250_000, source="meter"
    )


def test_one_row_is_a_product(organisation, site, publish, pue):
    publish("DE", "400")
    add(attribution_of(organisation, site=site), at(1), at(2), 8 * KWH)
    services.settle(organisation.pk)
    row = only(intervals(query(organisation)))
    # activity B 10 %, PUE stated 5 %, factor of the country 10 %: 15 %; 8 kWh x 1.25 x 400 g = 4,000 g
    half = 600 * G
    assert (row["location_low_mg"], row["location_high_mg"]) == (4_000 * G - half, 4_000 * G + half)
    assert row["location_uncertainty"] == pytest.approx(0.15, abs=1e-6)
    # without a residual mix and instruments the market-based figure is the location-based one
    assert (row["market_low_mg"], row["market_high_mg"]) == (row["location_low_mg"], row["location_high_mg"])
    assert row["energy_uncertainty"] == pytest.approx(sqrt(0.1**2 + 0.05**2), abs=1e-6)
    assert row["energy_high_milliwatt_hours"] - 10_000_000 == ceil(10_000_000 * sqrt(0.1**2 + 0.05**2))


def test_sources_are_independent_and_share_pue_and_factor(organisation, site, publish, pue):
    publish("DE", "400")
    for name, amount in (("a", 3), ("b", 4)):
        add(attribution_of(organisation, name, site=site), at(1), at(2), amount * KWH)
    services.settle(organisation.pk)
    row = only(intervals(query(organisation)))
    # 3 and 4 kWh x 1.25 x 400 g: 1,500 and 2,000 g
    activity = 0.1 * sqrt(1_500**2 + 2_000**2)
    half = sqrt(activity**2 + (0.05 * 3_500) ** 2 + (0.1 * 3_500) ** 2)
    assert row["location_high_mg"] - 3_500 * G == ceil(half * G)


def test_readings_of_one_source_are_fully_correlated(organisation, site, publish, pue):
    publish("DE", "400")
    for hour in range(4):
        add(attribution_of(organisation, site=site), at(hour), at(hour + 1), 2 * KWH)
    services.settle(organisation.pk)
    assert only(intervals(query(organisation)))["location_uncertainty"] == pytest.approx(0.15, abs=1e-6)


def test_each_tier_has_its_own_and_a_facility_meter_no_pue(organisation, site, publish, pue):
    publish("DE", "400")
    add(attribution_of(organisation, "meter", site=site, method=Method.METERED, boundary=Boundary.FACILITY), 0, 1, 0)
    for name, method, boundary in (
        ("meter", Method.METERED, Boundary.FACILITY),
        ("model", Method.MODELLED, Boundary.NODE),
        ("guess", Method.ESTIMATED, Boundary.NODE),
    ):
        add(attribution_of(organisation, name, site=site, method=method, boundary=boundary), at(1), at(2), KWH)
    services.settle(organisation.pk)
    found = intervals(query(organisation, "source")).set_index("source")["energy_uncertainty"]
    assert found["meter"] == pytest.approx(0.02, abs=1e-5)
    assert found["model"] == pytest.approx(sqrt(0.3**2 + 0.05**2), abs=1e-5)
    assert found["guess"] == pytest.approx(sqrt(0.5**2 + 0.05**2), abs=1e-5)


def test_a_pue_that_nobody_recorded_is_less_sure(organisation, site, publish):
    publish("DE", "400")
    add(attribution_of(organisation, site=site), at(1), at(2), KWH)
    services.settle(organisation.pk)
    row = only(intervals(query(organisation)))
    assert row["energy_uncertainty"] == pytest.approx(sqrt(0.1**2 + 0.3**2), abs=1e-5)


def test_a_pue_recorded_in_the_middle_of_the_month_counts_from_its_day(organisation, site, publish):
    publish("DE", "400")
    for hour in (1, 24 * 14 + 1):
        add(attribution_of(organisation, site=site), at(hour), at(hour + 1), KWH)
    PuePeriod.unscoped.create(
        organisation=organisation, site=site, start=date(2026, 7, 15), pue_ppm=1_000_000, source="meter"
    )
    services.settle(organisation.pk)
    # half of the energy at 30 %, half at 5 %, one site: 17.5 %
    assert only(intervals(query(organisation)))["energy_uncertainty"] == pytest.approx(
        sqrt(0.1**2 + 0.175**2), abs=1e-5
    )


def test_an_older_factor_is_less_sure(organisation, site, publish, pue):
    publish("DE", "400", year=2024)
    add(attribution_of(organisation, site=site), at(1), at(2), 8 * KWH)
    services.settle(organisation.pk)
    assert only(intervals(query(organisation)))["location_uncertainty"] == pytest.approx(
        sqrt(0.1**2 + 0.05**2 + 0.1**2 + 0.06**2), abs=1e-5
    )


def test_sites_on_two_grids_are_independent_in_their_factors(organisation, site, publish, pue):
    publish("DE", "400")
    publish("FR", "400")
    other = Site.unscoped.create(
        organisation=organisation,
        code="par1",
        name="Paris hall",
        control=ControlClass.OWNED,
        country="FR",
        grid_zone="FR",
        market="FR",
    )
    PuePeriod.unscoped.create(
        organisation=organisation, site=other, start=date(2026, 1, 1), pue_ppm=1_250_000, source="meter"
    )
    for name, place in (("a", site), ("b", other)):
        add(attribution_of(organisation, name, site=place), at(1), at(2), 8 * KWH)
    services.settle(organisation.pk)
    whole, parts = only(intervals(query(organisation))), intervals(query(organisation, "site"))
    assert parts["location_uncertainty"].tolist() == pytest.approx([0.15, 0.15], abs=1e-6)
    assert whole["location_uncertainty"] == pytest.approx(0.15 / sqrt(2), abs=1e-6)


def test_instruments_are_sure_and_what_they_leave_takes_the_residual_mix(organisation, site, publish, pue):
    publish("DE", "400")
    publish("DE", "700", kind="residual")
    Instrument.unscoped.create(
        organisation=organisation,
        reference="lot",
        type=Instrument.Type.EAC,
        market="DE",
        vintage_start=date(2026, 7, 1),
        vintage_end=date(2026, 10, 1),
        volume_milliwatt_hours=6_000_000,
        co2e_kg_per_mwh=0,
        retired_on=date(2026, 8, 1),
        beneficiary=organisation.name,
        tracking_system="AIB hub",
        serial_start="LOT-1",
        serial_end="LOT-6",
    )
    add(attribution_of(organisation, site=site), at(1), at(2), 8 * KWH)
    services.settle(organisation.pk)
    row = only(intervals(query(organisation)))
    figure = only(ledger_frame(query(organisation)))["market_mg"]
    assert figure == 2_800 * G  # 10 kWh, 6 of them covered at 0: 4 kWh x 700 g
    # activity 10 % and PUE 5 % of all 10 kWh at 700 g, the residual mix 10 % of what took it
    half = sqrt((0.1 * 7_000) ** 2 + (0.05 * 7_000) ** 2 + (0.1 * 2_800) ** 2)
    assert row["market_high_mg"] - figure == ceil(half * G)
    assert figure - row["market_low_mg"] == ceil(half * G)


def test_what_has_no_figure_has_no_interval(organisation, site):
    add(attribution_of(organisation, "placed", site=site), at(1), at(2), KWH)
    add(attribution_of(organisation, "lost"), at(1), at(2), KWH)
    services.settle(organisation.pk)
    frame = intervals(query(organisation, "source", scope="all")).set_index("source")
    for name in ("location_low_mg", "location_high_mg", "market_low_mg", "location_uncertainty"):
        assert frame[name].isna().all(), name
    assert frame["energy_low_milliwatt_hours"].notna().all()
    assert intervals(query(organisation, window=Q3.__class__(Q3.end, Q3.end.replace(year=2027)))).empty


def test_the_organisations_own_values_are_used(organisation, site, publish, pue):
    publish("DE", "400")
    add(attribution_of(organisation, site=site), at(1), at(2), 8 * KWH)
    services.settle(organisation.pk)
    organisation.uncertainty_ppm = {
        name: {"ppm": 0, "basis": "calibrated"} for name in ("activity_measured", "pue_stated")
    }
    organisation.save()
    assert only(intervals(query(organisation)))["location_uncertainty"] == pytest.approx(0.1, abs=1e-6)


GROUPINGS = (
    (),
    ("team",),
    ("source",),
    ("site", "month"),
    ("kind", "day"),
    ("team", "source", "hour"),
    ("market", "quarter"),
    ("model", "workload", "hardware"),
)


@pytest.fixture
def mixed(organisation, site, publish, pue):
    """Three teams on four sources at two sites over two months, one of the sites without a factor."""
    publish("DE", "400")
    publish("DE", "700", kind="residual", year=2025)
    bare = Site.unscoped.create(
        organisation=organisation,
        code="nofactor",
        name="No factor",
        control=ControlClass.CLOUD,
        country="XX",
        grid_zone="XX",
        market="XX",
    )
    for name in ("a", "b"):
        Team.unscoped.create(organisation=organisation, slug=name, name=name.upper())
    for i, (team, method, place) in enumerate(
        [
            ("a", Method.MEASURED, site),
            ("b", Method.MODELLED, site),
            ("", Method.METERED, site),
            ("a", Method.MEASURED, bare),
        ]
    ):
        for hour in (3 * i, 24 * 20 + i, 24 * 40 + 7 * i):
            add(
                attribution_of(organisation, f"gpu{i}", team=team, site=place, method=method),
                at(hour),
                at(hour + 2.5),
                (i + 1) * KWH + 7,
            )
    services.settle(organisation.pk)
    return organisation


@pytest.mark.parametrize("group_by", GROUPINGS)
def test_every_interval_holds_its_figure(mixed, group_by):
    asked = query(mixed, *group_by, scope="all")
    figures, found = ledger_frame(asked), intervals(asked)
    assert len(figures) == len(found) > 0
    for name, column in (
        ("energy", "facility_energy_milliwatt_hours"),
        ("location", "location_mg"),
        ("market", "market_mg"),
    ):
        unit = "milliwatt_hours" if name == "energy" else "mg"
        low, high = found[f"{name}_low_{unit}"], found[f"{name}_high_{unit}"]
        assert low.isna().tolist() == figures[column].isna().tolist() == high.isna().tolist()
        there = figures[column].notna()
        assert (low[there] <= figures[column][there]).all()
        assert (figures[column][there] <= high[there]).all()
        assert (low[there] < high[there]).all()


@pytest.mark.parametrize(
    "filters", [{"team": ("a",)}, {"day": ("2026-07-21",)}, {"source": ("gpu1",), "month": ("2026-08",)}]
)
def test_filters_narrow_the_intervals_as_they_do_the_figures(mixed, filters):
    asked = query(mixed, "source", filters=filters)
    figures, found = ledger_frame(asked), intervals(asked)
    assert found["source"].tolist() == figures["source"].tolist()
    assert (found["energy_low_milliwatt_hours"] <= figures["facility_energy_milliwatt_hours"]).all()
    ratio = found["energy_high_milliwatt_hours"] / figures["facility_energy_milliwatt_hours"]
    assert (ratio < 1.4).all()


def test_a_window_that_begins_inside_a_day_counts_the_hours_of_its_edges(mixed):
    window = Q3.__class__(Q3.start.replace(hour=3), Q3.start.replace(month=8, day=10, hour=4))
    asked = query(mixed, window=window)
    [figure], [row] = ledger_frame(asked).to_dict("records"), intervals(asked).to_dict("records")
    half = row["energy_high_milliwatt_hours"] - figure["facility_energy_milliwatt_hours"]
    assert half == figure["facility_energy_milliwatt_hours"] - row["energy_low_milliwatt_hours"]
    assert row["energy_uncertainty"] == pytest.approx(half / figure["facility_energy_milliwatt_hours"])
    assert not pd.isna(row["location_uncertainty"])
