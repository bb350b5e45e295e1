"""Pages of files recorded offline: drop a file, say what it does not, watch it, see what was found. No rules."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from apps.core.exports import csv_response
from apps.organisations.pages import PageRequest, actor_of, report_errors, requires
from apps.organisations.roles import Capability
from apps.telemetry.models import Upload
from apps.telemetry.uploads import queries, services
from apps.telemetry.uploads.forms import AnswersForm, FileForm, zones


@requires(Capability.CONNECT)
@require_http_methods(["GET", "POST"])
def page(request: PageRequest) -> HttpResponse:
    """The files, and the way in for another."""
    form = FileForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        file = form.cleaned_data["file"]
        try:
            taken = services.take_in(
                organisation_id=request.organisation.pk,
                actor=actor_of(request),
                content=file.read(),
                file_name=file.name or "upload",
                layout="",
                given={},
                ask=True,
            )
        except ValidationError as error:
            report_errors(form, error)
        else:
            return redirect("upload", request.organisation.slug, taken.public_id)
    rows = Paginator(queries.uploads(request.organisation), queries.SHOWN_UPLOADS).get_page(request.GET.get("page"))
    context = {"form": form, "page": rows, "formats": Upload.Format.choices}
    return render(request, "telemetry/uploads/page.html", context)


@requires(Capability.CONNECT)
@require_http_methods(["GET", "POST"])
def upload(request: PageRequest, upload_id: UUID) -> HttpResponse:
    """One file: its questions, its progress, or its report."""
    taken = _upload(request, upload_id)
    if taken.state == Upload.State.ASKED:
        return _ask(request, taken)
    errors = queries.errors(taken)
    context: dict[str, Any] = {
        "taken": taken,
        "under_way": queries.is_under_way(taken),
        "errors": errors[: queries.SHOWN_ERRORS],
        "error_count": len(errors),
    }
    return render(request, "telemetry/uploads/upload.html", context)


def _ask(request: PageRequest, taken: Upload) -> HttpResponse:
    columns, rows = queries.preview(taken)
    form = AnswersForm(
        request.POST or None, organisation=request.organisation, columns=columns, initial={"format": taken.format}
    )
    if request.method == "POST" and form.is_valid():
        try:
            services.answer(
                upload=taken, actor=actor_of(request), layout=form.cleaned_data["format"], given=form.given()
            )
        except ValidationError as error:
            report_errors(form, error)
        else:
            messages.success(request, f"{taken.file_name} is being read.")
            return redirect("upload", request.organisation.slug, taken.public_id)
    context = {"taken": taken, "form": form, "columns": columns, "rows": rows, "zones": zones()}
    return render(request, "telemetry/uploads/ask.html", context)


@requires(Capability.CONNECT)
@require_GET
def status(request: PageRequest, upload_id: UUID) -> JsonResponse:
    """What the progress line says, as JSON; asked for every second while a file is being read."""
    taken = _upload(request, upload_id)
    answer = JsonResponse(
        {
            "state": taken.state if queries.is_under_way(taken) else "ready",
            "step": taken.step,
            "progress_percent": taken.progress_percent,
        }
    )
    answer["Cache-Control"] = "no-store"
    return answer


@requires(Capability.CONNECT)
@require_GET
def errors(request: PageRequest, upload_id: UUID) -> HttpResponse:
    """The faulty lines as CSV."""
    rows = queries.errors(_upload(request, upload_id))
    header = ("line", "field", "got", "expected")
    return csv_response("faulty-lines", header, [[row[name] for name in header] for row in rows])


def _upload(request: PageRequest, upload_id: UUID) -> Upload:
    taken = queries.upload(request.organisation, upload_id)
    if taken is None:
        raise Http404("No such file.")
    return taken
