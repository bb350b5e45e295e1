"""What must hold of every table, whichever file it came from: facts, zones, years, keys, and values that can be.

Pure: the zones that are known and the factors held already are given. Faults are added to the table, each with its
row and column.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from decimal import Decimal

import numpy as np

from apps.core.units import PPM, UG_PER_KWH_PER_KG_PER_MWH
from apps.core.windows import from_epoch_hour
from apps.factors import plausibility
from apps.factors.formats.heading import LONGEST, REQUIRED
from apps.factors.formats.table import HEADLINE, QUANTITIES, FactorTable, Fault, HourlyTable, Table

FIRST_YEAR = 1990
# Nobody publishes for a year that has not begun, but an edition is named after the year it is for.
YEARS_AHEAD = 1
ZONES_EXPECTED = (
    "a known grid zone: ISO 3166-1 alpha-2 (DE), ISO 3166-2 of a state or province (CA-ON) or eGRID acronym (ERCT);"
    " zones come with the reference data of the portal"
)
# Words that stand at the place of a slug in addresses below factors/.
TAKEN_SLUGS = ("import", "adoption")
_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]*")


def check(table: Table, *, zones: Collection[str], known: Mapping[str, Decimal], this_year: int) -> None:
    """Add the faults of a table to it. ``known``: a factor [kg/MWh] already held for a zone, to judge units by."""
    _check_facts(table)
    if isinstance(table, HourlyTable):
        _check_hours(table, zones)
    else:
        _check_rows(table, zones, known, this_year)
    table.faults.sort(key=lambda fault: (fault.sheet, fault.row))


def _check_facts(table: Table) -> None:
    said = {fault.expected for fault in table.faults}
    for key in REQUIRED:
        value = str(table.facts.get(key, ""))
        expected = f"a heading line `# {key}: ...`"
        if not value and expected not in said:
            table.faults.append(Fault(1, "-", f"no {key}", f"{key}, given with the file"))
        if len(value) > (longest := LONGEST.get(key, 300)):
            table.faults.append(Fault(1, "-", f"{len(value)} characters", f"at most {longest} for {key}"))
    if "/" in (edition := str(table.facts.get("edition", ""))):
        table.faults.append(Fault(1, "-", edition, "an edition without a slash: it stands in the dataset's address"))
    slug = str(table.facts.get("slug", ""))
    if slug in TAKEN_SLUGS:
        table.faults.append(Fault(1, "-", slug, "another slug: this word is a page of its own"))
    if slug and not _SLUG.fullmatch(slug) and not any(fault.got == slug for fault in table.faults):
        table.faults.append(Fault(1, "-", slug, "small letters, digits and hyphens"))


def _check_rows(table: FactorTable, zones: Collection[str], known: Mapping[str, Decimal], this_year: int) -> None:
    first_row: dict[tuple[str, int], int] = {}
    judged: list[Decimal] = []
    largest: tuple[Decimal, int, str] = (Decimal(-1), 0, "")
    for i, (row, zone, year, sheet) in enumerate(zip(table.rows, table.zones, table.years, table.sheets, strict=True)):
        if zone not in zones:
            table.fault(row, "zone", zone, ZONES_EXPECTED, sheet)
        if not FIRST_YEAR <= year <= this_year + YEARS_AHEAD:
            table.fault(row, "data_year", str(year), f"a year from {FIRST_YEAR} to {this_year + YEARS_AHEAD}", sheet)
        if (before := first_row.setdefault((zone, year), row)) != row:
            table.fault(row, "zone", f"{zone} {year}", f"once; it stands in row {before}", sheet)
        for name in QUANTITIES:
            value = table.values[name][i]
            column = table.column_of(name, sheet)
            if value is None:
                continue
            if expected := plausibility.explain(value):
                table.fault(row, column, f"{value:f}", expected, sheet)
            elif name in HEADLINE and table.facts["kind"] in ("location", "residual", "supplier", "fossil_default"):
                judged.append(value)
                largest = max(largest, (value, row, column))
                if plausibility.looks_like_kg_per_kwh(value, known.get(zone)):
                    expected = (
                        f"kg/MWh (equal to g/kWh): {known[zone].normalize():f} is held for {zone}; it looks like kg/kWh"
                    )
                    table.fault(row, column, f"{value:f}", expected, sheet)
    if plausibility.table_looks_like_kg_per_kwh(judged):
        expected = "kg/MWh (equal to g/kWh); the largest factor of the file is so small that it looks like kg/kWh"
        table.fault(largest[1], largest[2], f"{largest[0]:f}", expected)


def _check_hours(table: HourlyTable, zones: Collection[str]) -> None:
    for zone in sorted(set(table.zones) - set(zones)):
        table.fault(table.rows[table.zones.index(zone)], "zone", zone, ZONES_EXPECTED)
    first_row: dict[tuple[str, int], int] = {}
    for row, zone, hour in zip(table.rows, table.zones, table.hours, strict=True):
        if (before := first_row.setdefault((zone, hour), row)) != row:
            when = from_epoch_hour(hour).isoformat()
            table.fault(row, "time", f"{zone} {when}", f"each hour once; it stands in row {before}")
    if not len(table):
        return
    values = np.array(table.values, dtype=object)  # a slip of units may exceed 64 bits
    if table.facts["kind"] == "hourly_cfe":
        for i in np.flatnonzero((values < 0) | (values > PPM)):
            table.fault(table.rows[i], "value", f"{values[i] / PPM:f}", "a share from 0 to 1 (0 to 100 %)")
        return
    scale = UG_PER_KWH_PER_KG_PER_MWH
    for i in np.flatnonzero((values < 0) | (values > plausibility.HIGHEST_KG_PER_MWH * scale)):
        value = Decimal(int(values[i])) / scale
        table.fault(table.rows[i], "value", f"{value:f}", plausibility.explain(value) or "a factor")
    if plausibility.table_looks_like_kg_per_kwh([Decimal(int(max(values))) / scale] * plausibility.ROWS_TO_JUDGE_UNITS):
        expected = "gCO2e/kWh; the largest value of the file is so small that it looks like kg/kWh"
        at = int(np.argmax(values))
        table.fault(table.rows[at], "value", f"{Decimal(int(values[at])) / scale:f}", expected)
