"""Errors outside of any view, for people and for clients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db


def test_a_path_the_api_does_not_have_is_a_problem_document(client: Client) -> None:
    answer = client.post("/api/v1/sampels", data="[]", content_type="application/json")
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"
    assert "/api/docs/" in answer.json()["detail"]


def test_a_page_that_does_not_exist_is_a_page(client: Client) -> None:
    answer = client.get("/nowhere/")
    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(("path", "kind"), [("/api/v1/teams", "application/problem+json"), ("/", "text/html")])
def test_a_failure_tells_nothing_of_its_inside(
    make_key: Callable[..., str],
    make_person: Callable,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    kind: str,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("apps.organisations.queries.teams", fail)
    monkeypatch.setattr("apps.dashboards.views.redirect", fail)
    client = Client(raise_request_exception=False)
    client.force_login(make_person())
    answer = client.get(path, headers={"Authorization": f"Bearer {make_key()}"})
    assert answer.status_code == 500
    assert answer["Content-Type"].startswith(kind)
    assert "secret detail" not in answer.content.decode()
