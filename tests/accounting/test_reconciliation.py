"""Telemetry held against the meter, and the booking of the difference, through the pages and the API."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.accounting import services
from apps.accounting.engine.reconciliation import (
    MeterReading,
    State,
    booked_readings,
    compare,
    metered_by_day,
)
from apps.accounting.models import LedgerHour, Reconciliation
from apps.accounting.queries import LedgerQuery, ledger_frame, ledger_total
from apps.audit.models import AuditEvent
from apps.core.windows import Window, midnight
from apps.factors.models import Factor
from apps.organisations.models import Organisation, Person, Role, Team
from apps.sites.measurements.services import add_measurement, correct_measurement, withdraw_measurement
from apps.sites.models import Site, SiteMeasurement
from apps.sites.services import set_pue
from apps.telemetry.models import Reading, Source, SupersededReading
from tests.accounting.readings import KWH, add, at, attribution_of

KWH_MWH = 1_000_000  # a kilowatt-hour in milliwatt-hours
JULY = Window(midnight(date(2026, 7, 1)), midnight(date(2026, 8, 1)))
PAGE = "/o/acme/reconciliation/"
MONTH = PAGE + "fra1/2026-07/"

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


# --- The engine ---------------------------------------------------------------------------------------------------

READINGS = st.lists(
    st.builds(
        lambda meter, first, days, amount: MeterReading(meter, first, first + days, amount),
        st.sampled_from("AB"),
        st.integers(0, 60),
        st.integers(1, 60),
        st.integers(0, 10**15),
    ),
    max_size=6,
)


@UNHURRIED
@given(READINGS, st.integers(1, 119))
def test_days_add_up_to_the_reading_wherever_it_is_cut(readings: list[MeterReading], cut: int) -> None:
    whole = metered_by_day(readings, 0, 120)
    assert int(whole.amount.sum()) == sum(reading.amount for reading in readings)
    parts = metered_by_day(readings, 0, cut), metered_by_day(readings, cut, 120)
    assert sum(int(part.amount.sum()) for part in parts) == int(whole.amount.sum())
    assert np.array_equal(np.concatenate([part.amount for part in parts]), whole.amount)


@UNHURRIED
@given(st.integers(0, 10**15), st.sampled_from([672, 696, 720, 744]))
def test_what_is_booked_rounds_to_itself_in_every_hour(difference: int, hours: int) -> None:
    most, last = booked_readings(difference, hours)
    assert most + last == difference
    assert most % (hours - 1) == 0
    assert min(most, last) >= 0


def complete(*readings: tuple[str, int, int]) -> list[bool]:
    found = metered_by_day([MeterReading(meter, first, end, 7) for meter, first, end in readings], 0, 6)
    return found.complete.tolist()


def test_a_day_is_metered_when_no_meter_of_the_site_lacks_it() -> None:
    assert complete() == [False] * 6
    assert complete(("A", 1, 4)) == [False, True, True, True, False, False]
    assert complete(("A", 0, 6), ("B", 0, 2)) == [True, True, False, False, False, False]
    assert complete(("A", 0, 6), ("B", 0, 2), ("B", 2, 6)) == [True] * 6
    assert complete(("A", 0, 6), ("B", 3, 6)) == [True] * 6  # B was added on day 3
    assert complete(("A", 0, 3), ("B", 3, 6)) == [True] * 6  # B took A's place
    assert complete(("A", 0, 2), ("B", 3, 6)) == [True, True, False, False, False, False]


def test_meter_and_telemetry_are_summed_over_the_same_days() -> None:
    metered = metered_by_day([MeterReading("", 0, 2, 200)], 0, 4)
    found = compare(metered, np.array([90, 90, 90, 90]), 0, 4)
    assert (found.metered_milliwatt_hours, found.telemetry_milliwatt_hours) == (200, 180)
    assert found.difference_milliwatt_hours == 20
    assert not found.is_fully_metered


@pytest.mark.parametrize(
    ("telemetry", "state"),
    [
        (98, State.RECONCILED),
        (102, State.RECONCILED),
        (97, State.DIFFERENCE),
        (0, State.DIFFERENCE),
        (103, State.METER_BELOW_TELEMETRY),
    ],
)
def test_the_state_is_told_by_two_per_cent_of_the_meter(telemetry: int, state: State) -> None:
    metered = metered_by_day([MeterReading("", 0, 1, 100)], 0, 1)
    assert compare(metered, np.array([telemetry]), 0, 1).state == state


def test_without_a_meter_there_is_no_difference() -> None:
    found = compare(metered_by_day([], 0, 1), np.array([5]), 0, 1)
    assert (found.state, found.difference_milliwatt_hours, found.measured_coverage) == (State.NO_METER, None, None)


# --- Pages and services -------------------------------------------------------------------------------------------


@pytest.fixture
def telemetry(organisation: Organisation, site: Site, publish: Callable[..., Factor]) -> int:
    """July at fra1: 1,000 kWh of IT at PUE 1.25 and 50 kWh from a facility meter; 1,300 kWh in all [mWh]."""
    publish("DE", "400")
    publish("DE", "700", kind="residual")
    set_pue(site=site, start=date(2026, 1, 1), pue=Decimal("1.25"), source="meter", actor="system")
    for day in range(31):
        add(attribution_of(organisation, site=site), at(24 * day), at(24 * day + 10), 1_000 * KWH // 31)
    facility = attribution_of(organisation, "cooling", site=site, boundary=4)
    add(facility, at(0), at(24), 50 * KWH)
    settle(organisation.pk)
    return int(total(organisation)["facility_energy_milliwatt_hours"])


def settle(organisation_id: int) -> None:
    """As the worker does: once, and once more where the first time found years that the rates did not cover."""
    services.settle(organisation_id)
    services.settle(organisation_id)


def total(organisation: Organisation, **filters: tuple[str, ...]) -> dict[str, object]:
    return dict(ledger_total(LedgerQuery(organisation.pk, JULY, filters=filters)))


def meter(site: Site, milliwatt_hours: int, start: str = "2026-07-01", end: str = "2026-08-01", name: str = "") -> int:
    row = add_measurement(
        site=site,
        quantity="facility_energy",
        meter=name,
        start=date.fromisoformat(start),
        end=date.fromisoformat(end),
        amount=milliwatt_hours,
        evidence="invoice",
        reference="INV-1",
        actor="system",
    )
    return row.pk


@pytest.fixture
def officer(make_person: Callable[..., Person], client: Client) -> Person:
    person = make_person(Role.OFFICER)
    client.force_login(person)
    return person


def book(client: Client, note: str = "offices and network") -> str:
    return client.post(MONTH + "book/", {"note": note}, follow=True).content.decode()


def months(client: Client, make_key: Callable[..., str], query: str = "") -> list[dict[str, object]]:
    headers = {"Authorization": f"Bearer {make_key()}"}
    answer = client.get(f"/api/v1/reconciliation{query}", headers=headers)
    assert answer.status_code == 200
    return answer.json()["results"]


@pytest.mark.django_db
def test_a_booked_month_is_the_meters_to_the_milliwatt_hour(
    telemetry: int, officer: Person, client: Client, organisation: Organisation, site: Site
) -> None:
    metered = telemetry + 123_456_789
    meter(site, metered)
    before = total(organisation)
    assert "Book the difference" in client.get(MONTH).content.decode()
    assert "follow within a minute" in book(client)
    settle(organisation.pk)
    after = total(organisation)
    assert after["facility_energy_milliwatt_hours"] == metered
    booked = total(organisation, source=("meter/fra1",))
    assert booked["facility_energy_milliwatt_hours"] == 123_456_789
    assert booked["quality"] == "A"
    assert after["location_mg"] > before["location_mg"]  # type: ignore[operator]
    assert after["market_mg"] > before["market_mg"]  # type: ignore[operator]
    assert total(organisation, source=("meter/fra1",), team=("",))["facility_energy_milliwatt_hours"] == 123_456_789
    event = AuditEvent.objects.get(action="reconciliation.booked")
    assert (event.actor, event.reason) == (officer.email, "offices and network")
    page = client.get(MONTH).content.decode()
    assert "equal to the meter" in page
    assert ">booked</span>" in page


@pytest.mark.django_db
def test_the_policy_in_force_is_printed_with_the_result(
    telemetry: int, officer: Person, client: Client, organisation: Organisation, site: Site
) -> None:
    meter(site, telemetry)
    Organisation.objects.filter(pk=organisation.pk).update(difference_policy="by_energy")
    for path in (PAGE + "?period=2026-07", MONTH):
        assert "Shared by the energy of the teams and models" in client.get(path).content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("policy", ["unallocated", "by_energy", "by_accelerator_hours"])
def test_whatever_the_policy_the_teams_add_up_to_the_meter(
    officer: Person, client: Client, organisation: Organisation, site: Site, publish: Callable[..., Factor], policy: str
) -> None:
    publish("DE", "400")
    for number, slug in enumerate(("speech", "vision", "robots"), start=1):
        Team.unscoped.create(organisation=organisation, slug=slug, name=slug.title())
        add(attribution_of(organisation, slug, team=slug, site=site), at(number), at(number + 1), number * KWH)
    settle(organisation.pk)
    Organisation.objects.filter(pk=organisation.pk).update(difference_policy=policy)
    metered = 10 * KWH_MWH + 1
    meter(site, metered)
    book(client)
    settle(organisation.pk)
    frame = ledger_frame(LedgerQuery(organisation.pk, JULY, group_by=("team",)))
    assert frame["facility_energy_milliwatt_hours"].sum() == metered
    assert total(organisation)["facility_energy_milliwatt_hours"] == metered
    of_nobody = frame.loc[frame["team"].isna(), "facility_energy_milliwatt_hours"].sum()
    assert of_nobody == (metered - 6 * KWH_MWH if policy == "unallocated" else 0)


@pytest.mark.django_db
def test_a_booking_of_one_milliwatt_hour_arrives(
    telemetry: int, officer: Person, client: Client, organisation: Organisation, site: Site
) -> None:
    meter(site, telemetry + 1)
    book(client)
    settle(organisation.pk)
    assert total(organisation)["facility_energy_milliwatt_hours"] == telemetry + 1


@pytest.mark.django_db
def test_a_booking_whose_telemetry_changed_is_flagged_and_replaced(
    telemetry: int, officer: Person, client: Client, organisation: Organisation, site: Site
) -> None:
    metered = telemetry + 500 * KWH_MWH
    meter(site, metered)
    book(client)
    settle(organisation.pk)
    late = attribution_of(organisation, "late", site=site, boundary=4)
    add(late, at(5), at(6), 200 * KWH)
    settle(organisation.pk)
    assert "Booked were 500" in client.get(MONTH).content.decode()
    assert "booking out of date" in client.get(PAGE + "?period=2026-07").content.decode()
    book(client, "late readings came")
    settle(organisation.pk)
    assert total(organisation)["facility_energy_milliwatt_hours"] == metered
    assert Reconciliation.unscoped.get().booked_milliwatt_hours == 300 * KWH_MWH
    assert SupersededReading.objects.count() == 2
    event = AuditEvent.objects.get(action="reconciliation.rebooked")
    assert (event.before or {})["booked_milliwatt_hours"] == 500 * KWH_MWH
    assert "booked already" in book(client)


@pytest.mark.django_db
@pytest.mark.parametrize("left", [0, -70])
def test_a_difference_that_is_gone_takes_the_booked_reading_out(
    telemetry: int, officer: Person, client: Client, organisation: Organisation, site: Site, left: int
) -> None:
    key = meter(site, telemetry + 90 * KWH_MWH)
    book(client)
    settle(organisation.pk)
    row = SiteMeasurement.unscoped.get(pk=key)
    correct_measurement(
        measurement=row,
        start=row.start,
        end=row.end,
        amount=telemetry + left * KWH_MWH,
        evidence=row.evidence,
        reference=row.reference,
        actor="system",
    )
    assert "Taken out" in book(client, "the invoice was corrected")
    settle(organisation.pk)
    assert total(organisation)["facility_energy_milliwatt_hours"] == telemetry
    assert Reconciliation.unscoped.get().booked_milliwatt_hours == 0
    assert not Reading.objects.filter(source__name="meter/fra1", energy_microwatt_hours__gt=0).exists()
    assert "out of date" not in client.get(MONTH).content.decode()


@pytest.mark.django_db
def test_a_booking_is_withdrawn(
    telemetry: int, officer: Person, client: Client, organisation: Organisation, site: Site
) -> None:
    key = meter(site, telemetry + 90 * KWH_MWH)
    book(client)
    settle(organisation.pk)
    withdraw_measurement(measurement=SiteMeasurement.unscoped.get(pk=key), actor="system")
    assert "no longer metered in full" in client.get(MONTH).content.decode()
    client.post(MONTH + "withdraw/")
    settle(organisation.pk)
    assert total(organisation)["facility_energy_milliwatt_hours"] == telemetry
    assert not Reconciliation.unscoped.exists()
    assert (AuditEvent.objects.get(action="reconciliation.withdrawn").before or {})["month"] == 202607
    assert "Nothing is booked" in client.post(MONTH + "withdraw/", follow=True).content.decode()


@pytest.mark.django_db
def test_what_cannot_be_booked_says_why(
    telemetry: int, officer: Person, client: Client, organisation: Organisation, site: Site
) -> None:
    assert "0 of 31 days" in book(client)
    key = meter(site, telemetry * 2, end="2026-07-21")
    answer = book(client)
    assert "20 of 31 days" in answer
    assert "21 Jul to 31 Jul 2026" in answer
    withdraw_measurement(measurement=SiteMeasurement.unscoped.get(pk=key), actor="system")
    key = meter(site, telemetry - 100 * KWH_MWH)
    assert "100.0\u202fkWh below the telemetry" in book(client)
    assert "meter below telemetry" in client.get(PAGE + "?period=2026-07").content.decode()
    withdraw_measurement(measurement=SiteMeasurement.unscoped.get(pk=key), actor="system")
    meter(site, telemetry + KWH_MWH)
    assert "Say what the difference is" in book(client, "  ")
    add(attribution_of(organisation, site=site), at(700), at(701), 7)
    assert "still being settled" in book(client)
    settle(organisation.pk)
    set_pue(site=site, start=date(2026, 1, 1), pue=Decimal("1.3"), source="meter", actor="system")
    assert "still being settled" in book(client)
    assert not Reconciliation.unscoped.exists()
    assert not Source.unscoped.filter(name="meter/fra1").exists()


@pytest.mark.django_db
def test_a_month_that_still_runs_cannot_be_booked(
    officer: Person, client: Client, organisation: Organisation, site: Site
) -> None:
    today = datetime.now(UTC).date()
    label = f"{today:%Y-%m}"
    add_measurement(
        site=site, quantity="facility_energy", start=today - timedelta(days=40), end=today, amount=5, evidence="meter",
        reference="seen", actor="system",
    )  # fmt: skip
    page = client.post(f"{PAGE}fra1/{label}/book/", {"note": "x"}, follow=True).content.decode()
    assert "is not over (UTC)" in page
    assert ">running</span>" in page
    assert client.get(f"{PAGE}fra1/2026-13/").status_code == 404
    assert client.get(f"{PAGE}fra1/soon/").status_code == 404


@pytest.mark.django_db
def test_others_may_look_and_not_book(
    telemetry: int, make_person: Callable[..., Person], client: Client, site: Site
) -> None:
    meter(site, telemetry + 90 * KWH_MWH)
    client.force_login(make_person(Role.ENGINEER))
    assert "An officer can book" in client.get(MONTH).content.decode()
    assert client.post(MONTH + "book/", {"note": "x"}).status_code == 403


@pytest.mark.django_db
def test_an_invoice_over_two_months_is_parted_by_days(
    telemetry: int, client: Client, site: Site, make_key: Callable[..., str]
) -> None:
    meter(site, 61_000_001, start="2026-06-01", end="2026-08-01")
    rows = months(client, make_key, "?from=2026-06-01&to=2026-08-01")
    assert [(row["month"], row["metered_kwh"]) for row in rows] == [("2026-06", 30.0), ("2026-07", 31.000001)]


@pytest.mark.django_db
def test_the_api_gives_months_with_their_state(
    telemetry: int, client: Client, site: Site, make_key: Callable[..., str], other_organisation: Organisation
) -> None:
    meter(site, 1_500 * KWH_MWH)
    (row,) = months(client, make_key)
    assert row["state"] == "difference"
    assert row["metered_kwh"] == 1500.0
    assert row["telemetry_kwh"] == pytest.approx(1300, abs=0.01)
    assert row["measured_coverage"] == pytest.approx(0.866667, abs=1e-5)
    assert row["booked_kwh"] is None
    assert months(client, make_key, "?from=2026-09-01&to=2026-12-01") == []
    assert months(client, make_key, "?from=1990-01-01&to=2200-01-01") == [row]
    headers = {"Authorization": f"Bearer {make_key(organisation=other_organisation)}"}
    assert client.get("/api/v1/reconciliation", headers=headers).json()["results"] == []


@pytest.mark.django_db
def test_a_client_cannot_write_to_the_source_of_bookings(client: Client, make_key: Callable[..., str]) -> None:
    sample = {"start": "2026-07-01T00:00:00Z", "end": "2026-07-01T01:00:00Z", "energy_wh": 5}
    body = [{"source": "meter/fra1", **sample}, {"source": "meters/fra1", **sample}]
    headers = {"Authorization": f"Bearer {make_key()}"}
    answer = client.post("/api/v1/samples", json.dumps(body), content_type="application/json", headers=headers).json()
    assert (answer["accepted"], answer["rejected"]) == (1, 1)
    (error,) = answer["errors"]
    assert (error["index"], error["field"], error["got"]) == (0, "source", "meter/fra1")
    assert not Source.unscoped.filter(name="meter/fra1").exists()


@pytest.mark.django_db
def test_booking_rewrites_one_month_of_one_source(
    telemetry: int, officer: Person, client: Client, organisation: Organisation, site: Site
) -> None:
    """Nothing of the telemetry is read again or written anew: two readings, and a row for each hour of the month."""
    meter(site, telemetry + 744 * KWH_MWH)
    readings, hours = Reading.objects.count(), LedgerHour.objects.count()
    book(client)
    settle(organisation.pk)
    assert Reading.objects.count() == readings + 2
    assert LedgerHour.objects.count() == hours + 744
