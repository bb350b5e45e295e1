"""Bodies made to cost the portal more than they cost their sender: the work and the memory stay bounded.

No test here takes the time. Where the work would not be bounded, it would take minutes or hours.
"""

from __future__ import annotations

import gzip
import json
import zlib

import pytest

from apps.telemetry.models import Reading
from apps.telemetry.protocols import body
from tests.telemetry.conftest import Post, row

pytestmark = pytest.mark.django_db


def test_a_gzip_body_of_a_million_members_is_400(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []

    def counted(*args: int) -> object:
        begun.append(1)
        return decompressobj(*args)

    decompressobj = zlib.decompressobj
    monkeypatch.setattr(body.zlib, "decompressobj", counted)
    answer = post(gzip.compress(b"") * 1_000_000, Content_Encoding="gzip")
    assert (answer.status_code, len(begun)) == (400, body.MOST_MEMBERS)
    assert "more than 1,000 members" in answer.json()["detail"]


def test_a_gzip_body_of_some_members_and_padding_is_read(post: Post) -> None:
    content = json.dumps([row(tags={"note": "x" * 5_000})]).encode()
    packed = b"".join(gzip.compress(content[i : i + 10]) for i in range(0, len(content), 10))
    answer = post(packed + b"\0" * 600_000, Content_Encoding="gzip")
    assert (answer.status_code, Reading.objects.count()) == (200, 1)
