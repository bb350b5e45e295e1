"""An organisation with a settled quarter, and a document rendered once for all tests that read it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
from pytest_django import DjangoDbBlocker

from apps.audit.services import canonical_json
from apps.core.windows import Quarter
from apps.disclosures import services
from apps.disclosures.models import Disclosure
from apps.organisations.models import Organisation, Person, Role
from apps.workloads.models import Kind
from tests.dashboards.example import Job, build
from tests.disclosures.example import example_snapshot
from tests.sharing import taken_back

QUARTER = Quarter(2026, 3)
JULY = {"first": date(2026, 7, 1), "last": date(2026, 7, 4)}
JOBS = (
    Job("fra1/serving", "fra1", "assistant", "atlas-7b", Kind.INFERENCE, 820, 95_000_000, **JULY),
    Job("fra1/training", "fra1", "research", "atlas-70b", Kind.TRAINING, 1900, **JULY),
    Job("dub2/serving", "dub2", "search", "embed-large", Kind.INFERENCE, 260, 310_000_000, **JULY),
    Job("cloud/serving", "aws-eu", "assistant", "atlas-7b", Kind.INFERENCE, 150, 17_000_000, **JULY),
    Job("lab/node-3", None, "Field Lab", "rover", Kind.TRAINING, 9, **JULY),
)


@pytest.fixture(scope="module")
def settled(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Organisation]:
    """An organisation with 2026-Q3 settled and four days of readings, made once for the tests of a file."""
    with taken_back(django_db_blocker):
        organisation = Organisation.objects.create(slug="acme", name="Acme AI")
        build(organisation, JOBS)
        yield organisation


@pytest.fixture
def organisation(settled: Organisation, db: None) -> Organisation:
    """The same, for one test."""
    return Organisation.objects.get(pk=settled.pk)


@pytest.fixture
def quarter(organisation: Organisation) -> Quarter:
    """The quarter of ``organisation`` that has readings."""
    return QUARTER


@pytest.fixture
def officer(make_person: Callable[..., Person]) -> Person:
    return make_person(Role.OFFICER)


@pytest.fixture
def no_broker(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Nothing is sent to a worker; the list holds the keys that would have been."""
    sent: list[int] = []
    monkeypatch.setattr(services, "wake", sent.append)
    return sent


@pytest.fixture
def fast_pdf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rendering in no time, for tests that are about something else."""
    monkeypatch.setattr(services, "pdf_of", lambda snapshot, digest, progress=None: b"%PDF-1.7 " + digest.encode())


@pytest.fixture
def requested(organisation: Organisation, quarter: Quarter, officer: Person, no_broker: list[int]) -> Disclosure:
    """A document that was asked for and waits."""
    return services.request_disclosure(organisation=organisation, quarter=quarter, person=officer)


@pytest.fixture(scope="session")
def snapshot() -> dict[str, Any]:
    return example_snapshot()


@pytest.fixture(scope="session")
def digest(snapshot: dict[str, Any]) -> str:
    return hashlib.sha256(canonical_json(snapshot).encode()).hexdigest()


@pytest.fixture(scope="session")
def pdf(snapshot: dict[str, Any], digest: str) -> bytes:
    """The document of the hand-made snapshot."""
    return services.pdf_of(snapshot, digest)
