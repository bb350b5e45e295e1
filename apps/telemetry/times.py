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
import numpy.typing as npt

from apps.core.windows import DAY_MS, epoch_ms
from apps.telemetry.batch import Int64Array

AwareTime = Annotated[datetime, msgspec.Meta(tz=True)]
IntColumn = npt.NDArray[np.int32]
_ZERO = 48  # the digit 0 in ASCII
_LAST_SAFE_DAY = 28  # of every month


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
    if len(joined) != width * len(texts) or max(map(len, texts)) != width:  # together: every text has this length
        return None
    matrix = np.frombuffer(joined, dtype=np.uint8).reshape(len(texts), width)
    pattern = "0000-00-00T00:00:00" + ("." + "0" * fraction_digits if fraction_digits else "") + suffix
    least = np.frombuffer(pattern.encode(), dtype=np.uint8)
    most = np.frombuffer(pattern[: -len(suffix)].replace("0", "9").encode() + suffix.encode(), dtype=np.uint8)
    if (matrix < least).any() or (matrix > most).any():
        return None
    digits = np.ascontiguousarray(matrix.T).astype(np.int32) - _ZERO  # a row per place: every step runs along memory

    def number(at: int) -> IntColumn:
        return digits[at] * 10 + digits[at + 1]

    year = number(0) * 100 + number(2)
    month, day, hour, minute, second = (number(at) for at in (5, 8, 11, 14, 17))
    for value, fewest, highest in ((year, 1, 9999), (month, 1, 12), (day, 1, 31), (hour, 0, 23), (minute, 0, 59)):
        if value.min() < fewest or value.max() > highest:
            return None
    if second.max() > 59:
        return None
    months = ((year - 1970) * 12 + month - 1).astype(np.int64)
    first_days = _first_days(months)
    if (day > _LAST_SAFE_DAY).any() and (first_days + day > _first_days(months + 1)).any():
        return None
    result = (first_days + (day - 1)) * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000
    for place in range(min(fraction_digits, 3)):
        result += digits[20 + place] * (100, 10, 1)[place]
    return result


def _first_days(months: Int64Array) -> Int64Array:
    """Days since the epoch of the first of a month, given in months since the epoch."""
    return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
