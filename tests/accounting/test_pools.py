"""Idle energy and differences to the meter: pools that the organisation shares by a policy, or leaves alone."""

from __future__ import annotations

import pytest

from apps.accounting import services
from apps.accounting.models import LedgerHour
from apps.accounting.queries import LedgerQuery, allocation_policies, ledger_frame, ledger_total
from apps.core.units import largest_remainder
from apps.organisations.models import Organisation, Team
from apps.sites.models import Site
from apps.telemetry.models import Boundary, Method
from apps.workloads.models import AIModel, Kind
from tests.accounting.readings import KWH, Q3, add, at, attribution_of

pytestmark = pytest.mark.django_db

ADDED = ("it_energy_milliwatt_hours", "facility_energy_milliwatt_hours", "location_mg", "market_mg")


def choose(organisation, idle="unallocated", difference="unallocated"):
    Organisation.objects.filter(pk=organisation.pk).update(idle_policy=idle, difference_policy=difference)
    services.settle(organisation.pk)


def team(organisation, name):
    return Team.unscoped.get_or_create(organisation=organisation, slug=name, name=name.title())[0]


def teams(organisation, *group_by, column="facility_energy_milliwatt_hours", **query):
    frame = ledger_frame(LedgerQuery(organisation.pk, Q3, ("team", *group_by), **query))
    return dict(zip(frame["team"], frame[column], strict=True))


def adds_up(organisation, **query):
    for group_by in (("team",), ("team", "day"), ("model", "team"), ("workload",), ("team", "kind", "hour"), ("site",)):
        asked = LedgerQuery(organisation.pk, Q3, group_by, **query)
        frame, total = ledger_frame(asked), ledger_total(asked)
        for name in ADDED:
            assert frame[name].sum() == total[name], (group_by, name)
        for name in frame.columns:
            assert name not in ("pool", "pool_site")
        assert (frame.filter(regex="^tier_").sum(axis=1) == frame["facility_energy_milliwatt_hours"]).all()
    return total


@pytest.fixture
def pooled(organisation, site, publish):
    """July: 30 kWh of a (on eight accelerators), 10 of b, 7 idle, 5 unmetered; August: 3 idle and nobody."""
    publish("DE", "400")
    publish("DE", "700", kind="residual")
    for name in ("a", "b"):
        team(organisation, name)
    big = AIModel.unscoped.create(organisation=organisation, slug="big", name="Big")
    add(attribution_of(organisation, "gpu0", team="a", site=site, accelerators=8, model=big), at(0), at(1), 30 * KWH)
    add(attribution_of(organisation, "gpu1", team="b", site=site), at(50), at(52), 10 * KWH)
    idle = attribution_of(organisation, "gpu2", site=site, kind=Kind.IDLE)
    add(idle, at(3), at(4), 7_000_000_000)
    add(idle, at(24 * 40), at(24 * 40 + 1), 3 * KWH)
    meter = {"boundary": Boundary.FACILITY, "method": Method.METERED}
    add(attribution_of(organisation, "meter/fra1", site=site, **meter), at(0), at(10), 5 * KWH)
    services.settle(organisation.pk)
    return organisation


def test_left_alone_the_pools_are_of_no_team(pooled):
    assert teams(pooled) == {"a": 30_000_000, "b": 10_000_000, None: 15_000_000}
    assert set(teams(pooled, column="shared_milliwatt_hours").values()) == {0}
    adds_up(pooled)


def test_idle_energy_is_shared_by_energy_inside_its_site_and_month(pooled):
    rows = list(LedgerHour.objects.order_by("hour", "account").values_list())
    before = adds_up(pooled)
    choose(pooled, idle="by_energy")
    assert list(LedgerHour.objects.order_by("hour", "account").values_list()) == rows
    shared = dict(zip("ab", largest_remainder(7_000_000, [30_000_000, 10_000_000], ["a", "b"]), strict=True))
    # August has an idle pool that nobody can bear, July a difference that is left alone.
    assert teams(pooled) == {"a": 30_000_000 + shared["a"], "b": 10_000_000 + shared["b"], None: 8_000_000}
    assert teams(pooled, column="shared_milliwatt_hours") == {**shared, None: 0}
    after = adds_up(pooled)
    assert [after[name] for name in ADDED] == [before[name] for name in ADDED]
    assert teams(pooled, column="location_mg")["a"] == (30_000_000 + shared["a"]) * 2 // 5


def test_a_policy_by_accelerator_hours_counts_devices_and_time(pooled):
    choose(pooled, difference="by_accelerator_hours")
    shared = largest_remainder(5_000_000, [8, 2], ["a", "b"])
    assert teams(pooled) == {"a": 30_000_000 + shared[0], "b": 10_000_000 + shared[1], None: 10_000_000}
    adds_up(pooled)


def test_both_pools_may_be_shared_each_by_its_own_policy(pooled):
    choose(pooled, idle="by_accelerator_hours", difference="by_energy")
    assert teams(pooled) == {"a": 30_000_000 + 5_600_000 + 3_750_000, "b": 10_000_000 + 1_400_000 + 1_250_000,
                             None: 3_000_000}  # fmt: skip
    adds_up(pooled)


def test_a_team_that_is_asked_for_alone_bears_the_same(pooled):
    choose(pooled, idle="by_energy", difference="by_energy")
    every = teams(pooled)
    for name in ("a", "b"):
        asked = LedgerQuery(pooled.pk, Q3, ("team",), filters={"team": (name,)})
        assert ledger_frame(asked)["facility_energy_milliwatt_hours"].tolist() == [every[name]]
        adds_up(pooled, filters={"team": (name,)})
    assert teams(pooled, filters={"team": ("",)}) == {None: every[None]}
    assert teams(pooled, filters={"team": ("a",), "kind": ("idle",)}) == {"a": 5_250_000}
    by_kind = ledger_frame(LedgerQuery(pooled.pk, Q3, ("kind",), filters={"team": ("a",)}))
    assert dict(zip(by_kind["kind"], by_kind["shared_milliwatt_hours"], strict=True)) == {
        "idle": 5_250_000, "other": 3_750_000,
    }  # fmt: skip


def test_models_bear_where_models_are_asked_for(pooled):
    choose(pooled, idle="by_energy")
    frame = ledger_frame(LedgerQuery(pooled.pk, Q3, ("model",)))
    assert dict(zip(frame["model"], frame["facility_energy_milliwatt_hours"], strict=True)) == {
        "big": 37_000_000, None: 18_000_000,
    }  # fmt: skip
    assert frame["model_name"].tolist() == ["Big", None]


def test_what_a_window_shows_of_a_pool_is_shared_by_the_whole_month(pooled):
    choose(pooled, idle="by_energy")
    frame = ledger_frame(LedgerQuery(pooled.pk, Q3, ("day", "team"), filters={"day": ("2026-07-01",)}))
    shown = dict(zip(frame["team"], frame["shared_milliwatt_hours"], strict=True))
    assert shown == {"a": 5_250_000, "b": 1_750_000, None: 0}


def test_a_pool_stays_at_its_site(pooled):
    far = Site.unscoped.create(
        organisation=pooled, code="far", name="Far", control="owned", country="DE", grid_zone="DE", market="DE"
    )
    add(attribution_of(pooled, "gpu9", site=far, kind=Kind.IDLE), at(3), at(4), 90 * KWH)
    choose(pooled, idle="by_energy")
    assert teams(pooled)[None] == 98_000_000
    adds_up(pooled)


def test_shared_rows_count_no_time_twice(pooled):
    choose(pooled)
    before = ledger_total(LedgerQuery(pooled.pk, Q3))
    choose(pooled, idle="by_energy", difference="by_energy")
    frame = ledger_frame(LedgerQuery(pooled.pk, Q3, ("team",)))
    for name in ("readings", "covered_ms", "accelerator_ms"):
        assert frame[name].sum() == before[name]


def test_the_policies_are_told_in_words(pooled):
    choose(pooled, idle="by_energy")
    pooled.refresh_from_db()
    told = allocation_policies(pooled)
    assert told["idle"] == {
        "policy": "by_energy",
        "text": "Shared by the energy of the teams and models at the site in the month",
    }
    assert told["market"]["policy"] == "pro_rata"
    assert told["difference"]["policy"] == "unallocated"
