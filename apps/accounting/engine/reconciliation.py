"""Telemetry held against the meter: a site's metered days, what they leave unexplained, what may be booked.

[1] GHG Protocol Scope 2 Guidance (2015), ch. 6: the activity figure is the electricity that the site consumed, as the
    meter or the invoice says.
[2] IEC 62053-21: a meter of accuracy class 2 may be off by 2 %.

Days are counted from the epoch, energies are integers in milliwatt-hours; nothing is lost by apportioning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from apps.core.units import PPM, Int64Array

BoolArray = npt.NDArray[np.bool_]

TOLERANCE_PPM = 20_000  # portal policy: 2 % of the metered energy, the accuracy class of [2]


class State(StrEnum):
    """What the comparison of a month says; in the words of the pages and the API."""

    NO_METER = "no_meter"
    RECONCILED = "reconciled"
    DIFFERENCE = "difference"
    METER_BELOW_TELEMETRY = "meter_below_telemetry"


@dataclass(frozen=True, slots=True)
class MeterReading:
    """An amount over the whole days ``[first, end)`` of one meter; in any integer unit, 0 or more."""

    meter: str
    first: int
    end: int
    amount: int


@dataclass(frozen=True, slots=True)
class Metered:
    """What a site's meters say of each day from ``first`` on: amounts, whether all of them say it, and which do not."""

    first: int
    amount: Int64Array
    complete: BoolArray
    lacking: Mapping[str, BoolArray]  # by meter: the days on which it is expected and has no reading

    def __len__(self) -> int:
        return len(self.amount)

    @property
    def days(self) -> int:
        """Number of days on which every meter of the site has a reading."""
        return int(self.complete.sum())

    @property
    def total(self) -> int:
        """Sum over the complete days."""
        return int(self.amount[self.complete].sum())


def part_up_to(amount: int, elapsed: Int64Array, duration: int) -> Int64Array:
    """``floor(amount x elapsed / duration)`` without leaving 64 bits; the rule by which readings are cut everywhere."""
    whole, rest = divmod(amount, duration)
    return whole * elapsed + rest * elapsed // duration


def metered_by_day(readings: Sequence[MeterReading], first: int, end: int) -> Metered:
    """What readings say of the days ``[first, end)``, see :class:`Metered`.

    A reading is spread over its days in proportion to time: the part up to a day's end is
    ``floor(amount x elapsed / days)`` and a day's part the difference of two such, so that parts are integers and add
    up to the reading wherever it is cut. Meters of one site add up. A day is complete when a meter has it and no meter
    lacks it: a meter is expected from its first reading on, until one begins in whose stead it ended (on the very day
    its last reading ends). A connection that is shut without another in its place is told by a reading of 0.
    """
    amount = np.zeros(end - first, dtype=np.int64)
    complete = np.zeros(end - first, dtype=np.bool_)
    lacking: dict[str, BoolArray] = {}
    by_meter: dict[str, list[MeterReading]] = {}
    for reading in readings:
        by_meter.setdefault(reading.meter, []).append(reading)
    begins = {meter: min(reading.first for reading in own) for meter, own in by_meter.items()}
    for meter, own in by_meter.items():
        has = np.zeros(end - first, dtype=np.bool_)
        for reading in own:
            begin, stop = max(reading.first, first), min(reading.end, end)
            if begin >= stop:
                continue
            elapsed = np.arange(begin, stop + 1, dtype=np.int64) - reading.first
            parts = np.diff(part_up_to(reading.amount, elapsed, reading.end - reading.first))
            amount[begin - first : stop - first] += parts
            has[begin - first : stop - first] = True
        last = max(reading.end for reading in own)
        is_replaced = any(begins[other] == last for other in by_meter if other != meter)
        expected = np.zeros(end - first, dtype=np.bool_)
        expected[max(begins[meter] - first, 0) : max(last - first, 0) if is_replaced else None] = True
        complete |= has
        lacking[meter] = expected & ~has
    for gaps in lacking.values():
        complete &= ~gaps
    return Metered(first, amount, complete, lacking)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One site and period: meter against telemetry over the days that are metered in full, energies in mWh."""

    days: int
    metered_days: int
    metered_milliwatt_hours: int | None
    telemetry_milliwatt_hours: int
    state: State

    @property
    def is_fully_metered(self) -> bool:
        return 0 < self.days == self.metered_days

    @property
    def difference_milliwatt_hours(self) -> int | None:
        """Metered less telemetry: what the telemetry does not explain; negative where it says more than the meter."""
        if self.metered_milliwatt_hours is None:
            return None
        return self.metered_milliwatt_hours - self.telemetry_milliwatt_hours

    @property
    def measured_coverage(self) -> Fraction | None:
        """Telemetry / metered; None without a meter or with nothing metered."""
        if not self.metered_milliwatt_hours:
            return None
        return Fraction(self.telemetry_milliwatt_hours, self.metered_milliwatt_hours)


def compare(
    metered: Metered, telemetry_by_day: Int64Array, first: int, end: int, tolerance_ppm: int = TOLERANCE_PPM
) -> Comparison:
    """Hold the telemetry of the days ``[first, end)`` against the meter, see [1].

    Both are summed over the same days, those that are metered in full. ``telemetry_by_day``: facility energy [mWh] of
    each day of ``metered``, without what was booked. A difference within ``tolerance_ppm`` of the metered energy is
    what meters of an ordinary class may be off by, see [2].
    """
    cut = slice(first - metered.first, end - metered.first)
    complete = metered.complete[cut]
    days = int(complete.sum())
    if not days:
        return Comparison(end - first, 0, None, int(telemetry_by_day[cut].sum()), State.NO_METER)
    meter = int(metered.amount[cut][complete].sum())
    telemetry = int(telemetry_by_day[cut][complete].sum())
    if abs(meter - telemetry) * PPM <= meter * tolerance_ppm:
        state = State.RECONCILED
    else:
        state = State.DIFFERENCE if meter > telemetry else State.METER_BELOW_TELEMETRY
    return Comparison(end - first, days, meter, telemetry, state)


def booked_readings(difference_milliwatt_hours: int, hours: int) -> tuple[int, int]:
    """The two energies [mWh] that stand for a difference in a month of so many hours: of all hours but the last, and
    of the last.

    The ledger rounds every hour to the milliwatt-hour. The first part is the same whole number in each of its hours
    and the last hour takes the rest, so that the ledger's hours add up to the difference exactly, whatever it is.
    Raises ``ValueError`` for a negative difference.
    """
    if difference_milliwatt_hours < 0:
        raise ValueError(f"a difference that is booked is 0 or more, got {difference_milliwatt_hours} mWh")
    each = difference_milliwatt_hours // hours
    return each * (hours - 1), difference_milliwatt_hours - each * (hours - 1)
