"""Everything that reads sites and their PUE for a page or the API."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from django.db.models import QuerySet
from django.utils import timezone

from apps.core.units import PPM
from apps.factors.models import FactorDataset, GridZone
from apps.organisations.models import Organisation
from apps.sites.models import SCOPE_2_CONTROL_CLASSES, PuePeriod, Site


def sites(organisation: Organisation | int) -> QuerySet[Site]:
    """The organisation's sites with their PUE periods."""
    return Site.objects.of(organisation).prefetch_related("pue_periods")


def site(organisation: Organisation | int, code: str) -> Site | None:
    return sites(organisation).filter(code=code).first()


def pue_period(organisation: Organisation | int, code: str, period_id: int) -> PuePeriod | None:
    return PuePeriod.objects.of(organisation).select_related("site").filter(site__code=code, pk=period_id).first()


def scope_of(control: str) -> int:
    """2, or 3 for a public cloud (ESRS E1 AR 24(g))."""
    return 2 if control in SCOPE_2_CONTROL_CLASSES else 3


@dataclass(frozen=True, slots=True)
class PueRow:
    """One PUE period as pages and the API show it; ``end`` is the first day after."""

    id: int
    start: date
    end: date | None
    pue: float
    source: str
    current: bool


@dataclass(frozen=True, slots=True)
class SiteRow:
    site: Site
    scope: int
    pue: list[PueRow]

    @property
    def current_pue(self) -> PueRow | None:
        return next((row for row in self.pue if row.current), None)


def site_row(site: Site, on: date | None = None) -> SiteRow:
    """A site with its PUE periods, newest first; the one that holds on a day (today) is marked."""
    day = on or timezone.now().date()
    periods = [
        PueRow(
            id=period.pk,
            start=period.start,
            end=period.end,
            pue=period.pue_ppm / PPM,
            source=period.source,
            current=period.start <= day and (period.end is None or day < period.end),
        )
        for period in site.pue_periods.all()
    ]
    return SiteRow(site, scope_of(site.control), sorted(periods, key=lambda row: row.start, reverse=True))


def site_rows(organisation: Organisation) -> list[SiteRow]:
    """Every site of the organisation, by name."""
    return [site_row(site) for site in sites(organisation)]


def country_choices() -> list[tuple[str, str]]:
    """ISO 3166-1 alpha-2 code and name."""
    countries = GridZone.objects.filter(type=GridZone.Type.COUNTRY).order_by("name")
    return [(zone.code, f"{zone.name} ({zone.code})") for zone in countries]


def zone_choices() -> list[tuple[str, list[tuple[str, str]]]]:
    """Grid zones in groups: countries first, then the zones inside each country that has some."""
    groups: dict[str, list[tuple[str, str]]] = {"Countries": []}
    names: dict[str, str] = {}
    for zone in GridZone.objects.order_by("type", "name"):  # countries come before what lies in them
        label = (zone.code, f"{zone.name} ({zone.code})")
        if zone.type == GridZone.Type.COUNTRY:
            names[zone.code] = zone.name
            groups["Countries"].append(label)
        elif zone.type != GridZone.Type.AGGREGATE:
            groups.setdefault(f"In {names.get(zone.country, zone.country)}", []).append(label)
    return list(groups.items())


def market_suggestions(organisation: Organisation) -> list[str]:
    """Markets in use and those with a published residual mix."""
    used = Site.objects.of(organisation).order_by().values_list("market", flat=True).distinct()
    published = GridZone.objects.filter(factors__dataset__kind=FactorDataset.Kind.RESIDUAL).distinct()
    return sorted({*used, *published.values_list("code", flat=True)})
