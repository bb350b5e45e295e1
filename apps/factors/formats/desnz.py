"""UK Government GHG conversion factors for company reporting: the flat file (.xlsx or CSV).

Sheet *Factors by Category*: columns ``Scope``, ``Level 1`` to ``Level 4``, ``Column Text``, ``UOM``, ``GHG/Unit`` and
``GHG Conversion Factor yyyy``
[kg CO2e per kWh]. The rows of single gases are CO2e already, not masses: they become a note and no gas columns.

A file makes three datasets, because they stand in three places of an inventory: electricity generated (Scope 2),
transmission and distribution losses, and well-to-tank (both Scope 3, category 3).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from apps.factors.formats.book import Book, find_header, number_of, text_of
from apps.factors.formats.table import FactorTable, Given, Progress, facts_of, given_period

LABEL = "DESNZ flat file (UK Government)"
DEFAULTS = {
    "publisher": "UK Government (DESNZ)",
    "licence": "Open Government Licence v3.0",
    "source_url": "https://www.gov.uk/government/collections/government-conversion-factors-for-company-reporting",
}
ZONE = "GB"
KG_PER_KWH = 1_000  # kg/MWh
_FACTOR = re.compile(r"ghg conversion factor(?:\s+(20\d\d))?", re.IGNORECASE)
_GAS = re.compile(r"kg CO2e of (CO2|CH4|N2O)\b", re.IGNORECASE)
_NEEDED = ("Level 1", "Level 2", "UOM")


@dataclass(frozen=True, slots=True)
class _Part:
    kind: str
    slug: str
    suffix: str
    title: str
    basis: str
    perimeter: str
    levels: tuple[tuple[str, str], ...]  # level 1 begins with, level 2 is; values of several are added
    boundary: str = "direct"


PARTS = (
    _Part(
        "location",
        "uk-desnz",
        "",
        "UK electricity generated",
        "generation, transmission and distribution losses excluded; the year is the reporting year of the edition",
        "generation",
        (("uk electricity", "electricity generated"),),
    ),
    _Part(
        "losses",
        "uk-desnz-losses",
        "-losses",
        "UK electricity, transmission and distribution losses",
        "per kWh consumed; Scope 3, category 3",
        "consumption",
        (("transmission and distribution", "t&d- uk electricity"),),
    ),
    _Part(
        "upstream",
        "uk-desnz-wtt",
        "-wtt",
        "UK electricity, well-to-tank of generation and losses",
        "per kWh consumed; Scope 3, category 3",
        "consumption",
        (("wtt-", "wtt- uk electricity (generation)"), ("wtt-", "wtt- uk electricity (t&d)")),
        boundary="life_cycle",
    ),
)


def _is_header(names: list[str]) -> bool:
    return "Level 1" in names and any(_FACTOR.fullmatch(name) for name in names)


def recognises(book: Book) -> bool:
    return any(find_header(book.head(name), _is_header) for name in book.names)


def read(book: Book, given: Given, progress: Progress) -> list[FactorTable]:
    """Up to three datasets for ``GB``, CO2e only, in kg/MWh; a file without UK electricity is at fault."""
    sheet, header = next(
        ((name, found) for name in book.names if (found := find_header(book.head(name), _is_header))), ("", None)
    )
    if header is None:
        table = FactorTable(facts_of({**DEFAULTS, "kind": "location"}, given))
        table.fault(1, "Level 1", "no such column", "the flat file: Scope, Level 1 to 4, UOM, GHG/Unit, ...")
        return [table]
    at, names = header
    factor = next(name for name in names if _FACTOR.fullmatch(name))
    found_year = _FACTOR.fullmatch(factor)
    year_text = (found_year[1] if found_year else None) or given.get("year", "")
    ghg = next((name for name in ("GHG/Unit", "GHG") if name in names), None)
    first = FactorTable(facts_of({**DEFAULTS, "slug": "uk-desnz", "kind": "location"}, given), sheet=sheet)
    for name in (*_NEEDED, "GHG/Unit"):
        if name not in names and not (name == "GHG/Unit" and ghg):
            first.fault(at, name, "no such column", "it to be there")
    if not re.fullmatch(r"20\d\d", year_text):
        first.fault(at, factor, factor, "the year in the column's name, as in GHG Conversion Factor 2025")
    if first.faults or ghg is None:
        return [first]
    rows = _electricity(book, sheet, at, names, progress)
    tables = [_part(part, rows, ghg, factor, int(year_text), sheet, given) for part in PARTS]
    if not len(tables[0]) and not tables[0].faults:
        tables[0].fault(at, "Level 1", "no row UK electricity, Electricity generated, kWh, kg CO2e", "that row")
    return [table for table in tables if len(table) or table.faults]


def _electricity(
    book: Book, sheet: str, at: int, names: list[str], progress: Progress
) -> list[tuple[int, dict[str, object]]]:
    """The rows per kWh of electricity that any part wants."""
    found = []
    for row, cells in book.rows(sheet):
        if row <= at:
            continue
        progress(1)
        cell = dict(zip(names, cells, strict=False))
        if text_of(cell.get("UOM")).lower() == "kwh" and "electricity" in text_of(cell.get("Level 2")).lower():
            found.append((row, cell))
    return found


def _part(
    part: _Part,
    rows: list[tuple[int, dict[str, object]]],
    ghg: str,
    factor: str,
    year: int,
    sheet: str,
    given: Given,
) -> FactorTable:
    own = {
        **DEFAULTS,
        "slug": part.slug,
        "edition": f"{year} flat file",
        "kind": part.kind,
        "title": f"Greenhouse gas conversion factors for company reporting {year}, {part.title}",
        "boundary": part.boundary,
        "perimeter": part.perimeter,
        "basis": part.basis,
        "gwp_set": "AR5" if year >= 2023 else "AR4",
        "rank": 10,
    }
    table = FactorTable(facts_of(own, given, suffix=part.suffix), sheet=sheet, columns={(sheet, "co2e"): factor})
    total, first_row, notes = Decimal(0), 0, []
    seen: dict[str, int] = {}
    for row, cell in rows:
        level = _level_of(part, cell)
        if level is None:
            continue
        unit, number = text_of(cell.get(ghg)), number_of(cell.get(factor))
        gas = _GAS.match(unit)
        if gas and number is not None:
            if gas[1].upper() != "CO2":
                notes.append(f"{gas[1].upper()} {(number * KG_PER_KWH).normalize():f}")
            continue
        if unit.lower() != "kg co2e":
            if not gas:
                table.fault(row, ghg, unit, "kg CO2e, or kg CO2e of one gas per unit")
            continue
        if number is None:
            table.fault(row, factor, text_of(cell.get(factor)), "a number")
        elif level in seen:
            table.fault(row, "Level 2", text_of(cell.get("Level 2")), f"once; it stands in row {seen[level]}")
        else:
            seen[level] = row
            first_row = first_row or row
            total += number * KG_PER_KWH
    if seen and not table.faults:
        note = f"of which {' and '.join(notes)}, printed as CO2e and therefore not kept as masses" if notes else ""
        values = {"co2e": total.normalize() + 0}
        table.add(first_row, ZONE, year, values, period=given_period(given), quality="published", note=note)
    return table


def _level_of(part: _Part, cell: dict[str, object]) -> str | None:
    one, two = text_of(cell.get("Level 1")).lower(), text_of(cell.get("Level 2")).lower()
    for level_1, level_2 in part.levels:
        if two == level_2 and (one == level_1 or (level_1.endswith("-") and one.startswith(level_1))):
            return level_2
    return None
