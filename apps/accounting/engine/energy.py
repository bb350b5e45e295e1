"""Energy: from IT to facility energy, and from intervals to hours, losing nothing.

[1] ISO/IEC 30134-2: PUE = facility energy / IT energy, a ratio of sums over a period.
[2] GHG Protocol Scope 2 Guidance (2015), ch. 6: the activity figure is the electricity that the site consumed.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from apps.core.units import Int64Array
from apps.core.windows import HOUR_MS

BOUNDARY_IT = "it"
BOUNDARY_FACILITY = "facility"


def it_and_facility_energy(energy: Fraction, boundary: str, pue: Fraction) -> tuple[Fraction, Fraction]:
    """``(IT energy, facility energy)`` of a figure measured at ``boundary``, in its own unit, exact.

    [1]: an ``it`` figure is multiplied by PUE once; a ``facility`` figure contains the overhead already and is
    divided by PUE to give the IT part. Raises ``ValueError`` for a PUE below 1, which is an error in the data.
    """
    if pue < 1:
        raise ValueError(f"PUE is at least 1, got {float(pue):g}")
    if boundary == BOUNDARY_FACILITY:
        return energy / pue, energy
    if boundary == BOUNDARY_IT:
        return energy, energy * pue
    raise ValueError(f"boundary is {BOUNDARY_IT} or {BOUNDARY_FACILITY}, got {boundary!r}")


def split_over_hours(
    *, energy: Int64Array, start_ms: Int64Array, end_ms: Int64Array
) -> tuple[Int64Array, Int64Array, Int64Array, Int64Array]:
    """Spread intervals over UTC hours in proportion to time: ``(row, epoch_hour, energy, covered_ms)``.

    The part up to an hour's end is ``floor(energy x elapsed / duration)`` and an hour's part the difference of two
    such: parts are integers and add up to the energy exactly, wherever the interval is cut. Energy in any integer
    unit, 0 or more; times in milliseconds since the epoch, half-open, at most 31 days long so that no product leaves
    64 bits. One output row for each input row and hour touched, in order.
    """
    first = start_ms // HOUR_MS
    hours = -(-end_ms // HOUR_MS) - first
    row = np.repeat(np.arange(len(energy), dtype=np.int64), hours)
    before = np.cumsum(hours) - hours
    hour = first[row] + np.arange(len(row), dtype=np.int64) - before[row]
    begin = np.maximum(hour * HOUR_MS, start_ms[row])
    end = np.minimum((hour + 1) * HOUR_MS, end_ms[row])
    duration = end_ms - start_ms
    per_ms, rest = energy // duration, energy % duration

    def up_to(moment: Int64Array) -> Int64Array:
        elapsed = moment - start_ms[row]
        return per_ms[row] * elapsed + rest[row] * elapsed // duration[row]

    return row, hour, up_to(end) - up_to(begin), end - begin
