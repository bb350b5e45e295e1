"""The ledger over the API: energy, emissions, and whether all that was sent is in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounting.calculations.queries import receipt_path
from apps.accounting.quality.queries import intervals
from apps.accounting.queries import (
    DIMENSIONS,
    SCOPES,
    LedgerQuery,
    group_columns,
    ledger_extent,
    ledger_frame,
    ledger_status,
)
from apps.core.api import (
    CsvRenderer,
    kg,
    kwh,
    parse_choice,
    parse_flag,
    parse_list,
    parse_window,
    refuse_unknown,
    rows_page,
)
from apps.core.windows import Window, midnight
from apps.organisations.authentication import principal_of
from apps.organisations.models import Scope
from apps.telemetry.uploads.queries import pending_uploads
from apps.workloads.models import Kind

_PLAIN = {
    "it_energy_kwh": {"type": "number", "description": "energy of the equipment, before PUE"},
    "facility_energy_kwh": {"type": "number", "description": "IT energy times PUE; what Scope 2 counts"},
    "location_kg": {"type": "number", "nullable": True, "description": "location-based CO2e; null without a factor"},
    "market_kg": {"type": "number", "nullable": True, "description": "market-based CO2e; null outside Scope 2"},
    "location_g_per_kwh": {
        "type": "number",
        "nullable": True,
        "description": "location-based CO2e per facility kWh that has a factor",
    },
    "quality": {
        "type": "string",
        "nullable": True,
        "enum": ["A", "B", "C", "D"],
        "description": "weakest tier that makes up 5 % of the energy: metered, measured, modelled, estimated",
    },
}
_UNCERTAINTY = {
    name: {
        "type": "number",
        "nullable": True,
        "description": f"half-width of the 95 % interval of the {method} figure as a share of it, 0.087 being 8.7 %;"
        " only with `uncertainty=true`; null where the figure is absent or zero",
    }
    for name, method in (("location_uncertainty", "location-based"), ("market_uncertainty", "market-based"))
}
_ANSWER = {
    "type": "object",
    "properties": {
        "results": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {**_PLAIN, **_UNCERTAINTY, "scope": {"type": "string", "enum": ["2", "3", "unassigned"]}},
                "additionalProperties": {"type": "string", "nullable": True, "description": "a dimension grouped by"},
            },
        },
        "next": {"type": "string", "format": "uri", "nullable": True},
        "calculation": {"type": "string", "format": "uri", "description": "how these figures came about"},
    },
}
_DAY = timedelta(days=1)
_TIME = "A date or an RFC 3339 time with offset, UTC, half-open; an hour counts where it begins."
PARAMETERS = [
    OpenApiParameter("from", OpenApiTypes.STR, description=f"{_TIME} Default: the day of the first reading."),
    OpenApiParameter("to", OpenApiTypes.STR, description=f"{_TIME} Default: the day after the last reading."),
    OpenApiParameter(
        "group_by", OpenApiTypes.STR, many=True, enum=list(DIMENSIONS), description="Comma list, or repeated."
    ),
    OpenApiParameter("scope", OpenApiTypes.STR, enum=list(SCOPES), default="2", description="`all`: each row says."),
    OpenApiParameter("limit", OpenApiTypes.INT, description="Rows a page."),
    OpenApiParameter("cursor", OpenApiTypes.STR, description="From the `next` link, unchanged."),
    *(
        OpenApiParameter(
            name, OpenApiTypes.STR, many=True, description=f"Only these values of {name}; empty means unassigned."
        )
        for name in DIMENSIONS
    ),
]
_schema = extend_schema(
    parameters=[
        *PARAMETERS,
        OpenApiParameter(
            "uncertainty",
            OpenApiTypes.BOOL,
            description="Also `location_uncertainty` and `market_uncertainty`; takes longer. Default: false.",
        ),
    ],
    responses={(200, "application/json"): _ANSWER, 400: OpenApiResponse(description="a problem document")},
)


def query_of(request: Request, *also_known: str) -> LedgerQuery:
    """What a request asks of the ledger. Raises ``Problem(400)`` for a parameter that is not known or not readable."""
    refuse_unknown(request, {"from", "to", "group_by", "scope", *DIMENSIONS, *also_known})
    organisation_id = principal_of(request).organisation_id
    return LedgerQuery(
        organisation_id=organisation_id,
        window=_window(request, organisation_id),
        group_by=parse_list(request, "group_by", DIMENSIONS),
        scope=parse_choice(request, "scope", SCOPES, "2"),
        filters=_filters(request),
        work=False,
    )


class _LedgerView(APIView):
    """Rows of the ledger by group; ``Accept: text/csv`` gives the same rows as a table."""

    scope = {"GET": Scope.READ}
    renderer_classes = [JSONRenderer, CsvRenderer]

    def get(self, request: Request) -> Response:
        query = query_of(request, "uncertainty")
        columns = group_columns(query)
        key = [name for name in columns if not name.endswith("_name")]
        wants_uncertainty = parse_flag(request, "uncertainty")
        self.csv_columns = [*columns, *_PLAIN, *(_UNCERTAINTY if wants_uncertainty else ())]
        frame = ledger_frame(query)
        rows = _rows(frame, columns)
        if wants_uncertainty:
            _add_uncertainty(rows, intervals(query, frame))
        answer = rows_page(request, rows, key)
        return Response({**answer, "calculation": request.build_absolute_uri(receipt_path(query))})


class EnergyView(_LedgerView):
    @extend_schema(summary="Energy by group", operation_id="energy_list")
    @_schema
    def get(self, request: Request) -> Response:
        return super().get(request)


class EmissionsView(_LedgerView):
    @extend_schema(summary="Location-based and market-based emissions by group", operation_id="emissions_list")
    @_schema
    def get(self, request: Request) -> Response:
        return super().get(request)


class StatusView(APIView):
    """Whether everything that was sent is in the figures."""

    scope = {"GET": Scope.READ}

    @extend_schema(
        summary="What is still pending",
        responses={
            (200, "application/json"): {
                "type": "object",
                "properties": {
                    "pending_hours": {"type": "integer"},
                    "pending_uploads": {"type": "integer"},
                    "last_settled_at": {"type": "string", "format": "date-time", "nullable": True},
                },
            }
        },
    )
    def get(self, request: Request) -> Response:
        status = ledger_status(principal_of(request).organisation_id)
        return Response(
            {
                "pending_hours": status.pending_hours,
                "pending_uploads": pending_uploads(principal_of(request).organisation_id),
                "last_settled_at": status.last_settled_at,
            }
        )


def _filters(request: Request) -> dict[str, tuple[str, ...]]:
    kinds = ("", *(kind.label for kind in Kind))
    return {
        name: parse_list(request, name, kinds if name == "kind" else None)
        for name in DIMENSIONS
        if name in request.query_params
    }


def _window(request: Request, organisation_id: int) -> Window:
    if {"from", "to"} <= request.query_params.keys():
        return parse_window(request)
    return parse_window(request, default=_whole_ledger(organisation_id))


def _whole_ledger(organisation_id: int) -> Window:
    """The days from the first to the last hour in the ledger; today where it is empty."""
    extent = ledger_extent(organisation_id)
    now = datetime.now(UTC)
    first, last = (extent.start, extent.end) if extent else (now, now)
    return Window(midnight(first.date()), midnight(last.date()) + _DAY)


def _rows(frame: pd.DataFrame, columns: list[str]) -> list[dict[str, Any]]:
    """The frame as JSON values: kWh and kg with at most six decimals, absent as ``None``."""
    facility = frame["facility_energy_milliwatt_hours"].tolist()
    missing = frame["without_factor_milliwatt_hours"].tolist()
    location = [None if pd.isna(value) else int(value) for value in frame["location_mg"]]
    market = [None if pd.isna(value) else int(value) for value in frame["market_mg"]]
    figures = {
        "it_energy_kwh": [kwh(value) for value in frame["it_energy_milliwatt_hours"].tolist()],
        "facility_energy_kwh": [kwh(value) for value in facility],
        "location_kg": [kg(value) for value in location],
        "market_kg": [kg(value) for value in market],
        # mg per mWh is kg per kWh
        "location_g_per_kwh": [
            None if mg is None or used == bare else round(1000 * mg / (used - bare), 6)
            for mg, used, bare in zip(location, facility, missing, strict=True)
        ],
        "quality": frame["quality"].tolist(),
    }
    names = [*columns, *figures]
    table = [*(frame[name].tolist() for name in columns), *figures.values()]
    return [dict(zip(names, row, strict=True)) for row in zip(*table, strict=True)]


def _add_uncertainty(rows: list[dict[str, Any]], found: pd.DataFrame) -> None:
    """The relative half-widths of the intervals into the rows, in the same order; six decimals at most."""
    for name in _UNCERTAINTY:
        for row, share in zip(rows, found[name].tolist(), strict=True):
            row[name] = None if pd.isna(share) else round(float(share), 6)
