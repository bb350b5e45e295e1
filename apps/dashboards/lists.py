"""The lists: teams, models, sites and workloads with their figures in a period."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from apps.core import figures
from apps.core.filters import SCOPES
from apps.core.tables import Cell, Chip, Column, Table
from apps.dashboards import comparisons, overview, panels, queries
from apps.dashboards.panels import DIMENSIONS, KIND_LABELS, Dimension, Extra, Ranking, ranking_table
from apps.dashboards.queries import Figures
from apps.dashboards.scenes import INTENSITY_BOUNDARY, Scene

PER_PAGE = 50


@dataclass(frozen=True, slots=True)
class List:
    dimension: Dimension
    title: str
    lead: str
    group_by: tuple[str, ...]
    chart_by: tuple[str, ...]  # the grouping behind the chart's figures

    @property
    def route(self) -> str:
        return self.dimension.plural


LISTS = {
    "team": List(DIMENSIONS["team"], "Teams", "What each team's work used and emitted.", ("team",), ("team",)),
    "model": List(
        DIMENSIONS["model"],
        "Models",
        "What training and serving each model used and emitted.",
        ("model",),
        ("model", "kind"),
    ),
    "site": List(
        DIMENSIONS["site"],
        "Sites",
        "Where the electricity was used, under whose control and on which grid.",
        ("site",),
        ("site",),
    ),
    "workload": List(
        DIMENSIONS["workload"],
        "Workloads",
        "Training runs, inference services and other jobs.",
        ("workload", "model", "team", "kind"),
        ("workload", "kind"),
    ),
}


def _energy_extra(frame: pd.DataFrame, key: str, label: str) -> Extra:
    column = f"{key}_milliwatt_hours"
    values = [int(value) for value in frame[column]] if column in frame else []
    unit = figures.column_energy_unit(values)
    return Extra(
        Column(key, label, unit, sortable=True),
        lambda row: panels.energy_cell(int(row[column]), unit) if row[column] else Cell(figures.DASH, "none"),
        lambda row: int(row[column]),
        panels.energy_cell(sum(values), unit),
    )


def _token_extra() -> Extra:
    def cell(row: dict[str, Any]) -> Cell:
        value: Any = row.get("mg_per_1000_tokens")
        if figures.is_absent(value):
            return Cell(figures.DASH, title="No inference with reported tokens")
        text = f"{value / 1000:,.3f}" if value >= 1 else "< 0.001"
        return Cell(text, title=f"{value / 1000:.6f} g per 1,000 tokens")

    return Extra(
        Column("tokens", "Inference", "g CO₂e/1k tokens", sortable=True, hint=INTENSITY_BOUNDARY),
        cell,
        lambda row: -1.0 if figures.is_absent(row.get("mg_per_1000_tokens")) else float(row["mg_per_1000_tokens"]),
        Cell(""),
    )


def _text_extra(key: str, label: str, text: Any) -> Extra:
    return Extra(
        Column(key, label, numeric=False, sortable=True),
        lambda row: Cell(text(row)),
        lambda row: str(text(row)).casefold(),
        Cell(""),
    )


def _or(value: Any, otherwise: str) -> str:
    return otherwise if figures.is_absent(value) else str(value)


def page(scene: Scene, shape: List) -> dict[str, Any]:
    """The list's table, the totals of its filter, and what else the page says."""
    name = shape.dimension.name
    totals = scene.totals()
    scope = scene.filters.scope
    total = totals.get(scope)
    context: dict[str, Any] = {
        "shape": shape,
        "totals": [(SCOPES[each], totals[each], each) for each in SCOPES if each in totals],
        "shown_total": total,
        "scope_label": SCOPES[scope],
        "csv_url": "?" + scene.filters.query(format="csv"),
        "api_call": scene.api_call(*shape.group_by),
        "pages": None,
        "chart": None,
    }
    makers = {"site": _site_table, "model": _model_table, "team": _team_table, "workload": _workload_table}
    return context | makers[name](scene, shape, total)


def _caption(scene: Scene, shape: List) -> str:
    return f"{shape.title}, {SCOPES[scene.filters.scope]}, {scene.filters.period.dates}"


def _team_table(scene: Scene, shape: List, total: Figures | None) -> dict[str, Any]:
    frame = queries.breakdown(scene.organisation, scene.window, scene.selection, scene.filters.scope, ("team",))
    whole = total.energy if total else 0
    share = Extra(
        Column("share", "Share", "of energy"),
        lambda row: Cell(
            figures.percent(int(row["facility_energy_milliwatt_hours"]) / whole) if whole else figures.DASH
        ),
        lambda row: 0,
        Cell(figures.percent(1) if whole else ""),
    )

    def link(key: Any) -> str:
        if figures.is_absent(key):
            return scene.link("workloads") + "&team=%7Enone"
        return scene.link("team", key)

    ranking = Ranking(
        shape.dimension,
        _caption(scene, shape),
        link,
        lambda row: panels.share_chips(queries.figures_of(row)),
        (share,),
        total=total,
        calculation=scene.calculation_of("team"),
    )
    return {
        "table": ranking_table(frame, ranking, scene.filters),
        "chart": comparisons.methods(scene, shape.dimension, frame, total),
    }


def _model_table(scene: Scene, shape: List, total: Figures | None) -> dict[str, Any]:
    frame = queries.model_breakdown(scene.organisation, scene.window, scene.selection, scene.filters.scope)
    origins = queries.foreign_origins(scene.organisation, "model")

    def link(key: Any) -> str:
        if figures.is_absent(key):
            return scene.link("workloads") + "&model=%7Enone"
        return scene.link("model", key)

    ranking = Ranking(
        shape.dimension,
        _caption(scene, shape),
        link,
        lambda row: panels.origin_chip(origins.get(str(row["model"]))),
        (_energy_extra(frame, "training", "Training"), _energy_extra(frame, "inference", "Inference"), _token_extra()),
        total=total,
        calculation=scene.calculation_of("model"),
    )
    return {
        "table": ranking_table(frame, ranking, scene.filters),
        "chart": comparisons.energy_of_models(scene, frame, total),
    }


def _workload_table(scene: Scene, shape: List, total: Figures | None) -> dict[str, Any]:
    """The workloads of one page; name search and paging happen after the totals, which are of the whole filter."""
    frame = queries.breakdown(scene.organisation, scene.window, scene.selection, scene.filters.scope, shape.group_by)
    everything = len(frame)
    search = scene.filters.search.casefold()
    if search:
        folded = frame["workload"].map(lambda value: "" if figures.is_absent(value) else str(value).casefold())
        frame = frame[folded.str.contains(search, regex=False)].reset_index(drop=True)
    origins = queries.foreign_origins(scene.organisation, "workload")
    model_origins = queries.foreign_origins(scene.organisation, "model")
    names = [str(value) for value in frame["workload"] if not figures.is_absent(value)]
    ids = queries.workload_ids(scene.organisation, names) if len(names) <= 500 else {}

    def link(key: Any) -> str:
        return scene.link("workload", ids[str(key)]) if str(key) in ids else ""

    def chips(row: dict[str, Any]) -> tuple[Chip, ...]:
        return panels.origin_chip(origins.get(str(row["workload"])) or model_origins.get(str(row["model"])))

    ranking = Ranking(
        shape.dimension,
        _caption(scene, shape),
        link,
        chips,
        (
            _text_extra("model", "Model", lambda row: _or(row["model_name"], figures.DASH)),
            _text_extra("team", "Team", lambda row: _or(row["team_name"], "Unassigned")),
            _text_extra("kind", "Kind", lambda row: KIND_LABELS.get(str(row["kind"]), str(row["kind"]))),
        ),
        total=total if not search else None,
        calculation=scene.calculation_of(*shape.group_by),
    )
    table = ranking_table(frame, ranking, scene.filters)
    page_count = max(1, -(-len(frame) // PER_PAGE))
    number = min(scene.filters.page, page_count)
    if page_count > 1:
        body = [row for row in table.rows if row.kind != "total"]
        ending = [row for row in table.rows if row.kind == "total"]
        shown = body[(number - 1) * PER_PAGE : number * PER_PAGE]
        table = Table(table.caption, table.columns, [*shown, *ending])
    query = scene.filters.query
    return {
        "table": table,
        "chart": comparisons.energy_of_workloads(scene, frame, total if not search else None) if number == 1 else None,
        "pages": {
            "number": number,
            "count": page_count,
            "rows": len(frame),
            "of": everything,
            "before": f"?{query(page=str(number - 1))}" if number > 1 else "",
            "after": f"?{query(page=str(number + 1))}" if number < page_count else "",
        },
    }


def _site_table(scene: Scene, shape: List, total: Figures | None) -> dict[str, Any]:
    frame = queries.breakdown(scene.organisation, scene.window, scene.selection, scene.filters.scope, ("site",))
    facts = queries.sites_with_rates(scene.organisation, scene.window)

    def of(row: dict[str, Any]) -> Any:
        return facts.get(str(row["site"]))

    def pue(row: dict[str, Any]) -> Cell:
        found = of(row)
        rate = found.rate if found else None
        return Cell(figures.pue(rate.pue_ppm if rate else None), title=rate.pue_source if rate else "")

    def factor(row: dict[str, Any]) -> Cell:
        found = of(row)
        return overview.factor_cell(found) if found else Cell(figures.DASH)

    def chips(row: dict[str, Any]) -> tuple[Chip, ...]:
        found = of(row)
        return (overview.CONTROL_CHIPS[found.site.control],) if found else ()

    extras = (
        Extra(
            Column("pue", "PUE", sortable=True),
            pue,
            lambda row: getattr(of(row) and of(row).rate, "pue_ppm", 0),
            Cell(""),
        ),
        Extra(
            Column("factor", "Grid factor", "g CO₂e/kWh", sortable=True),
            factor,
            lambda row: getattr(of(row) and of(row).rate, "factor_ug_per_kwh", 0) or 0,
            Cell(""),
        ),
        _text_extra("market_name", "Market", lambda row: of(row).site.market if of(row) else figures.DASH),
    )

    def link(key: Any) -> str:
        return scene.link("sources") if figures.is_absent(key) else scene.link("site", key)

    quiet = [found for code, found in facts.items() if code not in set(frame["site"].dropna())]
    calculation = scene.calculation_of("site")
    ranking = Ranking(
        shape.dimension, _caption(scene, shape), link, chips, extras, total=total, calculation=calculation
    )
    return {
        "table": ranking_table(frame, ranking, scene.filters),
        "chart": comparisons.methods(scene, shape.dimension, frame, total),
        "quiet_sites": [(found.site, scene.link("site", found.site.code)) for found in quiet],
    }
