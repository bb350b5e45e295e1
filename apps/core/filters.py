"""The filter bar: what a page shows is said by its query string alone, so that a link is a view.

``period`` is a quarter (``2026-Q3``), a month (``2026-07``) or a year (``2026``); ``from`` and ``to`` are dates, UTC,
half-open, and stand over it. Dimensions may be repeated (``team=vision&team=speech``); ``~none`` means what is
unassigned. Nothing here asks a database.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlencode

from django.http import QueryDict

from apps.core.windows import Quarter, Window, midnight

DIMENSIONS = ("team", "model", "site", "kind", "workload")
SCOPES = {"2": "Scope 2", "3": "Scope 3 (cloud)", "unassigned": "No site yet", "all": "All scopes"}
NONE = "~none"
ONE_DAY = timedelta(days=1)


def days_text(first: date, end: date) -> str:
    """The days of ``[first, end)`` as people say them, both named days included."""
    last = end - ONE_DAY
    if first == last:
        return f"{first.day} {first:%b %Y}"
    start = f"{first.day} {first:%b}" + ("" if first.year == last.year else f" {first.year}")
    return f"{start} to {last.day} {last:%b %Y}"


@dataclass(frozen=True, slots=True)
class Period:
    """A window with the name people give it, and the one before it of the same kind."""

    text: str  # as in the query string; empty for from/to
    window: Window
    previous: Window
    previous_label: str

    @property
    def label(self) -> str:
        return self.text or self.dates

    @property
    def dates(self) -> str:
        """The days of the window, both named days included, such as ``1 Jul to 30 Sep 2026``."""
        return days_text(self.window.start.date(), (self.window.end - timedelta(microseconds=1)).date() + ONE_DAY)

    def previous_until(self, last_reading: datetime | None) -> Window:
        """The earlier window to compare with: as many whole days of it as this one has readings for."""
        if last_reading is None or not self.window.start < last_reading < self.window.end:
            return self.previous
        days = -((self.window.start - last_reading) // timedelta(days=1))
        return Window(self.previous.start, min(self.previous.start + timedelta(days=days), self.previous.end))


def _months(first: date, count: int) -> date:
    index = first.year * 12 + first.month - 1 + count
    return date(index // 12, index % 12 + 1, 1)


def parse_period(text: str) -> Period:
    """Raises ``ValueError`` for anything but a quarter, a month or a year between 1990 and 2200."""
    if match := re.fullmatch(r"(\d{4})(?:-(Q[1-4]|0[1-9]|1[0-2]))?", text):
        year, part = int(match[1]), match[2]
        if 1990 <= year <= 2200:
            if part is None:
                first, months, earlier = date(year, 1, 1), 12, str(year - 1)
            elif part.startswith("Q"):
                quarter = Quarter.parse(text)
                first, months, earlier = quarter.first_day, 3, str(quarter.previous())
            else:
                first, months = date(year, int(part), 1), 1
                earlier = f"{_months(first, -1):%Y-%m}"
            return Period(
                text,
                Window(midnight(first), midnight(_months(first, months))),
                Window(midnight(_months(first, -months)), midnight(first)),
                earlier,
            )
    raise ValueError(f"expected a period such as 2026-Q3, 2026-07 or 2026, got {text!r}")


def parse_dates(start: str, end: str) -> Period:
    """The period of ``from`` and ``to`` (dates, half-open). Raises ``ValueError``."""
    try:
        first, last = date.fromisoformat(start), date.fromisoformat(end)
    except ValueError:
        raise ValueError(f"expected dates such as 2026-07-01 in from and to, got {start!r} and {end!r}") from None
    if not (first.year >= 1990 and last.year <= 2200 and first < last):
        raise ValueError(f"expected from before to, between 1990 and 2200, got {start} and {end}")
    window = Window(midnight(first), midnight(last))
    return Period("", window, Window(window.start - (window.end - window.start), window.start), "the days before")


def present_quarter() -> Quarter:
    """The quarter that runs now, UTC."""
    return Quarter.of(datetime.now(UTC).date())


def default_period(last_ended: datetime | None) -> Period:
    """The latest ended quarter with readings, of which ``last_ended`` is the last; with none, the present quarter.

    The first reading of a new quarter would else put a page of nearly nothing in the place of a full one.
    """
    return parse_period(str(_quarter_before(last_ended) if last_ended else present_quarter()))


def _quarter_before(end: datetime) -> Quarter:
    """The quarter of an interval's end; midnight belongs to the day before."""
    return Quarter.of((end.astimezone(UTC) - timedelta(microseconds=1)).date())


def quarters_between(first: datetime | None, last: datetime | None) -> list[str]:
    """The quarters that have readings, latest first; with none the present one."""
    latest = last or datetime.now(UTC)
    quarter, end = _quarter_before(latest), Quarter.of((first or latest).astimezone(UTC).date())
    found = [str(quarter)]
    while quarter > end and len(found) < 24:
        quarter = quarter.previous()
        found.append(str(quarter))
    return found


@dataclass(frozen=True, slots=True)
class Filters:
    period: Period
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    scope: str = "2"
    sort: str = ""
    page: int = 1
    search: str = ""
    errors: tuple[str, ...] = ()

    @property
    def window(self) -> Window:
        return self.period.window

    @property
    def ledger_filters(self) -> dict[str, tuple[str, ...]]:
        """As the ledger's queries want them: an empty text means *unassigned*."""
        return {
            name: tuple("" if value == NONE else value for value in values)
            for name, values in self.values.items()
            if values
        }

    @property
    def is_narrowed(self) -> bool:
        return any(self.values.values()) or bool(self.search)

    def _period_pairs(self) -> list[tuple[str, str]]:
        if self.period.text:
            return [("period", self.period.text)]
        return [("from", f"{self.window.start:%Y-%m-%d}"), ("to", f"{self.window.end:%Y-%m-%d}")]

    def query(self, **changes: str | Sequence[str]) -> str:
        """The query string of this view, with some parameters changed; an empty value drops its parameter."""
        pairs = self._period_pairs() if not {"period", "from", "to"} & set(changes) else []
        pairs += [(name, value) for name in DIMENSIONS if name not in changes for value in self.values.get(name, ())]
        if self.scope != "2" and "scope" not in changes:
            pairs.append(("scope", self.scope))
        if self.sort and "sort" not in changes:
            pairs.append(("sort", self.sort))
        if self.search and "q" not in changes:
            pairs.append(("q", self.search))
        for name, value in changes.items():
            pairs += [(name, each) for each in ([value] if isinstance(value, str) else value) if each]
        return urlencode(pairs)

    @property
    def period_query(self) -> str:
        """The query string that keeps the period and nothing else: for links to other pages."""
        return urlencode(self._period_pairs())

    def api_query(self, group_by: Sequence[str], **fixed: str) -> str:
        """The query string of the API call that gives the same figures."""
        pairs = [("from", f"{self.window.start:%Y-%m-%d}"), ("to", f"{self.window.end:%Y-%m-%d}")]
        pairs.append(("group_by", ",".join(group_by)))
        for name, values in self.ledger_filters.items():
            if name not in fixed:
                pairs += [(name, value) for value in values]
        pairs += list(fixed.items())
        if self.scope != "2":
            pairs.append(("scope", self.scope))
        return urlencode(pairs, safe=",")


def parse_filters(parameters: QueryDict, last_ended: datetime | None) -> Filters:
    """The filters of a query string; without a period that of :func:`default_period`.

    What cannot be read is left out and named in ``errors``, never a 500.
    """
    errors: list[str] = []
    period = None
    try:
        # The form sends both; the one that was changed is meant. `shown` is the period that the form was filled with.
        chosen, shown = parameters.get("period", ""), parameters.get("shown")
        is_newly_chosen = chosen and shown is not None and chosen != shown
        if (parameters.get("from") or parameters.get("to")) and not is_newly_chosen:
            period = parse_dates(parameters.get("from", ""), parameters.get("to", ""))
        elif chosen:
            period = parse_period(chosen)
    except ValueError as error:
        errors.append(f"The period was not understood: {error}.")
    scope = parameters.get("scope") or "2"
    if scope not in SCOPES:
        errors.append(f"The scope was not understood: expected one of {', '.join(SCOPES)}, got {scope!r}.")
        scope = "2"
    page = parameters.get("page", "1")
    return Filters(
        period=period or default_period(last_ended),
        values={
            name: values
            for name in DIMENSIONS
            if (values := tuple(value for value in parameters.getlist(name) if value and "\0" not in value))
        },
        scope=scope,
        sort=parameters.get("sort", "")[:40],
        page=int(page) if re.fullmatch(r"[1-9]\d{0,5}", page) else 1,
        search=parameters.get("q", "").replace("\0", "")[:100],
        errors=tuple(errors),
    )
