"""What a reading must be, whatever protocol it came by: rules on whole columns, and exact energies.

A protocol module hands in the columns as they were said; what comes back is the batch of the valid rows, with an
error for each of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from apps.core.units import round_half_up
from apps.core.windows import DAY_MS, from_epoch_ms
from apps.telemetry.batch import BoolArray, Float64Array, Int64Array, RowError, SampleBatch, shown

MAX_INTERVAL_MS = 31 * DAY_MS
MAX_AHEAD_MS = 10 * 60 * 1000
# The largest mean power one reading may claim [W]. No single metered feed carries more (a 110 kV feeder ends near
# there; larger sites are fed, and metered, by several), and a reading in the wrong unit (mWh or J for Wh) goes past it.
MAX_MEAN_POWER_W = 100e6
MILLISECONDS_PER_HOUR = 3_600_000
# Sources that the portal itself writes: the booked difference between a site's meter and its telemetry.
RESERVED_PREFIX = "meter/"
# And the estimates that stand in for a source where an officer filled a gap.
RESERVED_SUFFIX = " (gap filled)"
# Beyond this, one unit in the last place of a double is no longer small against half a microwatt-hour.
EXACT_ABOVE = 1e13


def iso(milliseconds: int) -> str:
    """A time as errors and answers write it: RFC 3339, UTC, milliseconds only where there are any."""
    moment = from_epoch_ms(milliseconds)
    text = moment.isoformat(timespec="milliseconds" if milliseconds % 1000 else "seconds")
    return text.replace("+00:00", "Z")


def energy_from_wh(energy_wh: Float64Array) -> Int64Array:
    """Microwatt-hours [uWh] of energies in watt-hours, as their decimal notation says, rounded half up."""
    return _rounded(
        energy_wh * 1e6,
        lambda i: int((Decimal(repr(float(energy_wh[i]))) * 1_000_000).quantize(Decimal(1), rounding=ROUND_HALF_UP)),
    )


def energy_from_power(power_w: Float64Array, interval_ms: Int64Array) -> Int64Array:
    """Microwatt-hours [uWh] of a mean power [W] over an interval [ms]: W x ms / 3.6, rounded half up."""
    return _rounded(
        power_w * interval_ms / 3.6,
        lambda i: round_half_up(Fraction(repr(float(power_w[i]))) * int(interval_ms[i]) * 10 / 36),
    )


def _rounded(values: Float64Array, exactly: Callable[[int], int]) -> Int64Array:
    """Half-up integers of 0 or more; values too near a half for a double are done again exactly, one by one."""
    floor = np.floor(values)
    fraction = values - floor
    result = floor.astype(np.int64) + (fraction >= 0.5)
    doubtful = (np.abs(fraction - 0.5) <= values * 1e-15 + 1e-12) | (values >= EXACT_ABOVE)
    # A fraction a hair below 1 or above 0 rounds to the same integer either way.
    for i in np.flatnonzero(doubtful).tolist():
        result[i] = exactly(i)
    return result


def checked(
    *,
    protocol: str,
    now_ms: int,
    index: Int64Array,
    start_ms: Int64Array,
    end_ms: Int64Array,
    energy_wh: Float64Array,
    power_w: Float64Array,
    naming_codes: Int64Array,
    namings: Sequence[tuple[Any, ...]],
    errors: list[RowError],
    tokens: Int64Array | None = None,
    requests: Int64Array | None = None,
    samples: Int64Array | None = None,
    milli_epochs: Int64Array | None = None,
    external_ids: list[str | None] | None = None,
    tags: list[dict[str, Any] | None] | None = None,
) -> SampleBatch:
    """The batch of the valid rows. ``energy_wh`` [Wh] and ``power_w`` [W] hold NaN where a row does not say it."""
    interval = end_ms - start_ms
    no_energy, no_power = np.isnan(energy_wh), np.isnan(power_w)
    by_power = no_energy & ~no_power
    given = np.where(by_power, power_w, energy_wh)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        mean_power = np.where(by_power, power_w, energy_wh * MILLISECONDS_PER_HOUR / interval)
    latest = now_ms + MAX_AHEAD_MS
    valid = (
        (interval > 0)
        & (interval <= MAX_INTERVAL_MS)
        & (start_ms >= 0)
        & (end_ms <= latest)
        & (no_energy ^ no_power)
        & (given >= 0)
        & (mean_power <= MAX_MEAN_POWER_W)
    )
    reserved = [code for code, (name, *_) in enumerate(namings) if is_reserved(name)]
    if reserved:
        valid &= ~np.isin(naming_codes, reserved)
    everything_valid = bool(valid.all())
    if not everything_valid:
        _name_errors(
            errors, valid, latest, index, start_ms, end_ms, energy_wh, power_w, no_energy, no_power, mean_power
        )
        _name_reserved(errors, index, naming_codes, namings, reserved)
        interval, by_power = interval[valid], by_power[valid]
    batch = SampleBatch(
        protocol=protocol,
        index=index,
        start_ms=start_ms,
        end_ms=end_ms,
        energy_microwatt_hours=start_ms,  # replaced below, once only valid rows are left
        naming_codes=naming_codes,
        namings=namings,
        tokens=tokens,
        requests=requests,
        samples=samples,
        milli_epochs=milli_epochs,
        external_ids=external_ids,
        tags=tags,
        errors=errors,
    )
    if not everything_valid:
        batch = batch.take(valid)
        energy_wh, power_w = energy_wh[valid], power_w[valid]
    if not by_power.any():
        batch.energy_microwatt_hours = energy_from_wh(energy_wh)
    elif by_power.all():
        batch.energy_microwatt_hours = energy_from_power(power_w, interval)
    else:
        energy = np.empty(len(batch), dtype=np.int64)
        energy[~by_power] = energy_from_wh(energy_wh[~by_power])
        energy[by_power] = energy_from_power(power_w[by_power], interval[by_power])
        batch.energy_microwatt_hours = energy
    return batch


def is_reserved(source: str) -> bool:
    """Whether only the portal itself writes readings of a source of this name."""
    name = source.strip().casefold()
    return name.startswith(RESERVED_PREFIX) or name.endswith(RESERVED_SUFFIX)


def _name_reserved(
    errors: list[RowError],
    index: Int64Array,
    naming_codes: Int64Array,
    namings: Sequence[tuple[Any, ...]],
    reserved: list[int],
) -> None:
    """Append an error for every row whose source only the portal may write."""
    for i in np.flatnonzero(np.isin(naming_codes, reserved)).tolist() if reserved else ():
        name = namings[int(naming_codes[i])][0]
        expected = f"another name: {RESERVED_PREFIX}… stands for what the portal books from a site's own meter"
        if not name.strip().casefold().startswith(RESERVED_PREFIX):
            expected = f"another name: …{RESERVED_SUFFIX} stands for estimates that an officer decided on"
        errors.append(RowError(int(index[i]), "source", shown(name), expected))


def _name_errors(
    errors: list[RowError],
    valid: BoolArray,
    latest_ms: int,
    index: Int64Array,
    start_ms: Int64Array,
    end_ms: Int64Array,
    energy_wh: Float64Array,
    power_w: Float64Array,
    no_energy: BoolArray,
    no_power: BoolArray,
    mean_power: Float64Array,
) -> None:
    """Append every fault of every row that is not valid."""
    for i in np.flatnonzero(~valid).tolist():
        row, start, end = int(index[i]), int(start_ms[i]), int(end_ms[i])

        def fault(field: str, got: Any, expected: str, row: int = row) -> None:
            errors.append(RowError(row, field, shown(got), expected))

        if start < 0:
            fault("start", iso(start), "a time in 1970 or later: hours are counted from 1970-01-01T00:00:00Z")
        if end <= start:
            fault("end", iso(end), f"a time at least one millisecond after start ({iso(start)})")
        elif end - start > MAX_INTERVAL_MS:
            fault("end", iso(end), f"at most 31 days after start ({iso(start)}); split longer intervals")
        if end > latest_ms:
            field, got = ("start", start) if start > latest_ms else ("end", end)
            fault(field, iso(got), "a time at most 10 minutes in the future; check the clock and the offset")
        if no_energy[i] and no_power[i]:
            fault("energy_wh", None, "a number of 0 or more; or power_w instead, the mean power")
        elif not no_energy[i] and not no_power[i]:
            fault("power_w", float(power_w[i]), "either energy_wh or power_w, not both")
        else:
            field, value = ("power_w", power_w[i]) if no_energy[i] else ("energy_wh", energy_wh[i])
            if not value >= 0 or value == np.inf:
                fault(field, float(value), "a finite number of 0 or more")
            elif end > start and not mean_power[i] <= MAX_MEAN_POWER_W:
                fault(
                    field,
                    float(value),
                    f"a mean power of at most {MAX_MEAN_POWER_W / 1e6:.0f} MW; check the unit (Wh, W)",
                )
