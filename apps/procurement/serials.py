"""Serial ranges as the database compares them.

Two lots of one tracking system claim the same generation when their ranges have the same prefix and their numbers
overlap. The triggers of migration ``0003_serials_claimed_once`` refuse the second one, whoever writes it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DIGITS = 40  # of a number in the database; a longer one keeps its leading digits in the prefix


@dataclass(frozen=True, slots=True)
class SerialRange:
    """``first`` and ``last`` as 40 digits with leading zeros; both empty where the serial is no number."""

    prefix: str = ""
    first: str = ""
    last: str = ""


def serial_range(start: str, end: str = "") -> SerialRange:
    """The range from the serial ``start`` to ``end`` (empty: one serial), such as ``GO-2026-000001``.

    Capitals and small letters are the same, and so are numbers with and without leading zeros. Raises ``ValueError``
    for two texts that do not bound a range.
    """
    if not start:
        return SerialRange()
    last = end or start
    if start.casefold() == last.casefold() and not re.search(r"[0-9]$", start):
        return SerialRange(prefix=start.casefold())
    prefix, first_number = _parts(start)
    last_prefix, last_number = _parts(last)
    if not first_number or not last_number or prefix != last_prefix:
        raise ValueError(f"{start} and {end} do not begin alike and end in a number")
    if last_number < first_number:
        raise ValueError(f"{end} comes before {start}")
    return SerialRange(prefix, first_number, last_number)


def _parts(serial: str) -> tuple[str, str]:
    """What stands before the number at the end, and that number as 40 digits; without one, all of it and nothing."""
    match = re.fullmatch(r"(.*?)0*([0-9]+)", serial.casefold(), re.DOTALL)
    if match is None:
        return serial.casefold(), ""
    prefix, digits = match[1], match[2]
    return prefix + digits[:-DIGITS], digits[-DIGITS:].zfill(DIGITS)
