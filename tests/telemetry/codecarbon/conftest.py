"""A client that posts as CodeCarbon does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from tests.telemetry.codecarbon.posts import EXPERIMENT

Send = Callable[..., Any]


@pytest.fixture
def key(make_key: Callable[..., str], site: Any) -> str:
    return make_key(site_code=site.code)


@pytest.fixture
def send(client: Client, key: str) -> Send:
    def post(path: str, content: Any, query: str = "", **headers: str) -> Any:
        said = headers or {"x-api-token": key}
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return client.generic(
            "POST",
            f"/api/codecarbon/{path}{query}",
            body,
            content_type="application/json",
            headers={name.replace("_", "-"): value for name, value in said.items()},
        )

    return post


@pytest.fixture
def announce(send: Send) -> Callable[..., str]:
    """``announce(experiment)``: the id of a new run."""

    def post(experiment: str = EXPERIMENT) -> str:
        answer = send(
            "runs",
            {
                "timestamp": "2026-07-01T10:02:00+00:00",
                "experiment_id": experiment,
                "os": None,
                "region": "",
                "cpu_count": 8,
            },
        )
        assert answer.status_code == 201
        return str(answer.json()["id"])

    return post
