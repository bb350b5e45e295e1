"""API of units of AI work. No rules."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounting.engine import sci
from apps.accounting.queries import SCOPES
from apps.accounting.work import queries, tables
from apps.core.api import (
    LIST_PARAMETERS,
    CsvRenderer,
    bad_parameter,
    parse_choice,
    parse_list,
    parse_window,
    refuse_unknown,
    rows_page,
)
from apps.organisations.authentication import principal_of
from apps.organisations.models import Scope

FILTERS = ("team", "model", "workload", "site", "kind", "hardware", "market")
_TIME = "A date or an RFC 3339 time with offset, UTC, half-open; an hour counts where it begins."
_PER = {
    "wh": "facility energy [Wh]",
    "location_g": "location-based [g CO2e]",
    "market_g": "market-based [g CO2e]",
    "boundary": "what the readings behind it measured",
}
_NUMBER = {"type": "number", "nullable": True}
_ROW = {
    "model": {"type": "string", "nullable": True, "description": "slug, or null where none is named"},
    "workload": {"type": "string", "nullable": True, "description": "with group_by=workload"},
    "scope": {"type": "string", "enum": ["2", "3", "unassigned"]},
    "facility_energy_kwh": {"type": "number"},
    "simulated_energy_kwh": {"type": "number", "description": "the part that is simulated load"},
    "published_energy_kwh": {"type": "number", "description": "the part that is somebody else's published run"},
    "tokens": {"type": "integer"},
    "requests": {"type": "integer"},
    "accelerator_hours": {"type": "number"},
    "training_runs": {"type": "integer"},
    **{
        f"{name}_per_{unit}": {**(_NUMBER if name != "boundary" else {"type": "string", "nullable": True})}
        | {"description": f"{words} per {unit.replace('_', ' ')}; null where there is nothing to divide by"}
        for unit in ("1000_tokens", "request", "accelerator_hour", "training_run")
        for name, words in _PER.items()
    },
    **{
        f"sci_{boundary}{part}_g": _NUMBER
        for boundary in ("consumer", "provider")
        for part in ("_operational", "_embodied", "")
    },
    "sci_provider_unit": {"type": "string"},
    "embodied_missing": {"type": "string", "nullable": True, "description": "hardware without an embodied figure"},
}
_ANSWER = {
    "type": "object",
    "properties": {
        "results": {"type": "array", "items": {"type": "object", "properties": _ROW}},
        "next": {"type": "string", "format": "uri", "nullable": True},
    },
}


class IntensityList(APIView):
    """Ratios of sums by model or workload; ``Accept: text/csv`` gives the same rows as a table."""

    scope = {"GET": Scope.READ}
    renderer_classes = [JSONRenderer, CsvRenderer]

    @extend_schema(
        summary="Energy and emissions per unit of AI work, with SCI",
        operation_id="intensities_list",
        parameters=[
            OpenApiParameter("from", OpenApiTypes.STR, required=True, description=_TIME),
            OpenApiParameter("to", OpenApiTypes.STR, required=True, description=_TIME),
            OpenApiParameter("group_by", OpenApiTypes.STR, enum=list(queries.GROUPINGS), default="model"),
            OpenApiParameter("scope", OpenApiTypes.STR, enum=list(SCOPES), default="2"),
            OpenApiParameter("lifetime_years", OpenApiTypes.NUMBER, default=4, description="of hardware, 1 to 20"),
            *(OpenApiParameter(name, OpenApiTypes.STR, many=True) for name in FILTERS),
            *LIST_PARAMETERS,
        ],
        responses={(200, "application/json"): _ANSWER, 400: OpenApiResponse(description="a problem document")},
    )
    def get(self, request: Request) -> Response:
        refuse_unknown(request, {"from", "to", "group_by", "scope", "lifetime_years", *FILTERS})
        group_by = parse_choice(request, "group_by", queries.GROUPINGS, "model")
        rows = queries.work_rows(
            principal_of(request).organisation_id,
            parse_window(request),
            group_by=group_by,
            scope=parse_choice(request, "scope", SCOPES, "2"),
            filters={name: parse_list(request, name) for name in FILTERS if name in request.query_params},
            lifetime_years=lifetime_of(request),
        )
        return Response(rows_page(request, tables.records(rows, group_by), [group_by, "scope"]))


def lifetime_of(request: Request) -> Decimal:
    """The parameter ``lifetime_years``. Raises ``Problem(400)`` outside 1 to 20."""
    text = request.query_params.get("lifetime_years")
    if text is None:
        return sci.LIFETIME_YEARS
    try:
        years = Decimal(text)
        sci.lifetime(years)
    except (InvalidOperation, ValueError):
        raise bad_parameter("lifetime_years", text, "a number of years from 1 to 20") from None
    return years
