"""The page that holds the portal's arithmetic against what others published."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from apps.accounting.literature import queries
from apps.organisations.pages import PageRequest, requires
from apps.organisations.roles import Capability

MOST_CHARACTERS = 200_000


@requires(Capability.READ)
@require_http_methods(["GET", "POST"])
def literature(request: PageRequest) -> HttpResponse:
    text = request.POST.get("table", "") if request.method == "POST" else ""
    error, judged = "", []
    if request.method == "POST":
        try:
            if len(text) > MOST_CHARACTERS:
                raise queries.UnreadableTableError(f"Expected at most {MOST_CHARACTERS:,} characters.")
            judged = queries.judge(request.organisation, text)
        except queries.UnreadableTableError as fault:
            error = str(fault)
    context = {
        "publications": queries.groups(),
        "table": text or queries.EXAMPLE,
        "judged": judged,
        "error": error,
        "columns": ", ".join(queries.COLUMNS),
    }
    return render(request, "accounting/literature/literature.html", context, status=422 if error else 200)
