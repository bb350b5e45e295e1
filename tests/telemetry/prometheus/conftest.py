"""A Prometheus that writes to the portal, and the accounts it leads to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import cramjam
import pytest
from django.test import Client

from apps.core.windows import epoch_ms
from tests.telemetry.prometheus.writing import Series, body

Write = Callable[..., Any]


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
def energy(energy_by: Callable[..., Any]) -> Callable[..., dict[str, dict[str, Any]]]:
    """The settled energy of the first days of July, by source or another dimension."""
    return lambda group_by="source": energy_by(group_by, "2026-07-01", "2026-07-03")


def snappy(content: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(content))


def at(clock: str, day: str = "2026-07-01") -> int:
    return epoch_ms(datetime.fromisoformat(f"{day}T{clock}+00:00"))
