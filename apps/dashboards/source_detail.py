"""One source: its meters and who reports them, what is to be looked at, and what else measures the same thing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from apps.core.units import MICROWATT_HOURS_PER_MILLIWATT_HOUR
from apps.core.windows import from_epoch_ms
from apps.dashboards.source_health import Health, health_of
from apps.organisations.models import Organisation
from apps.telemetry.models import Meter, MeterFinding, Series, Source

MOST_SERIES = 50
MOST_FINDINGS = 20
MILLIWATT_HOURS = MICROWATT_HOURS_PER_MILLIWATT_HOUR


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a meter to look at, with what a person can do about it."""

    finding: MeterFinding
    at: datetime
    energy_milliwatt_hours: int
    advice: str


ADVICE = {
    MeterFinding.Finding.HELD_BACK: (
        "If the counter starts at zero with the process, say so below and it counts; if it belongs to the device and"
        " runs on, say that and it stays out for good."
    ),
    MeterFinding.Finding.RESET: "Usual after a restart of the exporter or the driver. Nothing to do.",
    MeterFinding.Finding.WRAP: "State the value at which the counter goes back to 0, and the rest up to it is counted.",
    MeterFinding.Finding.SILENT: (
        "The energy of this time is unknown: see the gaps on the data quality page, or allow a longer silence below."
    ),
    MeterFinding.Finding.IMPLAUSIBLE: "If the device can really draw this much, raise its largest power below.",
}


@dataclass(frozen=True, slots=True)
class MeterDetail:
    meter: Meter
    series: list[Series]
    series_count: int
    findings: list[Finding]


@dataclass(frozen=True, slots=True)
class SourceDetail:
    health: Health
    meters: list[MeterDetail]
    beside: list[Source]  # other sources of the same device
    inside: list[Source]  # sources within this one's device


def source_detail(organisation: Organisation, source: Source) -> SourceDetail:
    """A source with its meters, the label sets that report them, and what is to be looked at."""
    [health] = health_of(organisation, [source])
    meters = []
    for meter in source.meters.order_by("name"):
        series = Series.objects.of(organisation).filter(meter=meter).order_by("-last_at")
        found = meter.findings.order_by("-at_ms")[:MOST_FINDINGS]
        meters.append(
            MeterDetail(
                meter=meter,
                series=list(
                    series.select_related("attribution__team_name__team", "attribution__model", "attribution__site")[
                        :MOST_SERIES
                    ]
                ),
                series_count=series.count(),
                findings=[
                    Finding(
                        one,
                        from_epoch_ms(one.at_ms),
                        (one.energy_microwatt_hours + MILLIWATT_HOURS // 2) // MILLIWATT_HOURS,
                        ADVICE[MeterFinding.Finding(one.finding)],
                    )
                    for one in found
                ],
            )
        )
    others = Source.objects.of(organisation).exclude(pk=source.pk).order_by("precedence", "name")
    device = source.device or source.name
    return SourceDetail(
        health=health,
        meters=meters,
        beside=list(others.filter(Q(device=device) | Q(name=device, device=""))[:MOST_SERIES]),
        inside=list(others.filter(within=device)[:MOST_SERIES]),
    )
