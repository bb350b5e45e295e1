"""API of the Scope 3 memo. No rules."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounting.memo import queries, tables
from apps.accounting.work.api import lifetime_of
from apps.core.api import LIST_PARAMETERS, CsvRenderer, parse_window, refuse_unknown, rows_page
from apps.organisations.authentication import principal_of
from apps.organisations.models import Scope

_TIME = "A date or an RFC 3339 time with offset, UTC, half-open; an hour counts where it begins."
_TEXT = {"type": "string", "nullable": True}
_NUMBER = {"type": "number", "nullable": True}
_ROW = {
    "category": {"type": "string", "enum": ["1", "2", "3"], "description": "of Scope 3"},
    "part": {"type": "string", "enum": list(queries.PARTS)},
    "site": _TEXT,
    "site_name": _TEXT,
    "hardware": _TEXT,
    "energy_kwh": _NUMBER,
    "accelerator_hours": _NUMBER,
    "co2e_kg": {**_NUMBER, "description": "null where no factor is known; `note` says which"},
    "factor": {"type": "string"},
    "working": {"type": "string", "description": "the formula with the numbers put in"},
    "note": {"type": "string"},
}
_ANSWER = {
    "type": "object",
    "properties": {
        "results": {"type": "array", "items": {"type": "object", "properties": _ROW}},
        "next": {"type": "string", "format": "uri", "nullable": True},
    },
}


class Scope3List(APIView):
    """Each figure in a row of its own: categories are not added to each other, nor to Scope 2."""

    scope = {"GET": Scope.READ}
    renderer_classes = [JSONRenderer, CsvRenderer]

    @extend_schema(
        summary="Scope 3 memo: cloud, embodied hardware, upstream and losses",
        operation_id="scope3_list",
        parameters=[
            OpenApiParameter("from", OpenApiTypes.STR, required=True, description=_TIME),
            OpenApiParameter("to", OpenApiTypes.STR, required=True, description=_TIME),
            OpenApiParameter("lifetime_years", OpenApiTypes.NUMBER, default=4, description="of hardware, 1 to 20"),
            *LIST_PARAMETERS,
        ],
        responses={(200, "application/json"): _ANSWER, 400: OpenApiResponse(description="a problem document")},
    )
    def get(self, request: Request) -> Response:
        refuse_unknown(request, {"from", "to", "lifetime_years"})
        rows = queries.memo_rows(principal_of(request).organisation_id, parse_window(request), lifetime_of(request))
        key = ["category", "part", "site", "hardware", "factor", "working", "note"]
        return Response(rows_page(request, tables.records(rows), key))
