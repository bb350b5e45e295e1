"""Time: UTC, half-open intervals ``[start, end)``, hours and days counted from the epoch.

The ledger stores an hour as the number of whole hours since 1970-01-01T00:00Z (``epoch_hour``), a day likewise, and a
month as the number ``yyyymm``: plain integers that both databases compare, group and range-scan at full speed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR_MS = 3_600_000
DAY_MS = 86_400_000


def midnight(day: date) -> datetime:
    """00:00 UTC of a day."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def epoch_ms(moment: datetime) -> int:
    """Whole milliseconds since the epoch (rounded down)."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def from_epoch_ms(milliseconds: int) -> datetime:
    return EPOCH + timedelta(milliseconds=int(milliseconds))


def epoch_hour(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(hours=1)


def from_epoch_hour(hour: int) -> datetime:
    return EPOCH + timedelta(hours=int(hour))


def epoch_day(day: date) -> int:
    return day.toordinal() - EPOCH.toordinal()


def from_epoch_day(day: int) -> date:
    return date.fromordinal(EPOCH.toordinal() + int(day))


def month_number(day: date) -> int:
    """202607 for any day of July 2026."""
    return day.year * 100 + day.month


def _hour_at_or_after(moment: datetime) -> int:
    return -((EPOCH - moment) // timedelta(hours=1))


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open interval of time, both ends aware and in UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("a window needs aware times")
        if self.end <= self.start:
            raise ValueError("the end must lie after the start")

    # An hour of the ledger is not divided: it belongs to the window in which it begins, so that windows which adjoin
    # count every hour once, wherever they meet.

    @property
    def first_hour(self) -> int:
        """The first hour that begins in the window (or the one after it, if none does)."""
        return _hour_at_or_after(self.start)

    @property
    def end_hour(self) -> int:
        """The first hour that begins after the window."""
        return _hour_at_or_after(self.end)

    @property
    def is_whole_days(self) -> bool:
        return self.start == midnight(self.start.date()) and self.end == midnight(self.end.date())


@dataclass(frozen=True, slots=True, order=True)
class Quarter:
    """A calendar quarter, written ``2026-Q3``."""

    year: int
    number: int

    @classmethod
    def parse(cls, text: str) -> Quarter:
        """Raises ``ValueError`` for anything but ``yyyy-Qn``."""
        match = re.fullmatch(r"(\d{4})-Q([1-4])", text)
        if not match:
            raise ValueError(f"expected a quarter such as 2026-Q3, got {text!r}")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def of(cls, day: date) -> Quarter:
        return cls(day.year, (day.month + 2) // 3)

    @classmethod
    def of_month(cls, month: int) -> Quarter:
        """The quarter of a month number such as 202607."""
        return cls(month // 100, (month % 100 + 2) // 3)

    @property
    def first_day(self) -> date:
        return date(self.year, 3 * self.number - 2, 1)

    @property
    def window(self) -> Window:
        return Window(midnight(self.first_day), midnight(self.next().first_day))

    def next(self) -> Quarter:
        return Quarter(self.year + self.number // 4, self.number % 4 + 1)

    def previous(self) -> Quarter:
        return Quarter(self.year - (self.number == 1), (self.number + 2) % 4 + 1)

    def __str__(self) -> str:
        return f"{self.year}-Q{self.number}"
