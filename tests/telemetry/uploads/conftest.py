"""A client that uploads a file as a team's machine would, with the worker's part done when a test says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from apps.telemetry.models import Upload
from apps.telemetry.uploads import services
from apps.telemetry.uploads.tasks import read_upload

Send = Callable[..., Any]


@pytest.fixture(autouse=True)
def own_store(settings: Settings, tmp_path: Path) -> None:
    store = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(tmp_path)}}
    settings.STORAGES = {**settings.STORAGES, "default": store}


@pytest.fixture(autouse=True)
def woken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Whom a message would wake."""
    ids: list[int] = []
    monkeypatch.setattr(read_upload, "apply_async", lambda args, **options: ids.append(args[0]))
    return ids


@pytest.fixture
def send(client: Client, key: str) -> Send:
    """``send(text or bytes, key=..., headers={}, **parameters)``: the response of ``POST /api/v1/uploads``."""

    def post(body: str | bytes, *, key: str = key, headers: dict[str, str] | None = None, **parameters: str) -> Any:
        content = body.encode() if isinstance(body, str) else body
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return client.generic(
            "POST",
            f"/api/v1/uploads?{query}",
            content,
            content_type="text/csv",
            headers={"Authorization": f"Bearer {key}", **(headers or {})},
        )

    return post


@pytest.fixture
def worked(client: Client, key: str, send: Send) -> Callable[..., dict[str, Any]]:
    """The same, worked off: what ``GET /api/v1/uploads/{id}`` says then."""

    def run(body: str | bytes, **options: Any) -> dict[str, Any]:
        answer = send(body, **options)
        assert answer.status_code == 202, answer.content
        taken = answer.json()
        assert services.work(Upload.unscoped.get(public_id=taken["upload"]).pk)
        read = client.get(f"/api/v1/uploads/{taken['upload']}", headers={"Authorization": f"Bearer {key}"})
        assert read.status_code == 200, read.content
        return dict(read.json())

    return run
