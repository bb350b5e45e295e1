"""The whole of it in a browser: name, key, snippet, first reading with kWh and kg, by a real worker."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from django.core.management import call_command

from apps.organisations.models import ApiKey, Organisation, Person, Role, Team
from apps.sites.models import ControlClass, Site

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture
def engineer(
    live_server, transactional_db: None, organisation: Organisation, team: Team, make_person: Callable[..., Person]
) -> Person:
    call_command("load_reference_data", verbosity=0, stdout=StringIO())
    Site.unscoped.create(
        organisation=organisation,
        code="fra1",
        name="Frankfurt hall",
        control=ControlClass.OWNED,
        country="DE",
        grid_zone="DE",
        market="DE",
    )
    return make_person(Role.ENGINEER)


def connect(page: Page, *, site: str) -> str:
    """Fill in the form; the curl snippet as it then stands on the page."""
    page.goto("/o/acme/connect/")
    page.get_by_label("Name").fill("trainer-17")
    page.get_by_label("Team").select_option("vision")
    page.get_by_label("Site").select_option(site)
    page.get_by_role("button", name="Make a key").click()
    page.get_by_role("tab", name="Python").click()
    page.get_by_role("tab", name="curl").click()
    return page.locator("#code-curl").inner_text()


def paste(snippet: str) -> None:
    subprocess.run(["sh", "-c", snippet], check=True, capture_output=True, timeout=60)


def test_from_a_name_to_kwh_and_kg(page: Page, log_in: Callable[[Person], None], engineer: Person, celery_worker):
    log_in(engineer)
    snippet = connect(page, site="fra1")
    panel = page.locator("#first-reading")
    panel.get_by_text("Nothing has been received").wait_for()
    paste(snippet)
    panel.get_by_text("Received and booked").wait_for(timeout=30_000)
    text = panel.inner_text()
    assert "trainer-17" in text
    assert "Location-based" in text
    assert "Market-based" in text
    assert "being calculated" not in text
    assert "5.74" in text
    assert panel.get_by_title("0.005736 kWh").count() >= 1
    assert text.count("CO₂e") == 2
    assert "Vision" in text
    assert "measured" in text


def test_a_reload_goes_on_waiting_without_the_key(page: Page, log_in: Callable[[Person], None], engineer: Person):
    log_in(engineer)
    connect(page, site="fra1")
    key = page.locator("#new-key").inner_text()
    page.reload()
    assert ApiKey.unscoped.count() == 1
    assert key not in page.content()
    page.get_by_text("Nothing has been received").wait_for()


def test_a_refused_reading_names_the_field(page: Page, log_in: Callable[[Person], None], engineer: Person):
    log_in(engineer)
    snippet = connect(page, site="fra1")
    paste(snippet.replace('"power_w": 350', '"power_w": -350'))
    row = page.locator("#first-reading").get_by_role("row").filter(has_text="power_w")
    row.wait_for(timeout=10_000)
    assert "-350" in row.inner_text()
    assert "0 or more" in row.inner_text()


def test_without_a_site_there_is_energy_and_no_kg(
    page: Page, log_in: Callable[[Person], None], engineer: Person, celery_worker
):
    log_in(engineer)
    snippet = connect(page, site="")
    paste(snippet)
    panel = page.locator("#first-reading")
    panel.get_by_text("Received and booked").wait_for(timeout=30_000)
    assert panel.get_by_text("no site yet").count() == 2
    assert panel.get_by_text("Until a site is assigned").count() == 1


def test_the_tabs_work_from_the_keyboard(page: Page, log_in: Callable[[Person], None], engineer: Person):
    log_in(engineer)
    connect(page, site="fra1")
    page.get_by_role("tab", name="curl").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("tab", name="Python").get_attribute("aria-selected") == "true"
    assert page.locator("#code-python").is_visible()
    assert not page.locator("#code-curl").is_visible()


def test_the_page_fits_a_phone(page: Page, log_in: Callable[[Person], None], engineer: Person):
    page.set_viewport_size({"width": 390, "height": 844})
    log_in(engineer)
    connect(page, site="fra1")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
