"""The filter bar: a query string says the whole view, and no query string breaks the page."""

from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from django.http import QueryDict

from apps.core.filters import default_period, parse_filters, parse_period, present_quarter, quarters_between
from apps.core.windows import Window

LAST = datetime(2026, 10, 1, tzinfo=UTC)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "start", "end", "before", "label"),
    [
        ("2026-Q3", "2026-07-01", "2026-10-01", "2026-04-01", "2026-Q2"),
        ("2026-Q1", "2026-01-01", "2026-04-01", "2025-10-01", "2025-Q4"),
        ("2026-01", "2026-01-01", "2026-02-01", "2025-12-01", "2025-12"),
        ("2026", "2026-01-01", "2027-01-01", "2025-01-01", "2025"),
    ],
)
def test_a_period_has_a_window_and_one_before(text: str, start: str, end: str, before: str, label: str) -> None:
    period = parse_period(text)
    assert period.window == Window(moment(start), moment(end))
    assert period.previous == Window(moment(before), moment(start))
    assert period.previous_label == label


@pytest.mark.parametrize("text", ["2026-Q5", "2026-13", "Q3", "0001", "9999-Q4", "'; drop table"])
def test_what_is_no_period_is_named_and_the_latest_quarter_shown(text: str) -> None:
    filters = parse_filters(QueryDict(urlencode({"period": text})), LAST)
    assert filters.period.text == "2026-Q3"
    assert repr(text) in filters.errors[0]


def test_a_reading_that_ends_at_midnight_belongs_to_the_quarter_before() -> None:
    assert parse_filters(QueryDict(""), LAST).period.text == "2026-Q3"
    assert quarters_between(moment("2026-04-01"), LAST) == ["2026-Q3", "2026-Q2"]


def test_without_a_period_the_latest_ended_quarter_is_shown_and_with_none_the_present_one() -> None:
    assert default_period(moment("2026-05-04")).text == "2026-Q2"
    assert default_period(None).text == str(present_quarter())


def test_an_unfinished_period_is_compared_with_as_many_days_of_the_one_before() -> None:
    window = parse_period("2026-Q3").previous_until(datetime(2026, 7, 10, 13, tzinfo=UTC))
    assert window == Window(moment("2026-04-01"), moment("2026-04-11"))
    assert parse_period("2026-Q3").previous_until(LAST) == parse_period("2026-Q3").previous


def test_the_query_string_round_trips() -> None:
    text = "period=2026-Q2&team=vision&team=speech&kind=inference&scope=all&sort=-energy&q=a%26b"
    filters = parse_filters(QueryDict(text), LAST)
    assert filters.values == {"team": ("vision", "speech"), "kind": ("inference",)}
    assert parse_filters(QueryDict(filters.query()), LAST) == filters
    assert "sort" not in filters.query(sort="")
    assert filters.period_query == "period=2026-Q2"


def test_none_means_unassigned() -> None:
    filters = parse_filters(QueryDict("team=~none"), LAST)
    assert filters.ledger_filters == {"team": ("",)}
    assert "team=&" in filters.api_query(("model",)) + "&"


def test_from_and_to_stand_over_the_period_unless_another_one_was_chosen() -> None:
    dates = "from=2026-07-05&to=2026-07-09"
    assert parse_filters(QueryDict(f"period=2026-Q3&shown=2026-Q3&{dates}"), LAST).period.dates == "5 Jul to 8 Jul 2026"
    assert parse_filters(QueryDict(f"period=2026-Q2&shown=&{dates}"), LAST).period.text == "2026-Q2"
    assert parse_filters(QueryDict("from=2026-07-09&to=2026-07-05"), LAST).errors


@pytest.mark.parametrize("text", ["scope=9", "page=-1", "page=x", "team=%00", "from=x", "sort=%FF%FE"])
def test_nonsense_never_breaks_the_page(text: str) -> None:
    filters = parse_filters(QueryDict(text), LAST)
    assert filters.scope == "2"
    assert filters.page == 1
    assert not filters.values
