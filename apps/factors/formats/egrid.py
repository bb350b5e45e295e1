"""EPA eGRID: the data workbook as EPA publishes it (``egrid2023_data.xlsx`` and its like).

Sheets ``SRLyy`` (subregions), ``STyy`` (states) and ``USyy`` (nation); each has a row of long names and below it a
row of acronyms. Read are the total output emission rates: ``..CO2RTA``, ``..CH4RTA``, ``..N2ORTA`` (masses of gas) and
``..C2ERTA`` (CO2e with AR5). All in lb/MWh; until eGRID2016 CH4 and N2O in lb/GWh.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from apps.factors.formats.book import Book, Row, find_header, number_of, text_of
from apps.factors.formats.table import PLACES, FactorTable, Given, Progress, facts_of, given_period
from apps.factors.plausibility import KG_PER_LB

LABEL = "EPA eGRID workbook"
DEFAULTS = {
    "publisher": "US EPA",
    "licence": "US public domain (17 USC 105)",
    "source_url": "https://www.epa.gov/egrid/detailed-data",
}
RATES = {"co2": "CO2RTA", "ch4": "CH4RTA", "n2o": "N2ORTA", "co2e": "C2ERTA"}
FIRST_YEAR_IN_LB_PER_MWH = 2018
# Sheet, column of the place, prefix of the rates, how a place becomes a zone.
_SUBREGIONS = (re.compile(r"SRL(\d\d)"), "SUBRGN", "SR", str)
_NATION = (re.compile(r"US(\d\d)"), "", "US", lambda place: "US")
_STATES = (re.compile(r"ST(\d\d)"), "PSTATABB", "ST", lambda place: "PR" if place == "PR" else f"US-{place}")


def recognises(book: Book) -> bool:
    return book.is_workbook and any(_SUBREGIONS[0].fullmatch(name) for name in book.names)


def read(book: Book, given: Given, progress: Progress) -> list[FactorTable]:
    """Two datasets: subregions with the nation, and states. Masses and CO2e in kg/MWh, converted exactly."""
    year = next((2000 + int(found[1]) for name in book.names if (found := _SUBREGIONS[0].fullmatch(name))), 0)
    tables = []
    for slug, suffix, what, parts in (
        ("epa-egrid", "", "by subregion", (_SUBREGIONS, _NATION)),
        ("epa-egrid-states", "-states", "by state", (_STATES,)),
    ):
        table = FactorTable(_facts(slug, suffix, what, year, given))
        for pattern, place, prefix, zone_of in parts:
            for name in book.names:
                if found := pattern.fullmatch(name):
                    _read_sheet(book, name, 2000 + int(found[1]), place, prefix, zone_of, given, table, progress)
        if slug == "epa-egrid" and not any(_SUBREGIONS[0].fullmatch(name) for name in book.names):
            table.fault(1, "SUBRGN", "no sheet SRLyy", "the eGRID data workbook with the sheet of subregions")
        if len(table) or table.faults:
            tables.append(table)
    return tables


def _facts(slug: str, suffix: str, what: str, year: int, given: Given) -> dict[str, Any]:
    own = {
        **DEFAULTS,
        "slug": slug,
        "edition": f"{year} workbook",
        "kind": "location",
        "title": f"eGRID{year} total output emission rates {what}, data year {year}",
        "boundary": "direct",
        "perimeter": "generation",
        "basis": "generation, total output rate, grid losses excluded; published in lb/MWh, converted with 0.45359237",
        "gwp_set": "AR5",
        "rank": 10,
    }
    return facts_of(own, given, suffix=suffix)


def _read_sheet(
    book: Book,
    sheet: str,
    year: int,
    place: str,
    prefix: str,
    zone_of: Callable[[str], str],
    given: Given,
    table: FactorTable,
    progress: Progress,
) -> None:
    wanted = {gas: prefix + rate for gas, rate in RATES.items()}
    marks = {place} if place else {*wanted.values()}
    head = book.head(sheet)
    header = find_header(head, lambda names: bool(marks & set(names)))
    if header is None:
        table.fault(1, place or wanted["co2"], "no row of acronyms", "the row of acronyms below the long names", sheet)
        return
    at, names = header
    missing = [name for name in wanted.values() if name not in names]
    for name in missing:
        table.fault(at, name, "no such column", "it to be there", sheet)
    if missing:
        return
    pounds_per = _gas_units(head, at, names, wanted, year)
    table.columns.update({(sheet, gas): name for gas, name in wanted.items()})
    for row, cells in book.rows(sheet):
        if row <= at:
            continue
        cell = dict(zip(names, cells, strict=False))
        code = text_of(cell.get(place)) if place else "US"
        if not code:
            continue
        values = {gas: _rate(table, sheet, row, name, cell.get(name), pounds_per[gas]) for gas, name in wanted.items()}
        if all(value is not None for value in values.values()):
            printed = number_of(cell.get("YEAR"))
            of_row = int(printed) if printed is not None else year
            table.add(row, zone_of(code), of_row, values, period=given_period(given), quality="published", sheet=sheet)
        progress(1)


def _gas_units(head: list[Row], at: int, names: list[str], wanted: dict[str, str], year: int) -> dict[str, Decimal]:
    """By how many MWh a printed pound of each gas is to be divided: 1, or 1,000 where the column is in lb/GWh."""
    above: tuple[Any, ...] = next((cells for row, cells in reversed(head) if row < at), ())
    long_names = {name: text_of(cell) for name, cell in zip(names, above, strict=False)}
    units = {}
    for gas, name in wanted.items():
        said = long_names.get(name, "").lower()
        older = gas in ("ch4", "n2o") and year < FIRST_YEAR_IN_LB_PER_MWH
        per_gwh = "lb/gwh" in said or (older and "lb/mwh" not in said)
        units[gas] = Decimal(1000) if per_gwh else Decimal(1)
    return units


def _rate(table: FactorTable, sheet: str, row: int, column: str, cell: Any, per: Decimal) -> Decimal | None:
    number = number_of(cell)
    if number is None:
        table.fault(row, column, text_of(cell), "a number", sheet)
        return None
    return (number * KG_PER_LB / per).quantize(PLACES).normalize() + 0
