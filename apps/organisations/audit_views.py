"""The audit log's pages. They stand here because the audit room is below organisations and knows no roles."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import asdict
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.audit import queries
from apps.audit.queries import EventFilter
from apps.audit.services import verify_chain
from apps.organisations.pages import PageRequest, requires
from apps.organisations.roles import Capability

PAGE_SIZE = 50
# Checked without being asked up to here; a longer log is checked when somebody presses the button.
VERIFIED_AT_ONCE = 5_000


def _filter(request: PageRequest) -> EventFilter:
    fields = ("action", "actor", "object_type")
    return EventFilter(
        search=request.GET.get("q", "").strip(), **{field: request.GET.get(field, "") for field in fields}
    )


@requires(Capability.READ_AUDIT_LOG)
@require_GET
def audit_log(request: PageRequest) -> HttpResponse:
    chosen = _filter(request)
    rows = queries.events(request.organisation.pk, chosen)
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    total = queries.events(request.organisation.pk, EventFilter()).count()
    verify = "verify" in request.GET or total <= VERIFIED_AT_ONCE
    query = {name: value for name, value in request.GET.items() if name not in {"page", "verify"} and value}
    context = {
        "page": page,
        "events": [(event, queries.changes(event)) for event in page],
        "chosen": asdict(chosen),
        "filtered": any(asdict(chosen).values()),
        "choices": queries.choices(request.organisation.pk),
        "total": total,
        "verified": verify,
        "faults": verify_chain(request.organisation.pk) if verify else [],
        "query": urlencode(query),
    }
    return render(request, "audit/log.html", context)


class _Line:
    """A file that hands back what is written to it, so that the export is streamed and never held whole."""

    def write(self, text: str) -> str:
        return text


def _safe(cell: str) -> str:
    """A cell that a spreadsheet does not run: labels and reasons were typed by people."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r", "'")) else cell


@requires(Capability.READ_AUDIT_LOG)
@require_GET
def audit_csv(request: PageRequest) -> StreamingHttpResponse:
    def lines() -> Iterator[str]:
        writer = csv.writer(_Line())
        for row in queries.csv_rows(queries.events(request.organisation.pk, _filter(request))):
            yield writer.writerow([_safe(cell) for cell in row])

    return StreamingHttpResponse(
        lines(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="audit-{request.organisation.slug}.csv"'},
    )
