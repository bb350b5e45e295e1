"""The filter bar of pages that read the ledger alone: a period and some dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Max

from apps.accounting.models import LedgerDay
from apps.accounting.queries import ledger_extent
from apps.core.filters import NONE, SCOPES, Filters, parse_filters, present_quarter, quarters_between
from apps.core.windows import epoch_day, from_epoch_day, midnight
from apps.organisations.models import Organisation, Team
from apps.organisations.pages import PageRequest
from apps.sites.models import Site


@dataclass(frozen=True, slots=True)
class Select:
    name: str
    label: str
    all: str
    options: list[tuple[str, str]]
    chosen: str


@dataclass(frozen=True, slots=True)
class Bar:
    """What ``core/filter_bar.html`` wants; ``has_readings``: whether there is anything to choose a period of."""

    filters: Filters
    periods: list[str]
    selects: list[Select]
    has_readings: bool


def bar_of(request: PageRequest, *selects: str) -> Bar:
    """The filters of a request; without a period the latest quarter that is over and has readings.

    ``selects``: any of ``team``, ``site``, ``scope``.
    """
    organisation = request.organisation
    extent = ledger_extent(organisation.pk)
    first, last = (extent.start, extent.end) if extent else (None, None)
    filters = parse_filters(request.GET, _last_ended(organisation, first, last))
    periods = quarters_between(first, last)
    if filters.period.text and filters.period.text not in periods:
        periods = sorted({*periods, filters.period.text}, reverse=True)
    return Bar(filters, periods, [_select(organisation, filters, name) for name in selects], extent is not None)


def _last_ended(organisation: Organisation, first: datetime | None, last: datetime | None) -> datetime | None:
    """The end of the last day with readings in the quarters that are over."""
    running = present_quarter().window.start
    if first is None or last is None or last <= running:
        return last
    if first >= running:
        return None
    days = LedgerDay.objects.filter(organisation_id=organisation.pk, day__lt=epoch_day(running.date()))
    day = days.aggregate(last=Max("day"))["last"]
    return None if day is None else midnight(from_epoch_day(day + 1))


def _select(organisation: Organisation, filters: Filters, name: str) -> Select:
    if name == "scope":
        options = [(code, label) for code, label in SCOPES.items() if code != "2"]
        return Select("scope", "Scope", SCOPES["2"], options, filters.scope)
    chosen = filters.values.get(name, ())
    if name == "team":
        teams = list(Team.objects.of(organisation).values_list("slug", "name"))
        return Select("team", "Team", "All teams", [*teams, (NONE, "Unassigned")], chosen[0] if chosen else "")
    sites = list(Site.objects.of(organisation).values_list("code", "name"))
    return Select("site", "Site", "All sites", sites, chosen[0] if chosen else "")
