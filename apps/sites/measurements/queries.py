"""Reads of meter readings and invoices, for pages, API and accounts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

from django.db.models import Max, Min, QuerySet

from apps.organisations.models import Organisation
from apps.sites.measurements.checks import Span, in_unit, unit_of
from apps.sites.models import Site, SiteMeasurement

Quantity = SiteMeasurement.Quantity


def measurements(organisation: Organisation | int) -> QuerySet[SiteMeasurement]:
    """The organisation's readings with their sites, by site, quantity, meter and time."""
    rows = SiteMeasurement.objects.of(organisation).select_related("site")
    return rows.order_by("site__name", "site", "quantity", "meter", "-start")


def filtered(
    organisation: Organisation | int, *, site: str = "", quantity: str = "", start: date | None, end: date | None
) -> QuerySet[SiteMeasurement]:
    """Readings of a site and a quantity (all where empty) with a day in ``[start, end)``."""
    rows = measurements(organisation)
    if site:
        rows = rows.filter(site__code=site)
    if quantity:
        rows = rows.filter(quantity=quantity)
    if start is not None:
        rows = rows.filter(end__gt=start)
    if end is not None:
        rows = rows.filter(start__lt=end)
    return rows


def measurement(organisation: Organisation | int, key: int) -> SiteMeasurement | None:
    """One reading by its number."""
    return measurements(organisation).filter(pk=key).first()


def years(organisation: Organisation) -> list[int]:
    """The years that readings reach into, latest first."""
    found = SiteMeasurement.objects.of(organisation).aggregate(first=Min("start"), last=Max("end"))
    if found["first"] is None:
        return []
    return list(range((found["last"] - timedelta(days=1)).year, found["first"].year - 1, -1))


def extent(organisation: Organisation | int) -> tuple[date, date] | None:
    """The days ``[first, end)`` that readings reach over; None without any."""
    found = SiteMeasurement.objects.of(organisation).aggregate(first=Min("start"), end=Max("end"))
    return None if found["first"] is None else (found["first"], found["end"])


def span_of(row: SiteMeasurement) -> Span:
    """A stored reading as the rules see it."""
    return Span(row.site_id, row.quantity, row.meter, row.start, row.end, row.amount, row.reference)


def spans_of(sites: Sequence[int], organisation: Organisation | int) -> list[Span]:
    """All readings of some sites (primary keys), by start."""
    rows = SiteMeasurement.objects.of(organisation).filter(site__in=sites).order_by("start", "pk")
    return [span_of(row) for row in rows]


def latest(site: Site, quantity: str, meter: str) -> SiteMeasurement | None:
    """The last reading of a meter, which the next one follows."""
    rows = SiteMeasurement.objects.of(site.organisation_id).filter(site=site, quantity=quantity, meter=meter)
    return rows.order_by("-end").first()


def meters(organisation: Organisation) -> list[str]:
    """Meters named so far, for a picker."""
    rows = SiteMeasurement.objects.of(organisation).exclude(meter="").order_by("meter")
    return list(rows.values_list("meter", flat=True).distinct())


def amount_in_unit(row: SiteMeasurement) -> tuple[Decimal, str]:
    """A reading's amount in kWh or m3, with the unit."""
    unit = unit_of(row.quantity)
    return in_unit(row.amount, unit), unit


def last_day(row: SiteMeasurement) -> date:
    """The last day that a reading covers."""
    return row.end - timedelta(days=1)


def amount_text(row: SiteMeasurement) -> tuple[str, str]:
    """A reading's amount as pages show it, ``812,340.5``, with the unit; no digit is left out."""
    amount, unit = amount_in_unit(row)
    return f"{amount:,f}", "m³" if unit == "m3" else unit
