"""AIB European Residual Mixes: the table of residual mixes by country, as a sheet of the workbook or as CSV.

Read are the country, the direct CO2 of the residual mix [gCO2/kWh, equal to kg/MWh] and the year. AIB gives CO2 only.
A country with full disclosure has no residual mix: a dash, a word or a printed 0 there is the statement that there is
none, and never a factor of zero.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from apps.factors.formats.book import Book, Row, find_header, number_of, text_of
from apps.factors.formats.table import FactorTable, Given, Progress, facts_of, given_period

LABEL = "AIB European Residual Mix"
DEFAULTS = {
    "publisher": "Association of Issuing Bodies",
    "licence": "Copyright AIB, used for own reporting",
    "source_url": "https://www.aib-net.org/facts/european-residual-mix",
}
_COUNTRY = re.compile(r"(iso|country|zone)?[ _]?(code|country|zone|iso)", re.IGNORECASE)
_NAMED = re.compile(r"country( name)?|name|domain", re.IGNORECASE)
_CO2 = re.compile(r"co\s?[2₂]", re.IGNORECASE)
_NOT_RESIDUAL = re.compile(r"production|supplier|attribute|life.?cycle|consum", re.IGNORECASE)
_YEAR = re.compile(r"(?:data[ _]?)?year", re.IGNORECASE)
_TITLE = re.compile(r"residual[ _]?mix", re.IGNORECASE)
# How the column names its unit, with kg/MWh per unit.
_UNITS = (
    (re.compile(r"\bk?g(?:co\s?[2₂](?:e|eq)?)?\s*(?:/|_?per_?)\s*mwh", re.IGNORECASE), "mass per MWh"),
    (re.compile(r"(?:^|[^a-z])kg\s*(?:co\s?[2₂](?:e|eq)?)?\s*(?:/|_?per_?)\s*kwh", re.IGNORECASE), "kg/kWh"),
    (re.compile(r"g\s*(?:co\s?[2₂](?:e|eq)?)?\s*(?:/|_?per_?)\s*kwh", re.IGNORECASE), "g/kWh"),
)
_ISO_OF = {"UK": "GB", "EL": "GR"}
_NAMES = {
    "albania": "AL",
    "austria": "AT",
    "belgium": "BE",
    "bosnia and herzegovina": "BA",
    "bulgaria": "BG",
    "croatia": "HR",
    "cyprus": "CY",
    "czech republic": "CZ",
    "czechia": "CZ",
    "denmark": "DK",
    "estonia": "EE",
    "finland": "FI",
    "france": "FR",
    "germany": "DE",
    "great britain": "GB",
    "greece": "GR",
    "hungary": "HU",
    "iceland": "IS",
    "ireland": "IE",
    "italy": "IT",
    "kosovo": "XK",
    "latvia": "LV",
    "lithuania": "LT",
    "luxembourg": "LU",
    "malta": "MT",
    "montenegro": "ME",
    "netherlands": "NL",
    "north macedonia": "MK",
    "norway": "NO",
    "poland": "PL",
    "portugal": "PT",
    "romania": "RO",
    "serbia": "RS",
    "slovakia": "SK",
    "slovenia": "SI",
    "spain": "ES",
    "sweden": "SE",
    "switzerland": "CH",
    "united kingdom": "GB",
}

_CODES = frozenset(_NAMES.values())


def _is_header(names: list[str]) -> bool:
    """A row of several names with CO2 among them; the country's column may have none."""
    return any(_CO2.search(name) for name in names) and sum(bool(name) for name in names) > 1


def _zone_of(said: str) -> str | None:
    """The zone of a country's name or code as AIB writes it; None for any other text."""
    code = _NAMES.get(said.lower(), _ISO_OF.get(said.upper(), said.upper()))
    return code if code in _CODES else None


def _place_column(names: list[str], rows: list[Row]) -> int | None:
    """The column of the countries: the one in which most of them stand, else the one named so."""
    found = [
        sum(_zone_of(text_of(cells[i])) is not None for _, cells in rows if i < len(cells)) for i in range(len(names))
    ]
    if max(found, default=0):
        return found.index(max(found))
    return next((i for i, name in enumerate(names) if _COUNTRY.fullmatch(name) or _NAMED.fullmatch(name)), None)


def _sheets(book: Book) -> list[str]:
    """Sheets that can hold the table, those that name the residual mix first."""
    return sorted(book.names, key=lambda name: not _TITLE.search(name))


def recognises(book: Book) -> bool:
    """A table that speaks of residual mixes; heading lines of our own layouts above it say that it is not AIB's."""
    for name in _sheets(book):
        head = book.head(name)
        if any(text_of(cells[0]).startswith("#") for _, cells in head[:1]):
            continue
        header = find_header(head, _is_header)
        if header and _place_column(header[1], [row for row in head if row[0] > header[0]]) is not None:
            before = " ".join(text_of(cell) for row, cells in head if row <= header[0] for cell in cells)
            if _TITLE.search(name) or _TITLE.search(before):
                return True
    return False


def read(book: Book, given: Given, progress: Progress) -> list[FactorTable]:
    """One dataset of kind *residual*, CO2 in kg/MWh; a country without a residual mix is a row without values."""
    sheet, header = next(
        ((name, found) for name in _sheets(book) if (found := find_header(book.head(name), _is_header))), ("", None)
    )
    table = FactorTable(_facts(given), sheet=sheet)
    if header is None:
        table.fault(1, "Country", "no such column", "a row of column names with the country and CO2 (gCO2/kWh)")
        return [table]
    at, names = header
    place = _place_column(names, [row for row in book.rows(sheet) if row[0] > at])
    if place is None:
        table.fault(at, "Country", "no such column", "a column of countries, by name or ISO code")
        return [table]
    co2 = _co2_column(names)
    unit = _unit_of(names[co2], book.head(sheet), at)
    year_column = next((i for i, name in enumerate(names) if _YEAR.fullmatch(name)), None)
    year = _year_said(book.head(sheet), at, sheet, given)
    if unit is None:
        table.fault(at, names[co2], "no unit", "the unit in the column's name: gCO2/kWh, kg/MWh or kg/kWh")
        return [table]
    if year_column is None and year is None:
        table.fault(at, "Year", "no such column", "a column of years, or the data year given with the file")
        return [table]
    table.columns[sheet, "co2"] = names[co2]
    for row, cells in book.rows(sheet):
        if row > at:
            _read_row(table, row, cells, place, co2, unit, year_column, year, given)
            progress(1)
    years = sorted(set(table.years))
    if years and not given.get("edition"):
        table.facts["edition"] = f"{years[-1]} table"
    if years and not given.get("title"):
        table.facts["title"] = f"European Residual Mixes {years[-1]}"
    return [table]


def _facts(given: Given) -> dict[str, Any]:
    own = {
        **DEFAULTS,
        "slug": "aib-residual-mix",
        "kind": "residual",
        "title": "European Residual Mixes",
        "boundary": "direct",
        "perimeter": "consumption",
        "basis": "residual mix, direct CO2 only",
        "rank": 10,
    }
    return facts_of(own, given)


def _co2_column(names: list[str]) -> int:
    """Of several columns of CO2 the one of the residual mix, direct."""
    found = [i for i, name in enumerate(names) if _CO2.search(name)]
    return min(found, key=lambda i: (not _TITLE.search(names[i]), bool(_NOT_RESIDUAL.search(names[i])), i))


def _unit_of(name: str, head: list[Row], at: int) -> Decimal | None:
    """kg/MWh per unit of the column."""
    others = [" ".join(text_of(cell) for cell in cells) for row, cells in head if row < at or row == at + 1]
    for said in (name, *reversed(others)):
        for pattern, what in _UNITS:
            if found := pattern.search(said):
                if what == "mass per MWh":
                    return Decimal(1) if found[0].lower().startswith("kg") else None
                return Decimal(1000) if what == "kg/kWh" else Decimal(1)
    return None


def _year_said(head: list[Row], at: int, sheet: str, given: Given) -> int | None:
    if re.fullmatch(r"20\d\d", given.get("year", "")):
        return int(given["year"])
    texts = [sheet, *(text_of(cell) for row, cells in head if row <= at for cell in cells)]
    found = [int(year) for text in texts for year in re.findall(r"\b20\d\d\b", text)]
    return found[0] if found else None


def _read_row(
    table: FactorTable,
    row: int,
    cells: tuple[Any, ...],
    place: int,
    co2: int,
    unit: Decimal,
    year_column: int | None,
    year: int | None,
    given: Given,
) -> None:
    said = text_of(cells[place]) if place < len(cells) else ""
    if not said or re.match(r"(source|note|\*)", said, re.IGNORECASE):
        return
    zone = _zone_of(said) or said
    cell = cells[co2] if co2 < len(cells) else None
    if year_column is not None:
        printed = number_of(cells[year_column] if year_column < len(cells) else None)
        if printed is None or printed != int(printed):
            table.fault(row, "Year", text_of(cells[year_column]), "a year such as 2025")
            return
        year = int(printed)
    if year is None:
        return
    number, words = number_of(cell), text_of(cell)
    period = given_period(given)
    if number is not None and number != 0:
        table.add(row, zone, year, {"co2": (number * unit).normalize() + 0}, period=period, quality="published")
    elif number is None and re.search(r"\d", words):
        table.fault(row, table.column_of("co2", table.sheet), words, "a number with a decimal point, or nothing")
    else:
        table.add(row, zone, year, {}, period=period, note="full disclosure: no residual mix exists")
