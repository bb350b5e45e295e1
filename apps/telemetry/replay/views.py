"""Mending what a request got rejected, on the page of its receipt."""

from __future__ import annotations

from uuid import UUID

import msgspec
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from apps.organisations.pages import PageRequest, actor_of, first_error, requires
from apps.organisations.roles import Capability
from apps.telemetry import queries
from apps.telemetry.replay import services


@requires(Capability.CONNECT)
@require_POST
def replay(request: PageRequest, receipt_id: UUID) -> HttpResponse:
    """Send the mended rows, or with ``check`` only say what would become of them."""
    receipt = queries.receipt(request.organisation, receipt_id)
    if receipt is None:
        raise Http404("No such receipt.")
    text, is_check = request.POST.get("rows", ""), "check" in request.POST
    try:
        checked = services.replay(receipt=receipt, text=text, actor=actor_of(request), dry_run=True)
        said = msgspec.json.decode(checked.body)
        if is_check or checked.status != 200:  # rows of which none is valid stay in the editor, without a receipt
            return _again(request, receipt_id, text, {"outcome": said, "is_check": is_check})
        answer = services.replay(receipt=receipt, text=text, actor=actor_of(request))
    except ValidationError as error:
        return _again(request, receipt_id, text, {"fault": first_error(error)})
    said = msgspec.json.decode(answer.body)
    messages.success(
        request,
        f"{said['accepted']} accepted, {said['duplicates']} stored before, {said['rejected']} rejected."
        " Figures follow within a minute.",
    )
    return redirect("receipt", request.organisation.slug, said["receipt"])


def _again(request: PageRequest, receipt_id: UUID, text: str, more: dict[str, object]) -> HttpResponse:
    context = {"receipt": queries.receipt(request.organisation, receipt_id), "to_mend": text, **more}
    return render(request, "telemetry/receipt.html", context, status=200 if more.get("is_check") else 422)
