"""Each site's months: what the meter says, what the telemetry says, what was booked of the difference."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from fractions import Fraction

import numpy as np
from django.db import connection

from apps.accounting.engine.reconciliation import (
    BoolArray,
    Comparison,
    Metered,
    MeterReading,
    State,
    compare,
    metered_by_day,
    part_up_to,
)
from apps.accounting.models import Reconciliation
from apps.accounting.queries import RECONCILIATION_PREFIX, ledger_extent, location_rates
from apps.core.filters import days_text
from apps.core.units import Int64Array
from apps.core.windows import Window, epoch_day, epoch_hour, from_epoch_day, midnight, month_number
from apps.organisations.models import Organisation
from apps.sites.measurements import queries as measurements
from apps.sites.models import SCOPE_2_CONTROL_CLASSES, Site, SiteMeasurement
from apps.telemetry.models import Boundary, DirtyHour

# What a site's accounts hold of each day. The difference that was booked is told apart: the telemetry is what was
# there before it. IT energy that was measured as such, and not worked out from a facility meter, is told apart too.
_BY_DAY = f"""
SELECT account.site_id, ledger.day,
       CAST(SUM(CASE WHEN source.booked = 1 THEN 0 ELSE facility_energy_milliwatt_hours END) AS bigint),
       CAST(SUM(CASE WHEN source.booked = 1 THEN facility_energy_milliwatt_hours ELSE 0 END) AS bigint),
       CAST(SUM(CASE WHEN account.boundary = {Boundary.FACILITY.value} THEN 0 ELSE it_energy_milliwatt_hours END)
            AS bigint)
FROM accounting_ledgerday ledger
JOIN accounting_account account ON account.id = ledger.account_id
JOIN (
    SELECT id, CASE WHEN SUBSTR(name, 1, {len(RECONCILIATION_PREFIX)}) = %s THEN 1 ELSE 0 END AS booked
    FROM telemetry_source WHERE organisation_id = %s
) source ON source.id = account.source_id
WHERE ledger.organisation_id = %s AND ledger.day >= %s AND ledger.day < %s AND account.site_id IS NOT NULL
GROUP BY account.site_id, ledger.day
"""  # noqa: S608 - only constants are put in; every value is a parameter


@dataclass(slots=True)
class SiteDays:
    """Energies [mWh] of one site by day, from ``first`` on; days are counted from the epoch.

    ``telemetry``: facility energy of all readings but what was booked; ``booked``: that; ``it``: IT energy of readings
    taken at the equipment (accelerator, host, node).
    """

    first: int
    telemetry: Int64Array
    booked: Int64Array
    it: Int64Array


def days_in_ledger(organisation_id: int, first: int, end: int) -> dict[int, SiteDays]:
    """What the accounts hold of the days ``[first, end)`` by site (primary key)."""

    def nothing() -> SiteDays:
        return SiteDays(first, *(np.zeros(end - first, dtype=np.int64) for _ in range(3)))

    found: dict[int, SiteDays] = defaultdict(nothing)
    with connection.cursor() as cursor:
        cursor.execute(_BY_DAY, [RECONCILIATION_PREFIX, organisation_id, organisation_id, first, end])
        for site, day, telemetry, booked, it in cursor.fetchall():
            days = found[site]
            days.telemetry[day - first], days.booked[day - first], days.it[day - first] = telemetry, booked, it
    return found


def readings_of(
    organisation_id: int, quantities: Sequence[str], first: int, end: int
) -> dict[tuple[int, str], list[MeterReading]]:
    """All readings of the sites' meters by (site, quantity).

    Those before ``first`` too: they say which meters a site has. Later ones are left out: they tell nothing of these
    days but that a meter was still there, which its being expected assumes.
    """
    rows = measurements.measurements(organisation_id).filter(quantity__in=quantities, start__lt=from_epoch_day(end))
    found: dict[tuple[int, str], list[MeterReading]] = defaultdict(list)
    for site, quantity, meter, start, stop, amount in rows.values_list(
        "site_id", "quantity", "meter", "start", "end", "amount"
    ):
        found[site, quantity].append(MeterReading(meter, epoch_day(start), epoch_day(stop), amount))
    return found


# --- Months -------------------------------------------------------------------------------------------------------


def month_text(month: int) -> str:
    """``2026-07`` of 202607."""
    return f"{month // 100}-{month % 100:02d}"


def parse_month(text: str) -> int:
    """202607 of ``2026-07``. Raises ``ValueError`` for anything else."""
    try:
        day = date.fromisoformat(f"{text}-01")
    except ValueError:
        raise ValueError(f"expected a month such as 2026-07, got {text!r}") from None
    if not 1990 <= day.year <= 2200:
        raise ValueError(f"expected a month between 1990 and 2200, got {text!r}")
    return month_number(day)


def month_days(month: int) -> tuple[date, date]:
    """The days ``[first, end)`` of a month number."""
    year, number = divmod(month, 100)
    return date(year, number, 1), date(year + number // 12, number % 12 + 1, 1)


def months_of(organisation: Organisation, window: Window) -> list[int]:
    """The months that a window touches, whole, in order, as far as there are readings of any kind."""
    first, last = extent(organisation)
    if first is None or last is None:
        return []
    months, day, end = [], max(window.start, first).date(), min(window.end, last)
    while midnight(day) < end:
        months.append(month_number(day))
        day = month_days(months[-1])[1]
    return months


@dataclass(frozen=True, slots=True)
class MonthRow:
    """One site's month. Energies in mWh."""

    site: Site
    month: int
    comparison: Comparison
    is_over: bool
    booking: Reconciliation | None
    telemetry_milliwatt_hours: int = 0  # of the whole month, metered days or not
    in_ledger_milliwatt_hours: int = 0  # what stands booked in the settled accounts
    missing: list[str] = field(default_factory=list)  # meters and the days that they lack, in words

    @property
    def label(self) -> str:
        return month_text(self.month)

    @property
    def name(self) -> str:
        return f"{month_days(self.month)[0]:%B %Y}"

    @property
    def wanted_milliwatt_hours(self) -> int | None:
        """What a booking would put into the accounts now; None where the month cannot be booked."""
        if not self.is_over or not self.comparison.is_fully_metered:
            return None
        return max(self.comparison.difference_milliwatt_hours or 0, 0)

    @property
    def is_booked(self) -> bool:
        return self.booking is not None and self.booking.booked_milliwatt_hours > 0

    @property
    def is_stale(self) -> bool:
        """Whether meter or telemetry changed since the booking, so that the total is no longer the meter's."""
        return self.booking is not None and self.booking.booked_milliwatt_hours != (self.wanted_milliwatt_hours or 0)

    @property
    def may_be_booked(self) -> bool:
        """Whether a booking would change anything."""
        wanted = self.wanted_milliwatt_hours
        if wanted is None:
            return False
        return wanted > 0 if self.booking is None else self.is_stale

    @property
    def total_milliwatt_hours(self) -> int:
        """Facility energy of the site's month in the settled accounts: telemetry and what was booked."""
        return self.telemetry_milliwatt_hours + self.in_ledger_milliwatt_hours


def month_rows(
    organisation: Organisation, months: Sequence[int], *, site: Site | None = None, now: datetime | None = None
) -> list[MonthRow]:
    """Every site of Scope 2 by month (latest first) and name; those without meter and without telemetry are left out.

    A public cloud has no meter that its customer reads, and no place here.
    """
    if not months:
        return []
    now = now or datetime.now(UTC)
    first, end = epoch_day(month_days(min(months))[0]), epoch_day(month_days(max(months))[1])
    quantity = SiteMeasurement.Quantity.FACILITY_ENERGY
    readings = readings_of(organisation.pk, [quantity], first, end)
    ledger = days_in_ledger(organisation.pk, first, end)
    bookings = {
        (row.site_id, row.month): row for row in Reconciliation.objects.of(organisation).filter(month__in=months)
    }
    rows = []
    sites = [site] if site else Site.objects.of(organisation).filter(control__in=SCOPE_2_CONTROL_CLASSES)
    for place in sites:
        own = readings[place.pk, quantity]
        metered, days = metered_by_day(own, first, end), ledger[place.pk]
        for month in months:
            start, stop = map(epoch_day, month_days(month))
            cut = slice(start - first, stop - first)
            booking = bookings.get((place.pk, month))
            comparison = compare(metered, days.telemetry, start, stop)
            is_silent = comparison.state == State.NO_METER and not comparison.telemetry_milliwatt_hours
            if is_silent and booking is None and site is None:
                continue
            rows.append(
                MonthRow(
                    site=place,
                    month=month,
                    comparison=comparison,
                    is_over=midnight(from_epoch_day(stop)) <= now,
                    booking=booking,
                    telemetry_milliwatt_hours=int(days.telemetry[cut].sum()),
                    in_ledger_milliwatt_hours=int(days.booked[cut].sum()),
                    missing=_missing(metered, start, stop) if comparison.metered_days else [],
                )
            )
    return sorted(rows, key=lambda row: (-row.month, row.site.name, row.site.pk))


def month_row(organisation: Organisation, site: Site, month: int, now: datetime | None = None) -> MonthRow:
    """One site's month, whatever is known of it."""
    return month_rows(organisation, [month], site=site, now=now)[0]


def _missing(metered: Metered, start: int, stop: int) -> list[str]:
    """Which meters lack which days of a month, in words."""
    cut = slice(start - metered.first, stop - metered.first)
    unclaimed = ~metered.complete[cut]
    texts = []
    for meter, gaps in sorted(metered.lacking.items()):
        unclaimed = unclaimed & ~gaps[cut]
        texts += [f"{f'meter {meter}' if meter else 'the meter'}: {days}" for days in _stretches(gaps[cut], start)]
    return [*texts, *(f"no meter: {days}" for days in _stretches(unclaimed, start))]


def _stretches(days: BoolArray, first: int) -> list[str]:
    """The days that are true, as people say them, in stretches."""
    numbers = np.flatnonzero(days)
    parts = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1) if len(numbers) else []
    return [days_text(from_epoch_day(first + part[0]), from_epoch_day(first + part[-1] + 1)) for part in parts]


@dataclass(frozen=True, slots=True)
class Part:
    """A reading behind a month and the energy [mWh] of its days in the month."""

    measurement: SiteMeasurement
    last_day: date
    milliwatt_hours: int
    is_whole: bool  # whether all its days lie in the month


@dataclass(frozen=True, slots=True)
class Behind:
    """What stands behind a site's month: readings, and what turned IT into facility energy.

    ``it_milliwatt_hours``: IT energy that was measured at the equipment. ``pues``: the PUE values [ppm] that held.
    ``implied_pue``: metered energy / that IT energy over the metered days, in full; None without either.
    """

    parts: list[Part]
    it_milliwatt_hours: int
    pues: list[int]
    implied_pue: Fraction | None


def behind(organisation: Organisation, site: Site, month: int) -> Behind:
    """What stands behind one site's month."""
    start, stop = month_days(month)
    first, end = epoch_day(start), epoch_day(stop)
    quantity = SiteMeasurement.Quantity.FACILITY_ENERGY
    rows = measurements.filtered(organisation, site=site.code, quantity=quantity, start=start, end=stop)
    parts = []
    for row in rows.order_by("meter", "start"):
        begin = epoch_day(row.start)
        edges = np.array([max(begin, first), min(epoch_day(row.end), end)]) - begin
        since, upto = part_up_to(row.amount, edges, (row.end - row.start).days).tolist()
        is_whole = start <= row.start and row.end <= stop
        parts.append(Part(row, measurements.last_day(row), upto - since, is_whole))
    metered = metered_by_day(readings_of(organisation.pk, [quantity], first, end)[site.pk, quantity], first, end)
    it = days_in_ledger(organisation.pk, first, end)[site.pk].it
    by_equipment = int(it[metered.complete].sum())
    window = Window(midnight(start), midnight(stop))
    return Behind(
        parts=parts,
        it_milliwatt_hours=int(it.sum()),
        pues=sorted({rate.pue_ppm for rate in location_rates(organisation.pk, window) if rate.site_id == site.pk}),
        implied_pue=Fraction(metered.total, by_equipment) if by_equipment and metered.days else None,
    )


# --- Whether the accounts are settled -------------------------------------------------------------------------------


def pending_hours(organisation_id: int, months: Sequence[int]) -> int:
    """Hours of these months whose readings are not in the ledger yet."""
    if not months:
        return 0
    first, end = month_days(min(months))[0], month_days(max(months))[1]
    rows = DirtyHour.objects.filter(
        organisation_id=organisation_id, hour__gte=epoch_hour(midnight(first)), hour__lt=epoch_hour(midnight(end))
    )
    return rows.values("hour").distinct().count()


def extent(organisation: Organisation | int) -> tuple[datetime | None, datetime | None]:
    """From the first to the end of the last day that has telemetry in the ledger or a meter reading."""
    organisation_id = organisation if isinstance(organisation, int) else organisation.pk
    ledger, meters = ledger_extent(organisation_id), measurements.extent(organisation_id)
    starts = [ledger.start] if ledger else []
    ends = [ledger.end] if ledger else []
    if meters:
        starts.append(midnight(meters[0]))
        ends.append(midnight(meters[1]))
    return min(starts, default=None), max(ends, default=None)
