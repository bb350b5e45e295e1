"""The event log: chained, tamper-evident, in order also under concurrent writers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from django.db import connection, transaction

from apps.audit.models import AuditEvent
from apps.audit.services import event_digest, record, verify_chain
from apps.organisations.models import Organisation, Team
from apps.organisations.services import create_team


def write(organisation: Organisation, number: int = 1) -> None:
    for _ in range(number):
        record(organisation_id=organisation.pk, actor="test@example.org", action="thing.changed", instance=organisation)


def chain(organisation: Organisation) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(organisation_id=organisation.pk).order_by("sequence"))


@pytest.mark.django_db
def test_each_event_follows_from_the_one_before(organisation: Organisation, other_organisation: Organisation) -> None:
    for _ in range(3):
        write(organisation)
        write(other_organisation)
    events = chain(organisation)
    assert [event.sequence for event in events] == [1, 2, 3]
    assert [event.previous_digest for event in events] == ["", events[0].digest, events[1].digest]
    assert verify_chain(organisation.pk) == []
    assert verify_chain(other_organisation.pk) == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("actor", "nobody@example.org"),
        ("after", {"pue": 1.1}),
        ("before", {}),
        ("reason", "none"),
        ("at", "2020-01-01T00:00:00Z"),
        ("object_label", "another"),
        ("organisation_id", None),
    ],
)
def test_an_event_changed_afterwards_is_found(organisation: Organisation, field: str, value: object) -> None:
    write(organisation, 3)
    changed = AuditEvent.objects.filter(organisation_id=organisation.pk, sequence=2)
    if field == "organisation_id":
        changed.update(organisation_id=organisation.pk + 1)
    else:
        changed.update(**{field: value})
    assert verify_chain(organisation.pk)


@pytest.mark.django_db
def test_an_event_made_to_look_right_again_breaks_the_next_one(organisation: Organisation) -> None:
    write(organisation, 3)
    forged = AuditEvent.objects.get(organisation_id=organisation.pk, sequence=2)
    forged.actor = "nobody@example.org"
    forged.digest = event_digest(forged)
    forged.save()
    assert verify_chain(organisation.pk) == ["event 3 does not follow from the event before it"]


@pytest.mark.django_db
@pytest.mark.parametrize("sequence", [1, 2])
def test_a_removed_event_is_missed(organisation: Organisation, sequence: int) -> None:
    write(organisation, 3)
    AuditEvent.objects.filter(organisation_id=organisation.pk, sequence=sequence).delete()
    assert f"event {sequence} is missing" in verify_chain(organisation.pk)[0]


@pytest.mark.django_db
def test_values_come_back_from_the_database_as_they_were_hashed(organisation: Organisation) -> None:
    values = {
        "small": 1e-7,
        "large": 1e22,
        "whole": 2.0,
        "third": 1 / 3,
        "number": 2**62,
        "decimal": Decimal("1.250000"),
        "text": "Zürich → “quoted” 日本 \\u0041",
        "nested": {"b": [1, None, True], "a": {}},
    }
    record(organisation_id=organisation.pk, actor="a", action="b.c", instance=organisation, before=values, after=values)
    assert verify_chain(organisation.pk) == []


@pytest.mark.django_db
def test_a_write_that_fails_leaves_no_event(organisation: Organisation) -> None:
    def write_and_fail() -> None:
        with transaction.atomic():
            create_team(organisation=organisation, slug="a", name="A", actor="test@example.org")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()
    assert not Team.unscoped.exists()
    assert chain(organisation) == []


@pytest.mark.django_db(transaction=True)
def test_writers_at_the_same_moment_keep_one_sequence(
    organisation: Organisation, other_organisation: Organisation
) -> None:
    def work(number: int) -> None:
        try:
            target = other_organisation if number % 4 == 0 else organisation
            create_team(organisation=target, slug=f"team-{number}", name=f"Team {number}", actor="test@example.org")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(32)))
    assert [event.sequence for event in chain(organisation)] == list(range(1, 25))
    assert [event.sequence for event in chain(other_organisation)] == list(range(1, 9))
    assert verify_chain(organisation.pk) == []
    assert verify_chain(other_organisation.pk) == []
