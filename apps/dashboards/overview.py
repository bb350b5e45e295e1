"""The overview: one organisation's quarter on one page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from django.http import HttpResponse

from apps.accounting.quality.findings import headline
from apps.accounting.quality.tables import INTERVALS_HEADER, interval_chart, interval_records
from apps.core import figures
from apps.core.filters import NONE
from apps.core.tables import Cell, Chip, Column, Row, Table
from apps.dashboards import charts, panels, queries, scenes, timelines
from apps.dashboards.panels import DIMENSIONS, Ranking, ranking_table
from apps.dashboards.queries import Attention, Figures, SiteFacts
from apps.dashboards.scenes import Scene
from apps.disclosures.models import Disclosure, ReportingPeriod

CONTROL_CHIPS = {
    "owned": Chip("owned"),
    "leased": Chip("leased"),
    "colocation": Chip("colocation"),
    "cloud": Chip("cloud · Scope 3", "info", "Public cloud: Scope 3, category 1; never added to Scope 2"),
}


@dataclass(frozen=True, slots=True)
class Todo:
    tone: str
    mark: str
    text: str
    url: str = ""
    action: str = ""


def state_chip(scene: Scene) -> Chip:
    """Whether the period still runs, has ended, or has been disclosed."""
    if scene.is_open:
        return Chip("Live", "info", "The period is not over; its figures still grow")
    if scene.filters.period.text:
        period = ReportingPeriod.objects.of(scene.organisation).filter(label=scene.filters.period.text)
        found = (
            Disclosure.objects.of(scene.organisation)
            .filter(period__in=period, state=Disclosure.State.READY)
            .order_by("-version")
            .first()
        )
        if found:
            return Chip(f"Disclosed v{found.version}", "ok", "A disclosure of this period has been made; unassured")
    return Chip("Provisional", "warn", "The period is over and not disclosed yet")


def factor_cell(facts: SiteFacts) -> Cell:
    """The grid factor in force, with its boundary named."""
    rate = facts.rate
    if rate is None or rate.factor is None:
        reason = "; ".join(str(each) for each in rate.reasons) if rate else "No hour of the period is settled yet"
        return Cell(figures.DASH, title=reason or "No factor is known for the zone")
    dataset = rate.factor.dataset
    return Cell(
        figures.grams_per_kwh(rate.factor_ug_per_kwh),
        title=f"{dataset.publisher}, {dataset.title}, {dataset.edition}, data of {rate.factor.data_year}",
        note=f"{rate.factor.zone_id} {rate.factor.data_year}, "
        + ("direct" if dataset.boundary == "direct" else "life cycle"),
    )


def sites_table(scene: Scene, frame: pd.DataFrame, caption: str) -> Table:
    """Every site with its control class, PUE, factor and both methods; cloud sites marked and not in the total."""
    facts = queries.sites_with_rates(scene.organisation, scene.window)
    found: dict[str | None, list[tuple[str, Figures]]] = {}
    for row in queries.records(frame):
        key = None if figures.is_absent(row["site"]) else str(row["site"])
        found.setdefault(key, []).append((str(row["scope"]), queries.figures_of(row)))
    everything = [each for rows in found.values() for _, each in rows]
    energy_unit = figures.column_energy_unit(each.energy for each in everything)
    mass_unit = figures.column_mass_unit(mg for each in everything for mg in (each.location, each.market))
    largest = max((each.energy for each in everything), default=0)
    columns = [
        Column("name", "Site", numeric=False),
        Column("control", "Control class", numeric=False),
        Column("pue", "PUE", hint="Power usage effectiveness in force at the end of the period"),
        Column("factor", "Grid factor", "g CO₂e/kWh"),
        Column("energy", "Energy", energy_unit),
        Column("location", "Location-based", f"{mass_unit} CO₂e"),
        Column("market", "Market-based", f"{mass_unit} CO₂e"),
    ]

    def amounts(scope: str, each: Figures, code: str) -> list[Cell]:
        bar = each.energy / largest if largest else 0.0
        calculation = scene.calculation_url(scope, site=code)
        return [
            panels.energy_cell(each.energy, energy_unit, bar, each.quality, calculation),
            panels.mass_cell(each.location, mass_unit, panels.absence(each, scope)),
            panels.mass_cell(each.market, mass_unit, panels.absence(each, scope)),
        ]

    rows = []
    narrowed = bool(scene.selection)
    for code, site_facts in sorted(
        facts.items(),
        key=lambda item: (item[1].site.control == "cloud", -sum(f.energy for _, f in found.get(item[0], []))),
    ):
        site = site_facts.site
        if narrowed and code not in found:
            continue
        rate = site_facts.rate
        for scope, each in found.get(code, [("2", Figures())]):
            rows.append(
                Row(
                    [
                        Cell(site.name, url=scene.link("site", code)),
                        Cell("", chips=(CONTROL_CHIPS[site.control],)),
                        Cell(figures.pue(rate.pue_ppm if rate else None), title=rate.pue_source if rate else ""),
                        factor_cell(site_facts),
                        *amounts(scope, each, code),
                    ]
                )
            )
    for scope, each in found.get(None, []):
        chip = Chip("no scope yet", "warn", "Assign a site to the source; until then there are no emissions")
        rows.append(
            Row(
                [
                    Cell("No site yet", url=scene.link("sources")),
                    Cell("", chips=(chip,)),
                    Cell(figures.DASH),
                    Cell(figures.DASH),
                    *amounts(scope, each, NONE),
                ],
                "unassigned",
            )
        )
    return Table(
        caption,
        columns,
        rows,
        note="Cloud sites are Scope 3 and stand here for completeness; no line adds them to Scope 2.",
    )


def todos(scene: Scene, now: dict[str, Figures], attention: Attention, unassigned_team: int) -> list[Todo]:
    """What somebody has to do, most consequential first."""
    scope_2 = now.get("2", Figures())
    found = []
    if "unassigned" in now:
        text = f"{figures.energy(now['unassigned'].energy)} came from sources without a site: no scope, no emissions."
        found.append(Todo("bad", "No site", text, scene.link("sources"), "Assign sites"))
    if scope_2.without_factor:
        text = f"{figures.energy(scope_2.without_factor)} have no emission factor and count no emissions."
        found.append(Todo("bad", "No factor", text, scene.link("sites"), "See the sites"))
    if unassigned_team:
        share = figures.percent(unassigned_team / scope_2.energy) if scope_2.energy else figures.DASH
        text = f"{figures.energy(unassigned_team)} ({share}) belong to no team."
        url = scene.link("workloads") + "&team=%7Enone"
        found.append(Todo("warn", "No team", text, url, "See the workloads"))
    if attention.names_to_map:
        words = (
            "team name sent by a client matches" if attention.names_to_map == 1 else "team names sent by clients match"
        )
        text = f"{attention.names_to_map} {words} no team."
        found.append(Todo("warn", "Names", text, scene.link("sources"), "Map names"))
    if attention.silent:
        text = f"Silent: {_some(attention.silent)}."
        found.append(Todo("warn", "Silent", text, scene.link("sources"), "See the sources"))
    if attention.overlapping:
        text = f"Readings that cover the same time twice: {_some(attention.overlapping)}."
        found.append(Todo("warn", "Overlap", text, scene.link("sources"), "See the sources"))
    return found


def _some(names: list[str], limit: int = 3) -> str:
    shown = ", ".join(names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown


def ranking_of(scene: Scene, dimension: str, total: Figures) -> tuple[Table, Any]:
    """A short table of the largest users, and the frame behind it."""
    frame = queries.breakdown(scene.organisation, scene.window, scene.selection, "2", (dimension,))
    origins = queries.foreign_origins(scene.organisation, dimension) if dimension == "model" else {}
    shape = DIMENSIONS[dimension]

    def link(key: Any) -> str:
        if figures.is_absent(key):
            return scene.link("workloads") + f"&{dimension}=%7Enone"
        return scene.link(shape.route, key)

    def chips(row: dict[str, Any]) -> tuple[Chip, ...]:
        if dimension == "model":
            return panels.origin_chip(origins.get(str(row["model"])))
        return panels.share_chips(queries.figures_of(row))

    ranking = Ranking(
        shape,
        f"{shape.label}s by energy, Scope 2",
        link,
        chips,
        compact=True,
        limit=6,
        total=total,
        calculation=scene.calculation_of(shape.name),
    )
    return ranking_table(frame, ranking, scene.filters), frame


def export(scene: Scene, panel: str) -> HttpResponse | None:
    """The file behind a panel of the overview; None for a panel that does not exist."""
    step = timelines.step_of(scene.window)
    day_or_step = "day" if step == "week" else step
    groups = {
        "energy-over-time": (day_or_step, "kind"),
        "methods": ("month",),
        "teams": ("team",),
        "models": ("model",),
        "sites": ("site",),
    }
    if panel == "intervals":
        by_site = queries.breakdown(scene.organisation, scene.window, scene.selection, "all", ("site",))
        surety = headline(scene.organisation.pk, scene.window, scene.selection, by_site)
        return scenes.table_csv(scene, INTERVALS_HEADER, interval_records(surety), panel)
    if panel not in groups:
        return None
    scope = "all" if panel == "sites" else scene.filters.scope
    frame = queries.breakdown(scene.organisation, scene.window, scene.selection, scope, groups[panel])
    return scenes.frame_csv(scene, frame, groups[panel], panel)


def overview(scene: Scene) -> dict[str, Any]:
    """Everything that the overview shows, in the order of its panels."""
    by_site = queries.breakdown(scene.organisation, scene.window, scene.selection, "all", ("site",))
    now, before = queries.totals_of(by_site), scene.previous_totals()
    scope_2, earlier = now.get("2", Figures()), before.get("2", Figures())
    status = queries.status(scene.organisation)
    attention = queries.attention(scene.organisation, scene.window, status.last_settled_at)
    teams, team_frame = ranking_of(scene, "team", scope_2)
    models, _ = ranking_of(scene, "model", scope_2)
    without_team = sum(
        int(row["facility_energy_milliwatt_hours"])
        for row in queries.records(team_frame)
        if figures.is_absent(row["team"])
    )
    things = todos(scene, now, attention, without_team)
    surety = headline(scene.organisation.pk, scene.window, scene.selection, by_site)
    arguments = (scene.organisation, scene.window, scene.selection, "2", scene.span.last)
    return {
        "state": state_chip(scene),
        "status": status,
        "attention": attention,
        "has_figures": bool(now),
        "has_scope_2": "2" in now,
        "scope_all_query": scene.filters.query(scope="all"),
        "kpis": [
            scenes.energy_kpi(scope_2, earlier, scene, "Energy, Scope 2 sites"),
            *scenes.method_kpis(scope_2, earlier, scene, "Scope 2, ", surety),
            scenes.token_kpi(scene, "2", scope_2, earlier),
            scenes.memo_kpi(now.get("3"), before.get("3"), scene),
        ],
        "energy": charts.energy_chart(timelines.energy_over_time(*arguments), scene.csv_url("energy-over-time")),
        "methods": charts.methods_chart(timelines.methods_over_time(*arguments), scene.csv_url("methods"), "2"),
        "surety": interval_chart(surety, scene.csv_url("intervals")) if surety else None,
        "quality_url": scene.link("quality"),
        "teams": teams,
        "models": models,
        "sites": sites_table(scene, by_site, "Sites: control class, PUE, grid factor and emissions by both methods"),
        "todos": things,
    }
