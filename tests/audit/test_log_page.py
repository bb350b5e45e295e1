"""The audit log's page and export."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.organisations.models import Organisation, Person, Role
from apps.organisations.services import create_team, rename_team

pytestmark = pytest.mark.django_db

PATH = "/o/acme/audit/"


@pytest.fixture
def auditor(make_person: Callable[..., Person], client: Client) -> Person:
    person = make_person(Role.AUDITOR)
    client.force_login(person)
    return person


@pytest.fixture
def history(organisation: Organisation, other_organisation: Organisation) -> None:
    team = create_team(organisation=organisation, slug="vision", name="Vision", actor="olga@example.org")
    rename_team(team=team, name="Sight", actor="emil@example.org")
    create_team(organisation=other_organisation, slug="secret", name="Secret project", actor="spy@rival.example")


def test_it_shows_who_changed_what_from_which_value_to_which(auditor: Person, client: Client, history: None) -> None:
    page = client.get(PATH).content.decode()
    assert "The chain holds." in page
    assert "emil@example.org" in page
    assert "<del>Vision</del> → Sight" in page
    assert "Secret project" not in page
    assert "spy@rival.example" not in page


@pytest.mark.parametrize(
    ("query", "shown", "hidden"),
    [
        ("action=team.created", "olga@example.org</td>", "emil@example.org</td>"),
        ("actor=emil@example.org", "emil@example.org</td>", "olga@example.org</td>"),
        ("object_type=organisations.team", "olga@example.org</td>", "No event matches"),
        ("q=sight", "emil@example.org</td>", "olga@example.org</td>"),
        ("q=nothing-like-it", "No event matches", "emil@example.org</td>"),
        ("action=never.was", "No event matches", "emil@example.org</td>"),
    ],
)
def test_it_is_narrowed_by_the_query(
    auditor: Person, client: Client, history: None, query: str, shown: str, hidden: str
) -> None:
    page = client.get(f"{PATH}?{query}").content.decode()
    assert shown in page
    assert hidden not in page


def test_it_is_paged(auditor: Person, client: Client, organisation: Organisation) -> None:
    for number in range(120):
        record(organisation_id=organisation.pk, actor="a", action="b.c", instance=organisation, reason=f"no {number}.")
    first = client.get(PATH).content.decode()
    assert "no 119." in first
    assert "no 69." not in first
    last = client.get(f"{PATH}?page=3&action=b.c").content.decode()
    assert "no 0." in last
    assert "Page 3 of 3" in last


def test_it_says_when_the_chain_is_broken(auditor: Person, client: Client, history: None) -> None:
    AuditEvent.objects.filter(action="team.renamed").update(actor="somebody@example.org")
    page = client.get(PATH).content.decode()
    assert "The chain is broken." in page
    assert "event 2 was changed after it was written" in page


def test_a_long_log_is_checked_when_asked(
    auditor: Person, client: Client, history: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.organisations.audit_views.VERIFIED_AT_ONCE", 1)
    assert "Check the whole chain" in client.get(PATH).content.decode()
    assert "The chain holds." in client.get(f"{PATH}?verify=1").content.decode()


def check_outside(export: Path) -> subprocess.CompletedProcess[str]:
    """Run the program of docs/audit-log.md, which knows nothing of the portal, on an export."""
    text = Path(settings.BASE_DIR, "docs", "audit-log.md").read_text(encoding="utf-8")
    program = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert program
    return subprocess.run(
        [sys.executable, "-I", "-", str(export)], input=program[1], capture_output=True, text=True, check=False
    )


def test_the_export_suffices_to_check_the_chain_outside(
    auditor: Person, client: Client, organisation: Organisation, history: None, tmp_path: Path
) -> None:
    create_team(organisation=organisation, slug="x", name='=HYPERLINK("http://x")', actor="a@example.org")
    values = {"pue": Decimal("1.25"), "ratio": 1 / 3, "name": "Zürich", "none": None, "at": timezone.now()}
    record(organisation_id=organisation.pk, actor="a", action="b.c", instance=organisation, after=values, reason="'-1")
    answer = client.get(f"{PATH}csv/")
    assert answer["Content-Type"].startswith("text/csv")
    export = tmp_path / "audit.csv"
    export.write_bytes(b"".join(answer.streaming_content))  # type: ignore[attr-defined]
    assert check_outside(export).stdout == "4 events, the chain holds\n"

    export.write_text(export.read_text().replace("emil@example.org", "olga@example.org"))
    assert "event 2 was changed" in check_outside(export).stdout


def test_a_label_is_no_formula_in_a_spreadsheet(auditor: Person, client: Client, organisation: Organisation) -> None:
    create_team(organisation=organisation, slug="x", name='=HYPERLINK("http://x")', actor="a@example.org")
    export = b"".join(client.get(f"{PATH}csv/").streaming_content).decode()  # type: ignore[attr-defined]
    (row,) = csv.DictReader(io.StringIO(export))
    assert row["object_label"] == '\'=HYPERLINK("http://x")'
