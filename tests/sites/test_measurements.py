"""Meter readings and invoices, through the pages that keep them and the API that shows them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from threading import Barrier

import pytest
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client

from apps.audit.models import AuditEvent
from apps.organisations.models import Organisation, Person, Role
from apps.sites.measurements.services import add_measurement
from apps.sites.models import Site, SiteMeasurement

pytestmark = pytest.mark.django_db

PAGE = "/o/acme/meters/"
KWH = 1_000_000  # in mWh
HEADER = "site,quantity,meter,first_day,last_day,amount,unit,evidence,reference,note"
NEW = {
    "site": "fra1",
    "quantity": "facility_energy",
    "meter": "M-1",
    "first_day": "2026-07-01",
    "last_day": "2026-07-31",
    "amount": "812.5",
    "unit": "MWh",
    "evidence": "invoice",
    "reference": "INV-7",
}


@pytest.fixture
def officer(make_person: Callable[..., Person], client: Client) -> Person:
    person = make_person(Role.OFFICER)
    client.force_login(person)
    return person


def reading(site: Site, start: str, last_day: str, kwh: int, **fields: str) -> SiteMeasurement:
    values = {"quantity": "facility_energy", "evidence": "meter", "reference": "seen", "actor": "system", **fields}
    end = date.fromisoformat(last_day) + timedelta(days=1)
    return add_measurement(site=site, start=date.fromisoformat(start), end=end, amount=kwh * KWH, **values)


def stored() -> list[tuple[str, date, date, int]]:
    return list(SiteMeasurement.unscoped.order_by("pk").values_list("quantity", "start", "end", "amount"))


def test_an_officer_enters_an_invoice_with_its_last_day_included(officer: Person, client: Client, site: Site) -> None:
    assert "No readings yet" in client.get(PAGE).content.decode()
    answer = client.post(PAGE + "add/", NEW, follow=True).content.decode()
    assert stored() == [("facility_energy", date(2026, 7, 1), date(2026, 8, 1), 812_500 * KWH)]
    assert "31 Jul 2026" in answer
    assert "812,500" in answer
    event = AuditEvent.objects.get()
    assert (event.action, event.actor) == ("measurement.added", officer.email)


def test_two_readings_of_a_register_give_their_difference(officer: Person, client: Client, site: Site) -> None:
    said = {**NEW, "amount": "", "register_start": "120.25", "register_end": "932.75", "note": "by Ann"}
    client.post(PAGE + "add/", said)
    row = SiteMeasurement.unscoped.get()
    assert row.amount == 812_500 * KWH
    assert row.note == "Register 120.25 to 932.75 MWh. by Ann"


def test_water_is_kept_to_the_millilitre(officer: Person, client: Client, site: Site) -> None:
    client.post(PAGE + "add/", {**NEW, "quantity": "water_intake", "amount": "1204.000001", "unit": "m3"})
    assert SiteMeasurement.unscoped.get().amount == 1_204_000_001


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"amount": "-1"}, "does not run backwards"),
        ({"amount": "1,5"}, "decimal point"),
        ({"amount": "NaN"}, "finite number"),
        ({"amount": ""}, "or two register readings"),
        ({"amount": "0.0000000001"}, "whole milliwatt-hour"),
        ({"amount": "99999999"}, "check the unit"),
        ({"unit": "m3"}, "Expected kWh or MWh"),
        ({"last_day": "2026-06-30"}, "on or after the first"),
        ({"first_day": "1026-07-01"}, "from 1990-01-01 on"),
        ({"first_day": "2024-07-01"}, "at most 366 days"),
        ({"reference": ""}, "required"),
        ({"quantity": "coal"}, "not one of the available choices"),
        ({"site": "ord2"}, "not one of the available choices"),
        ({"register_start": "1", "register_end": "2"}, "not both"),
        ({"amount": "", "register_start": "9", "register_end": "2"}, "below the register at the start"),
        ({"amount": "", "register_start": "9"}, "0 or more with a decimal point"),
    ],
)
def test_a_reading_that_cannot_be_is_told_at_its_field(
    officer: Person, client: Client, site: Site, change: dict[str, str], words: str
) -> None:
    answer = client.post(PAGE + "add/", NEW | change)
    assert words in answer.content.decode()
    assert not stored()
    assert not AuditEvent.objects.exists()


def test_a_day_that_is_not_over_is_refused(officer: Person, client: Client, site: Site) -> None:
    today = datetime.now(UTC).date()
    said = {**NEW, "first_day": (today - timedelta(days=3)).isoformat(), "last_day": today.isoformat()}
    assert "last day that is over" in client.post(PAGE + "add/", said).content.decode()
    client.post(PAGE + "add/", {**said, "last_day": (today - timedelta(days=1)).isoformat()})
    assert len(stored()) == 1


@pytest.mark.parametrize(("first", "last"), [("07-31", "08-31"), ("06-01", "07-01"), ("07-10", "07-12")])
def test_readings_of_one_meter_never_overlap(site: Site, first: str, last: str) -> None:
    reading(site, "2026-07-01", "2026-07-31", 100, meter="M-1")
    with pytest.raises(ValidationError, match="Overlaps the reading of meter M-1 for 1 Jul to 31 Jul 2026"):
        reading(site, f"2026-{first}", f"2026-{last}", 100, meter="M-1")
    reading(site, f"2026-{first}", f"2026-{last}", 100, meter="M-2")
    reading(site, f"2026-{first}", f"2026-{last}", 1, meter="M-1", quantity="reused_energy")
    reading(site, "2026-08-01", "2026-08-31", 100, meter="M-1")


@pytest.mark.django_db(transaction=True)
def test_of_two_overlapping_readings_entered_at_once_one_stands(site: Site) -> None:
    meet = Barrier(2)

    def enter(start: str) -> bool:
        meet.wait()
        try:
            reading(site, start, "2026-07-31", 5)
        except ValidationError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(enter, ["2026-07-01", "2026-07-02"])) == [False, True]


def test_it_energy_above_facility_energy_is_refused_with_the_numbers(site: Site) -> None:
    reading(site, "2026-07-01", "2026-07-31", 900, meter="feed A")
    with pytest.raises(ValidationError) as error:
        reading(site, "2026-07-01", "2026-07-31", 1_000, quantity="it_energy")
    (text,) = error.value.message_dict["amount"]
    assert "1,000 kWh is above the facility energy of 900 kWh" in text
    assert "PUE of 0.90" in text
    reading(site, "2026-07-01", "2026-07-31", 300, meter="feed B")
    reading(site, "2026-07-01", "2026-07-31", 1_000, quantity="it_energy")


def test_facility_energy_below_it_energy_is_refused_too(site: Site) -> None:
    reading(site, "2026-07-01", "2026-09-30", 1_000, quantity="it_energy")
    reading(site, "2026-07-01", "2026-07-31", 100)  # the quarter's facility energy is not known yet
    reading(site, "2026-08-01", "2026-08-31", 450)
    with pytest.raises(ValidationError, match=r"PUE of 0\.95"):
        reading(site, "2026-09-01", "2026-09-30", 400)
    reading(site, "2026-09-01", "2026-09-30", 450)


def test_periods_that_do_not_meet_are_not_compared_by_guessing(site: Site) -> None:
    """January may hold most of a quarter's IT energy: nothing is apportioned to find a fault."""
    reading(site, "2026-01-01", "2026-03-31", 1_000)
    reading(site, "2026-01-01", "2026-01-31", 600, quantity="it_energy")
    with pytest.raises(ValidationError, match="above the facility energy"):
        reading(site, "2026-02-01", "2026-02-28", 401, quantity="it_energy")


def test_a_correction_keeps_what_was_said_before(officer: Person, client: Client, site: Site) -> None:
    row = reading(site, "2026-07-01", "2026-07-31", 100)
    path = f"{PAGE}{row.pk}/"
    assert 'value="2026-07-31"' in client.get(path).content.decode()
    said = {**NEW, "meter": "", "amount": "120", "unit": "kWh", "reason": "typing error"}
    client.post(path, said)
    client.post(path, said)  # nothing changes: no event
    assert stored() == [("facility_energy", date(2026, 7, 1), date(2026, 8, 1), 120 * KWH)]
    event = AuditEvent.objects.get(action="measurement.corrected")
    assert ((event.before or {})["amount"], (event.after or {})["amount"]) == (100 * KWH, 120 * KWH)
    assert event.reason == "typing error"
    assert "backwards" in client.post(path, {**said, "amount": "-3"}).content.decode()


def test_a_withdrawal_leaves_an_event(officer: Person, client: Client, site: Site) -> None:
    row = reading(site, "2026-07-01", "2026-07-31", 100)
    client.post(f"{PAGE}{row.pk}/withdraw/")
    assert not stored()
    assert (AuditEvent.objects.get(action="measurement.withdrawn").before or {})["amount"] == 100 * KWH


def test_a_viewer_reads_and_does_not_enter(make_person: Callable[..., Person], client: Client, site: Site) -> None:
    reading(site, "2026-07-01", "2026-07-31", 100)
    client.force_login(make_person(Role.VIEWER))
    page = client.get(PAGE).content.decode()
    assert "Enter a reading" not in page
    assert client.post(PAGE + "add/", NEW).status_code == 403


def test_the_list_is_filtered_by_site_quantity_and_year(officer: Person, client: Client, site: Site) -> None:
    reading(site, "2025-12-15", "2026-01-14", 111)
    reading(site, "2026-07-01", "2026-07-31", 222, quantity="reused_energy")
    for query, seen in (
        ("?year=2025", {"111"}),
        ("?year=2026", {"111", "222"}),
        ("?quantity=reused_energy", {"222"}),
        ("?site=nowhere", set()),
        ("?year=20x6&quantity=coal", {"111", "222"}),
    ):
        page = client.get(PAGE + query).content.decode()
        assert {text for text in ("111", "222") if f">{text}<" in page} == seen


# --- Files --------------------------------------------------------------------------------------------------------


def upload(client: Client, *lines: str, header: str = HEADER) -> str:
    body = "\r\n".join([header, *lines]).encode()
    answer = client.post(PAGE + "import/", {"file": SimpleUploadedFile("m.csv", body, content_type="text/csv")})
    return answer.content.decode()


GOOD = (
    "fra1,facility_energy,M-1,2026-07-01,2026-07-31,812.5,MWh,invoice,INV-7,",
    "fra1,water_intake,,2026-07-01,2026-07-31,1204,m3,meter,seen,by Ann",
)


def test_a_file_is_seen_before_it_is_imported(officer: Person, client: Client, site: Site) -> None:
    page = upload(client, *GOOD)
    assert "2 readings to import" in page
    assert not stored()
    content = "\r\n".join([HEADER, *GOOD])
    client.post(PAGE + "import/", {"content": content})
    assert [row[3] for row in stored()] == [812_500 * KWH, 1_204_000_000]
    assert AuditEvent.objects.filter(action="measurement.added").count() == 2
    again = client.post(PAGE + "import/", {"content": content}).content.decode()
    assert "2 faults; nothing was imported" in again
    assert len(stored()) == 2


def test_what_is_exported_can_be_imported_elsewhere(officer: Person, client: Client, site: Site) -> None:
    client.post(PAGE + "import/", {"content": "\n".join([HEADER, *GOOD])})
    before = stored()
    exported = client.get(PAGE + "?format=csv").content.decode()
    SiteMeasurement.unscoped.all().delete()
    client.post(PAGE + "import/", {"content": exported})
    assert sorted(stored()) == sorted(before)


def test_the_template_has_the_columns_of_an_import(officer: Person, client: Client, site: Site) -> None:
    text = client.get(PAGE + "import/template/").content.decode()
    assert text.startswith(HEADER)
    client.post(PAGE + "import/", {"content": text})
    assert len(stored()) == 2


@pytest.mark.parametrize(
    ("line", "column", "words"),
    [
        ("ord2,facility_energy,,2026-08-01,2026-08-31,1,kWh,meter,x,", "site", "code of a site (fra1)"),
        ("fra1,coal,,2026-08-01,2026-08-31,1,kWh,meter,x,", "quantity", "facility_energy, it_energy"),
        ("fra1,facility_energy,,2026-08-01,2026-08-31,-1,kWh,meter,x,", "amount", "backwards"),
        ("fra1,facility_energy,,2026-08-01,2026-08-31,1,kW,meter,x,", "unit", "Expected kWh or MWh"),
        ("fra1,facility_energy,,2026-08-01,31.08.2026,1,kWh,meter,x,", "last_day", "a day such as"),
        ("fra1,facility_energy,,2026-08-31,2026-08-01,1,kWh,meter,x,", "last_day", "on or after the first"),
        ("fra1,facility_energy,,2026-08-01,2199-08-31,1,kWh,meter,x,", "last_day", "is over"),
        ("fra1,facility_energy,,2026-08-01,2026-08-31,1,kWh,guess,x,", "evidence", "meter, invoice"),
        ("fra1,facility_energy,,2026-08-01,2026-08-31,1,kWh,meter,,", "reference", "where the figure is found"),
        ("fra1,facility_energy,M-1,2026-07-31,2026-08-31,1,kWh,meter,x,", "first_day", "Overlaps"),
        ("fra1,it_energy,,2026-07-01,2026-07-31,900,MWh,meter,x,", "amount", "PUE of 0.90"),
        ("fra1,facility_energy,,2026-08-01,2026-08-31,1,kWh,meter,x,,,", "the row", "Expected 10 columns, got 12"),
        (GOOD[1], "the row", "The same reading as in row 3"),
    ],
)
def test_one_bad_row_is_named_and_nothing_is_imported(
    officer: Person, client: Client, site: Site, line: str, column: str, words: str
) -> None:
    page = upload(client, *GOOD, line)
    assert "1 fault; nothing was imported" in page
    assert words.replace("'", "&#x27;") in page
    assert f'<td class="num">4</td><td>{column if column == "the row" else f"<code>{column}</code>"}</td>' in page
    client.post(PAGE + "import/", {"content": "\n".join([HEADER, *GOOD, line])})
    assert not stored()
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (HEADER.replace("amount,", ""), "This column is missing"),
        (HEADER + ",colour", "Not a column that is known"),
        (HEADER + ",site", "stands there twice"),
        ("", "Not a column that is known"),
    ],
)
def test_a_header_that_cannot_be_read_is_told(
    officer: Person, client: Client, site: Site, header: str, words: str
) -> None:
    assert words in upload(client, *GOOD, header=header)
    assert not stored()


@pytest.mark.parametrize(
    ("body", "words"),
    [(b"", "empty"), (b"\xff\xfe,\n", "UTF-8"), (b"a" * 1_000_001, "split it"), (HEADER.encode(), "no rows")],
)
def test_a_file_that_is_none_is_told(officer: Person, client: Client, site: Site, body: bytes, words: str) -> None:
    answer = client.post(PAGE + "import/", {"file": SimpleUploadedFile("m.csv", body)})
    assert words in answer.content.decode()


def test_semicolons_and_a_byte_order_mark_are_read(officer: Person, client: Client, site: Site) -> None:
    lines = [line.replace(",", ";") for line in GOOD]
    assert "2 readings to import" in upload(client, *lines, header="\ufeff" + HEADER.replace(",", ";"))


# --- API ----------------------------------------------------------------------------------------------------------


def test_the_api_lists_readings_by_first_day(
    client: Client, site: Site, other_organisation: Organisation, make_key: Callable[..., str]
) -> None:
    reading(site, "2026-07-01", "2026-07-31", 5, meter="M-1")
    reading(site, "2026-08-01", "2026-08-31", 6, meter="M-1")
    headers = {"Authorization": f"Bearer {make_key()}"}
    answer = client.get("/api/v1/measurements?limit=1", headers=headers).json()
    (first,) = answer["results"]
    assert {**first, "id": 0} == {
        "id": 0,
        "site": "fra1",
        "quantity": "facility_energy",
        "meter": "M-1",
        "start": "2026-07-01",
        "end": "2026-08-01",
        "amount": 5.0,
        "unit": "kWh",
        "evidence": "meter",
        "reference": "seen",
        "note": "",
    }
    following = client.get(answer["next"], headers=headers).json()
    assert [row["start"] for row in following["results"]] == ["2026-08-01"]
    for query, count in (("from=2026-07-31&to=2026-08-01", 1), ("site=x", 0), ("quantity=it_energy", 0)):
        assert len(client.get(f"/api/v1/measurements?{query}", headers=headers).json()["results"]) == count
    assert client.get("/api/v1/measurements?quantity=coal", headers=headers).status_code == 400
    foreign = {"Authorization": f"Bearer {make_key(organisation=other_organisation)}"}
    assert client.get("/api/v1/measurements", headers=foreign).json()["results"] == []
