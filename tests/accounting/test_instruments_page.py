"""The ledger of instruments: eight criteria by lot and claim period, totals capped at consumption, and the CSV file."""

from __future__ import annotations

import csv
import io
from datetime import date

import pytest

from apps.accounting import services
from apps.accounting.instruments.queries import instrument_rows, market_totals
from apps.organisations.models import Organisation
from tests.accounting.readings import KWH, add, at, attribution_of
from tests.accounting.test_market import buy

pytestmark = pytest.mark.django_db


@pytest.fixture
def booked(organisation, site, publish):
    """100 kWh in Germany in July 2026, at 400 g/kWh, with a residual mix of 700."""
    publish("DE", "400")
    publish("DE", "700", kind="residual")
    add(attribution_of(organisation, "gpu0", site=site), at(0), at(1), 100 * KWH)
    services.settle(organisation.pk)
    return organisation


def row_of(organisation, reference):
    return next(row for row in instrument_rows(organisation) if row.instrument.reference == reference)


def statuses(claim):
    return {check.number: check.status for check in claim.checks}


def test_a_settled_lot_shows_all_eight_criteria_and_what_it_covered(booked):
    buy(booked, 60)
    services.settle(booked.pk)
    row = row_of(booked, "GO-1")
    [claim] = row.claims
    assert statuses(claim) == dict.fromkeys(range(1, 9), "passed")
    assert (claim.label, claim.claimed_milliwatt_hours, claim.accepted_milliwatt_hours) == (
        "2026-Q3",
        60_000_000,
        60_000_000,
    )
    assert (row.applied_milliwatt_hours, row.surplus_milliwatt_hours, claim.fell_to) == (60_000_000, 0, "")


def test_a_refused_lot_says_which_level_took_its_energy(booked):
    buy(booked, 60, retired_on=None)
    buy(booked, 10, type="supplier", reference="RATE", serial_start="", serial_end="", supplier_attested=False)
    services.settle(booked.pk)
    refused, rate = row_of(booked, "GO-1"), row_of(booked, "RATE")
    assert [check.number for check in refused.failed] == [3]
    assert [check.number for check in rate.failed] == [6]
    assert refused.claims[0].fell_to == "level 4, residual mix, 700 kg CO₂e/MWh"
    assert refused.claims[0].accepted_milliwatt_hours == 0


def test_an_attestation_that_is_not_on_file_is_shown_and_the_lot_is_used(booked):
    buy(booked, 60, type="ppa", reference="PPA")
    services.settle(booked.pk)
    row = row_of(booked, "PPA")
    assert [check.number for check in row.not_stated] == [7]
    assert row.failed == []
    assert row.applied_milliwatt_hours == 60_000_000


def test_a_lot_of_a_market_without_consumption_fails_criterion_5_and_is_no_surplus(booked):
    buy(booked, 60, market="FR")
    services.settle(booked.pk)
    row = row_of(booked, "GO-1")
    assert [check.number for check in row.failed] == [5]
    assert "nothing is consumed there in Scope 2" in row.failed[0].reason
    assert (row.accepted_milliwatt_hours, row.surplus_milliwatt_hours) == (0, 0)
    [total] = market_totals(booked, [row])
    assert (total.refused_milliwatt_hours, total.surplus_milliwatt_hours) == (60_000_000, 0)


def test_a_lot_of_a_year_is_shown_in_each_quarter_and_its_parts_add_up(booked):
    buy(booked, 365, vintage_start=date(2026, 1, 1), vintage_end=date(2027, 1, 1), retired_on=date(2026, 11, 1))
    services.settle(booked.pk)
    row = row_of(booked, "GO-1")
    assert [claim.label for claim in row.claims] == ["2026-Q1", "2026-Q2", "2026-Q3", "2026-Q4"]
    assert [claim.claimed_milliwatt_hours for claim in row.claims] == [90_000_000, 91_000_000, 92_000_000, 92_000_000]
    settled = row.claims[2]
    assert (settled.applied_milliwatt_hours, settled.surplus_milliwatt_hours) == (92_000_000, 0)
    for open_claim in (row.claims[0], row.claims[3]):
        assert open_claim.accepted_milliwatt_hours is None
        assert statuses(open_claim)[8] == "not_stated"
        assert open_claim.not_stated == []


def test_totals_never_apply_more_than_is_consumed(booked):
    buy(booked, 80)
    buy(booked, 50, reference="GO-2")
    buy(booked, 7, reference="OPEN", retired_on=None)
    services.settle(booked.pk)
    [total] = market_totals(booked, instrument_rows(booked))
    assert (total.consumption_milliwatt_hours, total.applied_milliwatt_hours) == (100_000_000, 100_000_000)
    assert (total.claimed_milliwatt_hours, total.refused_milliwatt_hours) == (137_000_000, 7_000_000)
    assert (total.surplus_milliwatt_hours, total.covered_fraction) == (30_000_000, 1)
    assert total.fallback == "nothing: other instruments covered all of it"


def test_a_year_as_claim_period_is_one_claim(booked):
    Organisation.objects.filter(pk=booked.pk).update(claim_period=Organisation.ClaimPeriod.YEAR)
    booked.refresh_from_db()
    buy(booked, 60)
    services.settle(booked.pk)
    assert [claim.label for claim in row_of(booked, "GO-1").claims] == ["2026"]


def test_the_page_and_the_file_say_the_same(client, make_person, booked):
    buy(booked, 60, note="=1+1")
    buy(booked, 5, reference="OPEN", retired_on=None)
    services.settle(booked.pk)
    client.force_login(make_person("viewer"))
    page = client.get(f"/o/{booked.slug}/instruments/").content.decode()
    for words in ("fails 3", "not retired in AIB", "level 4, residual mix, 700", "Pro rata", "meets every criterion"):
        assert words in page
    answer = client.get(f"/o/{booked.slug}/instruments/csv/")
    rows = {row["reference"]: row for row in csv.DictReader(io.StringIO(answer.content.decode()))}
    assert (rows["GO-1"]["applied_kwh"], rows["GO-1"]["criterion_8"], rows["GO-1"]["note"]) == (
        "60.000000",
        "passed",
        "'=1+1",
    )
    assert (rows["OPEN"]["accepted_kwh"], rows["OPEN"]["criterion_3"]) == ("0.000000", "failed")
    assert "not retired in AIB" in rows["OPEN"]["reasons"]
