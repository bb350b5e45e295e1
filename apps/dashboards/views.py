"""Pages of the dashboards. No rules."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from apps.dashboards import details, lists, queries
from apps.dashboards import overview as overview_page
from apps.dashboards.scenes import Scene, choices_of, frame_csv, scene_of
from apps.organisations.models import Membership
from apps.organisations.pages import PageRequest, requires
from apps.organisations.roles import Capability


@login_required
def home(request: HttpRequest) -> HttpResponse:
    """Send a person to the organisation they belong to; with none, say so."""
    membership = (
        Membership.unscoped.select_related("organisation")
        .filter(person=request.user.pk)
        .order_by("organisation__name")
        .first()
    )
    if membership is None:
        return render(request, "dashboards/no_organisation.html", status=403)
    return redirect("overview", membership.organisation.slug)


def _frame(scene: Scene, *selects: str, search: bool = False) -> dict[str, Any]:
    return {
        "scene": scene,
        "filters": scene.filters,
        "choices": choices_of(scene, *selects, search=search),
        "connect_url": scene.link("connect"),
        "whole_life": queries.life_query(scene.span),
    }


@requires(Capability.READ)
def overview(request: PageRequest) -> HttpResponse:
    """The organisation's period on one page; ``format=csv`` with ``panel`` gives a panel's figures."""
    scene = scene_of(request)
    if request.GET.get("format") == "csv":
        answer = overview_page.export(scene, request.GET.get("panel", ""))
        if answer is None:
            raise Http404("The overview has no such panel.")
        return answer
    context = _frame(scene, "team", "model", "site", "kind") | overview_page.overview(scene)
    context["calculation_url"] = scene.calculation_url()
    return render(request, "dashboards/overview.html", context)


def _list(request: PageRequest, name: str, *selects: str, search: bool = False) -> HttpResponse:
    scene = scene_of(request)
    shape = lists.LISTS[name]
    if request.GET.get("format") == "csv":
        group_by = {"": shape.group_by, "largest": shape.chart_by}.get(request.GET.get("panel", ""))
        if group_by is None:
            raise Http404("The list has no such panel.")
        frame = queries.breakdown(scene.organisation, scene.window, scene.selection, scene.filters.scope, group_by)
        return frame_csv(scene, frame, group_by, shape.route)
    context = _frame(scene, *selects, "scope", search=search) | lists.page(scene, shape)
    return render(request, "dashboards/list.html", context)


@requires(Capability.READ)
def teams(request: PageRequest) -> HttpResponse:
    return _list(request, "team", "model", "site", "kind")


@requires(Capability.READ)
def models(request: PageRequest) -> HttpResponse:
    return _list(request, "model", "team", "site", "kind")


@requires(Capability.READ)
def sites(request: PageRequest) -> HttpResponse:
    return _list(request, "site", "team", "model", "kind")


@requires(Capability.READ)
def workloads(request: PageRequest) -> HttpResponse:
    return _list(request, "workload", "team", "model", "site", "kind", search=True)


def _detail(request: PageRequest, scene: Scene, subject: details.Subject, *selects: str) -> HttpResponse:
    if request.GET.get("format") == "csv":
        answer = details.export(scene, subject, request.GET.get("panel", ""))
        if answer is None:
            raise Http404("The page has no such panel.")
        return answer
    context = _frame(scene, *selects) | details.page(scene, subject)
    context["calculation_url"] = scene.calculation_url(context["scope"])
    return render(request, "dashboards/detail.html", context)


@requires(Capability.READ)
def team(request: PageRequest, team_slug: str) -> HttpResponse:
    found = queries.find_team(request.organisation, team_slug)
    if found is None:
        raise Http404("No such team.")
    scene = scene_of(request, {"team": (found.slug,)})
    return _detail(request, scene, details.team_subject(scene, found), "model", "site", "kind")


@requires(Capability.READ)
def model(request: PageRequest, model_slug: str) -> HttpResponse:
    found = queries.find_model(request.organisation, model_slug)
    if found is None:
        raise Http404("No such model.")
    scene = scene_of(request, {"model": (found.slug,)})
    return _detail(request, scene, details.model_subject(scene, found), "team", "site")


@requires(Capability.READ)
def site(request: PageRequest, site_code: str) -> HttpResponse:
    found = queries.find_site(request.organisation, site_code)
    if found is None:
        raise Http404("No such site.")
    scene = scene_of(request, {"site": (found.code,)})
    return _detail(request, scene, details.site_subject(scene, found), "team", "model", "kind")


@requires(Capability.READ)
def workload(request: PageRequest, workload_id: int) -> HttpResponse:
    found = queries.find_workload(request.organisation, workload_id)
    if found is None:
        raise Http404("No such workload.")
    scene = details.workload_scene(request, found)
    return _detail(request, scene, details.workload_subject(scene, found))
