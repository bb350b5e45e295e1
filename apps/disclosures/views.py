"""Pages: the quarters, one quarter with its documents, progress, downloads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import FileResponse, Http404, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from apps.audit.services import canonical_json
from apps.core.figures import column_energy_unit, column_mass_unit
from apps.core.windows import Quarter
from apps.disclosures import queries, services
from apps.disclosures.models import Disclosure
from apps.disclosures.queries import Figures
from apps.organisations.pages import PageRequest, requires
from apps.organisations.roles import Capability, may

WORKBOOK_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def _quarter(label: str) -> Quarter:
    try:
        return Quarter.parse(label)
    except ValueError as error:
        raise Http404(str(error)) from None


def _disclosure(request: PageRequest, public_id: UUID) -> Disclosure:
    found = queries.disclosure(request.organisation, public_id)
    if found is None:
        raise Http404("No such document.")
    return found


def _units(rows: Sequence[Figures | None]) -> dict[str, str]:
    """The units of a table's columns, the same mass unit for both methods."""
    present = [row for row in rows if row]
    return {
        "energy_unit": column_energy_unit([row["facility_energy_milliwatt_hours"] for row in present]),
        "mass_unit": column_mass_unit([row[f"{method}_mg"] for row in present for method in ("location", "market")]),
    }


@require_GET
@requires(Capability.READ)
def periods(request: PageRequest) -> HttpResponse:
    rows = queries.period_summaries(request.organisation)
    return render(request, "disclosures/periods.html", {"periods": rows, **_units([row.figures for row in rows])})


@require_GET
@requires(Capability.READ)
def period(request: PageRequest, label: str) -> HttpResponse:
    quarter = _quarter(label)
    if quarter not in queries.offered_quarters(request.organisation):
        raise Http404(f"{quarter} holds no data. The list of periods shows the quarters that do.")
    detail = queries.period_detail(request.organisation, quarter)
    documents = detail.summary.documents
    return render(
        request,
        "disclosures/period.html",
        {
            "detail": detail,
            "summary": detail.summary,
            "documents": documents,
            "under_way": any(one.state in services.IN_PROGRESS for one in documents),
            "may_disclose": may(request.membership.role, Capability.DISCLOSE),
            **_units([detail.summary.figures]),
        },
    )


@require_POST
@requires(Capability.DISCLOSE)
def create(request: PageRequest, label: str) -> HttpResponse:
    quarter = _quarter(label)
    person = request.membership.person
    try:
        services.request_disclosure(organisation=request.organisation, quarter=quarter, person=person)
    except ValueError as error:
        messages.error(request, f"{error}.")
        return HttpResponseRedirect(reverse("periods", args=[request.organisation.slug]))
    address = reverse("period", args=[request.organisation.slug, str(quarter)])
    return HttpResponseRedirect(f"{address}#documents")


@require_GET
@requires(Capability.READ)
def status(request: PageRequest, public_id: UUID) -> JsonResponse:
    """What the progress line says, as JSON; asked for every second while a document is being made."""
    one = _disclosure(request, public_id)
    answer = JsonResponse(
        {"state": one.state, "step": one.step, "progress_percent": one.progress_percent, "error": one.error}
    )
    answer["Cache-Control"] = "no-store"
    return answer


def file_answer(one: Disclosure) -> FileResponse:
    """The PDF of a ready document as a download. Raises ``Http404`` with what is the matter for any other."""
    if one.state != Disclosure.State.READY:
        raise Http404(f"Version {one.version} is not ready: {one.get_state_display().lower()}.")
    try:
        stored = one.pdf.open("rb")
    except FileNotFoundError:
        raise Http404("The file of this document is missing from the store; make the disclosure again.") from None
    name = f"{one.organisation.slug}-{one.period.label}-v{one.version}.pdf"
    answer = FileResponse(stored, as_attachment=True, filename=name, content_type="application/pdf")
    answer["ETag"] = f'"{one.pdf_digest}"'
    return answer


def evidence_answer(snapshot: dict[str, Any] | None) -> HttpResponse:
    """The snapshot as the same bytes that are embedded in the PDF. Raises ``Http404`` when nothing is frozen yet."""
    if snapshot is None:
        raise Http404("The figures of this document are not frozen yet.")
    answer = HttpResponse(canonical_json(snapshot), content_type="application/json")
    answer["Content-Disposition"] = 'attachment; filename="evidence.json"'
    return answer


def workbook_answer(one: Disclosure) -> HttpResponse:
    """The workbook of a ready document, made now from its frozen figures. Raises ``Http404`` for any other."""
    from apps.disclosures.workbook.content import workbook  # a web process should not pay for it at its start

    snapshot = queries.evidence(one.organisation_id, one.public_id)
    if one.state != Disclosure.State.READY or snapshot is None:
        raise Http404(f"Version {one.version} is not ready: {one.get_state_display().lower()}.")
    answer = HttpResponse(workbook(snapshot, one.snapshot_digest), content_type=WORKBOOK_TYPE)
    name = f"{one.organisation.slug}-{one.period.label}-v{one.version}.xlsx"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


@require_GET
@requires(Capability.READ)
def pdf(request: PageRequest, public_id: UUID) -> FileResponse:
    return file_answer(_disclosure(request, public_id))


@require_GET
@requires(Capability.READ)
def xlsx(request: PageRequest, public_id: UUID) -> HttpResponse:
    return workbook_answer(_disclosure(request, public_id))


@require_GET
@requires(Capability.READ)
def evidence(request: PageRequest, public_id: UUID) -> HttpResponse:
    _disclosure(request, public_id)
    return evidence_answer(queries.evidence(request.organisation, public_id))
