"""What every format shares: the text of a file, its lines as columns, local times, exact energies, what is found."""

from __future__ import annotations

import csv
import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from apps.core.units import PPM, round_half_up
from apps.core.windows import epoch_ms
from apps.telemetry.batch import Int64Array, Naming, Place, RowError, SampleBatch, shown
from apps.telemetry.meters.batch import MeterBatch
from apps.telemetry.rules import MAX_AHEAD_MS, MAX_INTERVAL_MS, MAX_MEAN_POWER_W, iso

DOOR = "upload"
CHUNK = 50_000
_NOWHERE = Place()
MOST_JOULES = 1e16  # 2.8 TWh of one interval; what lies near 2^64 is a counter that went wrong
ENERGY_UNITS = {
    "J": Fraction(10**6, 3_600),
    "kJ": Fraction(10**9, 3_600),
    "mJ": Fraction(10**3, 3_600),
    "mWh": Fraction(10**3),
    "Wh": Fraction(10**6),
    "kWh": Fraction(10**9),
    "MWh": Fraction(10**12),
}
POWER_UNITS = {"mW": Fraction(1, 3_600), "W": Fraction(10, 36), "kW": Fraction(10**4, 36)}  # uWh in a millisecond


class FileRefusedError(ValueError):
    """The file as a whole cannot be taken in; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the sender says besides the file. ``zone``: of its local times; ``pue_ppm``: already in its energies."""

    zone: tzinfo
    zone_name: str
    now_ms: int
    is_zone_assumed: bool = False
    site: str | None = None
    team: str | None = None
    model: str | None = None
    kind: str | None = None
    source: str | None = None
    pue_ppm: int | None = None
    keep_overlaps: bool = False
    has_own_team: bool = False  # the key's team: what a file says of teams is no claim
    columns: dict[str, str] = field(default_factory=dict)  # of a generic file: what is read from which column
    # The intervals of runs less what is stored of them already.
    since_stored: Callable[[Sequence[Interval], Found], list[Interval]] = lambda intervals, found: list(intervals)

    def naming(self, source: str, **said: Any) -> Naming:
        """A naming with what the sender says where the file does not."""
        named = {"site": self.site, "team": self.team, "model": self.model, "kind": self.kind}
        words = named | {name: value for name, value in said.items() if value is not None}
        if self.team is not None or self.has_own_team:
            words["team"] = self.team
        return Naming(source=source[:200], **words)


@dataclass(frozen=True, slots=True)
class Declared:
    """CO2 as the client worked it out itself."""

    source: str
    run: str
    start_ms: int
    at_ms: int
    emissions_mg: int
    energy_microwatt_hours: int
    said: dict[str, Any]


@dataclass(slots=True)
class Interval:
    """Energy of one source over one interval, and the line of the file that says it."""

    line: int
    start_ms: int
    end_ms: int
    energy_microwatt_hours: int
    naming: Naming
    external_id: str = ""
    device: Place = _NOWHERE
    is_known_by_start: bool = False  # the file has no id for it: when it began tells it from others


@dataclass(slots=True)
class Found:
    """What a format module finds in a file. ``errors`` carry line numbers, from 1."""

    lines: int = 0
    entries: int = 0  # runs, jobs, windows or readings
    ignored: int = 0
    duplicates: int = 0  # runs that are stored already
    errors: list[RowError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    overlaps: list[dict[str, Any]] = field(default_factory=list)
    declared: list[Declared] = field(default_factory=list)

    def fault(self, line: int, name: str, got: Any, expected: str) -> None:
        self.errors.append(RowError(line, name, shown(got), expected))

    def take_errors(self) -> list[RowError]:
        """The errors since the last batch, to go with the next one."""
        taken, self.errors = self.errors, []
        return taken


Batches = Iterator[SampleBatch | MeterBatch]


def text_of(body: bytes) -> str:
    """The text of a file: UTF-8 with or without mark, UTF-16 with a mark, else Latin-1.

    Raises :class:`FileRefusedError` for an empty file and for one that is no text.
    """
    if not body.strip():
        raise FileRefusedError("The file is empty.")
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = body.decode("utf-16", "replace")
    else:
        if b"\0" in body[:65_536]:
            raise FileRefusedError("This is no text file. Upload the CSV or JSON itself, not a workbook or an archive.")
        try:
            text = body.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = body.decode("latin-1")
    control = sum(character < " " and character not in "\t\r\n\f" for character in text[:4_096])
    if control > 16:
        raise FileRefusedError("This is no text file. Upload the CSV or JSON itself, not a workbook or an archive.")
    return text


def delimiter_of(header: str) -> str:
    """What separates the columns of a header line: the one of comma, semicolon, tab and bar that stands most often."""
    return max(",;\t|", key=lambda mark: (header.count(mark), mark == ","))


def header_of(text: str) -> list[str]:
    """The names in the first line that says something, stripped."""
    first = next((line for line in text[:65_536].splitlines() if line.strip()), "")
    return [name.strip() for name in next(csv.reader([first], delimiter=delimiter_of(first)), [])]


@dataclass(slots=True)
class Block:
    """Some lines of a file as columns. ``line``: the line of the file that each row begins in."""

    header: list[str]
    line: Int64Array
    columns: list[tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.line)

    def get(self, name: str) -> tuple[str, ...] | None:
        """A column by its name, whatever its case; none if the file has no such column."""
        wanted = name.casefold()
        for i, found in enumerate(self.header):
            if found.casefold() == wanted:
                return self.columns[i]
        return None

    def rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Line number and values by the name of their column in lower case, for formats with few rows."""
        names = [name.casefold() for name in self.header]
        for line, *values in zip(self.line.tolist(), *self.columns, strict=True):
            yield line, dict(zip(names, (value.strip() for value in values), strict=True))


def blocks(text: str, found: Found, size: int = CHUNK) -> Iterator[Block]:
    """The rows of a CSV file below its header in blocks; rows with too many or too few values are errors.

    Raises :class:`FileRefusedError` for a file without rows.
    """
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if line.strip()), len(lines))
    if start == len(lines):
        raise FileRefusedError("The file is empty.")
    delimiter = delimiter_of(lines[start])
    header = [name.strip() for name in next(csv.reader([lines[start]], delimiter=delimiter))]
    found.lines = len(lines)
    # With quotes, a value may run over several lines; then the reader's own count is needed of every row.
    quoted = '"' in text
    reader = csv.reader(lines[start + 1 :], delimiter=delimiter, skipinitialspace=True)
    at, any_row = start + 1, False
    while True:
        rows: list[list[str]] = []
        numbers: list[int] = []
        try:
            for row in reader:
                numbers.append(at + 1)
                rows.append(row)
                at = start + 1 + reader.line_num if quoted else at + 1
                if len(rows) == size:
                    break
        except csv.Error as fault:
            raise FileRefusedError(f"Line {at + 1} cannot be read as CSV: {fault}.") from None
        if not rows:
            break
        block = _block(header, rows, numbers, found)
        if len(block):
            any_row = True
            yield block
    if not any_row and not found.errors:
        raise FileRefusedError("The file has a header and no rows: nothing was recorded.")


def _block(header: list[str], rows: list[list[str]], numbers: list[int], found: Found) -> Block:
    width = len(header)
    widths = np.fromiter(map(len, rows), np.int64, len(rows))
    line = np.array(numbers, np.int64)
    if (widths != width).any():
        for i in np.flatnonzero(widths != width).tolist():
            row = rows[i]
            if not any(value.strip() for value in row) or [value.strip() for value in row] == header:
                continue
            if len(row) == width + 1 and not row[-1].strip():
                rows[i], widths[i] = row[:-1], width  # a delimiter at the end of the line
                continue
            found.fault(numbers[i], "", ",".join(row), f"{width} values as in the header, got {len(row)}")
        kept = np.flatnonzero(widths == width).tolist()
        rows, line = [rows[i] for i in kept], line[kept]
    return Block(header, line, list(zip(*rows, strict=True)) if rows else [() for _ in header])


def zone_of(name: str) -> tzinfo:
    """A time zone by its IANA name or as an offset such as ``+02:00``. Raises ``ValueError`` for anything else."""
    text = name.strip().replace("−", "-")
    if text.upper() in ("UTC", "Z"):
        return UTC
    if text[:1] in "+- " and text:
        digits = text.strip().lstrip("+-").replace(":", "")
        if digits.isascii() and digits.isdigit() and len(digits) in (1, 2, 4):
            hours, minutes = (int(digits[:2]), int(digits[2:])) if len(digits) == 4 else (int(digits), 0)
            if hours <= 14 and minutes < 60:
                offset = timedelta(hours=hours, minutes=minutes)
                return timezone(-offset if text.startswith("-") else offset)
    else:
        try:
            return ZoneInfo(text)
        except (KeyError, ValueError, OSError):
            pass
    raise ValueError("a time zone such as Europe/Berlin, or an offset such as +02:00")


def moment_ms(text: str, given: Given) -> int:
    """Milliseconds since the epoch of a time: with its offset, or local to the file's zone. Raises ``ValueError``.

    A local time that the clock skipped in spring is refused; of one that it showed twice the first is meant.
    """
    moment = datetime.fromisoformat(text.strip().replace("/", "-"))
    if moment.tzinfo is not None:
        return epoch_ms(moment.astimezone(UTC))
    local = moment.replace(tzinfo=given.zone)
    back = local.astimezone(UTC).astimezone(given.zone)
    if back.replace(tzinfo=None) != moment:
        raise ValueError(f"a time that exists in {given.zone_name}")
    return epoch_ms(local.astimezone(UTC))


def number(text: str, *, most: float = math.inf) -> Decimal:
    """A finite number of 0 or more. Raises ``ValueError`` that says what is expected."""
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        raise ValueError("a number") from None
    if not value.is_finite() or value < 0:
        raise ValueError("a finite number of 0 or more")
    if value > most:
        raise ValueError(f"at most {most:g}: beyond it the counter is not to be believed")
    return value


def microwatt_hours(value: Decimal | Fraction, unit: str, pue_ppm: int = PPM) -> int:
    """Energy in whole microwatt-hours [uWh] as the decimal notation says, the client's PUE divided out again."""
    return round_half_up(Fraction(value) * ENERGY_UNITS[unit] * PPM / pue_ppm)


def pieces(interval: Interval) -> list[Interval]:
    """An interval cut into parts of at most 31 days, with energies that add up to its own."""
    length = interval.end_ms - interval.start_ms
    count = max(1, -(-length // MAX_INTERVAL_MS))
    if count == 1:
        return [interval]
    cuts = [interval.start_ms + length * i // count for i in range(count + 1)]
    energy = interval.energy_microwatt_hours
    parts = []
    for i in range(count):
        before, after = (energy * (cut - interval.start_ms) // length for cut in (cuts[i], cuts[i + 1]))
        parts.append(replace(interval, start_ms=cuts[i], end_ms=cuts[i + 1], energy_microwatt_hours=after - before))
    return parts


def is_sound(interval: Interval, given: Given, found: Found) -> bool:
    """Whether an interval can be stored; if not, an error says why."""
    start_ms, end_ms = interval.start_ms, interval.end_ms
    if end_ms <= start_ms:
        found.fault(interval.line, "end", iso(end_ms), f"a time after the start, {iso(start_ms)}")
    elif start_ms < 0:
        found.fault(interval.line, "start", start_ms, "a time in 1970 or later")
    elif end_ms > given.now_ms + MAX_AHEAD_MS:
        zone = f"; check the time zone, taken as {given.zone_name}"
        found.fault(interval.line, "end", iso(end_ms), f"a time at most 10 minutes in the future{zone}")
    elif interval.energy_microwatt_hours * 3.6 / (end_ms - start_ms) > MAX_MEAN_POWER_W:
        got = f"{interval.energy_microwatt_hours / 1e6:.6g} Wh"
        found.fault(interval.line, "energy", got, f"a mean power of at most {MAX_MEAN_POWER_W / 1e6:.0f} MW")
    else:
        return True
    return False


def overlaps_of(intervals: Sequence[Interval], most: int = 200) -> list[dict[str, Any]]:
    """Pairs of intervals that run at the same time though they name no host: summed, and shown to a person."""
    flagged: list[dict[str, Any]] = []
    open_one: Interval | None = None
    for interval in sorted(intervals, key=lambda one: (one.start_ms, -one.end_ms)):
        if open_one is not None and interval.start_ms < open_one.end_ms and len(flagged) < most:
            common = min(interval.end_ms, open_one.end_ms) - interval.start_ms
            flagged.append({"lines": [open_one.line, interval.line], "seconds": round(common / 1000)})
        if open_one is None or interval.end_ms > open_one.end_ms:
            open_one = interval
    return flagged


def sample_batches(intervals: Iterable[Interval], given: Given, found: Found) -> Iterator[SampleBatch]:
    """The sound intervals in batches; two that would be one reading are told apart by the name of their source."""
    rows: list[Interval] = []
    taken: dict[tuple[str, int, int], str] = {}
    for interval in intervals:
        if not is_sound(interval, given, found):
            continue
        for part in pieces(interval):
            key = (part.naming.source, part.start_ms, part.end_ms)
            if taken.setdefault(key, part.external_id) != part.external_id:
                own = f"{part.naming.source[:150]} #{part.external_id[:48]}"
                part.naming = part.naming._replace(source=own)
            rows.append(part)
    found.entries += len(rows)
    for at in range(0, max(len(rows), 1), CHUNK):
        yield _samples(rows[at : at + CHUNK], found)


def _samples(rows: list[Interval], found: Found) -> SampleBatch:
    codes: dict[Naming, int] = {}
    naming_codes = np.array([codes.setdefault(row.naming, len(codes)) for row in rows], np.int64)

    def column(values: Iterable[int]) -> Int64Array:
        return np.fromiter(values, np.int64, len(rows))

    return SampleBatch(
        protocol=DOOR,
        index=column(row.line for row in rows),
        start_ms=column(row.start_ms for row in rows),
        end_ms=column(row.end_ms for row in rows),
        energy_microwatt_hours=column(row.energy_microwatt_hours for row in rows),
        naming_codes=naming_codes,
        namings=list(codes),
        external_ids=[row.external_id[:200] or None for row in rows],
        places={row.naming.source: row.device for row in rows},
        errors=found.take_errors(),
    )


def usual_interval_s(at_ms: Int64Array) -> int:
    """The time between readings that is usual [s], at least 1."""
    steps = np.diff(np.unique(at_ms[:10_000]))
    return max(1, round(statistics.median(steps.tolist()) / 1000)) if len(steps) else 60
