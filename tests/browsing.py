"""Fixtures of the browser tests: Chromium of the machine, driven by Playwright; nothing is downloaded."""

from __future__ import annotations

import os
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from apps.organisations.models import Person

ROOT = Path(__file__).resolve().parent.parent
ARTIFACTS = ROOT / "test-artifacts"
ARGUMENTS = [
    "--no-sandbox",  # the tests may run as root; the only pages opened are our own
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The machine's own Chromium, headless, one for the whole session."""
    path = runpy.run_path(str(ROOT / "requirements" / "system.py"))["browser"]()
    if path is None:
        pytest.fail("no Chromium on this machine: run `python requirements/system.py chromium`")
    with sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield instance
        instance.close()


@pytest.fixture
def console_errors() -> list[str]:
    """What the pages of this test complained about. A test that provokes an error clears it."""
    return []


@pytest.fixture
def context(browser: Browser, live_server: Any) -> Iterator[BrowserContext]:
    """A fresh browser profile of its own, 1280 px wide, whose relative addresses go to the live server."""
    profile = browser.new_context(base_url=live_server.url, viewport={"width": 1280, "height": 900}, locale="en-GB")
    profile.set_default_timeout(10_000)
    yield profile
    profile.close()


@pytest.fixture
def page(context: BrowserContext, console_errors: list[str], live_server: Any) -> Iterator[Page]:
    """A page in a real browser. The test fails when the page logged an error or asked another host for anything."""
    tab = context.new_page()

    def on_request(address: str) -> None:
        if not address.startswith((live_server.url, "data:", "blob:", "about:")):
            console_errors.append(f"asked another host: {address}")

    tab.on("console", lambda message: console_errors.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: console_errors.append(str(error)))
    tab.on("request", lambda request: on_request(request.url))
    yield tab
    tab.close()
    assert console_errors == []


@pytest.fixture
def log_in(context: BrowserContext, live_server: Any) -> Callable[[Person], None]:
    """A function that logs a person in, in the browser, without walking through the login page each time."""

    def log_in_as(person: Person) -> None:
        session = SessionStore()
        session[SESSION_KEY] = str(person.pk)
        session[BACKEND_SESSION_KEY] = "allauth.account.auth_backends.AuthenticationBackend"
        session[HASH_SESSION_KEY] = person.get_session_auth_hash()
        session.save()
        context.add_cookies([{"name": "sessionid", "value": str(session.session_key), "url": live_server.url}])

    return log_in_as


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Keep a picture of the page when a browser test fails."""
    report = yield
    tab = getattr(item, "funcargs", {}).get("page")
    if report.when == "call" and report.failed and isinstance(tab, Page):
        ARTIFACTS.mkdir(exist_ok=True)
        name = f"{item.nodeid.replace('/', '.').replace('::', '.')}.{os.environ.get('PYTEST_XDIST_WORKER', 'main')}.png"
        try:
            tab.screenshot(path=ARTIFACTS / name, full_page=True)
            report.sections.append(("picture", str(ARTIFACTS / name)))
        except Exception as error:  # the page may be gone; the failure itself matters more
            report.sections.append(("picture", f"none: {error}"))
    return report
