"""Reading a factor dataset from a CSV file: a heading of ``# key: value`` lines, then one row per zone and year.

The schema is documented in ``docs/methodology/factors.md``. Reading never touches the database; every fault is
collected, so that a file is mended in one go.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from apps.factors.models import FactorDataset

KG_PER_LB = Decimal("0.45359237")  # exact, by the international yard and pound agreement
HIGHEST_KG_PER_MWH = 2_000
# A file whose largest factor is below this holds kg/kWh or t/MWh in a kg/MWh column.
LOWEST_MAXIMUM_KG_PER_MWH = 2
ROWS_TO_JUDGE_UNITS = 3
PLACES = Decimal("1e-11")
ABSENT = "none"

REQUIRED_KEYS = ("slug", "edition", "publisher", "title", "boundary", "licence")
OPTIONAL_KEYS = ("kind", "basis", "gwp_set", "source_url", "retrieved_via", "rank")
LONGEST = {"edition": 40, "slug": 80, "publisher": 120, "licence": 200, "basis": 200}
QUANTITIES = ("co2e", "co2", "ch4", "n2o")
VALUE_COLUMNS = {f"{gas}_{unit}_per_mwh": (gas, unit) for gas in QUANTITIES for unit in ("kg", "lb")}
REQUIRED_COLUMNS = ("zone", "data_year")
TEXT_COLUMNS = ("quality", "note")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a file, where, and what would be right."""

    row: int
    column: str
    got: str
    expected: str

    def __str__(self) -> str:
        return f"row {self.row}, column {self.column}: got {self.got!r}, expected {self.expected}"


class FactorFileError(ValueError):
    """A file that cannot be imported; nothing was changed."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = list(faults)


@dataclass(frozen=True, slots=True)
class FactorRow:
    """One zone and year; values in kg of the gas per MWh, all empty for a stated absence."""

    zone: str
    data_year: int
    values: dict[str, Decimal | None]
    quality: str = ""
    note: str = ""

    @property
    def is_absence(self) -> bool:
        return all(value is None for value in self.values.values())


@dataclass(frozen=True, slots=True)
class ParsedDataset:
    """A file as read: the dataset's own fields and its rows, each with its line in the file."""

    fields: dict[str, str | int]
    rows: list[tuple[int, FactorRow]] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """SHA-256 of the content in canonical form: the same for the same facts, however they are laid out."""
        rows = sorted(
            [
                row.zone,
                row.data_year,
                {k: str(v) for k, v in row.values.items() if v is not None},
                row.quality,
                row.note,
            ]
            for _, row in self.rows
        )
        text = json.dumps([self.fields, rows], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


def _texts(values: dict[str, Decimal | None]) -> dict[str, str]:
    return {gas: format(value, "f") for gas, value in values.items() if value is not None}


def read_factor_file(content: bytes, *, kind: str, zones: frozenset[str]) -> ParsedDataset:
    """The dataset in a file. ``kind`` is that of the command; ``zones`` are the codes that are known.

    Raises :class:`FactorFileError` with every fault found, row numbers counted as an editor shows them.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FactorFileError([Fault(1, "-", f"byte {error.start} is not UTF-8", "a UTF-8 text file")]) from None
    heading, columns, records = _split(text)
    faults: list[Fault] = []
    fields = _dataset_fields(heading, kind, faults)
    units = _value_columns(columns, records, faults)
    rows: list[tuple[int, FactorRow]] = []
    if units is not None:
        line_of: dict[tuple[str, int], int] = {}
        for line, record in records:
            row = _row(line, dict(zip(columns, record, strict=False)), units, kind, zones, faults)
            if row is None:
                continue
            first = line_of.setdefault((row.zone, row.data_year), line)
            if first != line:
                faults.append(Fault(line, "zone", f"{row.zone} {row.data_year}", f"once; it stands in row {first}"))
            rows.append((line, row))
        _check_units(rows, faults)
        if not records:
            faults.append(Fault(1, "zone", "no rows", "at least one factor"))
    if faults:
        raise FactorFileError(sorted(faults, key=lambda fault: fault.row))
    return ParsedDataset(fields, rows)


def _split(text: str) -> tuple[dict[str, tuple[int, str]], list[str], list[tuple[int, list[str]]]]:
    """Heading values with their lines, the column names, and the data rows with their lines."""
    reader = csv.reader(io.StringIO(text, newline=""))
    heading: dict[str, tuple[int, str]] = {}
    columns: list[str] = []
    records: list[tuple[int, list[str]]] = []
    for cells in reader:
        line = reader.line_num
        if not any(cell.strip() for cell in cells):
            continue
        if not columns and cells[0].lstrip().startswith("#"):
            # A spreadsheet pads heading lines with empty cells and splits them at commas.
            key, _, value = ",".join(cells).rstrip(",").lstrip("# ").partition(":")
            heading[key.strip().lower()] = (line, value.strip())
        elif not columns:
            columns = [cell.strip() for cell in cells]
        else:
            records.append((line, [cell.strip() for cell in cells]))
    return heading, columns, records


def _dataset_fields(heading: dict[str, tuple[int, str]], kind: str, faults: list[Fault]) -> dict[str, str | int]:
    for key, (line, _) in heading.items():
        if key not in REQUIRED_KEYS + OPTIONAL_KEYS:
            faults.append(Fault(line, "-", f"# {key}", f"one of {', '.join(REQUIRED_KEYS + OPTIONAL_KEYS)}"))
    for key in REQUIRED_KEYS:
        if not heading.get(key, (0, ""))[1]:
            faults.append(Fault(1, "-", "no such line", f"a heading line `# {key}: ...`"))

    def text(key: str, default: str = "") -> str:
        return heading.get(key, (0, default))[1]

    def check(key: str, value: str, allowed: Sequence[str]) -> None:
        if value and value not in allowed:
            faults.append(Fault(heading[key][0], "-", f"# {key}: {value}", f"{key} as one of {', '.join(allowed)}"))

    check("boundary", text("boundary"), FactorDataset.Boundary.values)
    check("kind", text("kind"), [kind])
    check("gwp_set", text("gwp_set"), ["AR4", "AR5", "AR6"])
    if text("slug") and not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", text("slug")):
        faults.append(Fault(heading["slug"][0], "-", text("slug"), "small letters, digits and hyphens"))
    rank = text("rank", "50")
    if not re.fullmatch(r"\d{1,3}", rank):
        faults.append(Fault(heading["rank"][0], "-", rank, "a number from 0 to 999, lower for the better source"))
        rank = "50"
    for key, (line, value) in heading.items():
        longest = {"edition": 40, "slug": 80, "publisher": 120, "title": 300, "licence": 200, "basis": 200}.get(
            key, 300
        )
        if len(value) > longest:
            faults.append(Fault(line, "-", f"{len(value)} characters", f"at most {longest} for {key}"))
    names = [key for key in REQUIRED_KEYS + OPTIONAL_KEYS if key not in ("kind", "rank")]
    return {**{key: text(key) for key in names}, "kind": kind, "rank": int(rank)}


def _value_columns(
    columns: list[str], records: list[tuple[int, list[str]]], faults: list[Fault]
) -> dict[str, tuple[str, str]] | None:
    """The value columns in use, or ``None`` when the table cannot be read at all."""
    before = len(faults)
    known = (*REQUIRED_COLUMNS, *VALUE_COLUMNS, *TEXT_COLUMNS)
    for name in columns:
        if name not in known:
            faults.append(Fault(1, name, name, f"one of the columns {', '.join(known)}"))
    for name in REQUIRED_COLUMNS:
        if name not in columns:
            faults.append(Fault(1, name, "no such column", "it to be there"))
    units = {name: VALUE_COLUMNS[name] for name in columns if name in VALUE_COLUMNS}
    if len({gas for gas, _ in units.values()}) < len(units) or len(set(columns)) < len(columns):
        faults.append(Fault(1, ", ".join(columns), "the same quantity twice", "each quantity in one column"))
    if not any(gas in ("co2e", "co2") for gas, _ in units.values()):
        faults.append(Fault(1, "co2e_kg_per_mwh", "no such column", "CO2e or CO2, in kg or lb per MWh"))
    for line, record in records:
        if len(record) != len(columns):
            faults.append(Fault(line, "-", f"{len(record)} cells", f"{len(columns)} as in the header"))
    return units if len(faults) == before else None


def _row(
    line: int,
    record: dict[str, str],
    units: dict[str, tuple[str, str]],
    kind: str,
    zones: frozenset[str],
    faults: list[Fault],
) -> FactorRow | None:
    before = len(faults)
    zone, year = record["zone"], record["data_year"]
    if zone not in zones:
        faults.append(Fault(line, "zone", zone, "a known grid zone: ISO 3166-1 alpha-2, ISO 3166-2 or eGRID acronym"))
    if not re.fullmatch(r"(19|20)\d\d", year):
        faults.append(Fault(line, "data_year", year, "a year such as 2025"))
    written = [name for name in units if record[name]]
    absences = [name for name in written if record[name].lower() == ABSENT]
    values: dict[str, Decimal | None] = dict.fromkeys(QUANTITIES)
    if absences:
        if len(written) > 1 or kind != FactorDataset.Kind.RESIDUAL:
            faults.append(Fault(line, absences[0], ABSENT, f"{ABSENT!r} alone, and only for a residual mix"))
    elif not any(units[name][0] in ("co2e", "co2") for name in written):
        expected = f"a number, or {ABSENT!r} where the publisher states that there is none; an empty cell is no zero"
        faults.append(Fault(line, next(iter(units)), "", expected))
    for name in written:
        if name not in absences:
            values[units[name][0]] = _value(line, name, record[name], units[name][1], faults)
    for name, longest in (("quality", 80), ("note", 500)):
        if len(record.get(name, "")) > longest:
            faults.append(Fault(line, name, f"{len(record[name])} characters", f"at most {longest}"))
    if len(faults) > before:
        return None
    return FactorRow(zone, int(year), values, record.get("quality", ""), record.get("note", ""))


def _value(line: int, column: str, text: str, unit: str, faults: list[Fault]) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        faults.append(Fault(line, column, text, "a number with a decimal point"))
        return None
    if number < 0:
        faults.append(Fault(line, column, text, "0 or more"))
        return None
    value = (number * KG_PER_LB if unit == "lb" else number).quantize(PLACES).normalize() + 0
    if value > HIGHEST_KG_PER_MWH:
        expected = f"at most {HIGHEST_KG_PER_MWH} kg/MWh: no grid emits more; is it g/MWh or per GWh?"
        faults.append(Fault(line, column, text, expected))
        return None
    return value


def _check_units(rows: list[tuple[int, FactorRow]], faults: list[Fault]) -> None:
    """Refuse a whole file in kg/kWh: known public tables have been published with that misprint."""
    main = [(value, line) for line, row in rows for value in _main_values(row)]
    if len(main) < ROWS_TO_JUDGE_UNITS:
        return
    highest, line = max(main)
    if 0 < highest < LOWEST_MAXIMUM_KG_PER_MWH:
        expected = "kg/MWh (equal to g/kWh); the largest factor of the file is so small that it looks like kg/kWh"
        faults.append(Fault(line, "co2e_kg_per_mwh", str(highest), expected))


def _main_values(row: FactorRow) -> Iterator[Decimal]:
    for gas in ("co2e", "co2"):
        if (value := row.values[gas]) is not None:
            yield value
