"""Granular certificates (EnergyTag): bundles of an hour or less become lots of a device and month with their hours.

[1] EnergyTag, Granular Certificate Scheme Standard: production interval of an hour at most, base unit watt-hour, face
value rounded down to whole watt-hours; a certificate counts once it is cancelled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from django.utils import timezone

from apps.core.windows import epoch_hour
from apps.procurement.importing.reading import Record, RowError, read_records
from apps.procurement.serials import SerialRange, serial_range

REQUIRED = ("certificate_id", "device", "technology", "interval_start", "energy_wh", "tracking_system", "market")
# What a certificate states besides, kept with the lot as it stands.
STATED = (
    "issuer",
    "energy_carrier",
    "device_name",
    "device_capacity_kw",
    "commissioned_on",
    "location",
    "origin",
    "converted",
    "configuration",
)
OPTIONAL = (
    "interval_end",
    "serial_start",
    "serial_end",
    "issued_at",
    "cancelled_on",
    "beneficiary",
    "co2e_kg_per_mwh",
    "usable_for_disclosure",
    *STATED,
)
EXAMPLE = {
    "certificate_id": "GC-2026-07-01T12-plant-7",
    "device": "plant-7",
    "technology": "Wind onshore",
    "interval_start": "2026-07-01T12:00:00Z",
    "interval_end": "2026-07-01T13:00:00Z",
    "energy_wh": "1250000",
    "tracking_system": "Granular registry",
    "serial_start": "plant-7:1",
    "serial_end": "plant-7:1250000",
    "market": "DE",
    "issued_at": "2026-07-03T09:00:00Z",
    "cancelled_on": "2026-07-20",
    "co2e_kg_per_mwh": "0",
    "energy_carrier": "electricity",
    "origin": "production",
}
# Generation without direct emissions, of which a certificate need not state a rate.
WITHOUT_DIRECT_EMISSIONS = ("wind", "solar", "photovoltaic", "hydro", "nuclear", "tidal", "wave")
ONE_HOUR = timedelta(hours=1)
MOST_WATT_HOURS = 10**13  # 10 TWh in an hour: more than any plant


@dataclass(frozen=True, slots=True)
class Bundle:
    """One row of a file: what a device produced in one interval inside one UTC hour, in whole watt-hours."""

    row: int
    device: str
    technology: str
    hour: int
    month: date
    energy_watt_hours: int
    tracking_system: str
    serial_start: str
    serial_end: str
    serials: SerialRange
    market: str
    issued_on: date | None
    cancelled_on: date | None
    beneficiary: str
    co2e_kg_per_mwh: Decimal
    stated: tuple[tuple[str, str], ...]

    @property
    def kind(self) -> tuple[object, ...]:
        """What bundles of one lot have in common."""
        return (
            self.tracking_system,
            self.device,
            self.month,
            self.market,
            self.technology,
            self.co2e_kg_per_mwh,
            self.cancelled_on or date.min,
            self.beneficiary,
            self.stated,
        )


@dataclass(frozen=True, slots=True)
class HourlyLot:
    """Bundles of one device and month whose serials follow one another, so that the lot claims no other ones."""

    bundles: tuple[Bundle, ...]

    @property
    def first(self) -> Bundle:
        return self.bundles[0]

    @property
    def hours(self) -> dict[int, int]:
        """Energy [Wh] by hours since the epoch."""
        found: dict[int, int] = {}
        for bundle in self.bundles:
            found[bundle.hour] = found.get(bundle.hour, 0) + bundle.energy_watt_hours
        return found

    @property
    def energy_watt_hours(self) -> int:
        return sum(bundle.energy_watt_hours for bundle in self.bundles)

    @property
    def issued_on(self) -> date | None:
        """The last issue, where every bundle states one."""
        days = [bundle.issued_on for bundle in self.bundles if bundle.issued_on is not None]
        return max(days) if len(days) == len(self.bundles) else None

    @property
    def serial_start(self) -> str:
        return self.first.serial_start

    @property
    def serial_end(self) -> str:
        last = self.bundles[-1].serial_end or self.bundles[-1].serial_start
        return "" if last == self.serial_start else last


def read_bundles(content: bytes) -> tuple[list[HourlyLot], list[RowError]]:
    """The lots in a CSV or JSON file of bundles, made of the rows that can be read, and the faults of the others.

    Raises ``FileRefusedError`` for a file of which no row can be read.
    """
    records = read_records(content, required=REQUIRED, optional=OPTIONAL)
    bundles = [bundle for record in records if (bundle := _bundle(record)) is not None]
    errors = [error for record in records for error in record.errors]
    twice = list(_claimed_twice(bundles))
    once = {error.row for error in twice}
    return list(_lots(bundle for bundle in bundles if bundle.row not in once)), errors + twice


def _bundle(record: Record) -> Bundle | None:
    certificate = record.text("certificate_id", 80, required=True)
    device = record.text("device", 60, required=True)
    technology = record.text("technology", 60, required=True)
    system = record.text("tracking_system", 60, required=True)
    market = record.text("market", 20, required=True)
    hour = _hour(record)
    energy = _watt_hours(record)
    start = record.text("serial_start", 80) or certificate
    end = record.text("serial_end", 80)
    serials = _serials(record, start, end)
    rate = _rate(record, technology)
    cancelled_on = record.day("cancelled_on")
    issued_at = record.moment("issued_at")
    beneficiary = record.text("beneficiary", 120)
    stated = _stated(record)
    if record.errors or hour is None:
        return None
    return Bundle(
        row=record.row,
        device=device,
        technology=technology,
        hour=epoch_hour(hour),
        month=date(hour.year, hour.month, 1),
        energy_watt_hours=energy,
        tracking_system=system,
        serial_start=start,
        serial_end=end,
        serials=serials,
        market=market.upper(),
        issued_on=issued_at.date() if issued_at else None,
        cancelled_on=cancelled_on,
        beneficiary=beneficiary,
        co2e_kg_per_mwh=rate,
        stated=stated,
    )


def _hour(record: Record) -> datetime | None:
    """When the interval begins; it lies inside one UTC hour, and has ended. ``None`` for any other."""
    start = record.moment("interval_start", required=True)
    end = record.moment("interval_end")
    if start is None or (end is None and record.values.get("interval_end")):
        return None
    end = end or start + ONE_HOUR
    if end <= start:
        record.fault("interval_end", "expected a time after interval_start")
    elif end - start > ONE_HOUR:
        record.fault("interval_end", "expected an interval of an hour at most")
    elif epoch_hour(start) != epoch_hour(end - timedelta(microseconds=1)):
        record.fault("interval_start", "expected an interval inside one UTC hour; this one lies across two")
    elif end > timezone.now():
        record.fault("interval_start", "expected an interval that has ended")
    else:
        return start
    return None


def _watt_hours(record: Record) -> int:
    """The face value: whole watt-hours, rounded down ([1])."""
    energy = record.number("energy_wh", required=True)
    if energy is None:
        return 0
    if not 1 <= energy <= MOST_WATT_HOURS:
        record.fault("energy_wh", f"expected 1 to {MOST_WATT_HOURS:,} watt-hours")
        return 0
    return int(energy)


def _serials(record: Record, start: str, end: str) -> SerialRange:
    try:
        return serial_range(start, end)
    except ValueError as error:
        record.fault("serial_end", f"expected a range such as plant-7:1 to plant-7:900; {error}")
        return SerialRange()


def _rate(record: Record, technology: str) -> Decimal:
    rate = record.number("co2e_kg_per_mwh")
    if rate is None and not record.values.get("co2e_kg_per_mwh"):
        if not any(word in technology.lower() for word in WITHOUT_DIRECT_EMISSIONS):
            record.fault("co2e_kg_per_mwh", f"expected the direct emission rate of {technology or 'the technology'}")
        return Decimal(0)
    return rate or Decimal(0)


def _stated(record: Record) -> tuple[tuple[str, str], ...]:
    carrier = record.values.get("energy_carrier", "").lower()
    if carrier not in ("", "electricity"):
        record.fault("energy_carrier", "expected electricity")
    if record.flag("usable_for_disclosure") is False:
        record.fault("usable_for_disclosure", "expected yes: the issuer says that it backs no claim")
    if record.values.get("configuration", "") not in ("", "1", "2", "3"):
        record.fault("configuration", "expected 1, 2 or 3")
    if record.values.get("origin", "").lower() not in ("", "production", "storage"):
        record.fault("origin", "expected production or storage")
    return tuple((name, record.values[name]) for name in STATED if record.values.get(name))


def _claimed_twice(bundles: Iterable[Bundle]) -> Iterator[RowError]:
    """Rows of the file that share serials."""
    in_order = sorted(bundles, key=lambda one: (one.tracking_system.lower(), one.serials.prefix, one.serials.first))
    for one, other in pairwise(in_order):
        same = one.tracking_system.lower() == other.tracking_system.lower() and (
            one.serials.prefix == other.serials.prefix
        )
        if same and other.serials.first <= one.serials.last:
            expected = f"expected each serial once; row {one.row} has it too"
            yield RowError(other.row, "serial_start", other.serial_start, expected)


def _lots(bundles: Iterable[Bundle]) -> Iterator[HourlyLot]:
    in_order = sorted(bundles, key=lambda one: (*map(str, one.kind), one.serials.prefix, one.serials.first))
    run: list[Bundle] = []
    for bundle in in_order:
        if run and not _follows(run[-1], bundle):
            yield HourlyLot(tuple(run))
            run = []
        run.append(bundle)
    if run:
        yield HourlyLot(tuple(run))


def _follows(one: Bundle, other: Bundle) -> bool:
    """Whether a lot may hold both: alike but for the hour, and no serial between them."""
    ours, theirs = one.serials, other.serials
    return (
        one.kind == other.kind
        and ours.prefix == theirs.prefix
        and bool(ours.last and theirs.first)
        and int(theirs.first) == int(ours.last) + 1
    )
