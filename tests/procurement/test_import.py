"""Importing lots and hourly certificates: all of a file or nothing, and every fault with its row and column."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps.audit.models import AuditEvent
from apps.core.windows import epoch_hour
from apps.organisations.models import Organisation, Person, Team
from apps.procurement.importing.reading import FileRefusedError
from apps.procurement.importing.services import import_instruments
from apps.procurement.models import Instrument, InstrumentHour
from tests.procurement.test_instruments import add

LOT_HEAD = (
    "reference,type,market,volume_mwh,vintage_start,vintage_end,tracking_system,serial_start,serial_end,retired_on"
)
LOT_HEAD += ",co2e_kg_per_mwh"
LOTS = f"""{LOT_HEAD}
Q1,eac,DE,120.000000001,2026-01-01,2026-04-01,AIB,GO-1,GO-120,2026-05-02,0
Q2,ppa,se,10,2026-04-01,2026-07-01,,,,,12.5
"""
HOUR_HEAD = "certificate_id,device,technology,interval_start,interval_end,energy_wh,tracking_system,serial_start"
HOUR_HEAD += ",serial_end,market,cancelled_on,issuer"


def hours(*rows: str) -> bytes:
    return "\n".join([HOUR_HEAD, *rows]).encode()


def hour(number: int, start: str, energy: str = "1000.9", **changed: str) -> str:
    """One bundle; serials of 1,000 for each number."""
    values = {
        "certificate_id": f"GC-{number}",
        "device": "plant-7",
        "technology": "Wind onshore",
        "interval_start": start,
        "interval_end": "",
        "energy_wh": energy,
        "tracking_system": "Granular registry",
        "serial_start": f"plant-7:{number * 1000}",
        "serial_end": f"plant-7:{number * 1000 + 999}",
        "market": "DE",
        "cancelled_on": "2026-08-20",
        "issuer": "Issuing body",
        **changed,
    }
    return ",".join(values[name] for name in HOUR_HEAD.split(","))


def bring(organisation: Organisation, content: bytes | str, kind: str = "lots", **options: Any) -> list[Instrument]:
    content = content.encode() if isinstance(content, str) else content
    made = import_instruments(
        organisation=organisation, kind=kind, content=content, name="file.csv", actor="olga@example.org", **options
    )
    return [one.instrument for one in made]


def faults(organisation: Organisation, content: bytes | str, kind: str = "lots") -> list[tuple[int, str]]:
    """Row and column of every fault; nothing of the file is there afterwards."""
    before = Instrument.unscoped.count(), InstrumentHour.unscoped.count(), AuditEvent.objects.count()
    with pytest.raises(FileRefusedError) as caught:
        bring(organisation, content, kind)
    assert (Instrument.unscoped.count(), InstrumentHour.unscoped.count(), AuditEvent.objects.count()) == before
    return [(error.row, error.column) for error in caught.value.errors]


# --- Lots ---------------------------------------------------------------------------------------------------------


def test_a_file_of_lots_is_imported_as_its_rows_state(organisation: Organisation) -> None:
    first, second = bring(organisation, LOTS)
    assert first.volume_milliwatt_hours == 120_000_000_001
    assert (first.serial_start, first.retired_on) == ("GO-1", date(2026, 5, 2))
    assert (second.market, second.type, second.co2e_kg_per_mwh) == ("SE", "ppa", 12.5)
    events = AuditEvent.objects.filter(organisation_id=organisation.pk)
    assert [event.reason for event in events] == ["imported from file.csv"] * 2


def test_a_spreadsheet_that_writes_semicolons_and_a_byte_order_mark_is_read(organisation: Organisation) -> None:
    assert len(bring(organisation, b"\xef\xbb\xbf" + LOTS.replace(",", ";").encode())) == 2


def test_every_fault_is_named_with_its_row_and_column(organisation: Organisation, team: Team) -> None:
    file = f"""{LOT_HEAD},earmark_team
ok,eac,DE,120,2026-01-01,2026-04-01,AIB,GO-1,GO-120,2026-05-02,0,vision
kind,offset,DE,"1,5",2026-01-01,01.04.2026,AIB,,,,0,
ok,eac,DE,1,2026-01-01,2026-04-01,AIB,,,,0,nobody
"""
    assert faults(organisation, file) == [
        (3, "type"),
        (3, "volume_mwh"),
        (3, "vintage_end"),
        (4, "earmark_team"),
        (4, "reference"),
    ]


def test_what_only_the_ledger_knows_is_named_with_its_row_too(
    organisation: Organisation, other_organisation: Organisation
) -> None:
    add(other_organisation)  # GO-1 to GO-120
    file = f"""{LOT_HEAD}
a,eac,DE,1,2026-01-01,2026-04-01,AIB,GO-120,GO-130,2026-05-02,0
b,eac,DE,1,2026-01-01,2026-01-01,AIB,GO-200,GO-300,,0
c,eac,DE,1,2026-01-01,2026-04-01,AIB,GO-300,GO-310,,-1
d,eac,DE,1,2026-01-01,2026-04-01,AIB,GO-400,GO-410,,0
e,eac,DE,1,2026-01-01,2026-04-01,aib,GO-410,,,0
f,eac,DE,much,2026-01-01,2026-04-01,,,,,0
"""
    assert faults(organisation, file) == [
        (2, "serial_start"),
        (3, "vintage_end"),
        (4, "co2e_kg_per_mwh"),
        (6, "serial_start"),
        (7, "volume_mwh"),
    ]


def test_a_vintage_outside_its_window_is_named_with_its_row(organisation: Organisation) -> None:
    file = f"""{LOT_HEAD},claim_start,claim_end
a,eac,DE,1,2024-01-01,2024-04-01,AIB,GO-1,GO-9,2026-05-02,0,2026-01-01,2026-04-01
b,eac,DE,1,2025-04-01,2025-07-01,AIB,GO-10,GO-19,2026-05-02,0,2026-01-01,2026-04-01
"""
    assert faults(organisation, file) == [(2, "vintage_start")]
    organisation.vintage_window_months = 24
    assert len(bring(organisation, file)) == 2


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", [(0, "")]),
        (LOT_HEAD.encode(), [(0, "")]),
        (LOTS.replace("volume_mwh", "volume_kwh").encode(), [(1, "volume_mwh"), (1, "volume_kwh")]),
        (LOTS.replace("DE,120", "DE").encode(), [(2, "-")]),
        (b"\xff\xfe", [(0, "")]),
    ],
)
def test_a_file_that_cannot_be_read_says_where(
    organisation: Organisation, content: bytes, expected: list[tuple[int, str]]
) -> None:
    assert faults(organisation, content)[: len(expected)] == expected


# --- Hourly certificates ------------------------------------------------------------------------------------------


def test_bundles_of_a_device_and_month_are_one_lot_with_its_hours(organisation: Organisation) -> None:
    july = hours(
        hour(2, "2026-07-01T11:00:00Z", interval_end="2026-07-01T11:15:00Z"),
        hour(1, "2026-07-01T10:00:00Z"),
        hour(3, "2026-07-01T13:15:00+02:00", interval_end="2026-07-01T13:30:00+02:00"),
        hour(4, "2026-08-01T00:00:00Z"),
    )
    first, second = bring(organisation, july, "hourly")
    assert (first.reference, first.vintage_start, first.vintage_end) == (
        "plant-7 2026-07",
        date(2026, 7, 1),
        date(2026, 8, 1),
    )
    assert second.reference == "plant-7 2026-08"
    # Each face value is rounded down to whole watt-hours before anything is added.
    assert first.volume_milliwatt_hours == 3 * 1000 * 1000
    assert (first.serial_start, first.serial_end) == ("plant-7:1000", "plant-7:3999")
    assert (first.device, first.certificate, first.retired_on) == (
        "plant-7",
        {"issuer": "Issuing body"},
        date(2026, 8, 20),
    )
    ten = epoch_hour(datetime(2026, 7, 1, 10, tzinfo=UTC))
    assert list(first.hours.values_list("hour", "energy_milliwatt_hours")) == [
        (ten, 1_000_000),
        (ten + 1, 2_000_000),  # two quarters of an hour
    ]
    for lot in (first, second):
        assert sum(lot.hours.values_list("energy_milliwatt_hours", flat=True)) == lot.volume_milliwatt_hours


def test_a_gap_in_the_serials_makes_another_lot_and_claims_nothing_between(
    organisation: Organisation, other_organisation: Organisation
) -> None:
    first, second = bring(
        organisation, hours(hour(1, "2026-07-01T10:00:00Z"), hour(3, "2026-07-01T11:00:00Z")), "hourly"
    )
    assert (first.reference, second.reference) == ("plant-7 2026-07", "plant-7 2026-07 #2")
    assert len(bring(other_organisation, hours(hour(2, "2026-07-01T10:00:00Z")), "hourly")) == 1


def test_the_same_bundles_again_are_refused_at_their_row(
    organisation: Organisation, other_organisation: Organisation
) -> None:
    bring(organisation, hours(hour(1, "2026-07-01T10:00:00Z"), hour(2, "2026-07-01T11:00:00Z")), "hourly")
    again = hours(hour(5, "2026-07-01T09:00:00Z"), hour(2, "2026-07-01T11:00:00Z"))
    assert faults(organisation, again, "hourly") == [(3, "serial_start")]
    assert faults(other_organisation, again, "hourly") == [(3, "serial_start")]


def test_json_is_read_as_the_same_bundles(organisation: Organisation) -> None:
    row: dict[str, Any] = {
        "certificate_id": "0b0c2f8e-5f2c-4f7e-a6d2-1c3b5d7e9fab",
        "device": "plant-7",
        "technology": "Solar",
        "interval_start": "2026-07-01T10:00:00Z",
        "energy_wh": 1234.9,
        "tracking_system": "Granular registry",
        "market": "DE",
        "usable_for_disclosure": True,
        "configuration": 2,
        "cancelled_on": None,
    }
    (lot,) = bring(organisation, json.dumps({"certificates": [row]}), "hourly")
    assert (lot.volume_milliwatt_hours, lot.serial_start, lot.certificate) == (
        1_234_000,
        row["certificate_id"],
        {"configuration": "2"},
    )
    assert faults(organisation, json.dumps([{**row, "energy_wh": "much"}, {**row, "device": ""}]), "hourly") == [
        (1, "energy_wh"),
        (2, "device"),
    ]


@pytest.mark.parametrize(
    ("changed", "column"),
    [
        ({"interval_end": "2026-07-01T12:00:00Z"}, "interval_end"),
        ({"interval_end": "2026-07-01T09:00:00Z"}, "interval_end"),
        ({"interval_start": "2026-07-01T10:30:00Z", "interval_end": "2026-07-01T11:15:00Z"}, "interval_start"),
        ({"interval_start": "2026-07-01T10:30:00Z"}, "interval_start"),
        ({"interval_start": "2026-07-01T10:00:00"}, "interval_start"),
        ({"interval_start": "2999-07-01T10:00:00Z"}, "interval_start"),
        ({"energy_wh": "0.9"}, "energy_wh"),
        ({"energy_wh": "-5"}, "energy_wh"),
        ({"energy_wh": "NaN"}, "energy_wh"),
        ({"technology": "Biogas"}, "co2e_kg_per_mwh"),
        ({"serial_end": "other:9"}, "serial_end"),
        ({"market": "Germany!"}, "market"),
        ({"cancelled_on": "2026-06-30"}, "cancelled_on"),
    ],
)
def test_a_bundle_that_no_issuer_would_make_is_refused(
    organisation: Organisation, changed: dict[str, str], column: str
) -> None:
    rows = hours(
        hour(1, "2026-07-02T10:00:00Z", device="other"), hour(2, **{"start": "2026-07-01T10:00:00Z", **changed})
    )
    assert faults(organisation, rows, "hourly") == [(3, column)]


def test_serials_that_stand_twice_in_a_file_are_named(organisation: Organisation) -> None:
    rows = hours(
        hour(1, "2026-07-01T10:00:00Z"),
        hour(1, "2026-07-01T11:00:00Z", serial_start="plant-7:1999", serial_end="plant-7:2500"),
    )
    assert faults(organisation, rows, "hourly") == [(3, "serial_start")]


def test_the_volume_of_hourly_certificates_is_not_edited_apart_from_its_hours(
    client: Client, organisation: Organisation, make_person: Callable[..., Person]
) -> None:
    (lot,) = bring(organisation, hours(hour(1, "2026-07-01T10:00:00Z")), "hourly")
    client.force_login(make_person("officer"))
    url = f"/o/{organisation.slug}/instruments/{lot.pk}/"
    values = {k: v for k, v in client.get(url).context["form"].initial.items() if v not in (None, "")}
    answer = client.post(url, {**values, "volume_mwh": "2"})
    assert set(answer.context["form"].errors) == {"volume_mwh"}
    assert client.post(url, {**values, "note": "checked"}).status_code == 302


# --- The page -----------------------------------------------------------------------------------------------------


def test_an_officer_sees_what_a_file_would_make_and_imports_it(
    client: Client, organisation: Organisation, make_person: Callable[..., Person]
) -> None:
    client.force_login(make_person("officer"))
    url = f"/o/{organisation.slug}/instruments/import/"
    seen = client.post(url, {"kind": "lots", "file": SimpleUploadedFile("lots.csv", LOTS.encode())})
    page = seen.content.decode()
    assert "lots.csv would make 2 lots" in page
    assert "Criterion 7" in page
    assert not Instrument.unscoped.exists()
    done = client.post(f"{url}confirm/", {"token": seen.context["token"]}, follow=True)
    assert "2 lots imported from lots.csv" in done.content.decode()
    assert Instrument.objects.of(organisation).count() == 2
    again = client.post(f"{url}confirm/", {"token": seen.context["token"]}, follow=True)
    assert "Choose it once again" in again.content.decode()


def test_the_page_lists_the_faults_of_a_file(
    client: Client, organisation: Organisation, make_person: Callable[..., Person]
) -> None:
    client.force_login(make_person("officer"))
    url = f"/o/{organisation.slug}/instruments/import/"
    sent = SimpleUploadedFile("hours.csv", hours(hour(1, "2026-07-01T10:30:00Z")))
    answer = client.post(url, {"kind": "hourly", "file": sent})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "Nothing was imported" in page
    assert "this one lies across two" in page


def test_a_file_shown_to_one_organisation_is_not_imported_by_another(
    client: Client, organisation: Organisation, other_organisation: Organisation, make_person: Callable[..., Person]
) -> None:
    client.force_login(make_person("officer"))
    url = f"/o/{organisation.slug}/instruments/import/"
    seen = client.post(url, {"kind": "lots", "file": SimpleUploadedFile("lots.csv", LOTS.encode())})
    client.force_login(make_person("officer", "rival@example.org", member_of=other_organisation))
    client.post(f"/o/{other_organisation.slug}/instruments/import/confirm/", {"token": seen.context["token"]})
    assert not Instrument.unscoped.exists()


@pytest.mark.parametrize(("name", "kind"), [("lots", "lots"), ("hourly", "hourly")])
def test_the_template_can_be_imported_as_it_is(
    client: Client, organisation: Organisation, make_person: Callable[..., Person], name: str, kind: str
) -> None:
    client.force_login(make_person("officer"))
    answer = client.get(f"/o/{organisation.slug}/instruments/import/{name}.csv")
    assert answer["Content-Disposition"].startswith("attachment")
    assert len(bring(organisation, answer.content, kind)) == 1
