"""The demo organisation as it stands after ``create_demo``: through the ledger, as pages and reports see it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO

import pandas as pd
import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.db.models import Sum
from pytest_django.fixtures import Settings

from apps.accounting.hourly.queries import day_profile, market_sums
from apps.accounting.hourly.services import bring_up_to_date
from apps.accounting.indicators.queries import indicators_of
from apps.accounting.models import Reconciliation, SetAside
from apps.accounting.quality.missing import missing_time
from apps.accounting.queries import (
    LedgerQuery,
    ledger_frame,
    ledger_status,
    ledger_total,
    market_rates,
    source_coverage,
)
from apps.accounting.reconciliation.queries import month_rows, months_of
from apps.accounting.work.queries import development_line
from apps.audit.services import verify_chain
from apps.core.windows import Quarter, Window
from apps.dashboards.demo import fleets
from apps.dashboards.demo.build import create_demo
from apps.dashboards.demo.people import LOGINS
from apps.dashboards.demo.published import published_runs
from apps.organisations.models import Membership, Organisation, Person
from apps.procurement.models import Instrument
from apps.sites.models import SCOPE_2_CONTROL_CLASSES, Site, SiteMeasurement
from apps.telemetry import names
from apps.telemetry.models import GapDecision, Reading, Receipt, TeamName
from apps.workloads.models import AIModel, Provenance, Workload

SPRING, SUMMER = Quarter(2026, 2).window, Quarter(2026, 3).window
BOTH = Window(SPRING.start, SUMMER.end)


@pytest.fixture(scope="module")
def demo(django_db_setup: None, django_db_blocker) -> Iterator[Organisation]:
    """Made once for the whole file, and taken back at the end of it."""
    from django.conf import settings

    before, settings.DEMO = settings.DEMO, True
    with django_db_blocker.unblock():
        everything = transaction.atomic()
        with everything:
            call_command("load_reference_data", verbosity=0, stdout=StringIO())
            organisation = create_demo()
            yield organisation
            transaction.set_rollback(True)
        names.drop_cache(organisation.pk)
    settings.DEMO = before


def frame(
    demo: Organisation, *group_by: str, window: Window = BOTH, scope: str = "all", **filters: str
) -> pd.DataFrame:
    asked = {name: (value,) for name, value in filters.items()}
    return ledger_frame(LedgerQuery(demo.pk, window, group_by, scope, asked))


def mwh(milliwatt_hours: int) -> float:
    return milliwatt_hours / 1e9


def booked(demo: Organisation) -> int:
    rows = Reconciliation.objects.of(demo)
    assert all(row.note.startswith("Demo") for row in rows)
    return sum(row.booked_milliwatt_hours for row in rows)


def test_it_is_settled_and_marked_as_a_demonstration(demo: Organisation):
    assert demo.is_demo
    assert ledger_status(demo.pk).pending_hours == 0
    assert ledger_status(demo.pk).last_settled_at is not None


def test_a_second_run_says_that_it_exists(demo: Organisation):
    said = StringIO()
    call_command("create_demo", stdout=said)
    assert "exists" in said.getvalue()
    assert Organisation.objects.filter(slug="demo").count() == 1


@pytest.mark.parametrize("run", published_runs(), ids=lambda run: run.id)
def test_a_published_run_stands_in_the_ledger_exactly_as_printed(demo: Organisation, run):
    rows = frame(demo, "workload", workload=run.workload)
    assert len(rows) == 1
    row = rows.iloc[0]
    at_its_boundary = "facility" if run.boundary == "facility" else "it"
    assert row[f"{at_its_boundary}_energy_milliwatt_hours"] == run.energy_kwh * 1_000_000
    assert row["published_milliwatt_hours"] == row["facility_energy_milliwatt_hours"]
    assert row["quality"] == {"estimated": "D", "modelled": "C"}[run.method]


def test_everything_else_is_marked_as_simulated(demo: Organisation):
    total = ledger_total(LedgerQuery(demo.pk, BOTH, (), "all"))
    marked = total["published_milliwatt_hours"] + total["simulated_milliwatt_hours"]
    assert marked + booked(demo) == total["facility_energy_milliwatt_hours"]  # of a meter that says it is a demo's
    for rows in (AIModel.objects.of(demo), Workload.objects.of(demo)):
        assert not rows.filter(provenance=Provenance.REPORTED).exists()
        assert not rows.filter(citation="").exists()


@pytest.mark.parametrize("window", [SPRING, SUMMER], ids=["Q2", "Q3"])
def test_no_kind_of_use_dwarfs_the_others(demo: Organisation, window: Window):
    energy = frame(demo, "kind", window=window, scope="2").set_index("kind")["facility_energy_milliwatt_hours"]
    share = energy / energy.sum()
    assert 0.3 < share["training"] < 0.6
    assert 0.3 < share["inference"] < 0.6
    assert 0.05 < share["idle"] < 0.2


def test_three_control_classes_are_in_scope_2_and_cloud_is_not(demo: Organisation):
    controls = dict(Site.objects.of(demo).values_list("code", "control"))
    assert set(SCOPE_2_CONTROL_CLASSES) <= set(controls.values())
    scopes = dict(frame(demo, "site").dropna(subset=["site"])[["site", "scope"]].itertuples(index=False))
    assert scopes == {code: "3" if control == "cloud" else "2" for code, control in controls.items()}


def test_certificates_lower_germany_and_the_unretired_lot_covers_nothing(demo: Organisation):
    rate = next(rate for rate in market_rates(demo.pk, SUMMER) if rate.market == "DE")
    without = rate.facility_energy_milliwatt_hours * rate.fallback_ug_per_kwh // 10**9
    volumes = Instrument.objects.of(demo).filter(market="DE", vintage_end__gt=SUMMER.start, retired_on__isnull=False)
    assert rate.covered_milliwatt_hours == sum(volumes.values_list("volume_milliwatt_hours", flat=True))
    assert rate.market_mg < without / 1.5
    lots = {lot["id"]: lot for lot in rate.outcome["lots"]}
    assert lots["DEMO-GO-DE-2026Q3-OPEN"]["rejected_criteria"] == [3]
    assert lots["DEMO-GO-DE-2026Q3-OPEN"]["applied_milliwatt_hours"] == 0


def test_the_swedish_contract_leaves_a_rest_in_spring_and_a_surplus_in_summer(demo: Organisation):
    spring, summer = (
        next(rate for rate in market_rates(demo.pk, window) if rate.market == "SE") for window in (SPRING, SUMMER)
    )
    assert spring.uncovered_milliwatt_hours > 0
    assert spring.market_mg > spring.location_mg  # the residual mix is far dirtier than the grid average
    assert summer.uncovered_milliwatt_hours == 0
    assert summer.surplus_milliwatt_hours > 0


def test_a_market_without_a_residual_mix_falls_back_to_the_grid(demo: Organisation):
    rate = next(rate for rate in market_rates(demo.pk, SPRING) if rate.market == "AT")
    assert rate.fallback == "location"
    assert rate.market_mg == rate.location_mg


def test_the_silent_source_is_found(demo: Organisation):
    sources = source_coverage(demo.pk, SUMMER).set_index("source")
    assert set(sources[sources["silent"]].index) == {"dfw1/pool-vision-2"}  # a run that has ended is not silent
    assert sources.loc["dfw1/pool-vision-2", "coverage"] < 0.6


def test_the_overlap_is_found(demo: Organisation):
    overlap = source_coverage(demo.pk, BOTH).set_index("source")["overlap_ms"]
    assert set(overlap[overlap > 0].index) == {"fra1/row-a/rack-04"}
    assert overlap["fra1/row-a/rack-04"] == pytest.approx(48 * 3_600_000, rel=0.02)


def test_the_booked_month_stands_in_the_accounts_as_the_meter_says(demo: Organisation):
    month = Window(SUMMER.start, datetime(2026, 8, 1, tzinfo=UTC))
    energy = frame(demo, "site", window=month).set_index("site")["facility_energy_milliwatt_hours"]
    metered = SiteMeasurement.objects.of(demo).get(
        site__code="fra1", quantity="facility_energy", start=SUMMER.start.date()
    )
    assert energy["fra1"] == metered.amount
    [booking] = Reconciliation.objects.of(demo)
    assert (booking.site.code, booking.month) == ("fra1", 202607)
    assert booking.booked_milliwatt_hours > 0.02 * metered.amount  # beyond what meters may be off by


def test_one_meter_is_below_its_telemetry(demo: Organisation):
    rows = month_rows(demo, months_of(demo, SUMMER))
    below = [
        (row.site.code, row.month)
        for row in rows
        if row.comparison.difference_milliwatt_hours is not None and row.comparison.difference_milliwatt_hours < 0
    ]
    assert below == [("dfw1", 202608)]


def test_every_indicator_has_a_value_for_the_metered_hall(demo: Organisation):
    [hall] = indicators_of(demo, SUMMER, ("fra1",)).sites
    assert [result.kind.key for result in hall.results if result.indicator.value is None or result.error] == []
    pue = next(result for result in hall.results if result.kind.key == "pue")
    assert pue.it_from == "metered"
    assert 1.2 < pue.indicator.value < 1.4


def test_a_device_measured_twice_is_counted_once(demo: Organisation):
    aside = SetAside.objects.filter(organisation=demo)
    assert {row.attribution.source.name for row in aside.select_related("attribution__source")[:50]} == {
        fleets.DRIVER_SOURCE
    }
    assert aside.aggregate(ms=Sum("covered_ms"))["ms"] == 720 * 3_600_000
    counted = frame(demo, "source", window=SUMMER, source=fleets.DRIVER_SOURCE)
    assert counted.empty or counted["it_energy_milliwatt_hours"].sum() == 0


def test_one_gap_is_decided_and_others_are_open(demo: Organisation):
    [decision] = GapDecision.objects.of(demo)
    assert (decision.source.name, decision.basis) == (fleets.DECIDED_SOURCE, "mean_power")
    assert decision.energy_microwatt_hours > 0
    undecided = {gap.source for gap in missing_time(demo, SUMMER).gaps}
    assert {"lla1/hall-2/pdu-08", "dfw1/pool-vision-2"} <= undecided
    assert fleets.DECIDED_SOURCE not in undecided


def test_an_estimate_is_modelled_and_marked(demo: Organisation):
    [row] = frame(demo, "source", window=SUMMER, source="vie1/borrowed-cluster").to_dict("records")
    assert row["quality"] == "C"
    assert row["simulated_milliwatt_hours"] == row["facility_energy_milliwatt_hours"]


def test_every_instrument_says_that_it_is_simulated_and_one_has_evidence_that_says_so(demo: Organisation):
    lots = Instrument.objects.of(demo)
    assert not lots.filter(simulated=False).exists()
    assert all(lot.note.startswith("Simulated") for lot in lots)
    [lot] = lots.exclude(evidence="")
    assert lot.exclusive_claim is True
    with lot.evidence.open() as file:
        assert file.read().startswith(b'document,"DEMO')
    assert lots.get(type="supplier").supplier_attested is True
    assert lots.get(earmark_team__slug="assistant").market == "DE"


def test_hourly_matching_follows_the_sun(demo: Organisation):
    assert bring_up_to_date(demo, SUMMER)
    profile = day_profile(demo, SUMMER, ["DE"])
    share = [matched / load for matched, load in zip(profile["matched"], profile["load"], strict=True)]
    assert share[11] > 1.2 * share[23]
    [row] = market_sums(demo, SUMMER, ["DE"])
    assert row.cfe_fraction is None  # no hourly carbon-free share is shipped
    assert 0 < row.matched < row.load
    assert row.standard_supply > 0


def test_a_study_has_finished_stopped_and_failed_runs(demo: Organisation):
    line = development_line(demo.pk, SUMMER, "coda-30b")
    sweep = {part.outcome: part.runs for part in line.parts if part.study == "Coda adapter sweep"}
    assert sweep == {"finished": 3, "early_stopped": 7, "failed": 2}


def test_an_unknown_team_waits_to_be_mapped(demo: Organisation):
    assert list(TeamName.objects.of(demo).filter(team=None).values_list("name", flat=True)) == ["growth-experiments"]
    unassigned = frame(demo, "team", scope="2", team="")
    assert len(unassigned) == 1
    assert mwh(unassigned.iloc[0]["facility_energy_milliwatt_hours"]) > 1


def test_energy_without_a_site_has_no_emissions(demo: Organisation):
    row = frame(demo, "source", scope="unassigned").iloc[0]
    assert row["source"] == "workstation-14/gpu0"
    assert row["it_energy_milliwatt_hours"] > 0
    assert pd.isna(row["location_mg"])
    assert pd.isna(row["market_mg"])


def test_tokens_grow_while_energy_per_token_falls(demo: Organisation):
    per_token = []
    tokens = []
    for window in (SPRING, SUMMER):
        row = frame(demo, "kind", window=window, scope="2", kind="inference").iloc[0]
        tokens.append(row["tokens"])
        per_token.append(row["it_energy_milliwatt_hours"] / row["tokens"])
    assert tokens[1] > 1.05 * tokens[0]
    assert per_token[1] < 0.95 * per_token[0]


def test_every_reading_came_in_by_a_receipt(demo: Organisation):
    accepted = sum(Receipt.objects.of(demo).values_list("accepted", flat=True))
    assert accepted == Reading.objects.filter(organisation=demo).count()
    assert not Receipt.objects.of(demo).exclude(rejected=0).exists()


def test_the_audit_chain_holds(demo: Organisation):
    assert verify_chain(demo.pk) == []


def test_everybody_can_sign_in(demo: Organisation):
    for login in LOGINS:
        person = Person.objects.get(email=login.email)
        assert person.check_password(login.password)
        assert Membership.objects.of(demo).get(person=person).role == login.role


def test_it_is_refused_outside_a_demonstration(db: None, settings: Settings):
    settings.DEMO = False
    with pytest.raises(CommandError, match="ESGPORTAL_DEMO=1"):
        call_command("create_demo")
    assert not Organisation.objects.filter(slug="demo").exists()


def test_missing_reference_data_are_named(db: None, settings: Settings):
    settings.DEMO = True
    with pytest.raises(CommandError, match="load_reference_data"):
        call_command("create_demo")


def test_the_logins_are_printed_alone(settings: Settings):
    settings.DEMO = True
    said = StringIO()
    call_command("create_demo", print_logins=True, stdout=said)
    for login in LOGINS:
        assert login.email in said.getvalue()
    assert LOGINS[0].password in said.getvalue()
