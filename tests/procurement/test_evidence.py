"""Evidence files of instruments: what is taken, who gets it back, and what the audit log says."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable

import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps.audit.models import AuditEvent
from apps.organisations.models import Organisation, Person
from apps.procurement import evidence
from apps.procurement.models import Instrument
from tests.procurement.test_instruments import add

PDF = b"%PDF-1.7\nretired for Acme AI"


def workbook() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return content.getvalue()


@pytest.fixture
def officer(client: Client, make_person: Callable[..., Person]) -> Client:
    client.force_login(make_person("officer"))
    return client


def send(client: Client, instrument: Instrument, name: str, content: bytes) -> str:
    url = f"/o/{instrument.organisation.slug}/instruments/{instrument.pk}/evidence/upload/"
    answer = client.post(url, {"evidence": SimpleUploadedFile(name, content)}, follow=True)
    return answer.content.decode()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("statement.pdf", PDF),
        ("scan.PNG", b"\x89PNG\r\n\x1a\n0000"),
        ("scan.jpeg", b"\xff\xd8\xff\xe0JFIF"),
        ("register.csv", "serial;Wärme\r\nGO-1;1\r\n".encode()),
        ("register.xlsx", workbook()),
    ],
)
def test_a_file_comes_back_as_it_was_sent(
    officer: Client, organisation: Organisation, name: str, content: bytes
) -> None:
    instrument = add(organisation)
    page = send(officer, instrument, name, content)
    digest = hashlib.sha256(content).hexdigest()
    assert name in page
    assert digest in page.replace("<wbr>", "")
    answer = officer.get(f"/o/{organisation.slug}/instruments/{instrument.pk}/evidence/")
    assert b"".join(answer.streaming_content) == content
    assert answer["Content-Disposition"] == f'attachment; filename="{name}"'
    assert answer["X-Content-Type-Options"] == "nosniff"
    instrument.refresh_from_db()
    assert instrument.evidence_digest == digest
    assert name not in instrument.evidence.name  # kept under a name that nobody can guess


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("statement.pdf", b"<html><script>alert(1)</script>", "no PDF, PNG, JPEG, CSV or XLSX file"),
        ("page.html", PDF, "no PDF, PNG, JPEG, CSV or XLSX file"),
        ("register.xlsx", b"PK\x03\x04 no workbook", "no PDF, PNG, JPEG, CSV or XLSX file"),
        ("register.csv", b"a,b\x00c", "no PDF, PNG, JPEG, CSV or XLSX file"),
        ("register.csv", b"a,\xff\xfe", "no PDF, PNG, JPEG, CSV or XLSX file"),
        ("empty.pdf", b"", "empty"),
    ],
)
def test_what_is_no_evidence_is_refused_with_what_would_be(
    officer: Client, organisation: Organisation, name: str, content: bytes, says: str
) -> None:
    instrument = add(organisation)
    assert says in send(officer, instrument, name, content)
    instrument.refresh_from_db()
    assert not instrument.evidence


def test_a_file_that_is_too_large_is_refused(
    officer: Client, organisation: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "MOST_BYTES", 20)
    instrument = add(organisation)
    assert "is larger than" in send(officer, instrument, "statement.pdf", PDF)


def test_a_replaced_file_is_named_in_the_audit_log_and_stays(officer: Client, organisation: Organisation) -> None:
    instrument = add(organisation)
    send(officer, instrument, "first.pdf", PDF)
    send(officer, instrument, "second.pdf", PDF + b"2")
    events = AuditEvent.objects.filter(organisation_id=organisation.pk).order_by("sequence")
    assert [event.action for event in events][1:] == ["instrument.evidence_added", "instrument.evidence_replaced"]
    last = events.last()
    assert last is not None
    assert (last.before["evidence_name"], last.after["evidence_name"]) == ("first.pdf", "second.pdf")
    assert last.after["evidence_digest"] == hashlib.sha256(PDF + b"2").hexdigest()
    assert default_storage.open(last.before["stored_as"]).read() == PDF


def test_only_who_keeps_the_inventory_uploads_and_every_member_downloads(
    client: Client,
    organisation: Organisation,
    other_organisation: Organisation,
    make_person: Callable[..., Person],
) -> None:
    instrument = add(organisation)
    url = f"/o/{organisation.slug}/instruments/{instrument.pk}/evidence/"
    client.force_login(make_person("officer"))
    send(client, instrument, "statement.pdf", PDF)
    client.force_login(make_person("viewer"))
    assert client.get(url).status_code == 200
    assert client.post(f"{url}upload/", {"evidence": SimpleUploadedFile("x.pdf", PDF)}).status_code == 403
    client.force_login(make_person("officer", "rival@example.org", member_of=other_organisation))
    assert client.get(url).status_code == 404


def test_a_lot_without_a_file_has_none_to_download(officer: Client, organisation: Organisation) -> None:
    assert officer.get(f"/o/{organisation.slug}/instruments/{add(organisation).pk}/evidence/").status_code == 404
