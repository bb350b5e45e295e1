"""The page on which an organisation decides which edition of a dataset holds, and sees the difference first."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounting.adoption import queries, services
from apps.accounting.adoption.preview import preview
from apps.accounting.models import FactorAdoption
from apps.accounting.queries import ledger_extent
from apps.factors.models import FactorDataset
from apps.organisations.pages import PageRequest, actor_of, requires
from apps.organisations.roles import Capability, may


@requires(Capability.READ)
@require_GET
def adoptions(request: PageRequest) -> HttpResponse:
    rows = queries.adoption_rows(request.organisation)
    context = {
        "waiting": [row for row in rows if row.waits],
        "used": [row for row in rows if not row.waits],
        "may_manage": may(request.membership.role, Capability.MANAGE_INVENTORY),
    }
    return render(request, "accounting/adoption/list.html", context)


@requires(Capability.MANAGE_INVENTORY)
@require_http_methods(["GET", "POST"])
def adopt(request: PageRequest, dataset_id: int) -> HttpResponse:
    """Choose the days, see the difference, then decide: the preview is a GET with the same fields."""
    dataset = _dataset(request, dataset_id)
    given = request.POST if request.method == "POST" else request.GET
    errors: dict[str, list[str]] = {}
    start, end = _day(given.get("start"), "start", errors), _day(given.get("end"), "end", errors)
    for name, day in (("start", start), ("end", end)):
        fault = services.boundary_fault(request.organisation, day)
        if fault:
            errors[name] = [fault]
    if start and end and end <= start:
        errors["end"] = [f"Expected a day after {start}, got {end}."]
    if request.method == "POST" and not errors:
        try:
            services.adopt(
                organisation=request.organisation,
                dataset=dataset,
                start=start,
                end=end,
                actor=actor_of(request),
                reason=given.get("reason", "").strip()[:300],
            )
        except ValidationError as error:
            errors = error.message_dict
        else:
            return redirect(reverse("factor-adoption", args=[request.organisation.slug]))
    context: dict[str, Any] = {
        "dataset": dataset,
        "errors": errors,
        "starts": _choices(request),
        "start": given.get("start", ""),
        "end": given.get("end", ""),
        "reason": given.get("reason", ""),
        "asked": "start" in given,
        "preview": None if errors or "start" not in given else preview(request.organisation, dataset, start, end),
        "period": services.describe(start, end),
    }
    return render(request, "accounting/adoption/adopt.html", context, status=422 if request.method == "POST" else 200)


@requires(Capability.MANAGE_INVENTORY)
@require_POST
def end_adoption(request: PageRequest, adoption_id: int) -> HttpResponse:
    adoption = FactorAdoption.objects.of(request.organisation).filter(pk=adoption_id).first()
    if adoption is None:
        raise Http404("No such adoption.")
    errors: dict[str, list[str]] = {}
    end = _day(request.POST.get("end"), "end", errors)
    if end is None:
        errors.setdefault("end", ["Choose the first day on which it no longer holds."])
    else:
        try:
            services.end_adoption(
                adoption=adoption,
                end=end,
                actor=actor_of(request),
                reason=request.POST.get("reason", "").strip()[:300],
            )
        except ValidationError as error:
            errors = error.message_dict
    if errors:
        context = {"adoption": adoption, "errors": errors, "starts": _choices(request)}
        return render(request, "accounting/adoption/end.html", context, status=422)
    return redirect(reverse("factor-adoption", args=[request.organisation.slug]))


@requires(Capability.MANAGE_INVENTORY)
@require_GET
def ask_end(request: PageRequest, adoption_id: int) -> HttpResponse:
    adoption = FactorAdoption.objects.of(request.organisation).select_related("dataset").filter(pk=adoption_id).first()
    if adoption is None:
        raise Http404("No such adoption.")
    return render(request, "accounting/adoption/end.html", {"adoption": adoption, "starts": _choices(request)})


def _dataset(request: PageRequest, dataset_id: int) -> FactorDataset:
    found = {row.pk: row for row in queries.adoptable(request.organisation.pk)}
    if dataset_id not in found:
        raise Http404("No such dataset.")
    return found[dataset_id]


def _day(text: str | None, name: str, errors: dict[str, list[str]]) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        errors[name] = [f"Expected a day such as 2026-01-01, got {text[:40]!r}."]
        return None


def _choices(request: PageRequest) -> list[date]:
    extent = ledger_extent(request.organisation.pk)
    today = timezone.now().date()
    return queries.quarter_starts(request.organisation, [extent.start.date(), today] if extent else [today])
