"""What has arrived with a key: the first reading, what became of it in the accounts, or why it was refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import pandas as pd
from django.db.models import Q
from django.utils import timezone

from apps.accounting.queries import LedgerQuery, ledger_total
from apps.core.windows import HOUR_MS, Quarter, Window, epoch_ms, from_epoch_ms
from apps.organisations.models import ApiKey
from apps.telemetry.models import Attribution, Boundary, DirtyHour, Method, Reading, Receipt
from apps.workloads.models import Kind

# A reading is at most 31 days long; what is older than this came from a file and is found by its receipt alone.
LOOK_BACK = timedelta(days=35)
LATE_AFTER = timedelta(minutes=1)
MILLISECONDS_PER_SECOND = 1000

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
    REJECTED = "rejected"
    CALCULATING = "calculating"
    SETTLED = "settled"


@dataclass(frozen=True, slots=True)
class FirstReading:
    """The first accepted request of a key, and its latest refused one if nothing was accepted since.

    Figures are those of ``source`` in the hours of the reading: energy in milliwatt-hours, emissions in milligrams;
    ``None`` while they are being calculated, and emissions also where no site or no factor is known.
    """

    state: State
    receipt: Receipt | None = None
    refused: Receipt | None = None
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
        waiting = self.state == State.CALCULATING and self.receipt is not None
        return waiting and timezone.now() - self.receipt.received_at > LATE_AFTER  # type: ignore[union-attr]

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
        return FirstReading(state=State.REJECTED if refused else State.WAITING, refused=refused)
    if refused is not None and receipts.filter(accepted__gt=0, received_at__gt=refused.received_at).exists():
        refused = None
    reading = _reading_of(accepted)
    if reading is None:
        return FirstReading(state=State.SETTLED, receipt=accepted, refused=refused)
    attribution = _attribution(reading)
    site = attribution.site or attribution.source.site
    total = _booked(reading, attribution.source.name)
    return FirstReading(
        state=State.CALCULATING if total is None else State.SETTLED,
        receipt=accepted,
        refused=refused,
        source=attribution.source.name,
        site=site.name if site else "",
        quarter=str(Quarter.of(from_epoch_ms(reading.start_ms).date())),
        fields=_fields(reading, attribution, site.name if site else ""),
        it_energy_milliwatt_hours=_integer(total, "it_energy_milliwatt_hours"),
        facility_energy_milliwatt_hours=_integer(total, "facility_energy_milliwatt_hours"),
        location_mg=_integer(total, "location_mg"),
        market_mg=_integer(total, "market_mg"),
        quality=None if total is None else str(total["quality"]),
    )


def _reading_of(receipt: Receipt) -> Reading | None:
    """The newest reading of a receipt. Walks the primary key back from now: fresh readings are at its end."""
    since = epoch_ms(timezone.now() - LOOK_BACK)
    return (
        Reading.objects.filter(organisation=receipt.organisation_id, start_ms__gte=since, receipt=receipt.pk)
        .order_by("-start_ms")
        .first()
    )


def _attribution(reading: Reading) -> Attribution:
    return (
        Attribution.objects.of(reading.organisation_id)
        .select_related("source__site", "site", "team_name__team", "model", "workload", "study", "hardware")
        .get(pk=reading.attribution_id)
    )


def _booked(reading: Reading, source: str) -> pd.Series | None:
    """The ledger's figures of the source in the hours of the reading; None until those hours are settled."""
    first, end = reading.start_ms // HOUR_MS, -(-reading.end_ms // HOUR_MS)
    dirty = DirtyHour.objects.filter(organisation=reading.organisation_id, hour__gte=first, hour__lt=end)
    if dirty.exists():
        return None
    window = Window(from_epoch_ms(first * HOUR_MS), from_epoch_ms(end * HOUR_MS))
    total = ledger_total(
        LedgerQuery(
            organisation_id=reading.organisation_id,
            window=window,
            scope="all",
            filters={"source": (source,)},
        )
    )
    return total if total["readings"] else None


def _fields(reading: Reading, attribution: Attribution, site: str) -> list[tuple[str, str]]:
    """The reading as the portal understood it: (name, value), only what was said."""
    start, end = from_epoch_ms(reading.start_ms), from_epoch_ms(reading.end_ms)
    seconds = (reading.end_ms - reading.start_ms) / MILLISECONDS_PER_SECOND
    team_name = attribution.team_name
    team = ""
    if team_name is not None:
        team = team_name.team.name if team_name.team else f"{team_name.name} (no such team yet: counted as unassigned)"
    named: list[tuple[str, Any]] = [
        ("Source", attribution.source.name),
        ("Interval", f"{_clock(start)} to {_clock(end)} UTC ({seconds:g} s)"),
        ("Energy", f"{reading.energy_microwatt_hours / 1_000_000:.6g} Wh"),
        ("Site", site or "none yet: scope unassigned"),
        ("Team", team or "none: counted as unassigned"),
        ("Kind", Kind(attribution.kind).label),
        ("Model", attribution.model),
        ("Workload", attribution.workload),
        ("Study", attribution.study),
        ("Measured at", Boundary(attribution.boundary).label),
        ("Method", Method(attribution.method).label),
        ("Hardware", attribution.hardware),
        ("Tokens", _count(reading.tokens)),
        ("Requests", _count(reading.requests)),
    ]
    return [(name, str(value)) for name, value in named if value]


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _count(value: int | None) -> str:
    return f"{value:,}" if value is not None else ""


def _integer(total: pd.Series | None, name: str) -> int | None:
    if total is None or pd.isna(total[name]):
        return None
    return int(total[name])
