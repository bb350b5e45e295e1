"""The pages that keep sites: list, add, edit, PUE. No rules."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.organisations.pages import PageRequest, actor_of, report_errors, requires
from apps.organisations.roles import Capability
from apps.sites import queries, services
from apps.sites.forms import EditSiteForm, NewSiteForm, PueForm
from apps.sites.models import Site

EDITED = ("name", "control", "country", "grid_zone", "market", "time_zone")


@requires(Capability.MANAGE_INVENTORY)
@require_GET
def manage(request: PageRequest) -> HttpResponse:
    return render(request, "sites/manage.html", {"rows": queries.site_rows(request.organisation)})


@requires(Capability.MANAGE_INVENTORY)
@require_http_methods(["GET", "POST"])
def add(request: PageRequest) -> HttpResponse:
    form = NewSiteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            site = services.create_site(organisation=request.organisation, actor=actor_of(request), **form.cleaned_data)
        except ValidationError as error:
            report_errors(form, error)
        else:
            messages.success(request, f"{site.name} added. Say next what its PUE is.")
            return redirect("site-edit", request.organisation.slug, site.code)
    context = {"form": form, "markets": queries.market_suggestions(request.organisation)}
    return render(request, "sites/add.html", context)


def _site(request: PageRequest, code: str) -> Site:
    site = queries.site(request.organisation, code)
    if site is None:
        raise Http404("No such site.")
    return site


def _edit_page(request: PageRequest, site: Site, form: EditSiteForm, pue_form: PueForm) -> HttpResponse:
    context = {
        "row": queries.site_row(site),
        "form": form,
        "pue_form": pue_form,
        "markets": queries.market_suggestions(request.organisation),
    }
    return render(request, "sites/edit.html", context)


def _edit_form(site: Site) -> EditSiteForm:
    return EditSiteForm(initial={field: getattr(site, field) for field in EDITED})


@requires(Capability.MANAGE_INVENTORY)
@require_http_methods(["GET", "POST"])
def edit(request: PageRequest, site_code: str) -> HttpResponse:
    """What is said of a site, and its PUE by period."""
    site = _site(request, site_code)
    if request.method == "GET":
        return _edit_page(request, site, _edit_form(site), PueForm())
    form = EditSiteForm(request.POST)
    if form.is_valid():
        try:
            services.update_site(site=site, actor=actor_of(request), **form.cleaned_data)
        except ValidationError as error:
            report_errors(form, error)
        else:
            messages.success(request, "Site saved. Figures that are not sealed are calculated again.")
            return redirect("site-edit", request.organisation.slug, site_code)
    return _edit_page(request, site, form, PueForm())


@requires(Capability.MANAGE_INVENTORY)
@require_POST
def pue_set(request: PageRequest, site_code: str) -> HttpResponse:
    site = _site(request, site_code)
    form = PueForm(request.POST)
    if form.is_valid():
        try:
            services.set_pue(site=site, actor=actor_of(request), **form.cleaned_data)
        except ValidationError as error:
            report_errors(form, error)
        else:
            messages.success(request, "PUE set. Figures that are not sealed are calculated again.")
            return redirect("site-edit", request.organisation.slug, site_code)
    return _edit_page(request, site, _edit_form(site), form)


@requires(Capability.MANAGE_INVENTORY)
@require_POST
def pue_withdraw(request: PageRequest, site_code: str, period_id: int) -> HttpResponse:
    period = queries.pue_period(request.organisation, site_code, period_id)
    if period is None:
        raise Http404("No such PUE period.")
    services.withdraw_pue(period=period, actor=actor_of(request))
    messages.success(request, "PUE withdrawn. Figures that are not sealed are calculated again.")
    return redirect("site-edit", request.organisation.slug, site_code)
