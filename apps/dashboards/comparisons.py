"""The chart above a list: its largest rows against each other, what is left in one bar, and what nobody owns.

Every bar is made of the list's own figures, so that chart, table and total agree; nothing here asks a query.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from apps.core import figures
from apps.core.charts import Chart, Series, ranked_bars
from apps.core.filters import SCOPES
from apps.core.palette import KIND_GROUP
from apps.core.tables import Cell, Column, Row, Table
from apps.dashboards.panels import DIMENSIONS, Dimension, energy_cell, label_of, mass_cell
from apps.dashboards.queries import Figures, figures_of, records
from apps.dashboards.scenes import Scene

SHOWN = 8
METHODS = {"location": "Location-based", "market": "Market-based"}
KINDS = {"training": "Training", "inference": "Inference", "idle": "Idle", "other": "Other kinds"}
PURPOSES = {"training": "for training", "inference": "for inference", "idle": "idle", "other": "for other work"}


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of the chart; ``values`` by meaning, mWh or mg, absent where there is no figure."""

    label: str
    values: Mapping[str, int | None]
    kind: str = ""  # "unassigned", "rest" or nothing

    def of(self, *names: str) -> int:
        return sum(self.values.get(name) or 0 for name in names)


def _added(bars: Sequence[Bar], name: str) -> int | None:
    known = [value for bar in bars if (value := bar.values.get(name)) is not None]
    return sum(known) if known else None


def _ranked(bars: Sequence[Bar], size: Callable[[Bar], int], dimension: Dimension, names: Sequence[str]) -> list[Bar]:
    """The largest first, all others in one, the unassigned last."""
    named = sorted((bar for bar in bars if not bar.kind), key=lambda bar: (-size(bar), bar.label.casefold()))
    last = [bar for bar in bars if bar.kind]
    # One left over is shown under its own name.
    if len(named) > SHOWN + 1:
        rest = named[SHOWN:]
        others = Bar(f"{len(rest)} other {dimension.plural}", {name: _added(rest, name) for name in names}, "rest")
        named = [*named[:SHOWN], others]
    return named + last


def _label(scene: Scene, row: dict[str, object], dimension: Dimension) -> str:
    """A row's name; where all scopes stand below each other, with its scope."""
    label, scope = label_of(row, dimension), str(row["scope"])
    return f"{label}, {SCOPES[scope]}" if scene.filters.scope == "all" and scope != "2" else label


def _kind(row: dict[str, object], dimension: Dimension) -> str:
    return "unassigned" if figures.is_absent(row[dimension.key]) else ""


def _rows(bars: Sequence[Bar], cells: Callable[[Bar], list[Cell]], total: Bar | None) -> list[Row]:
    rows = [Row([Cell(bar.label), *cells(bar)], "unassigned" if bar.kind == "unassigned" else "") for bar in bars]
    return [*rows, Row([Cell("Total"), *cells(total)], "total")] if total else rows


def _scaled(value: int | None, size: int) -> float | None:
    return None if value is None else round(value / size, 6)


def _decimals(largest: float) -> int:
    return 0 if largest >= 1000 else 1 if largest >= 10 else 2


def _text(value: float | None, decimals: int) -> str:
    if not value:
        return "" if value is None else "0"
    return f"{value:,.{decimals}f}" if round(value, decimals) else f"< {10**-decimals:g}"


# --- Emissions by both methods --------------------------------------------------------------------------------------


def methods(scene: Scene, dimension: Dimension, frame: pd.DataFrame, total: Figures | None) -> Chart | None:
    """Both methods of each row on one axis; None where nothing has emissions."""
    bars = []
    for row in records(frame):
        found = figures_of(row)
        if found.location is None and found.market is None:
            continue
        values = {"location": found.location, "market": found.market}
        bars.append(Bar(_label(scene, row, dimension), values, _kind(row, dimension)))
    if not bars:
        return None
    names = [name for name in METHODS if any(bar.values[name] is not None for bar in bars)]
    shown = _ranked(bars, lambda bar: max(bar.of(name) for name in names), dimension, names)
    unit = figures.column_mass_unit(bar.values[name] for bar in shown for name in names)
    size = figures.MASS_UNITS[unit]
    decimals = _decimals(max(bar.of(name) for bar in shown for name in names) / size)
    one_scope = scene.filters.scope != "all"
    ending = Bar("Total", {"location": total.location, "market": total.market}) if total and one_scope else None
    series = [
        Series(
            name,
            [_scaled(bar.values[name], size) for bar in shown],
            total=figures.mass(ending.values[name]) if ending else "",
        )
        for name in names
    ]
    texts = [[_text(value, decimals) for value in each.values] for each in series]
    columns = [
        Column("name", dimension.label, numeric=False),
        *(Column(name, METHODS[name], f"{unit} CO₂e") for name in names),
    ]
    rows = _rows(shown, lambda bar: [mass_cell(bar.values[name], unit) for name in names], ending)
    scope = SCOPES[scene.filters.scope]
    sub = f"{unit} CO₂e, {scope}."
    if len(names) == 2:
        sub += " Two methods for the same energy; they are never added."
    return Chart(
        "largest",
        _methods_sentence(shown, bars, names, dimension, one_scope),
        ranked_bars([bar.label for bar in shown], series, unit, stacked=False, texts=texts),
        Table(f"Largest {dimension.plural} by both methods, {scope}", columns, rows),
        key=series,
        sub=sub,
        csv_url=scene.csv_url("largest"),
    )


def _methods_sentence(
    shown: Sequence[Bar], bars: Sequence[Bar], names: Sequence[str], dimension: Dimension, one_scope: bool
) -> str:
    named = [bar for bar in shown if not bar.kind]
    if not named:
        return f"None of these emissions has a {dimension.name}"
    leaders = {name: max(named, key=lambda bar: bar.of(name)) for name in names}
    leader = leaders[names[0]]
    if len(bars) == 1 or not one_scope:
        amounts = " and ".join(
            f"{figures.mass(leader.values[name])} {METHODS[name].lower()}"
            for name in names
            if leader.values[name] is not None
        )
        return f"{leader.label} emitted {'most: ' if len(bars) > 1 else ''}{amounts}"
    sums = {name: _added(bars, name) for name in names}
    ratios = {name: leaders[name].of(name) / total for name in names if (total := sums[name])}
    shares = {name: figures.percent(ratio) for name, ratio in ratios.items()}
    if not shares:
        return f"The {dimension.plural} emitted nothing by either method"
    if len({leaders[name].label for name in shares}) == 1:
        words = " and ".join(f"{share} {METHODS[name].lower()}" for name, share in shares.items())
        most = "accounts for most emissions" if min(ratios.values()) > 0.5 else "has the largest emissions"
        return f"{leaders[next(iter(shares))].label} {most}: {words}"
    first, second = (f"{METHODS[name].lower()} ({share})" for name, share in shares.items())
    return f"{leader.label} leads {first}, {leaders['market'].label} {second}"


# --- Energy by what it was for --------------------------------------------------------------------------------------


def energy_of_models(scene: Scene, frame: pd.DataFrame, total: Figures | None) -> Chart | None:
    """What each model's energy was for. ``frame``: of ``queries.model_breakdown``."""
    dimension = DIMENSIONS["model"]
    bars = []
    for row in records(frame):
        parts = {name: int(row[f"{name}_milliwatt_hours"]) for name in ("training", "inference", "idle")}
        parts["other"] = int(row["facility_energy_milliwatt_hours"]) - sum(parts.values())
        bars.append(Bar(_label(scene, row, dimension), parts, _kind(row, dimension)))
    return _energy(scene, dimension, bars, total)


def energy_of_workloads(scene: Scene, frame: pd.DataFrame, total: Figures | None) -> Chart | None:
    """The largest workloads by kind. ``frame``: one row per workload, model, team and kind."""
    dimension = DIMENSIONS["workload"]
    found: dict[tuple[str, str], tuple[dict[str, int], str]] = {}
    for row in records(frame):
        parts, _ = found.setdefault(
            (str(row["workload"] or ""), str(row["scope"])), (dict.fromkeys(KINDS, 0), _kind(row, dimension))
        )
        parts[KIND_GROUP.get(str(row["kind"]), "other")] += int(row["facility_energy_milliwatt_hours"])
    bars = [
        Bar(_label(scene, {"workload": name or None, "scope": scope}, dimension), parts, kind)
        for (name, scope), (parts, kind) in found.items()
    ]
    return _energy(scene, dimension, bars, total)


def _energy(scene: Scene, dimension: Dimension, bars: Sequence[Bar], total: Figures | None) -> Chart | None:
    if not any(bar.of(*KINDS) for bar in bars):
        return None
    names = [name for name in KINDS if any(bar.of(name) for bar in bars)]
    shown = _ranked(bars, lambda bar: bar.of(*KINDS), dimension, names)
    sums = [bar.of(*names) for bar in shown]
    unit = figures.column_energy_unit(sums)
    size = figures.ENERGY_UNITS[unit]
    decimals = _decimals(max(sums) / size)
    one_scope = scene.filters.scope != "all"
    ending = Bar("Total", {name: _added(bars, name) for name in names}) if one_scope and total else None
    series = [
        Series(
            name,
            [_scaled(bar.of(name), size) for bar in shown],
            label=KINDS[name],
            total=figures.energy(ending.values[name]) if ending else "",
        )
        for name in names
    ]
    columns = [
        Column("name", dimension.label, numeric=False),
        *(Column(name, KINDS[name], unit) for name in names),
        Column("total", "Facility energy", unit),
    ]

    def cells(bar: Bar) -> list[Cell]:
        return [*(energy_cell(bar.of(name), unit) for name in names), energy_cell(bar.of(*names), unit)]

    scope = SCOPES[scene.filters.scope]
    return Chart(
        "largest",
        _energy_sentence(bars, names, dimension, one_scope),
        ranked_bars(
            [bar.label for bar in shown],
            series,
            unit,
            stacked=True,
            texts=[[_text(_scaled(each, size), decimals) for each in sums]],
        ),
        Table(f"Largest {dimension.plural} by energy, {scope}", columns, _rows(shown, cells, ending)),
        key=series,
        sub=f"{unit} of facility energy (IT energy times PUE), {scope}.",
        csv_url=scene.csv_url("largest"),
    )


def _energy_sentence(bars: Sequence[Bar], names: Sequence[str], dimension: Dimension, one_scope: bool) -> str:
    named = sorted((bar for bar in bars if not bar.kind), key=lambda bar: -bar.of(*names))
    if not named:
        return f"None of this energy names a {dimension.name}"
    leader = named[0]
    whole = sum(bar.of(*names) for bar in bars)
    if not one_scope:
        return f"{leader.label} used most: {figures.energy(leader.of(*names))}"
    if len(named) > SHOWN + 1:
        share = figures.percent(sum(bar.of(*names) for bar in named[:SHOWN]) / whole)
        return f"The {SHOWN} largest of {len(named)} {dimension.plural} used {share} of the energy"
    main = max(names, key=leader.of)
    purpose = "all" if leader.of(main) == leader.of(*names) else "mostly"
    if len(bars) == 1:
        return f"{leader.label} used {figures.energy(whole)}, {purpose} {PURPOSES[main]}"
    return f"{leader.label} used {figures.percent(leader.of(*names) / whole)} of the energy, {purpose} {PURPOSES[main]}"
