"""CodeCarbon's payloads to meter readings: what its API output and its http output say.

Wire formats: CodeCarbon 3.3.2, ``core/schemas.py`` and ``output_methods/emissions_data.py``. Energies are kWh,
durations seconds, emissions kg. Any descriptive field may be null or empty.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from apps.telemetry.batch import Naming
from apps.telemetry.meters.batch import HOST_CAP_W, JOB_TRACKER, MeterSaid, Place, SeriesSaid
from apps.telemetry.meters.models import MeterKind, StartPolicy
from apps.telemetry.protocols.errors import UnreadableError
from apps.telemetry.protocols.metrics_table import MOST_NAME, shortened

DOOR = "codecarbon"
# What a tracker sends as its experiment when nobody has set one: the same for every careless user.
PUBLIC_EXPERIMENT = "5b0fa12a-3dd7-45bb-9766-cc326314d9f1"
START_TOLERANCE_MS = 5_000
UTC_OFFSET_STEP_S = 900
MOST_UTC_OFFSET = timedelta(hours=14)
# What describes the tracker and its machine, and stays the same for as long as a run lasts.
DESCRIPTIVE = (
    "os",
    "python_version",
    "codecarbon_version",
    "cpu_count",
    "cpu_model",
    "gpu_count",
    "gpu_model",
    "region",
    "provider",
    "ram_total_size",
    "tracking_mode",
    "country_iso_code",
    "country_name",
    "cloud_provider",
    "cloud_region",
    "on_cloud",
    "user",
)


class FaultyFieldError(ValueError):
    """A field that cannot be counted: its name, what was got, what is expected."""

    def __init__(self, field: str, got: Any, expected: str) -> None:
        super().__init__(f"{field}: got {got!r}, expected {expected}")
        self.field, self.got, self.expected = field, got, expected


def parse(body: bytes) -> dict[str, Any]:
    """The payload. Raises :class:`UnreadableError`."""
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise UnreadableError(f"The body is not JSON: {fault}.") from None
    if not isinstance(content, dict):
        raise UnreadableError("The body is not a JSON object.")
    return content


def number(content: dict[str, Any], name: str, *, required: bool = True) -> float:
    """A field that is a finite number of 0 or more. Raises :class:`FaultyFieldError`."""
    value = content.get(name)
    if value is None and not required:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise FaultyFieldError(name, value, "a number of 0 or more")
    return float(value)


def text(content: dict[str, Any], name: str, *, required: bool = False) -> str:
    value = content.get(name)
    if value is None or value == "None":
        value = ""
    result = str(value).replace("\0", "").strip()[:MOST_NAME]
    if required and not result:
        raise FaultyFieldError(name, value, "a text")
    return result


def moment(content: dict[str, Any], name: str) -> datetime | None:
    """A time with its offset; None where it states none. Raises :class:`FaultyFieldError`."""
    given = content.get(name)
    try:
        parsed = datetime.fromisoformat(str(given))
    except ValueError:
        raise FaultyFieldError(name, given, "a time such as 2026-07-01T09:00:00+00:00") from None
    return parsed if parsed.tzinfo is not None else None


def descriptive(content: dict[str, Any]) -> dict[str, str]:
    return {name: said for name in DESCRIPTIVE if (said := text(content, name))}


@dataclass(frozen=True, slots=True)
class Whose:
    """What a registered experiment says of its runs; empty where nobody has said."""

    name: str
    team: str | None = None
    model: str | None = None
    site: str | None = None
    kind: str = "training"
    device: str = ""
    pue_ppm: int = 1_000_000


def run_series(run_id: str, whose: Whose, labels: dict[str, str]) -> SeriesSaid:
    """The meter of one run: energy since the post before, in kWh."""
    source = shortened(f"codecarbon/{whose.name}/{run_id[:8]}", MOST_NAME)
    meter = MeterSaid(
        name=run_meter_name(run_id),
        metric="energy_consumed",
        kind=MeterKind.DELTA,
        unit="kWh",
        place=Place(whose.device, JOB_TRACKER),
        power_cap_w=HOST_CAP_W,
        start_policy=StartPolicy.FROM_ZERO,
        interval_s=120,
        pue_included_ppm=whose.pue_ppm,
    )
    return SeriesSaid(meter, naming_of(source, whose), tuple(sorted(labels.items())))


def run_meter_name(run_id: str) -> str:
    return f"codecarbon_energy {run_id}"


def naming_of(source: str, whose: Whose) -> Naming:
    """Boundary: the tracker's whole host. Whether its power is measured or guessed, the payload does not say."""
    return Naming(
        source=source,
        team=whose.team,
        model=whose.model,
        site=whose.site,
        kind=whose.kind,
        boundary="host",
        method="estimated",
    )


def total_series(identity: str, start_ms: int, whose: Whose, labels: dict[str, str]) -> SeriesSaid:
    """The meter of one run of the http output: kWh since its start."""
    source = shortened(f"codecarbon/{whose.name}", MOST_NAME)
    meter = MeterSaid(
        name=f"codecarbon_http {identity} {start_ms}",
        metric="energy_consumed",
        kind=MeterKind.COUNTER,
        unit="kWh",
        place=Place(whose.device, JOB_TRACKER),
        power_cap_w=HOST_CAP_W,
        start_policy=StartPolicy.FROM_ZERO,
        start_tolerance_ms=START_TOLERANCE_MS,
        pue_included_ppm=whose.pue_ppm,
    )
    return SeriesSaid(meter, naming_of(source, whose), tuple(sorted(labels.items())))


def arrival(content: dict[str, Any], now: datetime) -> datetime:
    """When a payload of the http output was made: its timestamp is local time and does not say whose.

    One that is some whole quarters of an hour off, as clocks of other zones are, was made just now. An older one is
    taken as UTC.
    """
    given = moment(content, "timestamp")
    if given is not None:
        return given
    said = datetime.fromisoformat(str(content["timestamp"])).replace(tzinfo=UTC)
    off = (now - said).total_seconds()
    beside = off - round(off / UTC_OFFSET_STEP_S) * UTC_OFFSET_STEP_S
    if abs(off) <= MOST_UTC_OFFSET.total_seconds() + 120 and abs(beside) <= 120:
        return now
    return min(said, now)
