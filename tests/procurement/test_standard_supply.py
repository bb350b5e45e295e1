"""Standard supply: shares of mandated clean supply, stated by market and time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pytest
from django.test import Client

from apps.audit.models import AuditEvent
from apps.organisations.models import Organisation, Person
from apps.procurement import queries
from apps.procurement.models import StandardSupply

FORM = {
    "market": "de",
    "start": "2026-01-01",
    "end": "2027-01-01",
    "share_percent": "12.5",
    "co2e_kg_per_mwh": "0",
    "source": "Supplier's statement 2026",
}


@pytest.fixture
def officer(client: Client, make_person: Callable[..., Person]) -> Client:
    client.force_login(make_person("officer"))
    return client


def test_an_officer_states_a_share_and_removes_it(officer: Client, organisation: Organisation) -> None:
    url = f"/o/{organisation.slug}/instruments/standard-supply/"
    assert "No standard supply stated" in officer.get(url).content.decode()
    assert "12.50" in officer.post(url, FORM, follow=True).content.decode()
    row = queries.standard_supply(organisation.pk, "DE").get()
    assert (row.share_ppm, row.start, row.co2e_kg_per_mwh) == (125_000, date(2026, 1, 1), Decimal(0))
    assert not queries.standard_supply(organisation.pk, "SE").exists()
    officer.post(f"{url}{row.pk}/remove/")
    assert not StandardSupply.objects.of(organisation).exists()
    events = AuditEvent.objects.filter(organisation_id=organisation.pk).order_by("sequence")
    assert [event.action for event in events] == ["standard_supply.created", "standard_supply.deleted"]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"market": "Germany!"}, "market"),
        ({"share_percent": "100.1"}, "share_percent"),
        ({"end": "2026-01-01"}, "end"),
        ({"co2e_kg_per_mwh": "2001"}, "co2e_kg_per_mwh"),
        ({"start": "2026-12-31", "end": "2027-06-01"}, "start"),  # overlaps what is stated
        ({"source": ""}, "source"),
    ],
)
def test_a_share_that_cannot_be_is_an_error_of_its_field(
    officer: Client, organisation: Organisation, changed: dict[str, str], field: str
) -> None:
    url = f"/o/{organisation.slug}/instruments/standard-supply/"
    officer.post(url, FORM)
    answer = officer.post(url, {**FORM, "start": "2027-01-01", "end": "2028-01-01", **changed})
    assert set(answer.context["form"].errors) == {field}
    assert StandardSupply.objects.of(organisation).count() == 1


def test_a_viewer_reads_and_may_not_state(
    client: Client, organisation: Organisation, make_person: Callable[..., Person]
) -> None:
    client.force_login(make_person("viewer"))
    url = f"/o/{organisation.slug}/instruments/standard-supply/"
    assert "State a share" not in client.get(url).content.decode()
    assert client.post(url, FORM).status_code == 403
