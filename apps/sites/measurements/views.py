"""Pages of meter readings and invoices: list, entry, correction, withdrawal, import and export. No rules."""

from __future__ import annotations

import re
from datetime import date
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.core.exports import csv_response
from apps.organisations.pages import PageRequest, actor_of, first_error, report_errors, requires
from apps.organisations.roles import Capability
from apps.sites import queries as sites
from apps.sites.measurements import imports, queries, services
from apps.sites.measurements.forms import CorrectMeasurementForm, FileForm, MeasurementForm, NewMeasurementForm
from apps.sites.models import SiteMeasurement

PER_PAGE = 100
RENAMED = {"start": "first_day", "end": "last_day"}


@requires(Capability.READ)
@require_GET
def meters(request: PageRequest) -> HttpResponse:
    """The readings of a site, a quantity and a year; ``format=csv`` gives them as a file that can be imported."""
    chosen = _chosen(request)
    year = int(chosen["year"]) if chosen["year"] else None
    rows = queries.filtered(
        request.organisation,
        site=chosen["site"],
        quantity=chosen["quantity"],
        start=date(year, 1, 1) if year else None,
        end=date(year + 1, 1, 1) if year else None,
    )
    if request.GET.get("format") == "csv":
        return csv_response(f"{request.organisation.slug}-meters", imports.COLUMNS, map(_file_row, rows.iterator()))
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    query = {name: value for name, value in chosen.items() if value}
    context = {
        "page": page,
        "rows": [(row, *queries.amount_text(row), queries.last_day(row)) for row in page],
        "chosen": chosen,
        "filtered": bool(query),
        "query": urlencode(query),
        "sites": list(sites.sites(request.organisation)),
        "quantities": SiteMeasurement.Quantity.choices,
        "years": queries.years(request.organisation),
    }
    return render(request, "sites/measurements/list.html", context)


def _chosen(request: HttpRequest) -> dict[str, str]:
    """The filters that can be read; what cannot is left out."""
    quantity, year = request.GET.get("quantity", ""), request.GET.get("year", "")
    return {
        "site": request.GET.get("site", "").replace("\0", ""),
        "quantity": quantity if quantity in SiteMeasurement.Quantity.values else "",
        "year": year if re.fullmatch(r"(19|20|21)\d\d", year) else "",
    }


def _file_row(row: SiteMeasurement) -> list[Any]:
    amount, unit = queries.amount_in_unit(row)
    days = (row.start.isoformat(), queries.last_day(row).isoformat())
    return [row.site.code, row.quantity, row.meter, *days, f"{amount:f}", unit, row.evidence, row.reference, row.note]


@requires(Capability.MANAGE_INVENTORY)
@require_http_methods(["GET", "POST"])
def add(request: PageRequest) -> HttpResponse:
    form = NewMeasurementForm(request.organisation, request.POST or None, initial=_following(request))
    if request.method == "POST" and form.is_valid():
        site = sites.site(request.organisation, form.cleaned_data["site"])
        if site is None:
            raise Http404("No such site.")
        try:
            row = services.add_measurement(
                site=site, quantity=form.cleaned_data["quantity"], actor=actor_of(request), **form.values()
            )
        except ValidationError as error:
            report_errors(form, error, RENAMED)
        else:
            messages.success(request, f"{row.get_quantity_display()} of {site.name} added.")
            return redirect("meters", request.organisation.slug)
    return render(request, "sites/measurements/add.html", _context(request, form))


def _following(request: PageRequest) -> dict[str, Any]:
    """What the form is filled with when it was opened from a reading: the same meter, the days after it."""
    number = request.GET.get("after", "")
    before = queries.measurement(request.organisation, int(number)) if re.fullmatch(r"\d{1,18}", number) else None
    if before is None:
        return {}
    last = queries.latest(before.site, before.quantity, before.meter) or before
    return {
        "site": before.site.code,
        "quantity": before.quantity,
        "meter": before.meter,
        "unit": queries.amount_in_unit(before)[1],
        "evidence": before.evidence,
        "first_day": last.end,
    }


def _measurement(request: PageRequest, measurement_id: int) -> SiteMeasurement:
    row = queries.measurement(request.organisation, measurement_id)
    if row is None:
        raise Http404("No such reading.")
    return row


@requires(Capability.MANAGE_INVENTORY)
@require_http_methods(["GET", "POST"])
def correct(request: PageRequest, measurement_id: int) -> HttpResponse:
    row = _measurement(request, measurement_id)
    form = CorrectMeasurementForm(row, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            services.correct_measurement(
                measurement=row, actor=actor_of(request), reason=form.cleaned_data["reason"], **form.values()
            )
        except ValidationError as error:
            report_errors(form, error, RENAMED)
        else:
            messages.success(request, "Reading corrected. The audit log keeps what it said before.")
            return redirect("meters", request.organisation.slug)
    return render(request, "sites/measurements/correct.html", {**_context(request, form), "row": row})


@requires(Capability.MANAGE_INVENTORY)
@require_POST
def withdraw(request: PageRequest, measurement_id: int) -> HttpResponse:
    services.withdraw_measurement(measurement=_measurement(request, measurement_id), actor=actor_of(request))
    messages.success(request, "Reading withdrawn. The audit log keeps what it said.")
    return redirect("meters", request.organisation.slug)


def _context(request: PageRequest, form: MeasurementForm) -> dict[str, Any]:
    return {"form": form, "meters": queries.meters(request.organisation)}


@requires(Capability.MANAGE_INVENTORY)
@require_http_methods(["GET", "POST"])
def import_file(request: PageRequest) -> HttpResponse:
    """Upload a file, see what it would add or what is wrong with it, then import all of it or nothing."""
    if "content" in request.POST:
        return _import(request, request.POST["content"])
    form = FileForm(request.POST or None, request.FILES or None)
    preview = None
    if request.method == "POST" and form.is_valid():
        try:
            text = imports.decode(form.cleaned_data["file"].read(imports.MOST_BYTES + 1))
        except ValueError as error:
            form.add_error("file", str(error))
        else:
            preview = imports.preview(request.organisation, text)
    return _import_page(request, form, preview)


def _import(request: PageRequest, text: str) -> HttpResponse:
    preview = imports.preview(request.organisation, text)
    if preview.faults:
        return _import_page(request, FileForm(), preview)
    try:
        count = services.add_measurements(organisation=request.organisation, rows=preview.rows, actor=actor_of(request))
    except ValidationError as error:
        messages.error(request, first_error(error))
        return _import_page(request, FileForm(), None)
    messages.success(request, f"{count:,} reading{'' if count == 1 else 's'} imported.")
    return redirect("meters", request.organisation.slug)


def _import_page(request: PageRequest, form: FileForm, preview: imports.Preview | None) -> HttpResponse:
    rows = (
        [(row, *queries.amount_text(row), queries.last_day(row)) for row in preview.rows[:PER_PAGE]] if preview else []
    )
    context = {"form": form, "preview": preview, "rows": rows}
    return render(request, "sites/measurements/import.html", context)


@requires(Capability.MANAGE_INVENTORY)
@require_GET
def template(request: PageRequest) -> HttpResponse:
    """The columns of an import with two example rows, of the organisation's own first site."""
    site = sites.sites(request.organisation).first()
    rows = [(site.code if site else code, *rest) for code, *rest in imports.EXAMPLE]
    return csv_response("meters-template", imports.COLUMNS, rows)
