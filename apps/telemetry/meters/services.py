"""What people decide about meters and sources: how a first value counts, what a device can draw, how often it reports.

A decision holds for past readings too: the hours of the meter are derived anew.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max, Min, Q

from apps.audit.services import audited
from apps.core.windows import HOUR_MS
from apps.telemetry import bulk
from apps.telemetry.models import Meter, MeterReading, Series, Source
from apps.telemetry.wake import wake_worker

MOST_INTERVAL_S = 7 * 86_400
MOST_POWER_W = 100_000_000
CHANGEABLE = ("start_policy", "power_cap_w", "interval_s", "longest_gap_s", "wraps_at", "pue_included_ppm")


@transaction.atomic
def change_meter(*, meter: Meter, actor: str, **changes: Any) -> bool:
    """Change how a meter's readings are understood; whether anything differs.

    ``changes``: any of :data:`CHANGEABLE`; power in watts, times in seconds. Raises ``ValidationError``, and
    ``TypeError`` for another field.
    """
    if unknown := set(changes) - set(CHANGEABLE):
        raise TypeError(f"not to be changed: {', '.join(sorted(unknown))}")
    faults = _faults(changes)
    if faults:
        raise ValidationError(faults)

    def change() -> None:
        for name, value in changes.items():
            setattr(meter, name, value)
        meter.full_clean()
        meter.save(update_fields=list(changes))

    if not audited(meter, change, organisation_id=meter.organisation_id, actor=actor, action="meter.changed"):
        return False
    mark_meters_dirty(meter.organisation_id, [meter.pk])
    return True


def _faults(changes: dict[str, Any]) -> dict[str, str]:
    faults = {}
    power = changes.get("power_cap_w")
    if power is not None and not 0 < power <= MOST_POWER_W:
        faults["power_cap_w"] = f"Expected watts above 0 and at most {MOST_POWER_W:,}."
    for name in ("interval_s", "longest_gap_s"):
        value = changes.get(name)
        if value is not None and not 0 < value <= MOST_INTERVAL_S:
            faults[name] = f"Expected seconds from 1 to {MOST_INTERVAL_S:,}."
    wraps_at = changes.get("wraps_at")
    if wraps_at is not None and not 0 < wraps_at < 2**63:
        faults["wraps_at"] = "Expected the value at which the counter goes back to 0, or nothing."
    pue = changes.get("pue_included_ppm")
    if pue is not None and not 1_000_000 <= pue <= 10_000_000:
        faults["pue_included_ppm"] = "Expected a PUE from 1 to 10."
    return faults


@transaction.atomic
def set_reporting_interval(*, source: Source, seconds: int | None, actor: str) -> bool:
    """Say how often a source should report; silent for five times as long, it is flagged. ``None``: no alarm.

    Returns whether anything differs. Raises ``ValidationError``.
    """
    if seconds is not None and not 0 < seconds <= MOST_INTERVAL_S:
        raise ValidationError({"reporting_interval_s": f"Expected seconds from 1 to {MOST_INTERVAL_S:,}, or nothing."})

    def change() -> None:
        source.reporting_interval_s = seconds
        source.save(update_fields=["reporting_interval_s"])

    return audited(
        source, change, organisation_id=source.organisation_id, actor=actor, action="source.interval_declared"
    )


def mark_meters_dirty(organisation_id: int, meter_ids: list[int]) -> int:
    """Have every hour that the meters' readings reach into derived anew; how many hours."""
    series = Series.objects.of(organisation_id).filter(meter_id__in=meter_ids).values_list("pk", flat=True)
    readings = MeterReading.objects.filter(series__in=list(series))
    extent = readings.aggregate(first=Min("at_ms"), last=Max("at_ms"), start=Min("start_ms", filter=Q(start_ms__gt=0)))
    if extent["first"] is None:
        return 0
    # A first value may count from its stated start, which can lie hours before it.
    first = min(extent["first"], extent["start"] or extent["first"])
    hours = np.arange(max(first, extent["first"] - 31 * 24 * HOUR_MS) // HOUR_MS, extent["last"] // HOUR_MS + 1)
    bulk.writer().mark_dirty(organisation_id, hours.astype(np.int64))
    transaction.on_commit(lambda: wake_worker(organisation_id))
    return len(hours)
