"""An officer makes a disclosure, in a real browser with a real worker."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from pypdf import PdfReader

from apps.disclosures.models import Disclosure
from apps.organisations.models import Organisation, Person
from tests.dashboards.example import build
from tests.disclosures.conftest import JOBS, QUARTER
from tests.processes import Worker


@pytest.fixture
def organisation(transactional_db: None) -> Organisation:
    """Committed, for the worker and the server to see."""
    organisation = Organisation.objects.create(slug="acme", name="Acme AI")
    build(organisation, JOBS)
    return organisation


@pytest.mark.django_db(transaction=True)
def test_an_officer_makes_a_disclosure_and_watches_it_become_ready(
    organisation: Organisation,
    officer: Person,
    page: Page,
    log_in: Callable[[Person], None],
    celery_worker: Worker,
) -> None:
    log_in(officer)
    page.goto(f"/o/{organisation.slug}/periods/{QUARTER}/")
    page.get_by_role("button", name="Make the disclosure").click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    link = page.get_by_role("link", name="PDF", exact=True)
    expect(link).to_be_visible(timeout=60_000)  # the page shows itself anew when the document is ready
    with page.expect_download() as download:
        link.click()
    pdf = Path(download.value.path()).read_bytes()
    assert "Unassured interim data" in PdfReader(io.BytesIO(pdf)).pages[0].extract_text()
    assert Disclosure.objects.of(organisation).get().state == Disclosure.State.READY
