"""Columns that several sheets of the workbook share, and the ordering and adding of their rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from apps.disclosures.report.electricity import CONTROL, FACILITY, IT
from apps.disclosures.report.emissions import METHODS
from apps.disclosures.report.workload import TIERS
from apps.disclosures.workbook.writer import (
    COUNT,
    ENERGY,
    MASS,
    MEAN,
    PERCENT,
    TEXT,
    Column,
    Item,
    Kind,
)

MARKS = (("simulated_milliwatt_hours", "simulated"), ("published_milliwatt_hours", "published"))
Snapshot = Mapping[str, Any]


def column(head: str, kind: Kind, name: str) -> Column:
    return Column(head, kind, lambda row: row.get(name))


def named_column(head: str, kind: Kind, name: str, names: Mapping[str, str]) -> Column:
    return Column(head, kind, lambda row: names.get(row[name], row[name]) if name in row else None)


def ratio(part: int | None, whole: int | None, times: int = 1) -> Fraction | None:
    """part x times / whole; absent where either is, or the whole is 0."""
    return None if part is None or not whole else Fraction(part * times, whole)


def share_column(head: str, name: str, total: Item) -> Column:
    """Of a total, in per cent; the kind takes parts per million."""
    return Column(head, PERCENT, lambda row: ratio(row.get(name), total[name], 10**6))


def overhead(row: Item) -> int | None:
    return row[FACILITY] - row[IT] if FACILITY in row else None


def marks(row: Item) -> str:
    return ", ".join(word for name, word in MARKS if row.get(name))


FACILITY_COLUMN = column("Facility electricity, MWh", ENERGY, FACILITY)
IT_COLUMN = column("IT electricity, MWh", ENERGY, IT)
OVERHEAD_COLUMN = Column("Overhead, MWh", ENERGY, overhead)
PUE_COLUMN = Column("PUE, mean", MEAN, lambda row: ratio(row.get(FACILITY), row.get(IT)))
METHOD_COLUMNS = {method: column(f"{name} emissions, t CO₂e", MASS, f"{method}_mg") for method, name in METHODS.items()}
WORK_COLUMNS = [column("Tokens", COUNT, "tokens"), column("Requests", COUNT, "requests")]
PROVENANCE_COLUMNS = [
    column("Of which simulated, MWh", ENERGY, "simulated_milliwatt_hours"),
    column("Of which published runs, MWh", ENERGY, "published_milliwatt_hours"),
    Column("Marks", TEXT, marks),
]
WITHOUT_FACTOR = column("Without a factor, MWh", ENERGY, "without_factor_milliwatt_hours")
QUALITY_COLUMNS = [
    *(
        column(f"{letter} {name.lower()}, MWh", ENERGY, f"tier_{tier}_milliwatt_hours")
        for tier, (letter, name, _) in TIERS.items()
    ),
    column("Quality", TEXT, "quality"),
]
SITE_COLUMNS = [
    Column("Site", TEXT, lambda row: row.get("site_name") or row.get("site")),
    column("Code", TEXT, "site"),
    column("Country", TEXT, "country"),
    named_column("Control class", TEXT, "control", CONTROL),
    column("Grid zone", TEXT, "grid_zone"),
    column("Market", TEXT, "market"),
]


def name_columns(head: str, key: str) -> list[Column]:
    return [
        Column(head, TEXT, lambda row: row.get(f"{key}_name") or row.get(key) or "Unassigned"),
        column("Identifier", TEXT, key),
    ]


def ranked(rows: Iterable[Item], key: str, by: str = FACILITY) -> list[Item]:
    """The largest first, the unassigned last."""
    return sorted(rows, key=lambda row: (row.get(key) is None, -(row[by] or 0), str(row.get(key))))


def sum_of(rows: Sequence[Item], *names: str) -> Item:
    present = {name: [row[name] for row in rows if row[name] is not None] for name in names}
    return {name: sum(values) if values else None for name, values in present.items()}


def total_of(snapshot: Snapshot) -> Item:
    total: Item = snapshot["totals"]["quarter"]["figures"]
    return total
