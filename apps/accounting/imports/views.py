"""Pages that bring factors in: upload, progress, review, import; hours from a provider. No rules."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounting.imports import queries, services
from apps.accounting.imports.forms import FetchForm, UploadForm
from apps.accounting.models import FactorImport
from apps.core.exports import csv_response
from apps.factors.fetching import fetch_hours
from apps.factors.providers.base import ProviderError
from apps.organisations.pages import PageRequest, actor_of, first_error, report_errors, requires
from apps.organisations.roles import Capability


@requires(Capability.MANAGE_INVENTORY)
@require_http_methods(["GET", "POST"])
def page(request: PageRequest) -> HttpResponse:
    upload = UploadForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and upload.is_valid():
        try:
            taken = services.take_in(
                organisation=request.organisation,
                actor=actor_of(request),
                file=upload.cleaned_data["file"],
                layout=upload.cleaned_data["format"],
                given=upload.given(),
            )
        except ValidationError as error:
            report_errors(upload, error)
        else:
            return redirect("factor-import-review", request.organisation.slug, taken.public_id)
    return _page(request, upload, FetchForm())


@requires(Capability.MANAGE_INVENTORY)
@require_POST
def fetch(request: PageRequest) -> HttpResponse:
    form = FetchForm(request.POST)
    if not form.is_valid():
        return _page(request, UploadForm(), form)
    given = form.cleaned_data
    start, end = form.window()
    try:
        result = fetch_hours(
            provider=given["provider"],
            provider_zone=given["provider_zone"].strip(),
            zone=given["zone"].strip(),
            start=start,
            end=end,
            key=given["key"],
            actor=actor_of(request),
            organisation_id=request.organisation.pk,
        )
    except ProviderError as error:
        form.add_error(None, str(error))
        return _page(request, UploadForm(), form)
    messages.success(request, f"{result.added} hours stored: {result.dataset.title}.")
    return redirect("factor-dataset", request.organisation.slug, result.dataset.slug, result.dataset.edition)


def _page(request: PageRequest, upload: UploadForm, fetch_form: FetchForm) -> HttpResponse:
    context = {
        "upload": upload,
        "fetch": fetch_form,
        "imports": queries.imports(request.organisation),
        "layouts": queries.layout_defaults(),
    }
    return render(request, "accounting/imports/page.html", context)


@requires(Capability.MANAGE_INVENTORY)
@require_GET
def review(request: PageRequest, import_id: UUID) -> HttpResponse:
    taken = _import(request, import_id)
    faults = queries.faults(taken)
    context: dict[str, Any] = {
        "taken": taken,
        "under_way": queries.is_under_way(taken),
        "datasets": queries.datasets(taken),
        "all_held": all(one.get("held") for one in taken.outcome),
        "faults": faults[: queries.SHOWN_FAULTS],
        "fault_count": len(faults),
    }
    return render(request, "accounting/imports/review.html", context)


@requires(Capability.MANAGE_INVENTORY)
@require_GET
def status(request: PageRequest, import_id: UUID) -> JsonResponse:
    """What the progress line says, as JSON; asked for every second while a file is being read."""
    taken = _import(request, import_id)
    answer = JsonResponse(
        {
            "state": taken.state if queries.is_under_way(taken) else "ready",
            "step": taken.step,
            "progress_percent": taken.progress_percent,
            "rows_read": taken.rows_read,
            "rows_checked": taken.rows_checked,
        }
    )
    answer["Cache-Control"] = "no-store"
    return answer


@requires(Capability.MANAGE_INVENTORY)
@require_GET
def faults(request: PageRequest, import_id: UUID) -> HttpResponse:
    rows = queries.faults(_import(request, import_id))
    header = ("sheet", "row", "column", "got", "expected")
    return csv_response("faults", header, [(f.sheet, f.row, f.column, f.got, f.expected) for f in rows])


@requires(Capability.MANAGE_INVENTORY)
@require_GET
def changes(request: PageRequest, import_id: UUID) -> HttpResponse:
    rows = queries.changes(_import(request, import_id))
    header = ("dataset", "zone", "data_year_or_hour", "before", "now", "change_percent")
    return csv_response("changes", header, rows)


@requires(Capability.MANAGE_INVENTORY)
@require_POST
def confirm(request: PageRequest, import_id: UUID) -> HttpResponse:
    taken = _import(request, import_id)
    try:
        services.confirm(taken=taken, actor=actor_of(request))
    except ValidationError as error:
        messages.error(request, first_error(error))
    return redirect("factor-import-review", request.organisation.slug, taken.public_id)


@requires(Capability.MANAGE_INVENTORY)
@require_POST
def cancel(request: PageRequest, import_id: UUID) -> HttpResponse:
    taken = _import(request, import_id)
    try:
        services.cancel(taken=taken, actor=actor_of(request))
    except ValidationError as error:
        messages.error(request, first_error(error))
        return redirect("factor-import-review", request.organisation.slug, taken.public_id)
    messages.success(request, f"{taken.file_name} dropped. Nothing was imported.")
    return redirect("factor-import", request.organisation.slug)


def _import(request: PageRequest, import_id: UUID) -> FactorImport:
    taken = queries.factor_import(request.organisation, import_id)
    if taken is None:
        raise Http404("No such factor file.")
    return taken
