"""A new edition changes no figure by itself: an organisation adopts it for a period, and sees the difference first."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.urls import reverse

from apps.accounting import services
from apps.accounting.adoption import services as adoption
from apps.accounting.adoption.preview import preview
from apps.accounting.adoption.queries import adoption_rows
from apps.accounting.models import FactorAdoption, LocationRate
from apps.accounting.queries import LedgerQuery, ledger_total
from apps.audit.models import AuditEvent
from apps.core.windows import HOUR_MS, Window, epoch_ms
from apps.factors.models import Factor, FactorDataset
from apps.organisations.models import Organisation, Role
from tests.accounting.readings import KWH, add, attribution_of

pytestmark = pytest.mark.django_db

Q2 = Window(datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC))
Q3 = Window(datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC))


@pytest.fixture
def booked(organisation, site, publish):
    """10 kWh in each of two quarters in Germany at 400 g/kWh, settled."""
    publish("DE", "400")
    for month in (5, 8):
        start = epoch_ms(datetime(2026, month, 1, 3, tzinfo=UTC))
        add(attribution_of(organisation, f"gpu{month}", site=site), start, start + HOUR_MS, 10 * KWH)
    services.settle(organisation.pk)
    return organisation


def new_edition(kg_per_mwh="300", organisation=None):
    old = FactorDataset.objects.get(slug="test-location", edition="1")
    dataset = FactorDataset.objects.create(
        slug="test-location",
        edition="2",
        kind=FactorDataset.Kind.LOCATION,
        publisher="Test",
        title="Test factors",
        boundary=FactorDataset.Boundary.DIRECT,
        basis="consumption",
        licence="none",
        digest="2" * 64,
        supersedes=old,
        organisation=organisation,
    )
    Factor.objects.create(
        dataset=dataset,
        zone_id="DE",
        data_year=2026,
        valid_from=date(2026, 1, 1),
        valid_to=date(2027, 1, 1),
        co2e_kg_per_mwh=kg_per_mwh,
    )
    return dataset


def location_mg(organisation, window):
    return ledger_total(LedgerQuery(organisation.pk, window))["location_mg"]


def test_what_the_portal_shipped_with_is_adopted_once_and_on_the_record(booked):
    [row] = FactorAdoption.objects.of(booked)
    assert (row.dataset.slug, row.start, row.end) == ("test-location", None, None)
    [event] = AuditEvent.objects.filter(organisation_id=booked.pk, action="factors.adopted")
    assert event.after == {"datasets": ["test-location 1"]}


def test_a_new_edition_waits_and_changes_nothing(booked):
    before = list(LocationRate.objects.of(booked).values_list())
    new_edition()
    assert services.settle(booked.pk) == 0
    assert list(LocationRate.objects.of(booked).values_list()) == before
    assert [row.dataset.edition for row in adoption_rows(booked) if row.waits] == ["2"]


def test_it_holds_from_the_day_it_is_adopted_for(booked):
    adoption.adopt(organisation=booked, dataset=new_edition(), start=date(2026, 7, 1), actor="o@example.org")
    services.settle(booked.pk)
    assert location_mg(booked, Q2) == 4_000_000
    assert location_mg(booked, Q3) == 3_000_000


def test_ending_it_brings_the_older_edition_back(booked):
    row = adoption.adopt(organisation=booked, dataset=new_edition(), start=None, actor="o@example.org")
    services.settle(booked.pk)
    assert (location_mg(booked, Q2), location_mg(booked, Q3)) == (3_000_000, 3_000_000)
    adoption.end_adoption(adoption=row, end=date(2026, 7, 1), actor="o@example.org")
    services.settle(booked.pk)
    assert (location_mg(booked, Q2), location_mg(booked, Q3)) == (3_000_000, 4_000_000)


def test_the_preview_is_what_happens_then_and_writes_nothing(booked):
    dataset = new_edition()
    rates = list(LocationRate.objects.of(booked).values_list())
    seen = preview(booked, dataset, date(2026, 7, 1), None)
    assert list(LocationRate.objects.of(booked).values_list()) == rates
    assert FactorAdoption.objects.of(booked).count() == 1
    by_quarter = {row.quarter: row for row in seen.differences}
    assert by_quarter["2026-Q2"].location_change == 0
    assert by_quarter["2026-Q3"].location_change == -1_000_000
    assert by_quarter["2026-Q3"].market_change == -1_000_000  # no residual mix: the grid average stands in
    [change] = seen.factors
    assert (change.name, change.start, change.before_kg_per_mwh, change.after_kg_per_mwh) == (
        "Frankfurt hall",
        date(2026, 7, 1),
        400,
        300,
    )
    adoption.adopt(organisation=booked, dataset=dataset, start=date(2026, 7, 1), actor="o@example.org")
    services.settle(booked.pk)
    total = ledger_total(LedgerQuery(booked.pk, Q3))
    assert (total["location_mg"], total["market_mg"]) == (
        by_quarter["2026-Q3"].location_after,
        by_quarter["2026-Q3"].market_after,
    )


def test_a_residual_mix_is_adopted_by_claim_period(booked, publish):
    mix = publish("DE", "700", kind="residual").dataset
    FactorAdoption.objects.of(booked).filter(dataset=mix).delete()
    services.settle(booked.pk)
    assert ledger_total(LedgerQuery(booked.pk, Q3))["market_mg"] == 4_000_000
    seen = preview(booked, mix, date(2026, 7, 1), None)
    assert [row.market_change for row in seen.differences] == [0, 3_000_000]
    adoption.adopt(organisation=booked, dataset=mix, start=date(2026, 7, 1), actor="o@example.org")
    services.settle(booked.pk)
    assert ledger_total(LedgerQuery(booked.pk, Q2))["market_mg"] == 4_000_000
    assert ledger_total(LedgerQuery(booked.pk, Q3))["market_mg"] == 7_000_000


@pytest.mark.parametrize(
    ("start", "end", "field"),
    [
        (date(2026, 7, 2), None, "start"),
        (None, date(2026, 8, 1), "end"),
        (date(2026, 7, 1), date(2026, 4, 1), "end"),
    ],
)
def test_days_inside_a_claim_period_are_refused(booked, start, end, field):
    with pytest.raises(ValidationError) as caught:
        adoption.adopt(organisation=booked, dataset=new_edition(), start=start, end=end, actor="o@example.org")
    assert field in caught.value.message_dict


def test_one_dataset_is_not_adopted_twice_for_a_day(booked):
    dataset = FactorDataset.objects.get()
    with pytest.raises(ValidationError, match="already in use"):
        adoption.adopt(organisation=booked, dataset=dataset, start=date(2026, 1, 1), actor="o@example.org")


def test_a_year_as_claim_period_asks_for_whole_years(booked):
    booked.claim_period = Organisation.ClaimPeriod.YEAR
    booked.save()
    with pytest.raises(ValidationError, match="first day of a year"):
        adoption.adopt(organisation=booked, dataset=new_edition(), start=date(2026, 7, 1), actor="o@example.org")


def test_another_organisations_dataset_cannot_be_adopted(booked, other_organisation):
    with pytest.raises(ValidationError, match="no such dataset"):
        adoption.adopt(
            organisation=booked,
            dataset=new_edition(organisation=other_organisation),
            start=None,
            actor="o@example.org",
        )


def test_an_officer_sees_the_difference_and_then_decides(booked, client, make_person):
    dataset = new_edition()
    client.force_login(make_person(Role.OFFICER))
    listed = client.get(reverse("factor-adoption", args=[booked.slug]))
    assert "Waiting for a decision" in listed.text
    url = reverse("factor-adopt", args=[booked.slug, dataset.pk])
    assert "What would change" not in client.get(url).text
    shown = client.get(url, {"start": "2026-07-01", "end": ""}).text
    assert "2026-Q3" in shown
    assert "−1" in shown
    assert FactorAdoption.objects.of(booked).count() == 1
    backwards = client.get(url, {"start": "2026-10-01", "end": "2026-07-01"}).text
    assert "Expected a day after 2026-10-01" in backwards
    assert "What would change" not in backwards
    assert client.post(url, {"start": "2026-07-01", "end": "", "reason": "annual update"}).status_code == 302
    row = FactorAdoption.objects.of(booked).get(dataset=dataset)
    assert (row.start, row.reason) == (date(2026, 7, 1), "annual update")
    assert client.post(url, {"start": "2026-07-01", "end": ""}).status_code == 422


def test_the_command_prints_the_difference_and_adopts(booked, capsys):
    new_edition()
    arguments = ["--organisation", booked.slug, "--dataset", "test-location", "--edition", "2", "--from", "2026-07-01"]
    call_command("adopt_factors", *arguments, "--dry-run")
    assert FactorAdoption.objects.of(booked).count() == 1
    call_command("adopt_factors", *arguments)
    assert FactorAdoption.objects.of(booked).count() == 2
    printed = capsys.readouterr().out
    assert "2026-Q3: location-based 4.00" in printed
    assert "adopted Test, Test factors (2) from 2026-07-01" in printed
