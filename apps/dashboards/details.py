"""The page of one team, model, site or workload: key figures, the course of time, breakdowns, facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from django.http import HttpResponse
from django.urls import reverse

from apps.accounting.models import MarketRate
from apps.accounting.work import queries as work
from apps.accounting.work import tables as work_tables
from apps.accounting.work.tables import OUTCOME_CHIPS
from apps.core import figures
from apps.core.charts import Chart
from apps.core.exports import csv_response
from apps.core.filters import days_text, parse_dates
from apps.core.tables import Cell, Chip, Column, Row, Table
from apps.dashboards import charts, overview, panels, queries, scenes, timelines
from apps.dashboards.panels import DIMENSIONS, Ranking, origin_chip, ranking_table
from apps.dashboards.queries import Figures, Origin
from apps.dashboards.scenes import Kpi, Scene, scene_of
from apps.organisations.models import Team
from apps.organisations.pages import PageRequest
from apps.organisations.roles import Capability, may
from apps.sites.models import Site
from apps.workloads.models import AIModel, Provenance, Workload


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    table: Table
    csv_url: str = ""
    sub: str = ""
    span: int = 12
    more_url: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """What the page is about. ``scopes``: "3" for a cloud site, else "2" with the others named beside it."""

    name: str
    list_route: str
    list_label: str
    group_by: str
    breakdowns: Sequence[str]
    chips: Sequence[Chip] = ()
    facts: Sequence[tuple[str, str]] = ()
    citation: str = ""
    scope: str = ""
    site: Site | None = None
    with_power: bool = False
    with_tokens: bool = False
    boundaries: Sequence[str] = field(default_factory=list)
    model: AIModel | None = None
    workload: Workload | None = None
    links: Sequence[tuple[str, str]] = ()  # (address, words) of pages that say more of it


def _origin_facts(thing: AIModel | Workload) -> tuple[tuple[Chip, ...], str]:
    if thing.provenance == Provenance.REPORTED:
        return (), ""
    text = panels.SIMULATED if thing.provenance == Provenance.SIMULATED else panels.PUBLISHED
    citation = f"{text}. {thing.citation}" if thing.citation else f"{text}."
    return origin_chip(Origin(thing.provenance, thing.citation)), citation


def team_subject(scene: Scene, team: Team) -> Subject:
    return Subject(team.name, "teams", "Teams", "team", ("model", "kind", "site", "workload"))


def model_subject(scene: Scene, model: AIModel) -> Subject:
    chips, citation = _origin_facts(model)
    boundaries = queries.model_boundaries(scene.organisation, model)
    boundary = Chip(f"measured at: {', '.join(boundaries)}", "", "What the readings of this model measured")
    return Subject(
        model.name,
        "models",
        "Models",
        "model",
        ("kind", "workload", "site", "hardware"),
        chips=(*chips, boundary) if boundaries else chips,
        citation=citation,
        boundaries=boundaries,
        with_tokens=True,
        model=model,
    )


def site_subject(scene: Scene, site: Site) -> Subject:
    facts = [
        ("Control class", site.get_control_display()),
        ("Country", site.country),
        ("Grid zone", site.grid_zone),
        ("Market", site.market),
        ("Time zone", f"{site.time_zone}; figures are by UTC"),
    ]
    return Subject(
        site.name,
        "sites",
        "Sites",
        "site",
        ("team", "model", "kind"),
        chips=(overview.CONTROL_CHIPS[site.control],),
        facts=facts,
        scope="3" if site.control == "cloud" else "2",
        site=site,
        links=_meter_links(scene, site),
    )


def _meter_links(scene: Scene, site: Site) -> list[tuple[str, str]]:
    """The pages of a site's meters, which a public cloud has none of."""
    pages = {"meters": "Meters", "reconciliation": "Reconciliation", "indicators": "Data-centre indicators"}
    if site.control == "cloud":
        return []
    return [(f"{url}&site={site.code}", words) for route, words in pages.items() if (url := scene.link(route))]


def workload_scene(request: PageRequest, workload: Workload) -> Scene:
    """The scene of a workload's page: its whole life, unless the query string names a time."""
    scene = scene_of(request, {"workload": (workload.name,)})
    if any(request.GET.get(name) for name in ("period", "from", "to")):
        return scene
    life = queries.workload_days(scene.organisation, workload, scene.span)
    if life is None:
        return scene
    period = parse_dates(life[0].isoformat(), (life[1] + timedelta(days=1)).isoformat())
    return replace(scene, filters=replace(scene.filters, period=period))


def workload_subject(scene: Scene, workload: Workload) -> Subject:
    chips, citation = _origin_facts(workload)
    if workload.outcome != Workload.Outcome.UNKNOWN:
        chips = (*chips, Chip(workload.get_outcome_display().lower(), OUTCOME_CHIPS[workload.outcome]))
    return Subject(
        workload.name,
        "workloads",
        "Workloads",
        "workload",
        ("kind", "team", "site", "source"),
        chips=chips,
        citation=citation,
        with_power=True,
        workload=workload,
    )


# --- The page -------------------------------------------------------------------------------------------------------


def _scope(subject: Subject, now: dict[str, Figures]) -> str:
    """The scope the page's figures are of: the site's own, else Scope 2, else whatever there is."""
    if subject.scope:
        return subject.scope
    return next((scope for scope in ("2", "3", "unassigned") if scope in now), "2")


def _kpis(scene: Scene, subject: Subject, scope: str, now: dict[str, Figures]) -> list[Kpi]:
    before = scene.previous_totals()
    current, earlier = now.get(scope, Figures()), before.get(scope, Figures())
    cards = [scenes.energy_kpi(current, earlier, scene)]
    if scope == "2":
        cards += scenes.method_kpis(current, earlier, scene, "Scope 2, ")
    elif scope == "3":
        cards.append(scenes.memo_kpi(now.get("3"), before.get("3"), scene))
    cards.append(scenes.token_kpi(scene, scope, current, earlier))
    if scope == "2" and "3" in now:
        cards.append(scenes.memo_kpi(now["3"], before.get("3"), scene))
    return cards


def page(scene: Scene, subject: Subject) -> dict[str, Any]:
    """Everything that the page of one thing shows."""
    now = scene.totals()
    scope = _scope(subject, now)
    context: dict[str, Any] = {
        "subject": subject,
        "scope": scope,
        "list_url": scene.link(subject.list_route),
        "has_figures": bool(now),
        "api_call": scene.api_call(subject.group_by),
        "facts": [*subject.facts],
        "own_panels": _site_panels(scene, subject.site) if subject.site else [],
        "outcomes": _outcomes(scene, subject.workload) if subject.workload else None,
    }
    if subject.model and now:
        context["own_panels"] = _model_panels(scene, subject.model, scope)
    if not now:
        return context
    arguments = (scene.organisation, scene.window, scene.selection, scope, scene.span.last)
    over_time = timelines.energy_over_time(*arguments)
    drawn: list[Chart] = [charts.energy_chart(over_time, scene.csv_url("energy-over-time"))]
    if subject.with_power:
        drawn.append(charts.power_chart(timelines.mean_power(*arguments), scene.csv_url("power")))
    elif scope == "2":
        drawn.append(charts.methods_chart(timelines.methods_over_time(*arguments), scene.csv_url("methods"), scope))
    total = now.get(scope, Figures())
    if subject.with_tokens and total.tokens:
        drawn.append(charts.intensity_chart(timelines.tokens_over_time(*arguments), scene.csv_url("intensity")))
    return context | {
        "kpis": _kpis(scene, subject, scope, now),
        "charts": drawn,
        "breakdowns": [_breakdown(scene, name, scope, total) for name in subject.breakdowns],
    }


def _breakdown(scene: Scene, name: str, scope: str, total: Figures) -> Panel:
    shape = DIMENSIONS[name]
    frame = queries.breakdown(scene.organisation, scene.window, scene.selection, scope, (name,))
    origins = queries.foreign_origins(scene.organisation, name) if name in ("model", "workload") else {}
    ids: dict[str, int] = {}
    if name == "workload":
        names = [str(value) for value in frame["workload"] if not figures.is_absent(value)]
        ids = queries.workload_ids(scene.organisation, names[:500])

    def link(key: Any) -> str:
        if figures.is_absent(key) or not shape.route:
            return ""
        if name == "workload":
            return scene.link("workload", ids[str(key)]) if str(key) in ids else ""
        return scene.link(shape.route, key)

    ranking = Ranking(
        shape,
        f"By {shape.label.lower()}",
        link,
        lambda row: origin_chip(origins.get(str(row[shape.key]))),
        compact=True,
        limit=15,
        total=total,
        calculation=scene.calculation_of(name),
    )
    table = ranking_table(frame, ranking, scene.filters)
    return Panel(f"By {shape.label.lower()}", table, scene.csv_url(f"by-{name}"), span=6)


def export(scene: Scene, subject: Subject, panel: str) -> HttpResponse | None:
    """The file behind a panel; None for a panel that does not exist."""
    step = timelines.step_of(scene.window)
    if subject.model and panel in ("units", "line"):
        return _model_export(scene, subject.model, panel)
    groups: dict[str, tuple[str, ...]] = {
        "energy-over-time": ("day" if step == "week" else step, "kind"),
        "methods": ("month",),
        "power": ("day",),
        "intensity": ("day" if step == "week" else step, "workload", "kind"),
        **{f"by-{name}": (name,) for name in subject.breakdowns},
    }
    if panel not in groups:
        return None
    frame = queries.breakdown(scene.organisation, scene.window, scene.selection, "all", groups[panel])
    return scenes.frame_csv(scene, frame, groups[panel], panel)


# --- A model's and a workload's own panels ---------------------------------------------------------------------------


def _outcomes(scene: Scene, workload: Workload) -> dict[str, Any]:
    """The form that says how a run ended."""
    return {
        "may": may(scene.request.membership.role, Capability.CONNECT),
        "url": reverse("workload-outcome", args=[scene.organisation.slug, workload.pk]),
        "choices": Workload.Outcome.choices,
        "current": workload.outcome,
    }


def _model_panels(scene: Scene, model: AIModel, scope: str) -> list[Panel]:
    found = []
    rows = work.work_rows(scene.organisation.pk, scene.window, scope=scope, filters=scene.selection)
    if rows and any(each.wh is not None for each in rows[0].intensities.values()):
        sub = "Ratios of sums over the rows that carry the work; what was measured stands beside each."
        table = work_tables.one_table(rows[0])
        found.append(Panel("Units of AI work", table, scene.csv_url("units"), sub, more_url=scene.link("work")))
    line = work.development_line(scene.organisation.pk, scene.window, model.slug, scope=scope)
    if line.parts:
        found.append(
            Panel("Development line", work_tables.line_table(line), scene.csv_url("line"), work_tables.line_words(line))
        )
    return found


def _model_export(scene: Scene, model: AIModel, panel: str) -> HttpResponse | None:
    scope = _scope(model_subject(scene, model), scene.totals())
    if panel == "units":
        rows = work.work_rows(scene.organisation.pk, scene.window, scope=scope, filters=scene.selection)
        records = work_tables.records(rows, "model")
    else:
        records = work_tables.line_records(
            work.development_line(scene.organisation.pk, scene.window, model.slug, scope=scope)
        )
    if not records:
        return None
    name = f"{panels.heading(scene.organisation, scene.filters)}-{model.slug}-{panel}"
    return csv_response(name, list(records[0]), [list(record.values()) for record in records])


# --- A site's own panels --------------------------------------------------------------------------------------------


def _site_panels(scene: Scene, site: Site) -> list[Panel]:
    found = [_pue_panel(scene, site), _factor_panel(scene, site)]
    if site.control != "cloud":
        found.append(_market_panel(scene, site))
    found.append(_source_panel(scene, site))
    return found


def _pue_panel(scene: Scene, site: Site) -> Panel:
    columns = [
        Column("start", "From", numeric=False, nowrap=True),
        Column("end", "Until", numeric=False, nowrap=True),
        Column("pue", "PUE"),
        Column("source", "Source of the value", numeric=False),
    ]
    rows = [
        [
            Cell(period.start.isoformat()),
            Cell(period.end.isoformat() if period.end else "open", title="first day on which it no longer holds"),
            Cell(figures.pue(period.pue_ppm)),
            Cell(period.source),
        ]
        for period in queries.pue_history(scene.organisation, site)
    ]
    table = panels.simple_table("PUE of the site, latest first", columns, rows)
    return Panel("PUE and where it comes from", table, sub="Applied once, and only to energy measured on the IT side.")


def _factor_panel(scene: Scene, site: Site) -> Panel:
    columns = [
        Column("days", "In force", numeric=False, nowrap=True),
        Column("factor", "Grid factor", "g CO₂e/kWh"),
        Column("zone", "Zone, data year", numeric=False),
        Column("dataset", "Publisher, dataset, edition", numeric=False),
        Column("boundary", "Boundary", numeric=False),
        Column("licence", "Licence", numeric=False),
        Column("reasons", "Why this one", numeric=False),
    ]
    rows = []
    facts = queries.sites_with_rates(scene.organisation, scene.window).get(site.code)
    for rate in facts.rates if facts else []:
        first, end = queries.rate_days(rate)
        days = Cell(days_text(first, end))
        reasons = Cell("; ".join(str(reason) for reason in rate.reasons) or figures.DASH)
        if rate.factor is None:
            rows.append(
                [
                    days,
                    Cell(figures.DASH, title="No factor is known"),
                    Cell(site.grid_zone),
                    Cell("none: emissions are absent"),
                    Cell(figures.DASH),
                    Cell(figures.DASH),
                    reasons,
                ]
            )
            continue
        factor, dataset = rate.factor, rate.factor.dataset
        direct = dataset.boundary == "direct"
        chip = Chip("direct") if direct else Chip("life cycle", "warn", "Upstream and construction are included")
        rows.append(
            [
                days,
                Cell(
                    figures.grams_per_kwh(rate.factor_ug_per_kwh),
                    title=f"{rate.factor_ug_per_kwh} µg/kWh, {rate.gwp_set}",
                ),
                Cell(f"{factor.zone_id}, {factor.data_year}", title=factor.zone.name),
                Cell(f"{dataset.publisher}, {dataset.title}", note=f"edition {dataset.edition}"),
                Cell("", chips=(chip,)),
                Cell(dataset.licence),
                reasons,
            ]
        )
    table = panels.simple_table("Location-based grid factors in force in the period", columns, rows)
    return Panel("Grid factor in force", table)


def _market_panel(scene: Scene, site: Site) -> Panel:
    """How the market-based result of the site's market was made; the instruments cover the market, not one site."""
    rates = [rate for rate in queries.market_rates(scene.organisation, scene.window) if rate.market == site.market]
    unit = figures.column_energy_unit(rate.facility_energy_milliwatt_hours for rate in rates)
    mass = figures.column_mass_unit(mg for rate in rates for mg in (rate.location_mg, rate.market_mg))
    columns = [
        Column("period", "Claim period", numeric=False, nowrap=True),
        Column("energy", "Consumption", unit),
        Column("covered", "By instruments", unit),
        Column("uncovered", "Uncovered", unit),
        Column("fallback", "Uncovered at", "g CO₂e/kWh"),
        Column("location", "Location-based", f"{mass} CO₂e"),
        Column("market", "Market-based", f"{mass} CO₂e"),
    ]
    rows = [Row(_market_cells(rate, unit, mass)) for rate in rates]
    caption = f"Market-based result of the market {site.market}, by claim period"
    sub = f"Instruments cover the consumption of all sites in the market {site.market}, not of this site alone."
    return Panel("How the market-based figure is made", Table(caption, columns, rows), sub=sub)


def _market_cells(rate: MarketRate, unit: str, mass: str) -> list[Cell]:
    if rate.fallback == MarketRate.Fallback.RESIDUAL:
        title = f"Residual mix: {rate.fallback_factor.dataset}" if rate.fallback_factor else "Residual mix"
        fallback = Cell(figures.grams_per_kwh(rate.fallback_ug_per_kwh), title=title, note="residual mix")
    else:
        fallback = Cell("grid average", title="No residual mix is published for this market and year")
    return [
        Cell(days_text(rate.period_start, rate.period_end)),
        panels.energy_cell(rate.facility_energy_milliwatt_hours, unit),
        panels.energy_cell(rate.covered_milliwatt_hours, unit),
        panels.energy_cell(rate.uncovered_milliwatt_hours, unit),
        fallback,
        panels.mass_cell(rate.location_mg, mass),
        panels.mass_cell(rate.market_mg, mass),
    ]


def _source_panel(scene: Scene, site: Site) -> Panel:
    frame = queries.sources_of(scene.organisation, scene.window)
    columns = [
        Column("source", "Source", numeric=False),
        Column("coverage", "Coverage", "of the period"),
        Column("last", "Last reading", "UTC", numeric=False, nowrap=True),
        Column("state", "State", numeric=False),
    ]
    rows = []
    for row in queries.records(frame[frame["site"] == site.code].sort_values("coverage")):
        chips = []
        if row["silent"]:
            chips.append(Chip("silent", "warn", "No reading in the last 24 hours of the period"))
        if row["overlap_ms"] > 0:
            hours = row["overlap_ms"] / 3_600_000
            chips.append(Chip(f"overlap {hours:,.1f} h", "warn", "Time that two readings claim"))
        last = row["last_reading_at"]
        rows.append(
            [
                Cell(str(row["source"])),
                Cell(figures.percent(row["coverage"]), bar=float(row["coverage"])),
                Cell(f"{last:%Y-%m-%d %H:%M}" if last else figures.DASH),
                Cell("" if chips else "sending" if scene.is_open else "complete to the end", chips=tuple(chips)),
            ]
        )
    shown = rows[:50]
    table = panels.simple_table(
        "Sources of the site, least covered first",
        columns,
        shown,
        note=f"{len(rows) - 50} more sources are better covered than these." if len(rows) > 50 else "",
    )
    return Panel("Sources", table)
