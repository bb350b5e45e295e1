"""The pages that keep instruments: add, edit, delete. No rules. Their list with outcomes is a page of the accounts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from apps.organisations.pages import PageRequest, actor_of, first_error, report_errors, requires
from apps.organisations.roles import Capability
from apps.procurement import queries, services
from apps.procurement.forms import MILLIWATT_HOURS_PER_MWH, EditInstrumentForm, InstrumentForm, NewInstrumentForm
from apps.procurement.models import Instrument
from apps.sites.queries import market_suggestions

RENAMED = {"volume_milliwatt_hours": "volume_mwh"}
KEPT = (
    "type",
    "market",
    "technology",
    "co2e_kg_per_mwh",
    "vintage_start",
    "vintage_end",
    "tracking_system",
    "serial_start",
    "serial_end",
    "retired_on",
    "beneficiary",
    "claim_start",
    "claim_end",
    "note",
)


@requires(Capability.MANAGE_INVENTORY)
@require_http_methods(["GET", "POST"])
def add(request: PageRequest) -> HttpResponse:
    form = NewInstrumentForm(request.POST or None)
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
            return redirect("instruments", request.organisation.slug)
    return render(request, "procurement/add.html", _context(request, form))


@requires(Capability.MANAGE_INVENTORY)
@require_http_methods(["GET", "POST"])
def edit(request: PageRequest, instrument_id: int) -> HttpResponse:
    instrument = _instrument(request, instrument_id)
    form = EditInstrumentForm(request.POST or None, initial=_initial(instrument))
    if request.method == "POST" and form.is_valid():
        try:
            services.update_instrument(instrument=instrument, actor=actor_of(request), **form.values())
        except ValidationError as error:
            report_errors(form, error, RENAMED)
        else:
            messages.success(request, f"{instrument.reference} saved.")
            return redirect("instruments", request.organisation.slug)
    return render(request, "procurement/edit.html", {**_context(request, form), "instrument": instrument})


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


def _instrument(request: PageRequest, instrument_id: int) -> Instrument:
    instrument = queries.instrument(request.organisation, instrument_id)
    if instrument is None:
        raise Http404("No such instrument.")
    return instrument


def _initial(instrument: Instrument) -> dict[str, Any]:
    values = {name: getattr(instrument, name) for name in KEPT}
    values["volume_mwh"] = _plain(Decimal(instrument.volume_milliwatt_hours) / MILLIWATT_HOURS_PER_MWH)
    if instrument.co2e_kg_per_mwh is not None:
        values["co2e_kg_per_mwh"] = _plain(instrument.co2e_kg_per_mwh)
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
