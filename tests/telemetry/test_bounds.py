"""Bodies made to cost the portal more than they cost their sender: the work and the memory stay bounded.

No test here takes the time. Where the work would not be bounded, it would take minutes or hours.
"""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from apps.telemetry import names
from apps.telemetry.models import Reading, ReadingNote
from apps.telemetry.protocols import body, explain, samples
from apps.telemetry.protocols.errors import TooLargeError, UnreadableError
from apps.telemetry.rules import is_reserved
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


MIB = 2**20
SIZE = 20 * MIB
GOOD = json.dumps(row()).encode()
JUNK: dict[str, tuple[Callable[[], bytes], str]] = {
    "a row of unknown fields": (lambda: b"[{" + b'"abcdef": 1,' * (SIZE // 12) + b'"a": 1}]', samples.JSON),
    "an array in the tags": (lambda: b"[" + GOOD[:-1] + b',"tags":[' + b"[]," * (SIZE // 3) + b"0]}]", samples.JSON),
    "the same in right tags": (
        lambda: b"[" + GOOD[:-1] + b',"tags":{"a":[' + b"[]," * (SIZE // 3) + b"0]}}]",
        samples.JSON,
    ),
    "shares without end": (lambda: b"[" + GOOD[:-1] + b',"shares":[' + b"{}," * (SIZE // 3) + b"{}]}]", samples.JSON),
    "the same in a line": (lambda: GOOD[:-1] + b',"shares":[' + b"{}," * (SIZE // 3) + b"{}]}", samples.NDJSON),
    "a long text": (lambda: b"[" + GOOD[:-1] + b',"model":"' + b"a" * SIZE + "😀".encode() + b'"}]', samples.JSON),
    "numbers": (lambda: b"[" + b"1," * (SIZE // 2) + b"1]", samples.JSON),
    "brackets": (lambda: b"[" * SIZE, samples.JSON),
    "backslashes": (lambda: b'["' + b"\\" * SIZE + b'"]', samples.JSON),
    "a line": (lambda: b"x" * SIZE, samples.NDJSON),
    "lines": (lambda: b"{}\n" * (SIZE // 3), samples.NDJSON),
    "blank lines": (lambda: b"\n" * SIZE + b"{}", samples.NDJSON),
    "cells": (lambda: b"source,start,end\n" + b"a," * (SIZE // 2), samples.CSV),
    "a quotation without end": (lambda: b'source,start,end\n"' + b'"",\n' * (SIZE // 4), samples.CSV),
    "blank lines of CSV": (lambda: b"source,start,end\n" + b"\n" * SIZE, samples.CSV),
}


@pytest.mark.parametrize("name", JUNK)
def test_junk_costs_little_more_memory_than_its_own_bytes(name: str) -> None:
    make, media_type = JUNK[name]
    junk = make()
    tracemalloc.start()
    try:
        batch = samples.decode(junk, media_type, now_ms=0, max_rows=50_000)
        assert (len(batch), len(batch.errors)) == (0, 3 if name == "blank lines" else 1)
    except (TooLargeError, UnreadableError):
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 24 * MIB


def test_too_many_rows_are_refused_before_any_is_explained(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    def explained(*_: object) -> None:
        raise AssertionError("explained")

    monkeypatch.setattr(samples, "_explain_sample", explained)
    assert post(b"[" + b"{}," * 50_000 + b"{}]").status_code == 413
    assert post(b"{}\n" * 50_001, media="application/x-ndjson").status_code == 413
    assert post(b"source,start,end\n" + b"a,b,c\n" * 50_001, media="text/csv").status_code == 413


def test_unknown_fields_are_named_up_to_ten_and_hints_are_few(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []

    def close_matches(*args: object) -> list[str]:
        looked.append(args)
        return []

    monkeypatch.setattr(explain.difflib, "get_close_matches", close_matches)
    rows = [row(**{f"energy_{i}_{field}": 1 for field in range(50)}) for i in range(20_000)]
    answer = post(rows).json()
    assert answer["rejected"] == 20_000
    first = [error for error in answer["errors"] if error["index"] == 0]
    assert [error["field"] for error in first] == [f"energy_0_{field}" for field in range(10)] + [""]
    assert "40 more" in first[-1]["expected"]
    assert len(looked) <= 1_000 + 10
    assert answer["errors_not_shown"] == 20_000 * 11 - 1_000


def test_the_faults_of_one_row_are_listed_up_to_twenty(post: Post) -> None:
    errors = post([row(shares=[{"weight": -1}] * 1_000)]).json()["errors"]
    assert len(errors) == 21
    assert "980 more" in errors[-1]["expected"]


def test_unknown_hardware_is_looked_up_once_a_request(
    post: Post,
    django_assert_max_num_queries: Callable[..., AbstractContextManager[object]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked = []
    monkeypatch.setattr(names.difflib, "get_close_matches", lambda *args: looked.append(args) or [])
    with django_assert_max_num_queries(60):
        answer = post([row(source=f"n{i}", hardware=f"abacus {i}", site=f"nowhere {i}") for i in range(20_000)]).json()
    assert answer["rejected"] == 20_000
    assert len(looked) <= 100


def test_a_good_body_of_some_mebibytes_goes_the_fast_way(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "_row_by_row", None)
    rows = [row(source=f"node-{i}", work={"tokens": i}, tags={"job": "x" * 100}) for i in range(12_000)]
    answer = post(rows)
    assert (answer.status_code, Reading.objects.count()) == (200, 12_000)
    assert ReadingNote.objects.filter(tags={"job": "x" * 100}).count() == 12_000


@pytest.mark.parametrize(
    "name", ["meter/fra1", "Meter/fra1", " meter/fra1 ", "gpu0 (gap filled)", "gpu0 (Gap Filled) "]
)
def test_names_of_the_portals_own_sources_are_kept_however_they_are_spelled(name: str) -> None:
    assert is_reserved(name)
    assert not is_reserved("rack/meter/fra1")
