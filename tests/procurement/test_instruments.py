"""Instruments: added, corrected and removed by people, read by machines, held against the Quality Criteria."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from apps.audit.models import AuditEvent
from apps.audit.services import verify_chain
from apps.organisations.models import Organisation, Person, Team
from apps.procurement.models import Instrument
from apps.procurement.services import create_instrument, delete_instrument, update_instrument
from apps.sites.models import Site

LOT: dict[str, Any] = {
    "reference": "GO-2026-Q1",
    "type": "eac",
    "market": "DE",
    "vintage_start": date(2026, 1, 1),
    "vintage_end": date(2026, 4, 1),
    "volume_milliwatt_hours": 120 * 10**9,
    "co2e_kg_per_mwh": Decimal(0),
    "tracking_system": "AIB",
    "serial_start": "GO-1",
    "serial_end": "GO-120",
    "retired_on": date(2026, 5, 2),
    "actor": "olga@example.org",
}
FORM = {
    "reference": "GO-2026-Q1",
    "type": "eac",
    "market": "de",
    "volume_mwh": "120.5",
    "co2e_kg_per_mwh": "0",
    "vintage_start": "2026-01-01",
    "vintage_end": "2026-04-01",
    "tracking_system": "AIB",
    "serial_start": "GO-1",
    "serial_end": "GO-120",
    "retired_on": "2026-05-02",
}


def add(organisation: Organisation, **fields: Any) -> Instrument:
    return create_instrument(organisation=organisation, **{**LOT, **fields})


def correct(instrument: Instrument, **fields: Any) -> Instrument:
    kept = {
        name: getattr(instrument, name)
        for name in [
            "type",
            "market",
            "vintage_start",
            "vintage_end",
            "volume_milliwatt_hours",
            "co2e_kg_per_mwh",
            "technology",
            "tracking_system",
            "serial_start",
            "serial_end",
            "retired_on",
            "beneficiary",
            "claim_start",
            "claim_end",
            "note",
        ]
    }
    return update_instrument(instrument=instrument, actor="olga@example.org", **{**kept, **fields})


@pytest.fixture
def signed_in(client: Client, make_person: Callable[..., Person]) -> Callable[[str], Client]:
    def sign_in(role: str) -> Client:
        client.force_login(make_person(role))
        return client

    return sign_in


# --- Services -----------------------------------------------------------------------------------------------------


def test_every_write_is_in_the_audit_log(organisation: Organisation) -> None:
    instrument = add(organisation)
    correct(instrument, note="checked", retired_on=None)
    correct(instrument, note="checked", retired_on=None)  # no change, no event
    instrument.refresh_from_db()
    delete_instrument(instrument=instrument, actor="olga@example.org", reason="entered twice")
    events = AuditEvent.objects.filter(organisation_id=organisation.pk).order_by("sequence")
    assert [event.action for event in events] == ["instrument.created", "instrument.updated", "instrument.deleted"]
    assert events[1].before["retired_on"] == "2026-05-02"
    assert events[2].reason == "entered twice"
    assert verify_chain(organisation.pk) == []


def test_the_accounts_are_told_after_commit(
    organisation: Organisation, django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int | None] = []
    monkeypatch.setattr(
        "apps.core.signals.inputs_changed.send", lambda sender, organisation_id: told.append(organisation_id)
    )
    with django_capture_on_commit_callbacks(execute=True):
        instrument = add(organisation)
        correct(instrument, market="SE")
    assert told == [organisation.pk] * 2


def test_a_retired_lot_is_never_deleted(organisation: Organisation) -> None:
    instrument = add(organisation)
    with pytest.raises(ValidationError, match="Correct it instead"):
        delete_instrument(instrument=instrument, actor="olga@example.org")
    assert Instrument.objects.of(organisation).exists()


@pytest.mark.parametrize(
    ("field", "value", "names"),
    [
        ("market", "Germany (DE)", "market"),
        ("volume_milliwatt_hours", 0, "volume_milliwatt_hours"),
        ("vintage_end", date(2026, 1, 1), "vintage_end"),
        ("co2e_kg_per_mwh", None, "co2e_kg_per_mwh"),
        ("co2e_kg_per_mwh", Decimal(-1), "co2e_kg_per_mwh"),
        ("co2e_kg_per_mwh", Decimal(2001), "co2e_kg_per_mwh"),
        ("retired_on", date(2999, 1, 1), "retired_on"),
        ("serial_start", "", "serial_start"),
        ("claim_start", date(2026, 1, 1), "claim_end"),
        ("issued_on", date(2025, 12, 31), "issued_on"),
        ("issued_on", date(2026, 5, 3), "retired_on"),
        ("issued_on", date(2999, 1, 1), "issued_on"),
        ("retired_on", date(2025, 12, 31), "retired_on"),
        ("vintage_start", date(206, 1, 1), "vintage_start"),
        ("biogenic_co2_kg_per_mwh", Decimal(-1), "biogenic_co2_kg_per_mwh"),
        ("type", "offset", "type"),
        ("reference", " ", "reference"),
    ],
)
def test_what_no_registry_would_issue_is_refused(
    organisation: Organisation, field: str, value: Any, names: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        add(organisation, **{field: value})
    assert names in caught.value.message_dict
    assert not Instrument.objects.of(organisation).exists()


def test_a_claim_is_made_once_in_the_whole_installation(
    organisation: Organisation, other_organisation: Organisation
) -> None:
    add(other_organisation, reference="theirs")
    with pytest.raises(ValidationError) as caught:
        add(organisation)
    assert caught.value.message_dict == {
        "serial_start": [
            "GO-1 to GO-120 of AIB are already claimed by another organisation of this installation."
            " A serial number is claimed once."
        ]
    }


def test_a_reference_is_used_once_in_an_organisation(
    organisation: Organisation, other_organisation: Organisation
) -> None:
    add(organisation)
    add(other_organisation, serial_start="GO-500", serial_end="GO-600")
    with pytest.raises(ValidationError, match="Another instrument has this reference"):
        add(organisation, serial_start="GO-700", serial_end="GO-800")


# --- Pages --------------------------------------------------------------------------------------------------------


def test_an_officer_adds_a_lot_and_sees_how_it_stands(
    signed_in: Callable[[str], Client], organisation: Organisation, site: Site
) -> None:
    client = signed_in("officer")
    answer = client.post(f"/o/{organisation.slug}/instruments/add/", FORM, follow=True)
    assert answer.redirect_chain == [(f"/o/{organisation.slug}/instruments/", 302)]
    page = answer.content.decode()
    assert "GO-2026-Q1" in page
    assert "meets every criterion" in page
    assert Instrument.objects.of(organisation).get().volume_milliwatt_hours == 120_500_000_000
    assert Instrument.objects.of(organisation).get().market == "DE"


def test_the_page_names_the_criterion_that_a_lot_fails(
    signed_in: Callable[[str], Client], organisation: Organisation, site: Site
) -> None:
    add(organisation, reference="OPEN", retired_on=None)
    add(organisation, reference="ELSEWHERE", market="SE", serial_start="SE-1", serial_end="SE-9")
    add(organisation, reference="UNNUMBERED", serial_start="", serial_end="")
    page = signed_in("viewer").get(f"/o/{organisation.slug}/instruments/").content.decode()
    for reason in (
        "not retired in AIB",
        "nothing is consumed there in Scope 2",
        "a certificate without serial numbers cannot be shown to be the only claim",
    ):
        assert reason in page
    assert "fails 3" in page
    assert "/instruments/add/" not in page  # a viewer may not


def test_a_mistake_is_shown_at_its_field(signed_in: Callable[[str], Client], organisation: Organisation) -> None:
    client = signed_in("officer")
    answer = client.post(f"/o/{organisation.slug}/instruments/add/", {**FORM, "market": "?", "volume_mwh": "0"})
    assert answer.status_code == 200
    assert set(answer.context["form"].errors) == {"market", "volume_mwh"}


def test_a_lot_is_corrected_on_its_page(signed_in: Callable[[str], Client], organisation: Organisation) -> None:
    instrument = add(organisation)
    client = signed_in("officer")
    url = f"/o/{organisation.slug}/instruments/{instrument.pk}/"
    answer = client.get(url)
    assert 'type="date" name="vintage_start" value="2026-01-01"' in answer.content.decode().replace("  ", " ")
    form = answer.context["form"]
    values = {name: value for name, value in form.initial.items() if value is not None}
    assert values["volume_mwh"] == "120"
    client.post(url, {**values, "volume_mwh": "0.000000001", "reason": "typing error"})
    instrument.refresh_from_db()
    assert instrument.volume_milliwatt_hours == 1
    assert AuditEvent.objects.filter(organisation_id=organisation.pk).latest("sequence").reason == "typing error"


def test_only_an_open_lot_has_a_delete_button(signed_in: Callable[[str], Client], organisation: Organisation) -> None:
    retired = add(organisation)
    opened = add(organisation, reference="OPEN", retired_on=None, serial_start="X-1", serial_end="X-2")
    client = signed_in("officer")
    base = f"/o/{organisation.slug}/instruments"
    assert "Delete instrument" not in client.get(f"{base}/{retired.pk}/").content.decode()
    assert "Delete instrument" in client.get(f"{base}/{opened.pk}/").content.decode()
    client.post(f"{base}/{retired.pk}/delete/")
    client.post(f"{base}/{opened.pk}/delete/")
    assert list(Instrument.objects.of(organisation)) == [retired]


def test_a_foreign_lot_is_not_found(
    signed_in: Callable[[str], Client], organisation: Organisation, other_organisation: Organisation
) -> None:
    foreign = add(other_organisation)
    client = signed_in("officer")
    assert client.get(f"/o/{organisation.slug}/instruments/{foreign.pk}/").status_code == 404
    assert client.post(f"/o/{organisation.slug}/instruments/{foreign.pk}/delete/").status_code == 404
    assert foreign.reference not in client.get(f"/o/{organisation.slug}/instruments/").content.decode()


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("engineer", 403), ("officer", 200), ("admin", 200)])
def test_only_who_keeps_the_inventory_adds(
    signed_in: Callable[[str], Client], organisation: Organisation, role: str, status: int
) -> None:
    assert signed_in(role).get(f"/o/{organisation.slug}/instruments/add/").status_code == status


def test_an_empty_ledger_says_what_to_do(signed_in: Callable[[str], Client], organisation: Organisation) -> None:
    page = signed_in("officer").get(f"/o/{organisation.slug}/instruments/").content.decode()
    assert "No instruments yet" in page


def test_what_a_criterion_will_ask_for_is_a_warning_and_no_error(
    signed_in: Callable[[str], Client], organisation: Organisation
) -> None:
    fields = {
        **FORM,
        "type": "ppa",
        "vintage_start": "2024-01-01",
        "vintage_end": "2024-04-01",
        "claim_start": "2026-01-01",
        "claim_end": "2026-04-01",
        "retired_on": "",
    }
    answer = signed_in("officer").post(f"/o/{organisation.slug}/instruments/add/", fields, follow=True)
    said = " ".join(str(message) for message in answer.context["messages"])
    for words in (
        "Criterion 3: it is not retired",
        "Criterion 4: the vintage lies 24 months",
        "Criterion 7: it is not",
    ):
        assert words in said
    assert Instrument.objects.of(organisation).exists()


def test_a_foreign_beneficiary_and_too_few_certificates_are_warned_of(
    signed_in: Callable[[str], Client], organisation: Organisation
) -> None:
    fields = {**FORM, "beneficiary": "Rival Labs", "serial_start": "GO-1", "serial_end": "GO-1"}
    answer = signed_in("officer").post(f"/o/{organisation.slug}/instruments/add/", fields, follow=True)
    said = " ".join(str(message) for message in answer.context["messages"])
    assert "it was retired for Rival Labs" in said
    assert "holds 1 certificate, the volume is" in said


def test_an_officer_states_gases_attestations_and_for_whom_it_was_bought(
    signed_in: Callable[[str], Client], organisation: Organisation, team: Team
) -> None:
    client = signed_in("officer")
    fields = {
        **FORM,
        "type": "supplier",
        "technology": "Biogas",
        "co2e_kg_per_mwh": "",
        "co2_kg_per_mwh": "0",
        "ch4_kg_per_mwh": "0.25",
        "n2o_kg_per_mwh": "0.001",
        "biogenic_co2_kg_per_mwh": "480",
        "issued_on": "2026-04-20",
        "supplier_attested": "yes",
        "exclusive_claim": "",
        "earmark": "team:vision",
    }
    page = client.get(f"/o/{organisation.slug}/instruments/add/").content.decode()
    assert "this organisation allocates instruments pro rata" in page
    client.post(f"/o/{organisation.slug}/instruments/add/", fields)
    lot = Instrument.objects.of(organisation).get()
    assert (lot.co2e_kg_per_mwh, lot.ch4_kg_per_mwh) == (None, Decimal("0.25"))
    assert (lot.biogenic_co2_kg_per_mwh, lot.issued_on) == (480, date(2026, 4, 20))
    assert (lot.supplier_attested, lot.exclusive_claim, lot.deliverable) == (True, None, False)
    assert (lot.earmark_team, lot.earmark_model) == (team, None)
    # Saved as it is shown, nothing changes.
    url = f"/o/{organisation.slug}/instruments/{lot.pk}/"
    initial = client.get(url).context["form"].initial
    shown = {name: value for name, value in initial.items() if value not in (None, False)}
    client.post(url, shown)
    events = AuditEvent.objects.filter(organisation_id=organisation.pk)
    assert [event.action for event in events] == ["instrument.created"]


def test_an_earmark_of_a_foreign_team_is_refused(organisation: Organisation, other_organisation: Organisation) -> None:
    foreign = Team.unscoped.create(organisation=other_organisation, slug="vision", name="Vision")
    with pytest.raises(ValidationError) as caught:
        add(organisation, earmark_team=foreign)
    assert caught.value.message_dict == {"earmark_team": ["Expected one of this organisation."]}


# --- API ----------------------------------------------------------------------------------------------------------


def get(client: Client, key: str, path: str) -> Any:
    return client.get(path, headers={"authorization": f"Bearer {key}"})


def test_machines_read_instruments(client: Client, organisation: Organisation, make_key: Callable[..., str]) -> None:
    first = add(organisation)
    add(organisation, reference="PPA", type="ppa", market="SE", serial_start="", serial_end="")
    key = make_key(("read",))
    (row, second) = get(client, key, "/api/v1/instruments").json()["results"]
    assert (row["reference"], row["energy_kwh"], row["co2e_kg_per_mwh"]) == ("GO-2026-Q1", 120_000.0, 0.0)
    assert (second["market"], second["ch4_kg_per_mwh"]) == ("SE", None)
    assert (row["earmark_team"], row["supplier_attested"], row["evidence_name"]) == (None, None, "")
    assert get(client, key, f"/api/v1/instruments/{first.pk}/").json() == row
    assert [r["type"] for r in get(client, key, "/api/v1/instruments?type=ppa").json()["results"]] == ["ppa"]
    page = get(client, key, "/api/v1/instruments?limit=1").json()
    assert [r["reference"] for r in get(client, key, page["next"]).json()["results"]] == ["PPA"]


def test_a_key_sees_its_own_organisation_only(
    client: Client, organisation: Organisation, other_organisation: Organisation, make_key: Callable[..., str]
) -> None:
    foreign = add(other_organisation)
    key = make_key(("read",))
    assert get(client, key, "/api/v1/instruments").json() == {"results": [], "next": None}
    assert get(client, key, f"/api/v1/instruments/{foreign.pk}").status_code == 404
    assert get(client, key, "/api/v1/instruments?type=offset").status_code == 400
    assert get(client, key, "/api/v1/instruments?markt=DE").status_code == 400
    assert get(client, make_key(("ingest",)), "/api/v1/instruments").status_code == 403
