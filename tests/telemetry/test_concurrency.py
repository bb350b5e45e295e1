"""Several senders at once, on a real database: nothing twice, nothing lost, nobody waits in a circle."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection, connections
from django.test import Client

from apps.telemetry.models import Attribution, DirtyHour, Reading, Receipt, Source
from apps.workloads.models import AIModel
from tests.telemetry.conftest import row

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def all_at_once(key: str, settings: Any) -> Callable[..., list[Any]]:
    """Send several (rows, query, headers) at the same moment, each from a thread with a connection of its own."""

    def send(requests: Sequence[tuple[list[dict[str, Any]], str, dict[str, str]]]) -> list[Any]:
        barrier = Barrier(len(requests))

        def one(request: tuple[list[dict[str, Any]], str, dict[str, str]]) -> Any:
            rows, query, headers = request
            try:
                barrier.wait(10)
                return Client().post(
                    f"/api/v1/samples{query}",
                    json.dumps(rows),
                    content_type="application/json",
                    headers={"Authorization": f"Bearer {key}", **headers},
                )
            finally:
                connections.close_all()

        with ThreadPoolExecutor(len(requests)) as pool:
            return list(pool.map(one, requests))

    return send


def rows_of(month: int, count: int = 300) -> list[dict[str, Any]]:
    return [
        row(
            source=f"node-{i % 20}",
            model=f"m{i % 7}",
            team=f"t{i % 5}",
            start=f"2026-{month:02}-01T{i // 20:02}:00:00Z",
            end=f"2026-{month:02}-01T{i // 20:02}:30:00Z",
        )
        for i in range(count)
    ]


def test_one_idempotency_key_at_once_stores_once_and_answers_the_same(all_at_once: Callable[..., list[Any]]) -> None:
    answers = all_at_once([(rows_of(7), "", {"Idempotency-Key": "k"})] * 4)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert (Receipt.unscoped.count(), Reading.objects.count()) == (1, 300)


def test_the_same_rows_at_once_are_stored_once(all_at_once: Callable[..., list[Any]]) -> None:
    forward = rows_of(6)
    answers = all_at_once([(forward, "", {}), (forward[::-1], "", {}), (forward[150:] + forward[:150], "", {})])
    said = [answer.json() for answer in answers]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert sum(one["accepted"] for one in said) == 300
    assert sum(one["duplicates"] for one in said) == 600
    assert (Reading.objects.count(), Source.unscoped.count(), AIModel.unscoped.count()) == (300, 20, 7)
    assert Attribution.unscoped.count() == len({(r["source"], r["model"], r["team"]) for r in forward})
    assert DirtyHour.objects.values("hour").distinct().count() == 15


def test_first_readings_of_a_month_at_once_find_their_place(all_at_once: Callable[..., list[Any]]) -> None:
    answers = all_at_once(
        [([row(source=f"s{i}", start="2026-03-05T00:00:00Z", end="2026-03-05T00:01:00Z")], "", {}) for i in range(4)]
    )
    assert [answer.status_code for answer in answers] == [200] * 4
    assert Reading.objects.count() == 4
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM telemetry_reading_2026_03")
            assert cursor.fetchone() == (4,)


def test_two_replacements_at_once_keep_both_in_the_history(all_at_once: Callable[..., list[Any]]) -> None:
    all_at_once([([row()], "", {})])
    answers = all_at_once([([row(energy_wh=1)], "?replace=true", {}), ([row(energy_wh=2)], "?replace=true", {})])
    assert [answer.json()["accepted"] for answer in answers] == [1, 1]
    from apps.telemetry.models import SupersededReading

    left = [Reading.objects.get().energy_microwatt_hours]
    gone = list(SupersededReading.objects.values_list("energy_microwatt_hours", flat=True))
    assert sorted(left + gone) == [1_000_000, 2_000_000, 12_500_000]
