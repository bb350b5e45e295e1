"""The pages that keep instruments and standard supply. No rules. Their list with outcomes is a page of the accounts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.organisations.pages import PageRequest, actor_of, first_error, report_errors, requires
from apps.organisations.roles import Capability, may
from apps.procurement import checks, queries, services
from apps.procurement.evidence import content_type
from apps.procurement.forms import (
    MILLIWATT_HOURS_PER_MWH,
    EditInstrumentForm,
    EvidenceForm,
    InstrumentForm,
    NewInstrumentForm,
    StandardSupplyForm,
)
from apps.procurement.models import Instrument
from apps.sites.queries import market_suggestions

RENAMED = {"volume_milliwatt_hours": "volume_mwh", "earmark_team": "earmark", "earmark_model": "earmark"}
RATES = ("co2e_kg_per_mwh", "co2_kg_per_mwh", "ch4_kg_per_mwh", "n2o_kg_per_mwh", "biogenic_co2_kg_per_mwh")
KEPT = (
    "type",
    "market",
    "technology",
    "vintage_start",
    "vintage_end",
    "tracking_system",
    "serial_start",
    "serial_end",
    "issued_on",
    "retired_on",
    "beneficiary",
    "claim_start",
    "claim_end",
    "deliverable",
    "note",
)
ATTESTATIONS = ("supplier_attested", "exclusive_claim")


@requires(Capability.MANAGE_INVENTORY)
@require_http_methods(["GET", "POST"])
def add(request: PageRequest) -> HttpResponse:
    form = NewInstrumentForm(request.POST or None, organisation=request.organisation)
    if request.method == "POST" and form.is_valid():
        try:
            instrument = services.create_instrument(
                organisation=request.organisation, actor=actor_of(request), **form.values()
            )
        except ValidationError as error:
            report_errors(form, error, RENAMED)
        else:
            messages.success(
                request, f"{instrument.reference} added. The market-based figures are being worked out anew."
            )
            _warn(request, instrument)
            return redirect("instruments", request.organisation.slug)
    return render(request, "procurement/add.html", _context(request, form))


@requires(Capability.MANAGE_INVENTORY)
@require_http_methods(["GET", "POST"])
def edit(request: PageRequest, instrument_id: int) -> HttpResponse:
    instrument = _instrument(request, instrument_id)
    form = EditInstrumentForm(request.POST or None, initial=_initial(instrument), organisation=request.organisation)
    if request.method == "POST" and form.is_valid():
        try:
            saved = services.update_instrument(instrument=instrument, actor=actor_of(request), **form.values())
        except ValidationError as error:
            report_errors(form, error, RENAMED)
        else:
            messages.success(request, f"{instrument.reference} saved.")
            _warn(request, saved)
            return redirect("instruments", request.organisation.slug)
    return _edit_page(request, instrument, form, EvidenceForm())


@requires(Capability.READ)
@require_GET
def evidence(request: PageRequest, instrument_id: int) -> FileResponse:
    """The lot's evidence file as a download, never shown in place."""
    instrument = _instrument(request, instrument_id)
    if not instrument.evidence.name:
        raise Http404("No evidence is kept for this instrument.")
    try:
        stored = instrument.evidence.open("rb")
    except FileNotFoundError:
        raise Http404("The evidence of this instrument is missing from the store; upload it again.") from None
    answer = FileResponse(
        stored,
        as_attachment=True,
        filename=instrument.evidence_name,
        content_type=content_type(instrument.evidence.name),
    )
    answer["X-Content-Type-Options"] = "nosniff"
    answer["ETag"] = f'"{instrument.evidence_digest}"'
    return answer


@requires(Capability.MANAGE_INVENTORY)
@require_POST
def upload_evidence(request: PageRequest, instrument_id: int) -> HttpResponse:
    instrument = _instrument(request, instrument_id)
    form = EvidenceForm(request.POST, request.FILES)
    if form.is_valid():
        sent = form.cleaned_data["evidence"]
        try:
            kept = services.attach_evidence(
                instrument=instrument, name=sent.name, content=sent.file, actor=actor_of(request)
            )
        except ValidationError as error:
            report_errors(form, error)
        else:
            messages.success(request, f"{kept.name} is kept with {instrument.reference}.")
            return redirect("instrument-edit", request.organisation.slug, instrument.pk)
    edited = EditInstrumentForm(initial=_initial(instrument), organisation=request.organisation)
    return _edit_page(request, instrument, edited, form, status=422)


@requires(Capability.MANAGE_INVENTORY)
@require_POST
def delete(request: PageRequest, instrument_id: int) -> HttpResponse:
    instrument = _instrument(request, instrument_id)
    try:
        services.delete_instrument(instrument=instrument, actor=actor_of(request))
    except ValidationError as error:
        messages.error(request, first_error(error))
        return redirect("instrument-edit", request.organisation.slug, instrument.pk)
    messages.success(request, f"{instrument.reference} deleted.")
    return redirect("instruments", request.organisation.slug)


@requires(Capability.READ)
@require_http_methods(["GET", "POST"])
def standard_supply(request: PageRequest) -> HttpResponse:
    """What is stated of standard supply, and for who may, a form to state more."""
    may_manage = may(request.membership.role, Capability.MANAGE_INVENTORY)
    if request.method == "POST" and not may_manage:
        raise PermissionDenied(f"Your role may not {Capability.MANAGE_INVENTORY.value}.")
    form = StandardSupplyForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            row = services.add_standard_supply(
                organisation=request.organisation, actor=actor_of(request), **form.values()
            )
        except ValidationError as error:
            report_errors(form, error, {"share_ppm": "share_percent"})
        else:
            messages.success(request, f"Standard supply of {row.market} from {row.start} to {row.end} added.")
            return redirect("standard-supply", request.organisation.slug)
    context = {
        "form": form,
        "rows": queries.standard_supply(request.organisation),
        "markets": market_suggestions(request.organisation),
        "may_manage": may_manage,
    }
    return render(request, "procurement/standard_supply.html", context)


@requires(Capability.MANAGE_INVENTORY)
@require_POST
def remove_standard_supply(request: PageRequest, supply_id: int) -> HttpResponse:
    row = queries.standard_supply_row(request.organisation, supply_id)
    if row is None:
        raise Http404("No such statement.")
    services.remove_standard_supply(row=row, actor=actor_of(request))
    messages.success(request, f"Standard supply of {row.market} from {row.start} to {row.end} removed.")
    return redirect("standard-supply", request.organisation.slug)


def _edit_page(
    request: PageRequest,
    instrument: Instrument,
    form: EditInstrumentForm,
    evidence_form: EvidenceForm,
    status: int = 200,
) -> HttpResponse:
    context = {
        **_context(request, form),
        "instrument": instrument,
        "evidence_form": evidence_form,
        "hours": instrument.hours.count(),
    }
    return render(request, "procurement/edit.html", context, status=status)


def _warn(request: PageRequest, instrument: Instrument) -> None:
    for text in checks.warnings(instrument, request.organisation):
        messages.warning(request, text)


def _instrument(request: PageRequest, instrument_id: int) -> Instrument:
    instrument = queries.instrument(request.organisation, instrument_id)
    if instrument is None:
        raise Http404("No such instrument.")
    return instrument


def _initial(instrument: Instrument) -> dict[str, Any]:
    values = {name: getattr(instrument, name) for name in KEPT}
    values["volume_mwh"] = _plain(Decimal(instrument.volume_milliwatt_hours) / MILLIWATT_HOURS_PER_MWH)
    for name in RATES:
        rate = getattr(instrument, name)
        values[name] = None if rate is None else _plain(rate)
    for name in ATTESTATIONS:
        values[name] = {None: "", True: "yes", False: "no"}[getattr(instrument, name)]
    if instrument.earmark_team:
        values["earmark"] = f"team:{instrument.earmark_team.slug}"
    elif instrument.earmark_model:
        values["earmark"] = f"model:{instrument.earmark_model.slug}"
    return values


def _plain(number: Decimal) -> str:
    return format(number.normalize() + 0, "f")


def _context(request: PageRequest, form: InstrumentForm) -> dict[str, Any]:
    return {
        "form": form,
        "markets": market_suggestions(request.organisation),
        "technologies": queries.technologies(request.organisation),
        "tracking_systems": queries.tracking_systems(request.organisation),
    }
