"""A client that posts samples as a team's machine would."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from apps.accounting.services import settle
from apps.organisations.models import Organisation
from apps.telemetry import names
from apps.telemetry.protocols import otlp, remote_write
from tests.telemetry.live import Portal

ROW = {
    "source": "node-17/gpu0",
    "start": "2026-07-01T09:00:00Z",
    "end": "2026-07-01T09:30:00Z",
    "energy_wh": 12.5,
}
Post = Callable[..., Any]


def row(**fields: Any) -> dict[str, Any]:
    """A valid reading with some fields changed; a field set to ``...`` is left out."""
    return {name: value for name, value in {**ROW, **fields}.items() if value is not ...}


@pytest.fixture(autouse=True)
def nothing_cached() -> None:
    names.forget()
    otlp.forget()
    remote_write.forget()


@pytest.fixture
def key(make_key: Callable[..., str]) -> str:
    return make_key()


@pytest.fixture
def post(client: Client, key: str) -> Post:
    """``post(rows or bytes, query="", media=..., key=..., **headers)``: the response of ``POST /api/v1/samples``."""

    def send(
        body: Any,
        query: str = "",
        media: str = "application/json",
        key: str = key,
        **headers: str,
    ) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.generic(
            "POST",
            f"/api/v1/samples{query}",
            data,
            content_type=media,
            headers={"Authorization": f"Bearer {key}", **headers},
            CONTENT_TYPE=media,  # the test client sends none with an empty body
        )

    return send


@pytest.fixture
def portal(tmp_path: Path, transactional_db: None) -> Iterator[Portal]:
    """The portal on a real server; for clients that are programs of their own."""
    served = Portal(tmp_path / "portal.log")
    yield served
    served.stop()


@pytest.fixture
def energy_by(client: Client, make_key: Callable[..., str], organisation: Organisation) -> Callable[..., Any]:
    """``energy_by("source", since, until)``: settled rows of ``GET /api/v1/energy`` by the value of a dimension."""
    key = make_key(scopes=("read",))

    def read(group_by: str, since: str, until: str) -> dict[str, dict[str, Any]]:
        settle(organisation.pk)
        answer = client.get(
            "/api/v1/energy",
            {"from": since, "to": until, "scope": "all", "group_by": group_by},
            headers={"Authorization": f"Bearer {key}"},
        )
        assert answer.status_code == 200, answer.content
        return {row[group_by] or row.get(f"{group_by}_name") or "": row for row in answer.json()["results"]}

    return read
