"""What has arrived with a key: the first reading, what became of it in the accounts, or why it was refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import pandas as pd
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.accounting.queries import LedgerQuery, ledger_total
from apps.core.windows import HOUR_MS, Quarter, Window, epoch_ms, from_epoch_ms
from apps.dashboards import first_meters
from apps.organisations.models import ApiKey
from apps.telemetry.models import Attribution, Boundary, DirtyHour, Method, Reading, Receipt, Upload
from apps.workloads.models import Kind

# A reading is at most 31 days long; what is older than this came from a file and is found by its receipt alone.
LOOK_BACK = timedelta(days=35)
AHEAD = timedelta(minutes=10)  # a reading of a later time than this was refused
LATE_AFTER = timedelta(minutes=1)
MILLISECONDS_PER_SECOND = 1000
SHOWN = 3  # names of sources and metrics

# What to do about a refused field, where what was expected does not say it.
FIXES = {
    "site": "Take a code from the Sites page, or leave it out and choose the site when you make the key.",
    "team": "A key made for a team sends for that team only: leave the field out, or make a key without a team.",
    "start": "Send the offset with the time, such as Z, and check the clock of the machine.",
    "end": "Send the offset with the time, such as Z, and check the clock of the machine.",
    "hardware": "Leave it out if the device is not in the list of profiles.",
}


class State(StrEnum):
    WAITING = "waiting"
    PENDING = "pending"  # a file is there and was not read yet
    REJECTED = "rejected"
    BASELINE = "baseline"  # meters have reported, and nothing is known of what lies between two readings
    CALCULATING = "calculating"
    SETTLED = "settled"


@dataclass(frozen=True, slots=True)
class FirstReading:
    """The first accepted request of a key, and its latest refused one if nothing was accepted since.

    Figures are those of ``source`` in the hours of the reading: energy in milliwatt-hours, emissions in milligrams;
    ``None`` while they are being calculated, and emissions also where no site or no factor is known. ``meters``: of
    clients that read meters; the figures are then those of all sources that the request read. ``ignored``: the latest
    request of which nothing was energy or work, if nothing was accepted. ``upload``: the file that is waited for.
    """

    state: State
    receipt: Receipt | None = None
    refused: Receipt | None = None
    ignored: Receipt | None = None
    upload: Upload | None = None
    meters: first_meters.FirstMeters | None = None
    source: str = ""
    site: str = ""
    quarter: str = ""
    fields: list[tuple[str, str]] = field(default_factory=list)
    it_energy_milliwatt_hours: int | None = None
    facility_energy_milliwatt_hours: int | None = None
    location_mg: int | None = None
    market_mg: int | None = None
    quality: str | None = None

    @property
    def has_site(self) -> bool:
        return bool(self.site)

    @property
    def is_late(self) -> bool:
        """Stored for a while, and not in the accounts yet."""
        if self.state != State.CALCULATING or self.receipt is None:
            return False
        since = self.meters.dirty_since if self.meters else self.receipt.received_at
        return since is not None and timezone.now() - since > LATE_AFTER

    @property
    def errors(self) -> list[dict[str, Any]]:
        """The errors of the refused request: index, field, got, expected, and a fix where one is known."""
        refused = self.refused.errors if self.refused else []
        return [{**error, "fix": FIXES.get(str(error.get("field")), "")} for error in refused]


def first_reading(key: ApiKey) -> FirstReading:
    """Where the first reading of a key stands. Answers at once, also while nothing has arrived."""
    receipts = Receipt.objects.of(key.organisation_id).filter(api_key=key)
    accepted = receipts.filter(accepted__gt=0).order_by("received_at").first()
    refused = receipts.filter(Q(rejected__gt=0) | Q(answer_status__gte=400)).order_by("-received_at").first()
    if accepted is None:
        return _nothing_accepted(receipts, refused)
    if refused is not None and receipts.filter(accepted__gt=0, received_at__gt=refused.received_at).exists():
        refused = None
    meters = first_meters.of(accepted, accepted.received_at + AHEAD)
    if meters is not None:
        return _of_meters(accepted, refused, meters)
    reading = _reading_of(accepted)
    if reading is None:
        return FirstReading(state=State.SETTLED, receipt=accepted, refused=refused, upload=_upload_of(accepted))
    attribution = _attribution(reading)
    site = attribution.site or attribution.source.site
    total = None
    if not _is_dirty(reading):
        total = _booked(reading.organisation_id, reading.start_ms, reading.end_ms, (attribution.source.name,))
    return FirstReading(
        state=State.CALCULATING if total is None else State.SETTLED,
        receipt=accepted,
        refused=refused,
        source=attribution.source.name,
        site=site.name if site else "",
        quarter=str(Quarter.of(from_epoch_ms(reading.start_ms).date())),
        fields=_fields(reading, attribution, site.name if site else ""),
        **_figures(total),
    )


def _nothing_accepted(receipts: QuerySet[Receipt], refused: Receipt | None) -> FirstReading:
    pending = receipts.filter(is_pending=True).order_by("-received_at").first()
    upload = _upload_of(pending) if pending else None
    if upload is not None:
        return FirstReading(state=State.PENDING, upload=upload)
    ignored = receipts.filter(ignored__gt=0).order_by("-received_at").first()
    return FirstReading(state=State.REJECTED if refused else State.WAITING, refused=refused, ignored=ignored)


def _upload_of(receipt: Receipt) -> Upload | None:
    return Upload.objects.of(receipt.organisation_id).filter(receipt=receipt).first()


def _of_meters(receipt: Receipt, refused: Receipt | None, meters: first_meters.FirstMeters) -> FirstReading:
    """Where meters stand: derived readings are there only once their hour was settled, so they are booked."""
    state, total = State.BASELINE, None
    start_ms, end_ms = meters.at_ms, meters.at_ms + 1
    if meters.derived is not None:
        start_ms, end_ms = meters.derived
        total = _booked(receipt.organisation_id, start_ms, end_ms, meters.sources)
        state = State.CALCULATING if total is None else State.SETTLED
    elif meters.has_second and meters.dirty_since:
        state = State.CALCULATING
    site = meters.attribution.site or meters.attribution.source.site
    site_name = site.name if site else ""
    return FirstReading(
        state=state,
        receipt=receipt,
        refused=refused,
        meters=meters,
        source=_listed(meters.sources, 1),
        site=site_name,
        quarter=str(Quarter.of(from_epoch_ms(start_ms).date())),
        fields=[
            ("Source", _listed(meters.sources, SHOWN)),
            ("Metric", _listed(meters.metrics, SHOWN)),
            ("Read at", f"{_clock(from_epoch_ms(meters.at_ms))} UTC"),
            *_named(meters.attribution, site_name),
        ],
        **_figures(total),
    )


def _listed(names: tuple[str, ...], most: int) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _figures(total: pd.Series | None) -> dict[str, Any]:
    names = ("it_energy_milliwatt_hours", "facility_energy_milliwatt_hours", "location_mg", "market_mg")
    return {
        **{name: None if total is None or pd.isna(total[name]) else int(total[name]) for name in names},
        "quality": None if total is None else str(total["quality"]),
    }


def _reading_of(receipt: Receipt) -> Reading | None:
    """The newest reading of a receipt. Walks the primary key back from its time: fresh readings are just before it."""
    since, until = epoch_ms(receipt.received_at - LOOK_BACK), epoch_ms(receipt.received_at + AHEAD)
    return (
        Reading.objects.filter(
            organisation=receipt.organisation_id, start_ms__gte=since, start_ms__lt=until, receipt=receipt.pk
        )
        .order_by("-start_ms")
        .first()
    )


def _attribution(reading: Reading) -> Attribution:
    return (
        Attribution.objects.of(reading.organisation_id)
        .select_related("source__site", "site", "team_name__team", "model", "workload", "study", "hardware")
        .get(pk=reading.attribution_id)
    )


def _is_dirty(reading: Reading) -> bool:
    first, end = reading.start_ms // HOUR_MS, -(-reading.end_ms // HOUR_MS)
    return DirtyHour.objects.filter(organisation=reading.organisation_id, hour__gte=first, hour__lt=end).exists()


def _booked(organisation_id: int, start_ms: int, end_ms: int, sources: tuple[str, ...]) -> pd.Series | None:
    """The ledger's figures of the sources in the hours of ``[start_ms, end_ms)``; None while it has none."""
    first, end = start_ms // HOUR_MS, -(-end_ms // HOUR_MS)
    window = Window(from_epoch_ms(first * HOUR_MS), from_epoch_ms(end * HOUR_MS))
    total = ledger_total(
        LedgerQuery(organisation_id=organisation_id, window=window, scope="all", filters={"source": sources})
    )
    return total if total["readings"] else None


def _fields(reading: Reading, attribution: Attribution, site: str) -> list[tuple[str, str]]:
    """The reading as the portal understood it: (name, value), only what was said."""
    start, end = from_epoch_ms(reading.start_ms), from_epoch_ms(reading.end_ms)
    seconds = (reading.end_ms - reading.start_ms) / MILLISECONDS_PER_SECOND
    work = [("Tokens", _count(reading.tokens)), ("Requests", _count(reading.requests))]
    return [
        ("Source", attribution.source.name),
        ("Interval", f"{_clock(start)} to {_clock(end)} UTC ({seconds:g} s)"),
        ("Energy", f"{reading.energy_microwatt_hours / 1_000_000:.6g} Wh"),
        *_named(attribution, site),
        *((name, value) for name, value in work if value),
    ]


def _named(attribution: Attribution, site: str) -> list[tuple[str, str]]:
    """Whose it is and how it was measured."""
    team_name = attribution.team_name
    team = ""
    if team_name is not None:
        team = team_name.team.name if team_name.team else f"{team_name.name} (no such team yet: counted as unassigned)"
    named: list[tuple[str, Any]] = [
        ("Site", site or "none yet: scope unassigned"),
        ("Team", team or "none: counted as unassigned"),
        ("Kind", Kind(attribution.kind).label),
        ("Model", attribution.model),
        ("Workload", attribution.workload),
        ("Study", attribution.study),
        ("Measured at", Boundary(attribution.boundary).label),
        ("Method", Method(attribution.method).label),
        ("Hardware", attribution.hardware),
    ]
    return [(name, str(value)) for name, value in named if value]


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _count(value: int | None) -> str:
    return f"{value:,}" if value is not None else ""
