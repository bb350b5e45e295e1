"""What people say of a workload on its page (a page of the dashboards). No rules."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from apps.organisations.pages import PageRequest, actor_of, first_error, requires
from apps.organisations.roles import Capability
from apps.workloads import queries, services


@requires(Capability.CONNECT)
@require_POST
def set_outcome(request: PageRequest, workload_id: int) -> HttpResponse:
    """Say how a run ended."""
    workload = queries.workload(request.organisation, workload_id)
    if workload is None:
        raise Http404("No such workload.")
    try:
        workload = services.set_outcome(
            workload=workload, outcome=request.POST.get("outcome", ""), actor=actor_of(request)
        )
    except ValidationError as error:
        messages.error(request, first_error(error))
    else:
        messages.success(request, f"Outcome of {workload.name}: {workload.get_outcome_display().lower()}.")
    return redirect("workload", request.organisation.slug, workload.pk)
