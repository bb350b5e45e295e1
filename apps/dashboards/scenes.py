"""What every data page starts from: whose figures, of what time, narrowed how, compared with what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from django.http import HttpResponse
from django.urls import reverse

from apps.accounting.quality.findings import Group
from apps.accounting.quality.tables import plus_minus, range_text
from apps.core import figures
from apps.core.exports import csv_response
from apps.core.filters import NONE, SCOPES, Filters, parse_filters, present_quarter, quarters_between
from apps.core.windows import Window, midnight
from apps.dashboards import panels, queries
from apps.dashboards.navigation import is_open_to, url_of
from apps.dashboards.panels import KIND_LABELS, export_rows, heading, share_chips
from apps.dashboards.queries import Figures, Span
from apps.organisations.models import Organisation
from apps.organisations.pages import PageRequest

INTENSITY_BOUNDARY = (
    "Location-based emissions of the facility energy (IT energy times PUE) of inference that reports tokens,"
    " divided by those tokens. Idle hardware and training are not in it."
)


@dataclass(frozen=True, slots=True)
class Select:
    name: str
    label: str
    all: str
    options: list[tuple[str, str]]
    chosen: str


@dataclass(frozen=True, slots=True)
class Choices:
    """What the filter bar offers."""

    periods: list[str]
    selects: list[Select]
    search: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    text: str
    direction: str  # up, down, same or ""


@dataclass(frozen=True, slots=True)
class Kpi:
    label: str
    value: str
    unit: str = ""
    title: str = ""
    note: str = ""
    quality: str = ""
    interval: str = ""  # "± 8.7 %"
    interval_range: str = ""  # "11.2 to 13.4 t"
    change: Change | None = None
    memo: bool = False
    chips: tuple[Any, ...] = ()
    url: str = ""
    calculation: str = ""  # where it is shown how the figure came about, when not as the page's other figures


@dataclass(frozen=True)
class Scene:
    request: PageRequest
    organisation: Organisation
    span: Span
    filters: Filters
    extra: dict[str, tuple[str, ...]] = field(default_factory=dict)  # the entity of a detail page

    @property
    def window(self) -> Window:
        return self.filters.window

    @property
    def selection(self) -> dict[str, tuple[str, ...]]:
        return {**self.filters.ledger_filters, **self.extra}

    @property
    def compared(self) -> Window:
        return self.filters.period.previous_until(self.span.last)

    @property
    def compared_label(self) -> str:
        period = self.filters.period
        if self.compared == period.previous:
            return period.previous_label
        days = (self.compared.end - self.compared.start).days
        return f"the first {days} days of {period.previous_label}"

    @property
    def is_open(self) -> bool:
        return self.window.end > datetime.now(UTC)

    @property
    def running(self) -> str:
        """The quarter that runs now, when it has readings and nothing of it is shown; else empty."""
        quarter = present_quarter()
        has_readings = self.span.last is not None and self.span.last > quarter.window.start
        return str(quarter) if has_readings and self.window.end <= quarter.window.start else ""

    @property
    def running_url(self) -> str:
        return "?" + self.filters.query(period=self.running)

    def link(self, route: str, *arguments: Any) -> str:
        """A page of the organisation with the same period; empty where the reader's role may not open it."""
        if not arguments:
            url = url_of(route, self.organisation)
            if url is not None and not is_open_to(url, self.request.membership):
                return ""
        else:
            url = reverse(route, args=[self.organisation.slug, *arguments])
        return f"{url}?{self.filters.period_query}" if url else ""

    def calculation_url(self, scope: str = "2", **chosen: str) -> str:
        """The page that shows how the figures of this filter, or of one row of it, came about."""
        values = {name: [value or NONE for value in values] for name, values in self.extra.items()}
        query = self.filters.query(sort="", q="", scope="" if scope == "2" else scope, **(values | chosen))
        return f"{reverse('calculations', args=[self.organisation.slug])}?{query}"

    def calculation_of(self, *names: str) -> Callable[[dict[str, Any]], str]:
        """The same for each row of a table by these dimensions."""
        return lambda row: self.calculation_url(
            str(row["scope"]), **{name: panels.filter_value(row[name]) for name in names}
        )

    def csv_url(self, panel: str) -> str:
        return "?" + self.filters.query(format="csv", panel=panel)

    def api_call(self, *group_by: str) -> str:
        """The command that fetches the same figures, to copy."""
        fixed = {name: values[0] for name, values in self.extra.items() if values}
        address = self.request.build_absolute_uri("/api/v1/emissions")
        query = self.filters.api_query(group_by, **fixed)
        return f'curl -H "Authorization: Bearer $ESGPORTAL_KEY" \\\n  "{address}?{query}"'

    def totals(self) -> dict[str, Figures]:
        return queries.totals(self.organisation, self.window, self.selection)

    def previous_totals(self) -> dict[str, Figures]:
        return queries.totals(self.organisation, self.compared, self.selection)


def scene_of(request: PageRequest, extra: dict[str, tuple[str, ...]] | None = None) -> Scene:
    span = queries.reading_span(request.organisation)
    return Scene(request, request.organisation, span, parse_filters(request.GET, span.last_ended), extra or {})


def choices_of(scene: Scene, *names: str, search: bool = False) -> Choices:
    """The filter bar of a page, with one query for each list of names that it offers."""
    filters = scene.filters

    def chosen(name: str) -> str:
        values = filters.values.get(name, ())
        return values[0] if values else ""

    offers: dict[str, tuple[str, str, Callable[[], list[tuple[str, str]]]]] = {
        "team": ("Team", "All teams", lambda: [*queries.team_names(scene.organisation), (NONE, "Unassigned")]),
        "model": ("Model", "All models", lambda: [*queries.model_names(scene.organisation), (NONE, "No model")]),
        "site": ("Site", "All sites", lambda: queries.site_names(scene.organisation)),
        "kind": ("Kind", "All kinds", lambda: list(KIND_LABELS.items())),
    }
    selects = []
    for name in names:
        if name == "scope":
            selects.append(
                Select("scope", "Scope", "Scope 2", [item for item in SCOPES.items() if item[0] != "2"], filters.scope)
            )
            continue
        label, everything, options = offers[name]
        selects.append(Select(name, label, everything, options(), chosen(name)))
    periods = quarters_between(scene.span.first, scene.span.last)
    if filters.period.text and filters.period.text not in periods:
        periods = sorted({*periods, filters.period.text}, reverse=True)
    return Choices(periods, selects, search)


# --- Key figures ------------------------------------------------------------------------------------------------------


def change_of(now: float | None, before: float | None, label: str) -> Change:
    """The change against the earlier window, in per cent, or why there is none."""
    if not before or now is None:
        return Change(f"no figure for {label}", "")
    ratio = (now - before) / before
    if abs(ratio) < 0.005:
        return Change(f"as in {label}", "same")
    if ratio >= 9:
        return Change(f"{now / before:,.0f} times {label}", "up")
    return Change(f"{figures.percent_of_change(ratio)} against {label}", "up" if ratio > 0 else "down")


def energy_kpi(now: Figures, before: Figures, scene: Scene, label: str = "Energy") -> Kpi:
    return Kpi(
        label,
        figures.energy_number(now.energy),
        figures.energy_unit(now.energy),
        title=figures.energy_exact(now.energy),
        quality=now.quality,
        change=change_of(now.energy, before.energy, scene.compared_label),
        chips=share_chips(now),
    )


def method_kpis(now: Figures, before: Figures, scene: Scene, prefix: str, surety: Group | None = None) -> list[Kpi]:
    """Location-based and market-based, in the same unit and the same size; with their intervals where known."""
    unit = figures.mass_unit(max(now.location or 0, now.market or 0)) if now.location or now.market else "kg"
    cards = []
    # Instruments of a claim year are matched with the whole year's consumption, so its quarters can still change.
    by_year = scene.organisation.claim_period == Organisation.ClaimPeriod.YEAR
    year_is_open = by_year and midnight(date(scene.window.start.year + 1, 1, 1)) > datetime.now(UTC)
    provisional = "Provisional: instruments are claimed by the year, which is not over."
    for label, value, earlier, interval in (
        (f"{prefix}location-based", now.location, before.location, surety.location if surety else None),
        (f"{prefix}market-based", now.market, before.market, surety.market if surety else None),
    ):
        cards.append(
            Kpi(
                label[0].upper() + label[1:],
                figures.DASH if value is None else figures.mass_in(value, unit),
                f"{unit} CO₂e" if value is not None else "",
                title=figures.mass_exact(value),
                note=_why_absent(now) if value is None else provisional if year_is_open and "market" in label else "",
                quality=now.quality if value is not None else "",
                interval=plus_minus(interval) if interval and interval.share is not None else "",
                interval_range=range_text(interval) if interval else "",
                change=change_of(value, earlier, scene.compared_label) if value is not None else None,
            )
        )
    return cards


def _why_absent(now: Figures) -> str:
    return "No emission factor is known for this energy." if now.energy else "No energy at Scope 2 sites."


def token_kpi(scene: Scene, scope: str, now: Figures, before: Figures) -> Kpi:
    """Grams per 1,000 tokens; grams per kWh where nothing reports tokens."""
    found = queries.token_intensity(scene.organisation, scene.window, scene.selection, scope)
    value = found.mg_per_1000_tokens
    if value is not None:
        earlier = queries.token_intensity(scene.organisation, scene.compared, scene.selection, scope)
        is_tiny = value < 1
        text = f"{value * 1000:,.1f}" if is_tiny else f"{value / 1000:,.{3 if value < 1_000 else 2}f}"
        return Kpi(
            "Inference intensity",
            text,
            f"{'µg' if is_tiny else 'g'} CO₂e/1k tokens",
            title=INTENSITY_BOUNDARY,
            note="Facility energy of inference, location-based; idle not in it.",
            change=change_of(value, earlier.mg_per_1000_tokens, scene.compared_label),
            calculation=scene.calculation_url(scope, kind="inference"),
        )
    return Kpi(
        "Carbon intensity",
        figures.grams_per_kwh(now.location_ug_per_kwh),
        "g CO₂e/kWh" if now.location_ug_per_kwh is not None else "",
        title="Location-based emissions divided by the facility energy that has a factor. No reading reports tokens.",
        note="Location-based, per kWh of facility energy.",
        change=change_of(now.location_ug_per_kwh, before.location_ug_per_kwh, scene.compared_label),
    )


def memo_kpi(now: Figures | None, before: Figures | None, scene: Scene) -> Kpi:
    """Scope 3 of cloud sites: beside the others, smaller, and never part of a sum."""
    if now is None:
        return Kpi("Scope 3 memo, cloud", figures.DASH, note="No energy at cloud sites.", memo=True)
    return Kpi(
        "Scope 3 memo, cloud",
        figures.mass_number(now.location),
        f"{figures.mass_unit(now.location)} CO₂e",
        title=figures.mass_exact(now.location),
        quality=now.quality,
        note=f"Location-based, {figures.energy(now.energy)}. Not part of Scope 2.",
        change=change_of(now.location, before.location if before else None, scene.compared_label),
        memo=True,
        url="?" + scene.filters.query(scope="3"),
        calculation=scene.calculation_url("3"),
    )


def frame_csv(scene: Scene, frame: Any, dimensions: tuple[str, ...], name: str) -> HttpResponse:
    """A ledger frame as a file, named after the organisation, the period and the panel."""
    header, rows = export_rows(frame, dimensions)
    return csv_response(f"{heading(scene.organisation, scene.filters)}-{name}", header, rows)


def table_csv(scene: Scene, header: list[str], rows: list[list[Any]], name: str) -> HttpResponse:
    """Rows as a file, named like those of :func:`frame_csv`."""
    return csv_response(f"{heading(scene.organisation, scene.filters)}-{name}", header, rows)
