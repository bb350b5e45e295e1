"""The Scope 3 memo as tables, files and API rows. No query is asked here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from apps.accounting.engine.intensity import MS_PER_HOUR
from apps.accounting.memo.queries import PARTS, MemoRow
from apps.core import figures
from apps.core.api import kg, kwh
from apps.core.tables import Cell, Column, Row, Table


@dataclass(frozen=True, slots=True)
class PartPanel:
    part: str
    title: str
    sub: str
    table: Table


SUBS = {
    "cloud": "Location-based emissions of energy at public-cloud sites. The provider's own figures may differ.",
    "embodied": "Accelerator-hours at Scope 2 sites × embodied emissions ÷ hours of life. Purchases are not tracked"
    " here: GHG Protocol books category 2 in the year of purchase, and this share of life is informative.",
    "upstream": "Scope 2 energy × the published upstream factor of the grid zone (fuel supply, well to tank).",
    "losses": "Scope 2 energy × the published factor of transmission and distribution losses.",
}


def part_panels(rows: Sequence[MemoRow]) -> list[PartPanel]:
    """One table per part of the memo that has rows; none has a total with another."""
    panels = []
    for part, (category, label) in PARTS.items():
        own = [row for row in rows if row.part == part]
        if own:
            panels.append(
                PartPanel(part, f"Category {category}: {label.lower()}", SUBS[part], _table(part, label, own))
            )
    return panels


def _table(part: str, label: str, rows: Sequence[MemoRow]) -> Table:
    mass = figures.column_mass_unit(row.mg for row in rows)
    unit = figures.column_energy_unit(row.energy_milliwatt_hours for row in rows)
    by_hardware = part == "embodied"
    columns = [
        Column("name", "Hardware" if by_hardware else "Site", numeric=False),
        Column("used", "Accelerator-hours") if by_hardware else Column("used", "Energy", unit),
        Column("mass", "Emissions", f"{mass} CO₂e"),
        Column("working", "Working and source", numeric=False),
    ]
    body = []
    for row in rows:
        if by_hardware:
            hours = (row.accelerator_ms or 0) / MS_PER_HOUR
            used = Cell(f"{hours:,.0f}", title=f"{hours:,.6f} h")
        else:
            energy = row.energy_milliwatt_hours
            used = Cell(figures.energy_in(energy, unit), title=figures.energy_exact(energy))
        name = row.hardware if by_hardware else row.site_name
        working = (row.note[:1].upper() + row.note[1:]) if row.mg is None else row.working
        note = "; ".join(text for text in (row.factor, row.note if row.mg is not None else "") if text)
        cells = [
            Cell(name or figures.DASH),
            used,
            Cell(figures.mass_in(row.mg, mass), title=figures.mass_exact(row.mg) if row.mg is not None else row.note),
            Cell(working, note=note),
        ]
        body.append(Row(cells))
    known = [row.mg for row in rows if row.mg is not None]
    if len(rows) > 1 and known:
        total = sum(known)
        words = f"{len(rows) - len(known)} rows have no figure and are not in it" if len(known) < len(rows) else ""
        ending = [Cell("Sum of what is known"), Cell(""), Cell(figures.mass_in(total, mass), figures.mass_exact(total))]
        body.append(Row([*ending, Cell(words)], "total"))
    return Table(label, columns, body)


def records(rows: Sequence[MemoRow]) -> list[dict[str, Any]]:
    """The rows as the API and files give them: kWh, hours and kg, absent as ``None``."""
    return [
        {
            "category": row.category,
            "part": row.part,
            "site": row.site,
            "site_name": row.site_name,
            "hardware": row.hardware,
            "energy_kwh": kwh(row.energy_milliwatt_hours),
            "accelerator_hours": None if row.accelerator_ms is None else round(row.accelerator_ms / MS_PER_HOUR, 6),
            "co2e_kg": kg(row.mg),
            "factor": row.factor,
            "working": row.working,
            "note": row.note,
        }
        for row in rows
    ]
