"""Pages of telemetry: the ingest log, and the sources with the names that need mapping. No rules."""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from apps.organisations.pages import PageRequest, actor_of, first_error, requires
from apps.organisations.roles import Capability, may
from apps.telemetry import queries, services
from apps.telemetry.replay import services as replay

RECEIPTS_PER_PAGE = 50
SOURCES_PER_PAGE = 100


@requires(Capability.READ)
@require_GET
def ingest_log(request: PageRequest) -> HttpResponse:
    """What became of every request that sent telemetry."""
    page = Paginator(queries.receipts(request.organisation), RECEIPTS_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "telemetry/ingest_log.html", {"page": page})


@requires(Capability.READ)
@require_GET
def receipt(request: PageRequest, receipt_id: UUID) -> HttpResponse:
    found = queries.receipt(request.organisation, receipt_id)
    if found is None:
        raise Http404("No such receipt.")
    to_mend = replay.to_mend(found) if may(request.membership.role, Capability.CONNECT) else None
    return render(request, "telemetry/receipt.html", {"receipt": found, "to_mend": to_mend and to_mend[0]})


@requires(Capability.READ)
@require_GET
def sources(request: PageRequest) -> HttpResponse:
    """The measured things, where they stand, when they were last heard of, and the names nobody has mapped."""
    search, without_site = request.GET.get("q", "").strip(), "without_site" in request.GET
    rows = queries.sources(request.organisation, search, without_site=without_site)
    query = {"q": search} | ({"without_site": "1"} if without_site else {})
    context = {
        "page": Paginator(rows, SOURCES_PER_PAGE).get_page(request.GET.get("page")),
        "search": search,
        "without_site": without_site,
        "query": urlencode({name: value for name, value in query.items() if value}),
        "sites": queries.sites(request.organisation),
        "teams": queries.teams(request.organisation),
        "team_names": queries.team_names(request.organisation),
        "devices": queries.devices(request.organisation),
        "most_precedence": services.MOST_PRECEDENCE,
    }
    return render(request, "telemetry/sources.html", context)


@requires(Capability.MANAGE_INVENTORY)
@require_POST
def assign_site(request: PageRequest, source_id: int) -> HttpResponse:
    """Say at which site a source stands."""
    source = queries.source(request.organisation, source_id)
    if source is None:
        raise Http404("No such source.")
    code = request.POST.get("site", "")
    site = get_object_or_404(queries.sites(request.organisation), code=code) if code else None
    services.assign_source_site(source=source, site=site, actor=actor_of(request))
    where = f"stands at {site.name}" if site else "stands at no site"
    messages.success(request, f"{source.name} {where}. Figures follow within a minute.")
    return redirect("sources", request.organisation.slug)


@requires(Capability.MANAGE_INVENTORY)
@require_POST
def assign_device(request: PageRequest, source_id: int) -> HttpResponse:
    """Say which device a source measures, and in what order its sources are counted."""
    source = queries.source(request.organisation, source_id)
    if source is None:
        raise Http404("No such source.")
    precedence = request.POST.get("precedence", "")
    try:
        services.assign_source_device(
            source=source,
            device=request.POST.get("device", ""),
            # What is no whole number is refused with the same words as one out of range.
            precedence=int(precedence) if precedence.isascii() and precedence.isdigit() else -1,
            actor=actor_of(request),
        )
    except ValidationError as error:
        messages.error(request, f"{source.name}: {first_error(error)}")
    else:
        what = f"measures {source.device}, precedence {source.precedence}" if source.device else "is counted for itself"
        messages.success(request, f"{source.name} {what}. Figures follow within a minute.")
    return redirect("sources", request.organisation.slug)


@requires(Capability.CONNECT)
@require_POST
def map_team_name(request: PageRequest, team_name_id: int) -> HttpResponse:
    """Say which team a spelling means."""
    name = queries.team_name(request.organisation, team_name_id)
    if name is None:
        raise Http404("No such name.")
    slug = request.POST.get("team", "")
    team = get_object_or_404(queries.teams(request.organisation), slug=slug) if slug else None
    services.map_team_name(team_name=name, team=team, actor=actor_of(request))
    meaning = f"means {team.name}" if team else "means no team"
    messages.success(request, f"“{name.name}” {meaning}. Figures follow within a minute.")
    return redirect("sources", request.organisation.slug)
