"""A client that posts samples as a team's machine would."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apps.telemetry import names

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
