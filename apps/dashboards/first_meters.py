"""What has arrived with a key that reads meters: one reading is no energy yet; the second makes it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max, Min, QuerySet

from apps.core.windows import HOUR_MS, epoch_ms
from apps.telemetry.models import (
    DERIVED,
    Attribution,
    DirtyHour,
    MeterFinding,
    MeterReading,
    Quantity,
    Reading,
    Receipt,
    Series,
)

LOOK_BACK = timedelta(days=1)
ONE_SCRAPE_MS = 300_000  # readings of one request lie within minutes, or a part of it is enough to tell what it read
FINDINGS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class FirstMeters:
    """The meters of a request: how many, of which sources and metrics, and what came of them.

    ``at_ms``: time of the latest reading of the request. ``has_second``: whether any meter has another reading;
    ``derived``: from when to when energy or work was derived of its sources in that hour and the next [ms];
    ``dirty_since``: since when those hours wait for a worker. ``findings``: why energy was held back, if it was.
    """

    count: int
    work: int
    sources: tuple[str, ...]
    metrics: tuple[str, ...]
    attribution: Attribution
    at_ms: int
    has_second: bool
    dirty_since: datetime | None
    derived: tuple[int, int] | None
    findings: tuple[str, ...]


def of(receipt: Receipt, until: datetime) -> FirstMeters | None:
    """The meters that a request read; None where it read none within a day before ``until``.

    Walks the primary key back from there: fresh readings are just before it.
    """
    if receipt.protocol == "samples":
        return None
    rows = MeterReading.objects.filter(organisation=receipt.organisation_id)
    since = until - LOOK_BACK
    sent = rows.filter(receipt=receipt.pk, at_ms__gte=epoch_ms(since), at_ms__lt=epoch_ms(until))
    at_ms = sent.order_by("-at_ms").values_list("at_ms", flat=True).first()
    if at_ms is None:
        return None
    near = sent.filter(at_ms__gt=at_ms - ONE_SCRAPE_MS, at_ms__lte=at_ms)
    series = list(
        Series.objects.of(receipt.organisation_id)
        .filter(pk__in=list(near.order_by().values_list("series_id", flat=True).distinct()))
        .select_related("meter__source")
        .order_by("meter__source__name", "meter__name", "pk")
    )
    meters = {one.meter_id: one.meter for one in series}
    sources = {one.meter.source_id: one.meter.source.name for one in series}
    hour = at_ms // HOUR_MS
    hours = DirtyHour.objects.filter(organisation=receipt.organisation_id, hour__gte=hour - 1, hour__lte=hour + 1)
    return FirstMeters(
        count=len(meters),
        work=sum(meter.quantity != Quantity.ENERGY for meter in meters.values()),
        sources=tuple(dict.fromkeys(sources.values())),
        metrics=tuple(sorted({meter.metric for meter in meters.values()})),
        attribution=Attribution.objects.of(receipt.organisation_id)
        .select_related("source__site", "site", "team_name__team", "model", "workload", "study", "hardware")
        .get(pk=series[0].attribution_id),
        at_ms=at_ms,
        has_second=_has_second(near, [one.pk for one in series], at_ms),
        dirty_since=hours.aggregate(since=Min("marked_at"))["since"],
        derived=_derived(receipt.organisation_id, list(sources), hour),
        findings=_findings(receipt.organisation_id, list(meters)),
    )


def _has_second(sent: QuerySet[MeterReading], series: list[int], at_ms: int) -> bool:
    """Whether any of the series was read at two instants: within the request, or after it."""
    if sent.order_by().values("series_id").annotate(readings=Count("at_ms")).filter(readings__gt=1).exists():
        return True
    return MeterReading.objects.filter(series__in=series, at_ms__gt=at_ms).exists()


def _derived(organisation_id: int, sources: list[int], hour: int) -> tuple[int, int] | None:
    """From when to when [ms] something was derived of the sources in the first such hour from ``hour - 1`` on."""
    rows = Reading.objects.filter(organisation=organisation_id, source__in=sources, receipt=DERIVED)
    near = rows.filter(start_ms__gte=(hour - 1) * HOUR_MS, start_ms__lt=(hour + 2) * HOUR_MS)
    first_ms = near.aggregate(first=Min("start_ms"))["first"]
    if first_ms is None:
        return None
    begin = first_ms // HOUR_MS * HOUR_MS
    end_ms = rows.filter(start_ms__gte=begin, start_ms__lt=begin + HOUR_MS).aggregate(last=Max("end_ms"))["last"]
    return begin, end_ms


def _findings(organisation_id: int, meters: list[int]) -> tuple[str, ...]:
    """What a person should look at, by meter, each once."""
    rows = MeterFinding.objects.of(organisation_id).filter(meter__in=meters).select_related("meter__source")[:50]
    said = (f"{row.meter.source.name}: {row.get_finding_display()}" for row in rows)
    return tuple(dict.fromkeys(said))[:FINDINGS_SHOWN]
