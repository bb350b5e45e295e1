"""The dashboards in a real browser. The `page` fixture fails a test on any console error and any foreign host."""

from __future__ import annotations

import itertools
import re
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, expect

from apps.core.middleware import CONTENT_SECURITY_POLICY
from apps.organisations.models import Organisation, Team
from apps.workloads.models import Workload

PAGES = ("", "teams/", "models/", "sites/", "workloads/", "teams/assistant/", "models/atlas-7b/", "sites/fra1/")


def drawn(page: Page) -> int:
    """How many charts the page has drawn."""
    page.wait_for_function("document.querySelectorAll('.chart .main-svg').length > 0")
    return page.locator(".chart:has(.main-svg)").count()


def test_every_page_draws_without_an_error_and_talks_to_nobody_else(page: Page, home: str) -> None:
    run = Workload.unscoped.get(name="atlas-70b training")
    for path in (*PAGES, f"workloads/{run.pk}/"):
        response = page.goto(home + path, wait_until="networkidle")
        assert response is not None
        assert response.status == 200
        assert response.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        expect(page.locator("h1")).to_be_visible()
        if page.locator("[data-chart]").count():
            assert drawn(page) == page.locator("[data-chart]").count()
        assert page.locator("a[href*='plotly.com']").count() == 0
    page.goto(home, wait_until="networkidle")
    config = page.evaluate("window.portalCharts.CONFIG")
    assert config["showSendToCloud"] is False
    assert config["plotlyServerURL"] == ""
    assert config["displaylogo"] is False
    context = page.evaluate("document.querySelector('.chart')._context")
    assert context["showSendToCloud"] is False
    assert context["plotlyServerURL"] == ""


def test_a_chart_turns_into_its_table_by_keyboard(page: Page, home: str) -> None:
    page.goto(home, wait_until="networkidle")
    box = page.locator("#methods")
    expect(box.locator(".chart")).to_be_visible()
    expect(box.locator("table")).to_be_hidden()
    box.get_by_role("tab", name="Chart").focus()
    page.keyboard.press("ArrowRight")
    expect(box.locator("table")).to_be_visible()
    expect(box.locator(".chart")).to_be_hidden()
    expect(box.get_by_role("tab", name="Table")).to_be_focused()
    expect(box.get_by_role("tab", name="Table")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowLeft")
    expect(box.locator(".chart")).to_be_visible()


def test_a_page_is_of_use_before_the_chart_library_has_come(page: Page, home: str) -> None:
    held: list[Any] = []
    page.route("**/plotly*.js", lambda route: held.append(route))
    page.goto(home + "teams/", wait_until="commit")
    expect(page.locator("#list tr.total")).to_contain_text("Total")
    expect(page.locator("#largest .chart")).to_be_visible()
    page.locator("#largest").get_by_role("tab", name="Table").click()
    expect(page.locator("#largest table")).to_contain_text("Assistant")
    page.locator("#largest").get_by_role("tab", name="Chart").click()
    assert page.locator(".chart .main-svg").count() == 0
    held[0].continue_()
    expect(page.locator("#largest .chart .main-svg").first).to_be_visible()


def test_without_the_chart_library_the_tables_stand(page: Page, home: str) -> None:
    page.route("**/plotly*.js", lambda route: route.fulfill(status=200, body=""))
    page.goto(home, wait_until="networkidle")
    expect(page.locator("#methods table")).to_be_visible()
    expect(page.locator("#methods .chart")).to_be_hidden()


def test_a_name_is_never_markup_in_a_chart(page: Page, home: str, organisation: Organisation) -> None:
    Team.objects.of(organisation).filter(slug="assistant").update(name="<b>A</b> & <i>a very long name</i> of a team")
    page.goto(home + "teams/", wait_until="networkidle")
    drawn(page)
    expect(page.locator("#largest .ytick").first).to_contain_text("<b>A</b> & <i>a very long")


def test_filters_go_through_the_address_and_come_back(page: Page, home: str) -> None:
    page.goto(home + "models/")
    page.get_by_label("Team", exact=True).select_option("research")
    page.get_by_role("button", name="Apply").click()
    expect(page).to_have_url(re.compile(r"models/\?period=2026-Q3&team=research$"))
    expect(page.get_by_label("Team", exact=True)).to_have_value("research")
    expect(page.locator("#list tbody tr").first).to_contain_text("Atlas 70b")
    assert page.locator("#list tbody tr").count() == 2
    page.locator("thead").get_by_role("link", name="Location-based").first.click()
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("Location-based")
    page.locator(".more-filters summary").click()
    page.get_by_label("From", exact=True).fill("2026-08-03")
    page.get_by_label("To (not included)", exact=True).fill("2026-08-05")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(".page-head")).to_contain_text("3 Aug to 4 Aug 2026")
    page.get_by_label("Period", exact=True).select_option("2026-Q3")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(".page-head")).to_contain_text("1 Jul to 30 Sep 2026")
    expect(page).to_have_url(re.compile(r"models/\?period=2026-Q3&team=research&sort=-location$"))
    page.get_by_role("link", name="Reset").click()
    expect(page.get_by_label("Team", exact=True)).to_have_value("")


def test_everything_but_the_charts_works_without_a_script(
    browser: Browser, context: BrowserContext, home: str, live_server: Any
) -> None:
    plain = browser.new_context(
        base_url=live_server.url,
        java_script_enabled=False,
        viewport={"width": 390, "height": 844},
        storage_state=context.storage_state(),
    )
    page = plain.new_page()
    page.goto(home)
    assert page.locator("[data-chart] table").count() == 3
    for table in page.locator("[data-chart] table").all():
        expect(table).to_be_visible()
    expect(page.locator(".chart").first).to_be_hidden()
    page.locator(".topbar summary").click()
    page.get_by_role("navigation", name="Main (narrow)").get_by_role("link", name="Models", exact=True).click()
    page.get_by_label("Site", exact=True).select_option("dub2")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#list table")).to_contain_text("Embed large")
    expect(page.locator("#largest table")).to_contain_text("Embed large")
    plain.close()


def test_no_page_scrolls_sideways(page: Page, home: str) -> None:
    for path in PAGES:
        page.set_viewport_size({"width": 390, "height": 844})
        page.goto(home + path, wait_until="networkidle")
        for width in (390, 768, 1440):
            page.set_viewport_size({"width": width, "height": 844})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)


def test_the_scheme_follows_the_system_and_the_switch_stands_over_it(page: Page, home: str) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    bar = "document.querySelector('.chart .point path').style.fill"
    page.emulate_media(color_scheme="light")
    page.goto(home, wait_until="networkidle")
    light, light_bar = page.evaluate(ground), page.evaluate(bar)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"{ground} !== '{light}'")
    dark = page.evaluate(ground)
    page.wait_for_function(f"{bar} !== '{light_bar}'")
    page.locator(".rail [data-scheme-switch]").click()
    assert page.evaluate(ground) == light
    page.reload()
    assert page.evaluate(ground) == light
    page.locator(".rail [data-scheme-switch]").click()
    assert page.evaluate(ground) == dark


def test_the_page_can_be_walked_by_keyboard_and_read_by_a_screen_reader(page: Page, home: str) -> None:
    page.goto(home, wait_until="networkidle")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    expect(page.locator(".rail a[aria-current=page]")).to_have_text("Overview")
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map((each) => +each.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert page.evaluate("[...document.querySelectorAll('table')].every((each) => each.caption?.textContent.trim())")
    assert page.evaluate(
        "[...document.querySelectorAll('select,input:not([type=hidden])')].every((each) => each.labels.length)"
    )
    assert page.evaluate("new Set([...document.querySelectorAll('[id]')].map((e) => e.id)).size") == page.evaluate(
        "document.querySelectorAll('[id]').length"
    )
