"""The pages that import instruments: choose a file, see what it would make, import it. No rules.

Between the preview and the import the file waits in the cache, for an hour, under a name that only the page knows.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from django import forms
from django.contrib import messages
from django.core.cache import cache
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.core.exports import csv_response
from apps.organisations.models import Organisation
from apps.organisations.pages import PageRequest, actor_of, requires
from apps.organisations.roles import Capability
from apps.procurement.importing import bundles, lots
from apps.procurement.importing.reading import MOST_FAULTS, FileRefusedError
from apps.procurement.importing.services import HOURLY, LOTS, import_instruments

MOST_BYTES = 20 * 1024 * 1024
SHOWN = 50
WAITS_SECONDS = 3_600
KINDS = (
    (LOTS, "Lots: one row for each lot (CSV)"),
    (HOURLY, "Hourly certificates: one row for each bundle of an hour or less (CSV or JSON)"),
)


class ImportForm(forms.Form):
    kind = forms.ChoiceField(label="What is in the file", choices=KINDS, widget=forms.RadioSelect, initial=LOTS)
    file = forms.FileField(
        label="File",
        widget=forms.FileInput(attrs={"accept": ".csv,.json"}),
        help_text="Up to 20 MiB. Nothing is stored before you have seen what it would make.",
    )

    def clean_file(self) -> Any:
        sent = self.cleaned_data["file"]
        if sent.size > MOST_BYTES:
            raise forms.ValidationError("Expected 20 MiB at most; split the file.")
        return sent


@requires(Capability.MANAGE_INVENTORY)
@require_http_methods(["GET", "POST"])
def import_file(request: PageRequest) -> HttpResponse:
    """Choose a file; sent one, show what it would make or what is wrong with it."""
    form = ImportForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        sent = form.cleaned_data["file"]
        return _preview(request, form, form.cleaned_data["kind"], sent.name, sent.read())
    return _page(request, form, status=422 if form.is_bound else 200)


def _preview(request: PageRequest, form: ImportForm, kind: str, name: str, content: bytes) -> HttpResponse:
    try:
        made = import_instruments(
            organisation=request.organisation,
            kind=kind,
            content=content,
            name=name,
            actor=actor_of(request),
            only_try=True,
        )
    except FileRefusedError as error:
        return _refused(request, form, name, error)
    token = uuid4().hex
    cache.set(_place(request.organisation, token), (kind, name, content), WAITS_SECONDS)
    return _page(
        request,
        form,
        preview=made[:SHOWN],
        token=token,
        name=name,
        lots=len(made),
        hours=sum(one.hours for one in made),
        energy=sum(one.instrument.volume_milliwatt_hours for one in made),
        left_out=max(len(made) - SHOWN, 0),
    )


@requires(Capability.MANAGE_INVENTORY)
@require_POST
def confirm(request: PageRequest) -> HttpResponse:
    """Import the file that was shown."""
    place = _place(request.organisation, request.POST.get("token", "")[:40])
    waiting = cache.get(place)
    if waiting is None:
        messages.error(request, "The file is not at hand any more. Choose it once again.")
        return redirect("instrument-import", request.organisation.slug)
    kind, name, content = waiting
    try:
        made = import_instruments(
            organisation=request.organisation, kind=kind, content=content, name=name, actor=actor_of(request)
        )
    except FileRefusedError as error:
        return _refused(request, ImportForm(initial={"kind": kind}), name, error)
    cache.delete(place)
    text = f"{len(made)} lot{'s' if len(made) != 1 else ''} imported from {name}."
    messages.success(request, f"{text} The market-based figures are being worked out anew.")
    return redirect("instruments", request.organisation.slug)


@requires(Capability.READ)
@require_GET
def lots_template(request: PageRequest) -> HttpResponse:
    """A CSV file of lots with its heading and one example."""
    header = (*lots.REQUIRED, *lots.OPTIONAL)
    return csv_response("instrument-lots", header, [[lots.EXAMPLE.get(name, "") for name in header]])


@requires(Capability.READ)
@require_GET
def hourly_template(request: PageRequest) -> HttpResponse:
    """A CSV file of hourly certificates with its heading and one example."""
    header = (*bundles.REQUIRED, *bundles.OPTIONAL)
    return csv_response("hourly-certificates", header, [[bundles.EXAMPLE.get(name, "") for name in header]])


def _place(organisation: Organisation, token: str) -> str:
    return f"procurement-import:{organisation.pk}:{token}"


def _refused(request: PageRequest, form: ImportForm, name: str, error: FileRefusedError) -> HttpResponse:
    left_out = max(len(error.errors) - MOST_FAULTS, 0)
    return _page(request, form, status=422, errors=error.errors[:MOST_FAULTS], name=name, errors_left_out=left_out)


def _page(request: PageRequest, form: ImportForm, status: int = 200, **context: Any) -> HttpResponse:
    return render(request, "procurement/import.html", {"form": form, **context}, status=status)
