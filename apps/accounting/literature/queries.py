"""Figures that others published: the portal's recomputation of them, and a check of new ones before they are quoted."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from django.utils import timezone

from apps.accounting.adoption.queries import adopted_on
from apps.accounting.engine.factor_choice import choose_location_factor
from apps.accounting.engine.gases import GWP_SETS
from apps.accounting.engine.literature import Check, checks
from apps.accounting.engine.plausibility import Doubt, run_doubts
from apps.accounting.rates import GWP_SET
from apps.factors import queries as factors
from apps.organisations.models import Organisation

COLUMNS = ("name", "energy_kwh", "emissions_kg", "zone")
MOST_ROWS = 1_000
EXAMPLE = "name,energy_kwh,emissions_kg,zone\nLlama 3.1 70B,4900000,2040000,US\nLlama 3.3 70B,4900000,12900,US\n"


@dataclass(frozen=True, slots=True)
class Group:
    """The checks of one publication."""

    title: str
    url: str
    rows: list[Check]


def groups() -> list[Group]:
    """Every published table, recomputed now."""
    found: dict[str, Group] = {}
    for row in checks():
        publication = row.publication
        found.setdefault(publication.title, Group(publication.title, publication.url, [])).rows.append(row)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Stated:
    """One stated figure and what speaks against it; ``error``: the row could not be read."""

    line: int
    name: str
    g_per_kwh: Fraction | None = None
    grid_g_per_kwh: Fraction | None = None
    doubts: list[Doubt] = field(default_factory=list)
    error: str = ""


class UnreadableTableError(ValueError):
    """The text is no such table; the message says what was expected."""


def judge(organisation: Organisation, text: str) -> list[Stated]:
    """Hold stated energies and emissions against each other and against the grid that each row names.

    ``text``: CSV with the header :data:`COLUMNS`, ``zone`` may be empty. Raises ``UnreadableTableError``; a row that
    cannot be read carries its error and loses nothing else.
    """
    reader = csv.DictReader(io.StringIO(text.strip()))
    missing = [name for name in COLUMNS[:3] if name not in (reader.fieldnames or [])]
    if missing:
        raise UnreadableTableError(f"Expected a header with {', '.join(COLUMNS)}; {', '.join(missing)} is missing.")
    rows = list(reader)
    if len(rows) > MOST_ROWS:
        raise UnreadableTableError(f"Expected at most {MOST_ROWS:,} rows, got {len(rows):,}.")
    adopted = adopted_on(organisation.pk, timezone.now().date())
    grids: dict[str, Fraction | None] = {}
    return [_judged(line, row, grids, adopted) for line, row in enumerate(rows, start=2)]


def _judged(line: int, row: dict[str, str], grids: dict[str, Fraction | None], adopted: frozenset[int]) -> Stated:
    name, zone = (row.get("name") or "").strip(), (row.get("zone") or "").strip().upper()
    values = []
    for column in ("energy_kwh", "emissions_kg"):
        try:
            value = Decimal((row.get(column) or "").strip())
        except InvalidOperation:
            value = Decimal("NaN")
        if not value.is_finite():
            return Stated(line, name, error=f"{column}: expected a number, got {row.get(column)!r}")
        values.append(Fraction(value))
    energy, emissions = values
    if zone and zone not in grids:
        grids[zone] = _grid(zone, adopted)
    grid = grids.get(zone)
    if zone and grid is None:
        return Stated(line, name, error=f"zone: no factor is known for {zone!r}; leave it empty to check without one")
    doubts = run_doubts(energy_kwh=energy, emissions_kg=emissions, grid_g_per_kwh=grid)
    return Stated(line, name, emissions * 1000 / energy if energy > 0 else None, grid, doubts)


def _grid(zone: str, adopted: Sequence[int] | frozenset[int]) -> Fraction | None:
    choice = choose_location_factor(
        zone=zone,
        zone_parents=factors.zone_parents(zone),
        activity_year=timezone.now().year,
        candidates=factors.location_candidates(zone, adopted or None),
        gwp=GWP_SETS[GWP_SET],
    )
    return None if choice.ug_per_kwh is None else Fraction(choice.ug_per_kwh, 1_000_000)
