"""A derived reading leads to the readings of its meter, and these to their receipts."""

from __future__ import annotations

import pytest

from apps.accounting import services
from apps.accounting.calculations.evidence import line_evidence
from apps.accounting.models import LedgerHour
from apps.core.windows import HOUR_MS
from apps.organisations.models import Role
from tests.accounting.readings import at
from tests.telemetry.meters.making import gpu, read, receipt_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def line(organisation):
    receipts = [receipt_of(organisation) for _ in range(2)]
    series = gpu(organisation)
    read(series, (-10, 100), (30, 3_700), receipt=receipts[0])
    read(series, (50, 7_300), (70, 10_900), (130, 90_000), receipt=receipts[1])
    services.settle(organisation.pk)
    return LedgerHour.objects.get(organisation=organisation, hour=at(0) // HOUR_MS), receipts


def test_a_line_names_the_meter_readings_it_stands_on(organisation, line):
    row, receipts = line
    found = line_evidence(organisation.pk, row.hour, row.account_id)
    assert found.agrees
    [meter] = found.meters
    assert (meter["count"], meter["first"]["value"], meter["last"]["value"]) == (4, 100, 10_900)
    assert meter["receipts"] == [str(receipt.public_id) for receipt in receipts]
    assert {reading["receipt"] for reading in found.readings} == {None}


def test_the_page_links_the_receipts(organisation, line, client, make_person):
    row, receipts = line
    client.force_login(make_person(Role.AUDITOR))
    page = client.get(f"/o/acme/calculations/line/?hour=2026-07-01T00:00:00Z&account={row.account_id}").content.decode()
    assert "derived from meters" in page
    assert all(f"/{receipt.public_id}" in page for receipt in receipts)


def test_a_derived_reading_is_given_back_without_a_receipt(organisation, line, client, make_key):
    answer = client.get(
        "/api/v1/samples?from=2026-07-01&to=2026-07-02", headers={"authorization": f"Bearer {make_key()}"}
    ).json()
    assert {row["receipt"] for row in answer["results"]} == {None}
