"""API of meter readings. No rules. Readings are entered by people, on the pages that keep them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core.api import (
    LIST_PARAMETERS,
    CsvRenderer,
    keyset_page,
    list_schema,
    parse_list,
    parse_window,
    refuse_unknown,
)
from apps.organisations.authentication import principal_of
from apps.organisations.models import Scope
from apps.sites.measurements import queries
from apps.sites.models import SiteMeasurement


class MeasurementSerializer(serializers.Serializer[Any]):
    """One reading over the whole days ``[start, end)``, UTC."""

    id = serializers.IntegerField()
    site = serializers.CharField(help_text="code of the site")
    quantity = serializers.ChoiceField(choices=SiteMeasurement.Quantity.choices)
    meter = serializers.CharField(help_text="empty where the site has one")
    start = serializers.DateField()
    end = serializers.DateField(help_text="first day after")
    amount = serializers.FloatField(help_text="in `unit`, six decimals")
    unit = serializers.ChoiceField(choices=["kWh", "m3"])
    evidence = serializers.ChoiceField(choices=SiteMeasurement.Evidence.choices)
    reference = serializers.CharField()
    note = serializers.CharField()


def _measurement(row: SiteMeasurement) -> dict[str, Any]:
    amount, unit = queries.amount_in_unit(row)
    fields = ("id", "quantity", "meter", "start", "end", "evidence", "reference", "note")
    content = {field: getattr(row, field) for field in fields}
    return dict(MeasurementSerializer({**content, "site": row.site.code, "amount": float(amount), "unit": unit}).data)


class MeasurementList(APIView):
    scope = {"GET": Scope.READ}
    renderer_classes = [JSONRenderer, CsvRenderer]

    @extend_schema(
        operation_id="measurements_list",
        parameters=[
            OpenApiParameter("from", str, description="date; readings with a day on it or later"),
            OpenApiParameter("to", str, description="date, excluded; readings with a day before it"),
            OpenApiParameter("site", str, description="codes of sites, as a,b"),
            OpenApiParameter("quantity", str, enum=SiteMeasurement.Quantity.values),
            *LIST_PARAMETERS,
        ],
        responses=list_schema(MeasurementSerializer),
    )
    def get(self, request: Request) -> Response:
        """Meter readings and invoices of the organisation's sites, by first day."""
        refuse_unknown(request, ("from", "to", "site", "quantity"))
        rows = queries.measurements(principal_of(request).organisation_id)
        if {"from", "to"} & request.query_params.keys():
            window = parse_window(request)
            rows = rows.filter(start__lt=window.end, end__gt=window.start)
        if codes := parse_list(request, "site"):
            rows = rows.filter(site__code__in=codes)
        if quantities := parse_list(request, "quantity", SiteMeasurement.Quantity.values):
            rows = rows.filter(quantity__in=quantities)
        return Response(keyset_page(request, rows, ["start", "id"], _measurement))
