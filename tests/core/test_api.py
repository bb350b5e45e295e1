"""What every list of the API shares, where no list of a room shows it alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from apps.core.api import csv_text, kg, kwh, parse_moment, parse_window, rows_page
from apps.core.problems import Problem


def request(query: str) -> Request:
    return Request(APIRequestFactory().get(f"/api/v1/energy?{query}"))


def test_rows_in_memory_are_walked_in_order_with_unassigned_last() -> None:
    rows = [{"team": team, "hour": hour} for hour in (2, 1, 3) for team in (None, "b", "a")]
    seen: list[dict[str, Any]] = []
    query: str | None = "limit=2&from=2026-07-01"
    while query:
        page = rows_page(request(query), rows, ["team", "hour"])
        seen += page["results"]
        query = page["next"].partition("?")[2] if page["next"] else None
        assert query is None or "from=2026-07-01" in query
    assert [(row["team"], row["hour"]) for row in seen] == [(t, h) for t in ("a", "b", None) for h in (1, 2, 3)]


@pytest.mark.parametrize("cursor", ["W10", "WzEsMl0", "%00", "e30", "W1tdLCAxXQ"])
def test_a_cursor_nobody_gave_out_is_refused(cursor: str) -> None:
    with pytest.raises(Problem) as problem:
        rows_page(request(f"cursor={cursor}"), [{"team": "a", "hour": 1}], ["team", "hour"])
    assert problem.value.errors[0]["pointer"] == "/query/cursor"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-07-01", datetime(2026, 7, 1, tzinfo=UTC)),
        ("2026-07-01T02:00:00+02:00", datetime(2026, 7, 1, tzinfo=UTC)),
        ("2026-07-01T02:00:00 02:00", datetime(2026, 7, 1, tzinfo=UTC)),
        ("2026-07-01t00:00z", datetime(2026, 7, 1, tzinfo=UTC)),
        ("2026-07-01T00:00:00", None),
        ("2026-02-30", None),
        ("20260701", None),
        ("2026-W27-3", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("soon", None),
    ],
)
def test_a_time_is_a_date_or_has_an_offset(text: str, moment: datetime | None) -> None:
    assert parse_moment(text) == moment


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("to=2026-07-01", "/query/from"),
        ("from=2026-07-01", "/query/to"),
        ("from=yesterday&to=2026-07-01", "/query/from"),
        ("from=2026-07-01&to=2026-07-01", "/query/to"),
    ],
)
def test_a_window_names_the_end_that_is_wrong(query: str, pointer: str) -> None:
    with pytest.raises(Problem) as problem:
        parse_window(request(query))
    assert problem.value.errors[0]["pointer"] == pointer


def test_numbers_hold_six_decimals_exactly_and_absent_stays_absent() -> None:
    assert kwh(1) == 0.000001
    assert kwh(123_456_789) == 123.456789
    assert kg(None) is None


def test_csv_has_a_head_and_empty_cells_for_what_is_absent() -> None:
    rows = [{"team": "a", "kg": None, "tags": {"x": 1}}, {"team": 'b"', "kg": 1.5, "tags": {}}]
    assert csv_text(rows) == 'team,kg,tags\r\na,,"{""x"": 1}"\r\n"b""",1.5,{}\r\n'
