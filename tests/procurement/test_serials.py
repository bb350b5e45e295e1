"""A serial range is claimed once in the whole installation, and the database sees to it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from threading import Barrier
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from apps.organisations.models import Organisation
from apps.procurement.models import Instrument
from apps.procurement.serials import serial_range
from apps.procurement.services import create_instrument, update_instrument
from tests.procurement.test_instruments import add


def row(organisation: Organisation, reference: str, start: str, end: str = "", **fields: Any) -> Instrument:
    """A lot that no service has looked at."""
    made = Instrument(
        organisation=organisation,
        reference=reference,
        type="eac",
        market="DE",
        vintage_start=date(2026, 1, 1),
        vintage_end=date(2026, 4, 1),
        volume_milliwatt_hours=1,
        co2e_kg_per_mwh=0,
        **{"tracking_system": "AIB", "serial_start": start, "serial_end": end, **fields},
    )
    made.work_out_serials()
    return made


@pytest.mark.parametrize(
    ("start", "end", "system"),
    [
        ("GO-120", "GO-300", "AIB"),
        ("GO-50", "", "AIB"),
        ("GO-1", "GO-1", "AIB"),
        ("GO-000100", "GO-000101", "aib"),
        ("go-7", "go-8", "Aib"),
    ],
)
def test_the_database_refuses_an_overlap_whoever_writes_it(
    organisation: Organisation, other_organisation: Organisation, start: str, end: str, system: str
) -> None:
    add(organisation)
    for claimant in (organisation, other_organisation):
        second = row(claimant, "second", start, end, tracking_system=system)
        with pytest.raises(IntegrityError), transaction.atomic():
            Instrument.unscoped.bulk_create([second])
    assert Instrument.unscoped.count() == 1


@pytest.mark.parametrize(
    ("start", "end", "system"),
    [("GO-121", "GO-300", "AIB"), ("GO-50", "", "M-RETS"), ("GX-50", "", "AIB"), ("GO-", "", "AIB"), ("", "", "AIB")],
)
def test_what_does_not_overlap_is_kept(organisation: Organisation, start: str, end: str, system: str) -> None:
    add(organisation)
    Instrument.unscoped.bulk_create([row(organisation, "second", start, end, tracking_system=system)])
    assert Instrument.unscoped.count() == 2


def test_serials_that_are_no_numbers_are_compared_as_texts(organisation: Organisation) -> None:
    Instrument.unscoped.bulk_create([row(organisation, "first", "bundle-a"), row(organisation, "other", "bundle-b")])
    with pytest.raises(IntegrityError), transaction.atomic():
        Instrument.unscoped.bulk_create([row(organisation, "second", "Bundle-A")])


def test_two_rows_of_one_statement_are_held_against_each_other(organisation: Organisation) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Instrument.unscoped.bulk_create([row(organisation, "1", "A1", "A9"), row(organisation, "2", "A9", "A12")])


def test_a_change_that_makes_ranges_overlap_is_refused(organisation: Organisation) -> None:
    add(organisation)
    second = add(organisation, reference="second", serial_start="GO-200", serial_end="GO-300")
    second.serial_start = "GO-120"
    with pytest.raises(IntegrityError), transaction.atomic():
        second.save(update_fields=["serial_start"])
    with pytest.raises(ValidationError, match="GO-120 of AIB is already claimed by the lot GO-2026-Q1"):
        update_instrument(instrument=second, actor="olga@example.org", serial_start="GO-120")
    update_instrument(instrument=second, actor="olga@example.org", serial_start="GO-201", note="one less")
    assert Instrument.objects.of(organisation).get(reference="second").serial_first.endswith("201")


def test_a_serial_without_its_comparable_form_is_refused(organisation: Organisation) -> None:
    bare = row(organisation, "bare", "GO-1")
    bare.serial_prefix = bare.serial_first = bare.serial_last = ""
    with pytest.raises(IntegrityError), transaction.atomic():
        Instrument.unscoped.bulk_create([bare])


@pytest.mark.parametrize(("start", "end"), [("GO-120", "GO-1"), ("GO-1", "GX-9"), ("one", "two")])
def test_two_serials_that_bound_no_range_are_an_error_of_their_field(
    organisation: Organisation, start: str, end: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        add(organisation, serial_start=start, serial_end=end)
    assert "Expected a range such as" in caught.value.message_dict["serial_end"][0]


def test_a_number_longer_than_the_column_keeps_its_first_digits_in_the_prefix() -> None:
    long = serial_range("A" + "1" * 45, "A" + "1" * 44 + "2")
    assert (long.prefix, long.first[-1], long.last[-1], len(long.first)) == ("a11111", "1", "2", 40)


@pytest.fixture
def claimants(transactional_db: None) -> list[Organisation]:
    return [Organisation.objects.create(slug=f"claimant-{n}", name=f"Claimant {n}") for n in range(6)]


def test_of_many_who_claim_one_serial_at_once_one_has_it(claimants: list[Organisation]) -> None:
    together = Barrier(len(claimants))

    def claim(position: int) -> str:
        together.wait()
        try:
            create_instrument(
                organisation=claimants[position],
                actor="olga@example.org",
                reference="lot",
                type="eac",
                market="DE",
                vintage_start=date(2026, 1, 1),
                vintage_end=date(2026, 4, 1),
                volume_milliwatt_hours=10**9,
                co2e_kg_per_mwh=0,
                tracking_system="AIB",
                serial_start=f"GO-{10 + position}",
                serial_end="GO-99",
            )
        except ValidationError as error:
            return error.messages[0]
        finally:
            connection.close()
        return "claimed"

    with ThreadPoolExecutor(len(claimants)) as pool:
        answers = list(pool.map(claim, range(len(claimants))))
    assert answers.count("claimed") == 1
    assert all("already claimed by another organisation" in answer for answer in answers if answer != "claimed")
    assert Instrument.unscoped.count() == 1
