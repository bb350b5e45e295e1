"""Meter readings from a CSV file: every fault named by row and column, nothing half-imported. Reads only."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from apps.organisations.models import Organisation
from apps.sites.measurements import queries
from apps.sites.measurements.checks import Span, faults_of, parse_amount, pue_fault
from apps.sites.measurements.services import today
from apps.sites.models import Site, SiteMeasurement

COLUMNS = (
    "site",
    "quantity",
    "meter",
    "first_day",
    "last_day",
    "amount",
    "unit",
    "evidence",
    "reference",
    "note",
)
NEEDED = tuple(name for name in COLUMNS if name not in ("meter", "note"))
EXAMPLE = (
    (
        "SITE-CODE",
        "facility_energy",
        "M-1001",
        "2026-07-01",
        "2026-07-31",
        "812340.5",
        "kWh",
        "invoice",
        "INV-7731",
        "",
    ),
    (
        "SITE-CODE",
        "water_intake",
        "",
        "2026-07-01",
        "2026-07-31",
        "1204",
        "m3",
        "meter",
        "reading by facility team",
        "",
    ),
)
MOST_ROWS = 2_000
MOST_BYTES = 1_000_000
MOST_FAULTS = 200
_LENGTHS = {"meter": 80, "reference": 120, "note": 300}
_FIELDS = {"start": "first_day", "end": "last_day"}  # as the rules call them, as the file does


@dataclass(frozen=True, slots=True)
class Fault:
    """``row``: line of the file as a spreadsheet counts it, the header being 1; ``column`` empty: the whole row."""

    row: int
    column: str
    text: str


@dataclass(slots=True)
class Preview:
    """What a file would add. ``rows`` are unsaved readings; they may be imported only while ``faults`` is empty."""

    text: str = ""
    rows: list[SiteMeasurement] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @property
    def shown_faults(self) -> list[Fault]:
        return self.faults[:MOST_FAULTS]

    def fault(self, row: int, column: str, text: str) -> None:
        self.faults.append(Fault(row, column, text))


def decode(body: bytes) -> str:
    """The text of an uploaded file. Raises ``ValueError`` with what to do when it is too large or not UTF-8."""
    if len(body) > MOST_BYTES:
        raise ValueError(f"The file has more than {MOST_BYTES:,} bytes; split it.")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("The file is not UTF-8; save it as “CSV UTF-8”.") from None


def preview(organisation: Organisation, text: str) -> Preview:
    """Read a file against the organisation's sites and stored readings; every fault of every row."""
    found = Preview(text)
    lines = _lines(found)
    sites = {site.code: site for site in Site.objects.of(organisation)}
    placed: list[tuple[int, SiteMeasurement]] = []
    for number, line in lines:
        row = _reading(found, number, line, sites, organisation)
        if row is not None:
            placed.append((number, row))
    _check_beside_each_other(found, placed, organisation)
    found.rows = [row for _, row in placed]
    found.faults.sort(key=lambda fault: fault.row)
    if not lines and not found.faults:
        found.fault(1, "", "The file has a header and no rows.")
    return found


def _lines(found: Preview) -> list[tuple[int, Mapping[str, str]]]:
    """The file's rows by column, each with its line number."""
    first = found.text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(found.text.replace("\0", ""), newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[int, Mapping[str, str]]] = []
    header: list[str] = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = [cell.strip().lower() for cell in cells]
                if not _header_holds(found, header):
                    return []
                continue
            if len(cells) > len(header):
                found.fault(reader.line_num, "", f"Expected {len(header)} columns, got {len(cells)}.")
                continue
            if len(rows) == MOST_ROWS:
                found.fault(reader.line_num, "", f"Expected at most {MOST_ROWS:,} rows in one file; split it.")
                break
            texts = [cell.strip() for cell in cells] + [""] * (len(header) - len(cells))
            rows.append((reader.line_num, dict(zip(header, texts, strict=True))))
    except csv.Error as error:
        found.fault(reader.line_num, "", f"This line cannot be read as CSV ({error}); check its quotes.")
    if not header and not found.faults:
        found.fault(1, "", f"The file is empty. Its first line names the columns: {','.join(COLUMNS)}.")
    return rows


def _header_holds(found: Preview, header: list[str]) -> bool:
    for name in NEEDED:
        if name not in header:
            found.fault(1, name, f"This column is missing. Expected are {', '.join(COLUMNS)}.")
    for name in dict.fromkeys(header):
        if name not in COLUMNS:
            found.fault(1, name or "(no name)", f"Not a column that is known. Expected are {', '.join(COLUMNS)}.")
        elif header.count(name) > 1:
            found.fault(1, name, "This column stands there twice.")
    return not found.faults


def _reading(
    found: Preview, number: int, line: Mapping[str, str], sites: Mapping[str, Site], organisation: Organisation
) -> SiteMeasurement | None:
    """The reading of one line, unsaved; None beside its faults."""
    before = len(found.faults)
    site = sites.get(line["site"])
    if site is None:
        known = ", ".join(sorted(sites)[:10]) or "none has been set up yet"
        found.fault(number, "site", f"Expected the code of a site ({known}), got {line['site']!r}.")
    for name, choices in (("quantity", SiteMeasurement.Quantity), ("evidence", SiteMeasurement.Evidence)):
        if line[name] not in choices.values:
            found.fault(number, name, f"Expected one of {', '.join(choices.values)}, got {line[name]!r}.")
    days = {name: _day(found, number, name, line[name]) for name in ("first_day", "last_day")}
    if not line["reference"]:
        found.fault(number, "reference", "Say where the figure is found: the invoice's number, or who read the meter.")
    for name, most in _LENGTHS.items():
        if len(line.get(name, "")) > most:
            found.fault(number, name, f"Expected at most {most} characters.")
    amount = 0
    if line["quantity"] in SiteMeasurement.Quantity.values:
        amount, faults = parse_amount(line["amount"], line["unit"], line["quantity"])
        for name, text in faults.items():
            found.fault(number, name, text)
    first, last = days["first_day"], days["last_day"]
    if len(found.faults) > before or site is None or first is None or last is None:
        return None
    texts: dict[str, Any] = {
        name: line.get(name, "") for name in ("quantity", "meter", "evidence", "reference", "note")
    }
    return SiteMeasurement(
        organisation=organisation, site=site, start=first, end=last + timedelta(days=1), amount=amount, **texts
    )


def _day(found: Preview, number: int, name: str, text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or not 1990 <= day.year <= 2200:
        found.fault(number, name, f"Expected a day such as 2026-07-31, got {text!r}.")
        return None
    return day


def _check_beside_each_other(
    found: Preview, placed: list[tuple[int, SiteMeasurement]], organisation: Organisation
) -> None:
    """The rules of each reading beside those that are stored and those of the rows before it."""
    spans: dict[int, list[Span]] = {row.site_id: [] for _, row in placed}
    numbers: dict[Span, int] = {}
    of_meter: dict[tuple[int, str, str], list[Span]] = defaultdict(list)

    def keep(span: Span) -> None:
        spans[span.site_id].append(span)
        of_meter[span.site_id, span.quantity, span.meter].append(span)

    for span in queries.spans_of(sorted(spans), organisation):
        keep(span)
    now = today()
    for number, row in placed:
        span = queries.span_of(row)
        faults = faults_of(span, of_meter[span.site_id, span.quantity, span.meter], now)
        if twin := numbers.get(span):
            faults = {"": f"The same reading as in row {twin}."}
        for name, text in faults.items():
            found.fault(number, _FIELDS.get(name, name), text)
        if not faults:
            keep(span)
            numbers[span] = number
    for site, known in spans.items():
        if fault := pue_fault(known):
            it, text = fault
            # A stored IT reading can be contradicted by a facility reading of the file: then its last row is named.
            last = max((number for span, number in numbers.items() if span.site_id == site), default=1)
            found.fault(numbers.get(it, last), "amount", text)
