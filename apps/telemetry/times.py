"""RFC 3339 times to milliseconds since the epoch, a column at a time.

Clients write their times in one form, so a column is nearly always texts of one length that end in ``Z`` or
``+00:00``. Such a column is parsed as a matrix of digits, at a tenth of the cost of a ``datetime`` per value; any
other column goes through msgspec's parser, value by value.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import numpy as np

from apps.core.windows import epoch_ms
from apps.telemetry.batch import Int64Array

AwareTime = Annotated[datetime, msgspec.Meta(tz=True)]
_DAYS_IN_MONTH = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_TEN = np.array([10, 1], dtype=np.int64)
_ZERO = 48  # the digit 0 in ASCII


def milliseconds(text: str) -> int:
    """Milliseconds since the epoch (rounded down) of one RFC 3339 time.

    Raises ``msgspec.ValidationError`` for anything else, also for a time without an offset.
    """
    return epoch_ms(msgspec.convert(text, AwareTime).astimezone(UTC))


def column_of_milliseconds(texts: Sequence[str]) -> Int64Array:
    """The same for a column. Raises ``msgspec.ValidationError`` when any value is no such time."""
    parsed = _matrix_of_digits(texts)
    if parsed is None:
        parsed = np.fromiter(map(milliseconds, texts), dtype=np.int64, count=len(texts))
    return parsed


def _matrix_of_digits(texts: Sequence[str]) -> Int64Array | None:
    """The column if it is in the common form, else ``None``; never a wrong time."""
    if not texts:
        return np.empty(0, dtype=np.int64)
    width, first = len(texts[0]), texts[0]
    suffix = next((s for s in ("Z", "+00:00") if first.endswith(s)), None)
    if suffix is None:
        return None
    fraction_digits = max(0, width - len(suffix) - 20)
    if width != 19 + len(suffix) + (fraction_digits + 1 if fraction_digits else 0) or fraction_digits > 6:
        return None
    try:
        joined = "".join(texts).encode("ascii")
    except UnicodeEncodeError:
        return None
    # Equal total length and the fixed signs in their places: no text is longer or shorter than another.
    if len(joined) != width * len(texts):
        return None
    matrix = np.frombuffer(joined, dtype=np.uint8).reshape(len(texts), width)
    pattern = "0000-00-00T00:00:00" + ("." + "0" * fraction_digits if fraction_digits else "") + suffix
    template = np.frombuffer(pattern.encode(), dtype=np.uint8)
    digits_at = template == _ZERO
    if suffix != "Z":
        digits_at[-5:] = False
    digits_at[-len(suffix) :] = False
    digits = matrix - np.uint8(_ZERO)
    if (matrix[:, ~digits_at] != template[~digits_at]).any() or (digits[:, digits_at] > 9).any():
        return None
    return _milliseconds_of(digits, fraction_digits)


def _milliseconds_of(digits: np.ndarray, fraction_digits: int) -> Int64Array | None:
    def number(at: int) -> Int64Array:
        return digits[:, at].astype(np.int64) * 10 + digits[:, at + 1]

    year = number(0) * 100 + number(2)
    month, day, hour, minute, second = number(5), number(8), number(11), number(14), number(17)
    in_range = (year >= 1) & (month >= 1) & (month <= 12) & (hour <= 23) & (minute <= 59) & (second <= 59) & (day >= 1)
    if not in_range.all():
        return None
    leap = (month == 2) & (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    if (day > _DAYS_IN_MONTH[month] + leap).any():
        return None
    # Days from the civil date, with the year begun in March so that the leap day is its last (proleptic Gregorian).
    shifted = year - (month <= 2)
    era = shifted // 400
    year_of_era = shifted - era * 400
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    days = era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468
    result = ((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000
    for place in range(min(fraction_digits, 3)):
        result += digits[:, 20 + place].astype(np.int64) * (100, 10, 1)[place]
    return result
