"""A Prometheus that writes to the portal, and the accounts it leads to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import cramjam
import pytest
from django.test import Client

from apps.accounting.services import settle
from apps.core.windows import epoch_ms
from apps.organisations.models import Organisation
from apps.telemetry import names
from apps.telemetry.protocols import remote_write
from tests.telemetry.prometheus.writing import Series, body

Write = Callable[..., Any]


@pytest.fixture(autouse=True)
def nothing_cached() -> None:
    names.forget()
    remote_write.forget()


@pytest.fixture
def key(make_key: Callable[..., str], site: Any) -> str:
    return make_key(site_code=site.code)


@pytest.fixture
def write(client: Client, key: str) -> Write:
    """``write(series...)`` or ``write(raw=bytes)``: the answer of the door."""

    def send(*many: Series, raw: bytes | None = None, **headers: str) -> Any:
        said = {
            "Authorization": f"Bearer {key}",
            "Content-Encoding": "snappy",
            "X-Prometheus-Remote-Write-Version": "0.1.0",
        } | {name.replace("_", "-"): value for name, value in headers.items()}
        media = said.pop("Content-Type", "application/x-protobuf")
        content = body(*many) if raw is None else raw
        return client.generic(
            "POST", "/api/prometheus/write", content, content_type=media, headers=said, CONTENT_TYPE=media
        )

    return send


@pytest.fixture
def energy(client: Client, key: str, organisation: Organisation) -> Callable[..., dict[str, dict[str, Any]]]:
    """The settled energy by some dimension: the rows of ``GET /api/v1/energy`` by its value."""

    def read(group_by: str = "source", day: str = "2026-07-01") -> dict[str, dict[str, Any]]:
        settle(organisation.pk)
        answer = client.get(
            f"/api/v1/energy?from={day}&to=2026-07-03&scope=all&group_by={group_by}",
            headers={"Authorization": f"Bearer {key}"},
        )
        assert answer.status_code == 200, answer.content
        return {row[group_by] or row.get(f"{group_by}_name"): row for row in answer.json()["results"]}

    return read


def snappy(content: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(content))


def at(clock: str, day: str = "2026-07-01") -> int:
    return epoch_ms(datetime.fromisoformat(f"{day}T{clock}+00:00"))
