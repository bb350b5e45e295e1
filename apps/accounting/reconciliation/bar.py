"""The filter bar of pages whose time is that of telemetry and meters together: a period and a site."""

from __future__ import annotations

from dataclasses import dataclass

from apps.accounting.reconciliation.queries import extent
from apps.core.filters import Filters, parse_filters, present_quarter, quarters_between
from apps.organisations.models import Organisation
from apps.organisations.pages import PageRequest
from apps.sites.models import SCOPE_2_CONTROL_CLASSES, Site


@dataclass(frozen=True, slots=True)
class Select:
    name: str
    label: str
    all: str
    options: list[tuple[str, str]]
    chosen: str


@dataclass(frozen=True, slots=True)
class Bar:
    """What ``core/filter_bar.html`` wants, and the sites that the filter leaves, by name."""

    filters: Filters
    periods: list[str]
    selects: list[Select]
    sites: list[Site]


def bar_of(request: PageRequest) -> Bar:
    """The filters of a request; without a period the latest quarter that is over and has readings of any kind."""
    organisation: Organisation = request.organisation
    first, last = extent(organisation)
    running = present_quarter().window.start
    ended = last
    if first is not None and last is not None and last > running:
        ended = running if first < running else None
    filters = parse_filters(request.GET, ended)
    periods = quarters_between(first, last)
    if filters.period.text and filters.period.text not in periods:
        periods = sorted({*periods, filters.period.text}, reverse=True)
    sites = list(Site.objects.of(organisation).filter(control__in=SCOPE_2_CONTROL_CLASSES))
    chosen = filters.values.get("site", ())
    select = Select(
        "site", "Site", "All sites", [(site.code, site.name) for site in sites], chosen[0] if chosen else ""
    )
    return Bar(filters, periods, [select], [site for site in sites if not chosen or site.code in chosen])
