"""The page of a calculation: a figure walked back, top-down, to the rates, factors, instruments and lines behind it."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from apps.accounting.calculations import evidence
from apps.accounting.calculations.api import file_answer
from apps.accounting.calculations.queries import Calculation, TooManyLinesError, receipt_path, receipt_query
from apps.accounting.queries import LedgerQuery
from apps.core.api import parse_moment
from apps.core.filters import NONE, SCOPES
from apps.core.windows import epoch_hour
from apps.dashboards import queries, workings
from apps.dashboards.panels import DIMENSIONS, KIND_LABELS
from apps.dashboards.scenes import Scene, choices_of, scene_of
from apps.organisations.pages import PageRequest, requires
from apps.organisations.roles import Capability

LINES_PER_PAGE = 50
# Filters of the API that the filter bar has no field for; links to this page carry them all the same.
FURTHER = ("source", "market", "hardware", "study", "boundary")
LINE_NAMES = ("source", "site", "team", "model", "workload", "study", "kind", "boundary", "method", "hardware")


def _scene(request: PageRequest) -> Scene:
    further = {
        name: tuple("" if value == NONE else value for value in request.GET.getlist(name) if "\0" not in value)
        for name in FURTHER
        if name in request.GET
    }
    return scene_of(request, further)


def _query(scene: Scene) -> LedgerQuery:
    return LedgerQuery(
        organisation_id=scene.organisation.pk,
        window=scene.window,
        scope=scene.filters.scope,
        filters=scene.selection,
        work=False,
    )


@requires(Capability.READ)
@require_GET
def calculations(request: PageRequest) -> HttpResponse:
    """How the figures of a filter came about. Takes the query string of every data page."""
    scene = _scene(request)
    query = _query(scene)
    calculation = Calculation(query)
    head = calculation.head()
    lines, following = calculation.page(_after(request), LINES_PER_PAGE)
    asked = receipt_query(query, unassigned=NONE)
    context = {
        "scene": scene,
        "filters": scene.filters,
        "choices": choices_of(scene, "team", "model", "site", "kind", "scope"),
        "connect_url": scene.link("connect"),
        "whole_life": queries.life_query(scene.span),
        "head": head,
        "selection": _selection(scene),
        "scopes": [workings.scope_figures(head, figure) for figure in head["figures"]],
        "rates_table": workings.rates_table(head),
        "rates": [workings.rate_block(rate) for rate in head["rates"]],
        "markets": [workings.market_block(market) for market in head["markets"]],
        "pools": workings.pools(head, queries.site_names_by_key(scene.organisation)) if head["pools"] else [],
        "set_aside": workings.set_aside(head),
        "method": workings.method(head),
        "lines": [_shown(line) for line in lines],
        "receipt_query": asked,
        "first_url": f"?{asked}" if "after" in request.GET else "",
        "next_url": f"?{asked}&after={following[0]}-{following[1]}#lines" if following else "",
        "api_call": (
            f'curl -H "Authorization: Bearer $ESGPORTAL_KEY" \\\n  "{request.build_absolute_uri(receipt_path(query))}"'
        ),
    }
    return render(request, "dashboards/calculations/page.html", context)


def _after(request: PageRequest) -> tuple[int, int] | None:
    hour, _, account = request.GET.get("after", "").partition("-")
    is_place = hour.isdecimal() and account.isdecimal() and len(hour) < 10 and len(account) < 19
    return (int(hour), int(account)) if is_place else None


@requires(Capability.READ)
@require_GET
def download(request: PageRequest) -> HttpResponseBase:
    """The whole receipt as one file; ``as=csv`` its lines as a table."""
    scene = _scene(request)
    kind = "csv" if request.GET.get("as") == "csv" else "json"
    try:
        return file_answer(Calculation(_query(scene)), kind, request.organisation)
    except TooManyLinesError as error:
        messages.error(request, str(error))
        return redirect(f"{reverse('calculations', args=[request.organisation.slug])}?{request.GET.urlencode()}")


@requires(Capability.READ)
@require_GET
def line(request: PageRequest) -> HttpResponse:
    """The readings behind one line of the ledger."""
    moment = parse_moment(request.GET.get("hour", ""))
    account = request.GET.get("account", "")
    if moment is None or not account.isdecimal() or len(account) > 18:
        raise BadRequest("A line is named by its hour and account.")
    hour = epoch_hour(moment)
    found = evidence.line_evidence(request.organisation.pk, hour, int(account)) if 0 <= hour < 2**31 else None
    if found is None:
        raise Http404("The ledger has no such line.")
    said = found.line
    names = [(DIMENSIONS[name].label if name in DIMENSIONS else name.capitalize(), said[name]) for name in LINE_NAMES]
    context = {
        "found": found,
        "line": said,
        "facts": [(label, KIND_LABELS.get(str(value), value)) for label, value in names if value is not None],
        "formulas": workings.line_formulas(found),
        "samples": request.build_absolute_uri(evidence.samples_path(said)),
        "back": urlencode(
            {"from": said["hour"][:10], "to": _next_day(said["hour"]), "source": said["source"], "scope": "all"}
        ),
    }
    return render(request, "dashboards/calculations/line.html", context)


def _next_day(hour: str) -> str:
    return (date.fromisoformat(hour[:10]) + timedelta(days=1)).isoformat()


def _shown(line: dict[str, Any]) -> dict[str, Any]:
    """A line with its quantities in full, in kWh and kg."""
    names = {
        "it": "it_energy_milliwatt_hours",
        "facility": "facility_energy_milliwatt_hours",
        "location": "location_mg",
    }
    full = {
        short: None if line[name] is None else f"{Decimal(line[name]).scaleb(-6):,f}" for short, name in names.items()
    }
    return {**line, "exact": full}


def _selection(scene: Scene) -> str:
    """What the figure is of, in words."""
    names = {name: dict(options) for name, options in _names(scene).items()}
    parts = []
    for name, values in scene.selection.items():
        dimension = DIMENSIONS.get(name)
        label = dimension.label.lower() if dimension else name
        none = dimension.unassigned.lower() if dimension else f"no {name}"
        words = [names.get(name, {}).get(value, value) if value else none for value in values]
        parts.append(f"{label} {' or '.join(words)}")
    return ", ".join([SCOPES[scene.filters.scope], *parts])


def _names(scene: Scene) -> dict[str, list[tuple[str, str]]]:
    known = {"team": queries.team_names, "model": queries.model_names, "site": queries.site_names}
    found = {name: ask(scene.organisation) for name, ask in known.items() if name in scene.selection}
    return found | {"kind": list(KIND_LABELS.items())}
