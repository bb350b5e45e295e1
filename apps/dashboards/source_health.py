"""The health of each source: heard of when, how often, how much of the day, what came twice, what was set aside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.db import connection
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from apps.core.units import MICROWATT_HOURS_PER_MILLIWATT_HOUR
from apps.core.windows import HOUR_MS, epoch_ms
from apps.organisations.models import Organisation
from apps.telemetry.models import MeterFinding, Source

COVERAGE_OVER = timedelta(hours=24)
RATE_OVER = timedelta(hours=1)
SET_ASIDE_OVER = timedelta(days=30)
FINDINGS_OVER = timedelta(days=30)
SILENT_AFTER_INTERVALS = 5
SOONEST_SILENT = timedelta(minutes=10)  # a last reading is known to five minutes
MILLIWATT_HOURS = MICROWATT_HOURS_PER_MILLIWATT_HOUR


class State(StrEnum):
    NEVER = "nothing yet"
    REPORTING = "reporting"
    SILENT = "silent"
    ENDED = "no interval declared"


@dataclass(frozen=True, slots=True)
class Health:
    """One source. Coverage in per cent of the last 24 h, rate in readings of the last hour, energy in mWh of 30 d."""

    source: Source
    state: State
    last_seen_at: datetime | None
    rate: int
    coverage_percent: float | None
    set_aside_milliwatt_hours: int
    findings: int
    meters: int

    @property
    def silent_since(self) -> datetime | None:
        return self.last_seen_at if self.state == State.SILENT else None


def sources(organisation: Organisation, *, search: str = "", door: str = "", silent: bool = False) -> QuerySet[Source]:
    """Sources by name; only those that contain a text, that came by one door, or that are silent."""
    rows = Source.objects.of(organisation).select_related("site").order_by("name")
    if search:
        rows = rows.filter(Q(name__icontains=search) | Q(device__icontains=search) | Q(within__icontains=search))
    if door:
        rows = rows.filter(door=door)
    if silent:
        quiet = [source.pk for source in rows.exclude(reporting_interval_s=None) if _state(source) == State.SILENT]
        rows = rows.filter(pk__in=quiet)
    return rows


def doors(organisation: Organisation) -> list[str]:
    """The doors that sources came by."""
    return sorted(Source.objects.of(organisation).exclude(door="").values_list("door", flat=True).distinct())


def health_of(organisation: Organisation, page: Sequence[Source]) -> list[Health]:
    """The health of some sources, in their order; a handful of queries whatever their number."""
    ids = [source.pk for source in page]
    if not ids:
        return []
    now = timezone.now()
    covered = _ledger_sums(organisation.pk, ids, now)
    aside = _set_aside(organisation.pk, ids, now)
    rate = _rates(organisation.pk, ids, now)
    since = epoch_ms(now - FINDINGS_OVER)
    findings = dict(
        MeterFinding.objects.of(organisation)
        .filter(meter__source__in=ids, at_ms__gte=since)
        .values_list("meter__source")
        .annotate(Count("pk"))
    )
    meters = dict(Source.objects.of(organisation).filter(pk__in=ids).values_list("pk").annotate(Count("meters")))
    return [
        Health(
            source=source,
            state=_state(source),
            last_seen_at=source.last_reading_at,
            rate=rate.get(source.pk, 0),
            coverage_percent=_percent(covered.get(source.pk, 0)) if source.first_reading_at else None,
            set_aside_milliwatt_hours=aside.get(source.pk, 0),
            findings=findings.get(source.pk, 0),
            meters=meters.get(source.pk, 0),
        )
        for source in page
    ]


def _state(source: Source) -> State:
    if source.last_reading_at is None:
        return State.NEVER
    quiet = timezone.now() - source.last_reading_at
    if source.reporting_interval_s is None:
        return State.REPORTING if quiet <= timedelta(hours=1) else State.ENDED
    allowed = max(SOONEST_SILENT, timedelta(seconds=source.reporting_interval_s * SILENT_AFTER_INTERVALS))
    return State.REPORTING if quiet <= allowed else State.SILENT


def _percent(covered_ms: int) -> float:
    return min(100.0, covered_ms / (COVERAGE_OVER / timedelta(milliseconds=1)) * 100)


def _grouped(statement: str, parameters: Sequence[int], ids: Sequence[int]) -> dict[int, int]:
    marks = ", ".join(["%s"] * len(ids))
    with connection.cursor() as cursor:
        cursor.execute(statement.format(marks=marks), [*parameters, *ids])
        return {int(key): int(value) for key, value in cursor.fetchall()}


def _ledger_sums(organisation_id: int, ids: Sequence[int], now: datetime) -> dict[int, int]:
    """Time covered in the last 24 whole hours of the ledger [ms]."""
    end = epoch_ms(now) // HOUR_MS
    return _grouped(
        "SELECT account.source_id, SUM(hour.covered_ms) FROM accounting_ledgerhour hour"
        " JOIN accounting_account account ON account.id = hour.account_id"
        " WHERE hour.organisation_id = %s AND hour.hour >= %s AND hour.hour < %s AND account.source_id IN ({marks})"
        " GROUP BY account.source_id",
        [organisation_id, end - COVERAGE_OVER // timedelta(hours=1), end],
        ids,
    )


def _set_aside(organisation_id: int, ids: Sequence[int], now: datetime) -> dict[int, int]:
    found = _grouped(
        "SELECT said.source_id, CAST(SUM(aside.energy_microwatt_hours) AS bigint) FROM accounting_setaside aside"
        " JOIN telemetry_attribution said ON said.id = aside.attribution_id"
        " WHERE aside.organisation_id = %s AND aside.hour >= %s AND said.source_id IN ({marks})"
        " GROUP BY said.source_id",
        [organisation_id, epoch_ms(now - SET_ASIDE_OVER) // HOUR_MS],
        ids,
    )
    return {key: (value + MILLIWATT_HOURS // 2) // MILLIWATT_HOURS for key, value in found.items()}


def _rates(organisation_id: int, ids: Sequence[int], now: datetime) -> dict[int, int]:
    """Readings of the last hour: those of meters as they came, and intervals that were sent."""
    since = epoch_ms(now - RATE_OVER)
    sent = _grouped(
        "SELECT source_id, COUNT(*) FROM telemetry_reading"
        " WHERE organisation_id = %s AND start_ms >= %s AND receipt_id > 0 AND source_id IN ({marks})"
        " GROUP BY source_id",
        [organisation_id, since],
        ids,
    )
    read = _grouped(
        "SELECT meter.source_id, COUNT(*) FROM telemetry_meterreading reading"
        " JOIN telemetry_series series ON series.id = reading.series_id"
        " JOIN telemetry_meter meter ON meter.id = series.meter_id"
        " WHERE reading.organisation_id = %s AND reading.at_ms >= %s AND meter.source_id IN ({marks})"
        " GROUP BY meter.source_id",
        [organisation_id, since],
        ids,
    )
    return {key: sent.get(key, 0) + read.get(key, 0) for key in sent.keys() | read.keys()}
