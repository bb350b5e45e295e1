"""Pages of what stands behind the figures: factors and where they are used.

They are pages of the accounts and not of ``factors``: only this room sees both sides.
"""

from __future__ import annotations

from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.accounting import evidence
from apps.factors import queries as factor_queries
from apps.factors.models import HOURLY_KINDS, FactorDataset
from apps.organisations.pages import PageRequest, requires
from apps.organisations.roles import Capability, may

FACTORS_PER_PAGE = 100


@requires(Capability.READ)
@require_GET
def factors(request: PageRequest) -> HttpResponse:
    searched = request.GET.get("zone", "").strip()
    zones = factor_queries.find_zones(searched) if searched else []
    found = factor_queries.factors_of(request.organisation.pk, zones=[zone.code for zone in zones])
    context = {
        "searched": searched,
        "query": urlencode({"zone": searched}),
        "zones": zones,
        "found": Paginator(found.order_by("zone", "-data_year", "dataset"), FACTORS_PER_PAGE).get_page(
            request.GET.get("page")
        )
        if zones
        else None,
        "may_manage": may(request.membership.role, Capability.MANAGE_INVENTORY),
        "datasets": factor_queries.dataset_rows(request.organisation.pk),
        "location": evidence.location_factors_in_use(request.organisation),
        "residual": evidence.residual_factors_in_use(request.organisation),
    }
    return render(request, "accounting/factors.html", context)


@requires(Capability.READ)
@require_GET
def factor_dataset(request: PageRequest, slug: str, edition: str) -> HttpResponse:
    dataset = factor_queries.dataset(slug, edition, request.organisation.pk)
    if dataset is None:
        raise Http404(f"No dataset {slug}, edition {edition}.")
    rows = dataset.factors.select_related("zone").order_by("zone", "-data_year")
    context = {
        "dataset": dataset,
        "extent": factor_queries.extent_of(dataset),
        "is_hourly": dataset.kind in HOURLY_KINDS,
        "newer": factor_queries.superseded_by(dataset, request.organisation.pk),
        "is_life_cycle": dataset.boundary == FactorDataset.Boundary.LIFE_CYCLE,
        "page": Paginator(rows, FACTORS_PER_PAGE).get_page(request.GET.get("page")),
    }
    return render(request, "accounting/factor_dataset.html", context)
