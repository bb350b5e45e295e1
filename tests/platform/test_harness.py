"""The fixtures for real processes and real browsers do what they promise."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect


@pytest.mark.browser
def test_a_real_browser_opens_the_login_page(page: Page) -> None:
    page.goto("/accounts/login/")
    expect(page.get_by_label("E-mail address")).to_be_visible()


@pytest.mark.worker
def test_a_real_worker_takes_a_task_from_the_broker(celery_worker: Any, until: Any) -> None:
    from esgportal.celery import app

    app.send_task("celery.backend_cleanup")
    until(lambda: "celery.backend_cleanup" in celery_worker.output, why="the worker did not take the task")
    assert celery_worker.process.poll() is None
