"""Small workbooks laid out as the publishers lay out theirs, made here from facts; never copies of their files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from openpyxl import Workbook

# Acronyms of the sheet SRLyy beside those that are read, in the order of EPA's technical guide.
EGRID_COLUMNS = ("CO2RTA", "CH4RTA", "N2ORTA", "C2ERTA")
# eGRID2023, output emission rates in lb/MWh: CO2, CH4, N2O, CO2e.
EGRID_2023 = {
    "ERCT": (733.862, 0.043, 0.006, 736.629),
    "CAMX": (428.464, 0.025, 0.003, 429.983),
    "PRMS": (1543.073, 0.077, 0.012, 1548.53),
}
US_2023 = (767.209, 0.057, 0.008, 770.884)

DESNZ_HEADER = (
    "ID",
    "Scope",
    "Level 1",
    "Level 2",
    "Level 3",
    "Level 4",
    "Column Text",
    "UOM",
    "GHG/Unit",
)


def saved(book: Workbook) -> bytes:
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def egrid(
    year: int = 2023,
    subregions: dict[str, tuple[Any, ...]] | None = None,
    *,
    without: str = "",
    ch4_unit: str = "lb/MWh",
) -> bytes:
    """The data workbook: sheets SRLyy, STyy, USyy with a row of long names above the row of acronyms."""
    book = Workbook()
    book.active.title = "Contents"
    yy = f"{year % 100:02d}"
    parts = (
        (f"ST{yy}", "PSTATABB", "ST", {"TX": (841.4, 0.051, 0.007, 844.7), "DC": (562.1, 0.02, 0.003, 563.5)}),
        (f"SRL{yy}", "SUBRGN", "SR", EGRID_2023 if subregions is None else subregions),
        (f"US{yy}", "", "US", {"": US_2023}),
    )
    for name, place, prefix, rows in parts:
        sheet = book.create_sheet(name)
        acronyms = ["YEAR", *([place, f"{prefix}NAME"] if place else []), "NAMEPCAP"]
        acronyms += [prefix + rate for rate in EGRID_COLUMNS if prefix + rate != without]
        long_names = {"CO2RTA": "lb/MWh", "CH4RTA": ch4_unit, "N2ORTA": ch4_unit, "C2ERTA": "lb/MWh"}
        sheet.append([f"annual total output emission rate ({long_names.get(a[2:], '-')})" for a in acronyms])
        sheet.append(acronyms)
        for code, rates in rows.items():
            of = dict(zip((prefix + rate for rate in EGRID_COLUMNS), rates, strict=True))
            given = {"YEAR": year, place: code, f"{prefix}NAME": code, "NAMEPCAP": 1234.5, **of}
            sheet.append([given[acronym] for acronym in acronyms])
    return saved(book)


def desnz(
    year: int = 2026,
    *,
    generated: Sequence[tuple[str, Any]] = (
        ("kg CO2e", 0.13096),
        ("kg CO2e of CO2 per unit", 0.12943),
        ("kg CO2e of CH4 per unit", 0.00067),
        ("kg CO2e of N2O per unit", 0.00086),
    ),
    header: Sequence[str] = DESNZ_HEADER,
) -> bytes:
    """The flat file: five lines about the publication, the header in row 6, rows of many activities."""
    book = Workbook()
    sheet = book.active
    sheet.title = "Factors by Category"
    for line in ("UK Government GHG Conversion Factors for Company Reporting", "Factors by Category", "", "", ""):
        sheet.append([line or None, None])
    names = [*header, f"GHG Conversion Factor {year}"]
    sheet.append(names)
    rows: list[tuple[str, str, str, str, str, Any]] = [
        ("Scope 1", "Fuels", "Gaseous fuels", "kWh (Net CV)", "kg CO2e", 0.20264),
        *(("Scope 2", "UK electricity", "Electricity generated", "kWh", unit, value) for unit, value in generated),
        ("Scope 2", "UK electricity for EVs", "Cars (by size)", "km", "kg CO2e", 0.045),
        ("Scope 3", "Transmission and distribution", "T&D- UK electricity", "kWh", "kg CO2e", 0.01853),
        ("Scope 3", "Transmission and distribution", "Distribution - district heat & steam", "kWh", "kg CO2e", 0.00949),
        ("Scope 3", "WTT- UK electricity", "WTT- UK electricity (generation)", "kWh", "kg CO2e", 0.0459),
        ("Scope 3", "WTT- UK electricity", "WTT- UK electricity (T&D)", "kWh", "kg CO2e", 0.00397),
    ]
    for number, (scope, one, two, uom, unit, value) in enumerate(rows):
        cells = {"ID": f"{number}_1", "Scope": scope, "Level 1": one, "Level 2": two, "Level 3": "Electricity: UK"}
        cells |= {"UOM": uom, "GHG/Unit": unit, names[-1]: value}
        sheet.append([cells.get(name) for name in names])
    return saved(book)


def aib(
    rows: Sequence[tuple[Any, ...]] = (("AT", "-"), ("DE", 701.47), ("NL", "no residual mix"), ("SE", 208.56)),
    *,
    title: str = "Table 2: Residual Mixes 2025",
    header: Sequence[str] = ("Country", "Residual mix CO2 (gCO2/kWh)", "Residual mix RW (mgRW/kWh)"),
    sheet_name: str = "Residual Mix",
) -> bytes:
    """A sheet of residual mixes below another one of production mixes."""
    book = Workbook()
    book.active.title = "Production Mix"
    book.active.append(["Table 5: Production mixes 2025"])
    book.active.append(["Country", "Production mix CO2 (gCO2/kWh)"])
    book.active.append(["DE", 329.1])
    sheet = book.create_sheet(sheet_name)
    sheet.append([title])
    sheet.append(list(header))
    for row in rows:
        sheet.append(list(row))
    return saved(book)
