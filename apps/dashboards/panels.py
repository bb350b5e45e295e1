"""Figures made into tables: which columns, in which unit, with which marks. No query is asked here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from apps.core import figures
from apps.core.filters import NONE, Filters
from apps.core.tables import Cell, Chip, Column, Row, Table, sort_key, sortable
from apps.dashboards.queries import Figures, Origin, figures_of, records, whole
from apps.organisations.models import Organisation

SCOPE_NOTES = {
    "3": Chip("Scope 3", "info", "Electricity of somebody else's cloud: Scope 3, category 1; never added to Scope 2"),
    "unassigned": Chip("no site", "warn", "No site yet, so no emissions: assign one to the source"),
}
SIMULATED = "Simulated load, not a measurement"
PUBLISHED = "Published figures of somebody else's run, shown as an example"


def origin_chip(origin: Origin | None) -> tuple[Chip, ...]:
    """The mark of a model or workload whose figures are not the organisation's own telemetry."""
    if origin is None:
        return ()
    if origin.provenance == "simulated":
        return (Chip("simulated", "warn", origin.citation or SIMULATED),)
    return (Chip("published", "info", origin.citation or PUBLISHED),)


def share_chips(found: Figures) -> tuple[Chip, ...]:
    """How much of a group's energy is simulated or published."""
    chips = []
    for amount, word, tone, title in (
        (found.simulated, "simulated", "warn", SIMULATED),
        (found.published, "published", "info", PUBLISHED),
    ):
        if amount:
            whole_group = amount >= found.energy
            text = word if whole_group else f"{figures.percent(amount / found.energy)} {word}"
            chips.append(Chip(text, tone, title))
    return tuple(chips)


def energy_cell(
    value: int | None, unit: str, bar: float | None = None, quality: str = "", calculation: str = ""
) -> Cell:
    exact = figures.energy_exact(value)
    return Cell(figures.energy_in(value, unit), title=exact, bar=bar, quality=quality, calculation=calculation)


def mass_cell(value: int | None, unit: str, reason: str = "") -> Cell:
    title = figures.mass_exact(value) if value is not None else reason or "no value"
    return Cell(figures.mass_in(value, unit), title=title)


def absence(found: Figures, scope: str) -> str:
    """Why a group has no emissions."""
    if scope == "unassigned":
        return "No emissions: the energy has no site yet"
    return "No emissions: no factor is known for the site's grid zone"


@dataclass(frozen=True, slots=True)
class Dimension:
    """How one way of grouping reads and where its names lead."""

    name: str
    label: str
    plural: str
    route: str
    key: str  # column of the ledger's frame
    label_key: str
    unassigned: str


DIMENSIONS = {
    "team": Dimension("team", "Team", "teams", "team", "team", "team_name", "Unassigned to a team"),
    "model": Dimension("model", "Model", "models", "model", "model", "model_name", "No model named"),
    "site": Dimension("site", "Site", "sites", "site", "site", "site_name", "No site yet"),
    "workload": Dimension("workload", "Workload", "workloads", "workload", "workload", "workload", "No workload named"),
    "kind": Dimension("kind", "Kind", "kinds", "", "kind", "kind", "No kind"),
    "source": Dimension("source", "Source", "sources", "", "source", "source", "No source"),
    "hardware": Dimension("hardware", "Hardware", "hardware profiles", "", "hardware", "hardware", "Not named"),
}

KIND_LABELS = {
    "training": "Training",
    "fine_tuning": "Fine-tuning",
    "inference": "Inference",
    "evaluation": "Evaluation",
    "data": "Data preparation",
    "idle": "Idle",
    "other": "Other",
}


@dataclass(frozen=True, slots=True)
class Extra:
    """A further column of a ranking: how a row's cell is made and what it is sorted by."""

    column: Column
    cell: Callable[[dict[str, Any]], Cell]
    sort: Callable[[dict[str, Any]], Any]
    total: Cell | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a ranking shows beside the ledger's frame."""

    dimension: Dimension
    caption: str
    link: Callable[[Any], str]  # the page of a key
    chips: Callable[[dict[str, Any]], tuple[Chip, ...]] = lambda row: ()
    extras: Sequence[Extra] = ()
    compact: bool = False  # on the overview: no sorting, fewer columns
    limit: int = 0
    total: Figures | None = None  # of the scope shown; from unrounded figures
    calculation: Callable[[dict[str, Any]], str] = lambda row: ""  # the page that shows how a row came about


def label_of(row: Mapping[str, Any], dimension: Dimension) -> str:
    key = row[dimension.key]
    if figures.is_absent(key):
        return dimension.unassigned
    label = row.get(dimension.label_key)
    text = str(key if figures.is_absent(label) else label)
    return KIND_LABELS.get(text, text) if dimension.name == "kind" else text


def _is_unassigned(row: Mapping[str, Any], dimension: Dimension) -> bool:
    return figures.is_absent(row[dimension.key])


def ranking_table(frame: pd.DataFrame, ranking: Ranking, filters: Filters) -> Table:
    """A table of figures by one dimension: sorted, the unassigned row last, the total from unrounded figures."""
    dimension = ranking.dimension
    rows = [(row, figures_of(row)) for row in records(frame)]
    energy_unit = figures.column_energy_unit(found.energy for _, found in rows)
    mass_unit = figures.column_mass_unit(
        mg for _, found in rows for mg in (found.location, found.market) if mg is not None
    )
    columns = [
        Column("name", dimension.label, numeric=False, sortable=True),
        Column("energy", "Energy", energy_unit, sortable=True, hint="Facility energy: IT energy times PUE"),
        Column("location", "Location-based", f"{mass_unit} CO₂e", sortable=True),
        Column("market", "Market-based", f"{mass_unit} CO₂e", sortable=True),
    ]
    sorts: dict[str, Callable[[tuple[dict[str, Any], Figures]], Any]] = {
        "name": lambda pair: label_of(pair[0], dimension).casefold(),
        "energy": lambda pair: pair[1].energy,
        "location": lambda pair: pair[1].location if pair[1].location is not None else -1,
        "market": lambda pair: pair[1].market if pair[1].market is not None else -1,
        "intensity": lambda pair: pair[1].location_ug_per_kwh or -1,
    }
    if not ranking.compact:
        columns.append(Column("intensity", "Location-based", "g CO₂e/kWh", sortable=True))
    for extra in ranking.extras:
        columns.append(extra.column)
        sorts[extra.column.key] = lambda pair, extra=extra: extra.sort(pair[0])  # type: ignore[misc]
    default = "-energy"
    name, down = ("energy", True) if ranking.compact else sort_key(filters, columns, default)
    rows.sort(key=lambda pair: label_of(pair[0], dimension).casefold())
    rows.sort(key=sorts[name], reverse=down)
    rows.sort(key=lambda pair: _is_unassigned(pair[0], dimension))
    largest = max((found.energy for _, found in rows), default=0)

    def cells(row: dict[str, Any], found: Figures) -> list[Cell]:
        scope = str(row["scope"])
        chips = [*ranking.chips(row)]
        if filters.scope == "all" and scope in SCOPE_NOTES:
            chips.append(SCOPE_NOTES[scope])
        done = [
            Cell(label_of(row, dimension), url=ranking.link(row[dimension.key]), chips=tuple(chips)),
            energy_cell(
                found.energy,
                energy_unit,
                found.energy / largest if largest else 0.0,
                found.quality,
                ranking.calculation(row),
            ),
            mass_cell(found.location, mass_unit, absence(found, scope)),
            mass_cell(found.market, mass_unit, absence(found, scope)),
        ]
        if not ranking.compact:
            done.append(Cell(figures.grams_per_kwh(found.location_ug_per_kwh)))
        return done + [extra.cell(row) for extra in ranking.extras]

    shown = [pair for pair in rows if not _is_unassigned(pair[0], dimension)]
    last = [pair for pair in rows if _is_unassigned(pair[0], dimension)]
    hidden = len(shown) - ranking.limit if ranking.limit and len(shown) > ranking.limit else 0
    if hidden:
        shown = shown[: ranking.limit]
    body = [Row(cells(*pair)) for pair in shown] + [Row(cells(*pair), "unassigned") for pair in last]
    if ranking.total is not None and rows and filters.scope != "all":
        total = ranking.total
        ending = [
            Cell("Total"),
            energy_cell(total.energy, energy_unit),
            mass_cell(total.location, mass_unit),
            mass_cell(total.market, mass_unit),
        ]
        if not ranking.compact:
            ending.append(Cell(figures.grams_per_kwh(total.location_ug_per_kwh)))
        ending += [extra.total or Cell("") for extra in ranking.extras]
        body.append(Row(ending, "total"))
    return Table(
        ranking.caption,
        columns if ranking.compact else sortable(columns, filters, default),
        body,
        more=f"{hidden} more {dimension.plural} not shown; the total includes them." if hidden else "",
    )


def simple_table(caption: str, columns: Sequence[Column], rows: Iterable[Sequence[Cell]], note: str = "") -> Table:
    return Table(caption, columns, [Row(list(cells)) for cells in rows], note=note)


def filter_value(key: Any) -> str:
    """A key of a frame as the query string says it."""
    return NONE if figures.is_absent(key) else str(key)


EXPORT = {
    "it_energy_milliwatt_hours": "it_energy_kwh",
    "facility_energy_milliwatt_hours": "facility_energy_kwh",
    "location_mg": "location_kg",
    "market_mg": "market_kg",
}


def export_rows(frame: pd.DataFrame, dimensions: Sequence[str]) -> tuple[list[str], list[list[Any]]]:
    """Header and rows of a file: the API's names, whole values in kWh and kg."""
    names = [name for name in (*dimensions, *(f"{each}_name" for each in dimensions)) if name in frame.columns]
    header = [*names, "scope", *EXPORT.values(), "tokens", "requests", "quality"]
    rows = []
    for row in records(frame):
        cells: list[Any] = [row[name] for name in names] + [row["scope"]]
        for column in EXPORT:
            value = whole(row[column])
            cells.append(None if value is None else f"{value / 1_000_000:.6f}")
        rows.append([*cells, whole(row["tokens"]), whole(row["requests"]), row["quality"]])
    return header, rows


def heading(organisation: Organisation, filters: Filters) -> str:
    """The name of a file: whose figures, of what time."""
    return f"{organisation.slug}-{filters.period.text or f'{filters.window.start:%Y%m%d}-{filters.window.end:%Y%m%d}'}"
