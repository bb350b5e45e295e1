"""API of the data-centre indicators. No rules."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounting.indicators import queries, tables
from apps.accounting.reconciliation.api import whole_extent
from apps.core.api import (
    LIST_PARAMETERS,
    CsvRenderer,
    bad_parameter,
    list_schema,
    parse_list,
    parse_window,
    refuse_unknown,
    rows_page,
)
from apps.organisations.authentication import principal_of
from apps.organisations.models import Organisation, Scope

KEYS = [kind.key for kind in queries.KINDS]


class IndicatorSerializer(serializers.Serializer[Any]):
    """One indicator of one site, or of the organisation: a ratio of two sums over the days that have both."""

    site = serializers.CharField(allow_null=True, help_text="null: sums over the sites that have both terms")
    indicator = serializers.ChoiceField(choices=KEYS)
    value = serializers.FloatField(allow_null=True, help_text="null where a term is missing; `why_none` says which")
    unit = serializers.CharField(help_text="empty for a plain ratio")
    numerator = serializers.FloatField(allow_null=True)
    numerator_unit = serializers.ChoiceField(choices=["kWh", "m3", "kg"])
    denominator_kwh = serializers.FloatField(allow_null=True)
    days = serializers.IntegerField(help_text="days over which both terms are summed")
    days_of_period = serializers.IntegerField()
    it_energy_from = serializers.CharField(allow_null=True, help_text="metered, telemetry, or both among the sites")
    numerator_from = serializers.CharField(allow_null=True)
    capped = serializers.BooleanField(help_text="REF above 1, shown as 1")
    sites = serializers.IntegerField()
    why_none = serializers.CharField(allow_null=True)
    data_error = serializers.BooleanField(help_text="the terms contradict each other, such as a PUE below 1")
    standard = serializers.CharField()


class IndicatorsView(APIView):
    scope = {"GET": Scope.READ}
    renderer_classes = [JSONRenderer, CsvRenderer]

    @extend_schema(
        operation_id="indicators_list",
        parameters=[
            OpenApiParameter("from", str, description="date. Default: the first day with a reading"),
            OpenApiParameter("to", str, description="date, excluded. Default: the last day with a reading"),
            OpenApiParameter("site", str, description="codes of sites, as a,b"),
            *LIST_PARAMETERS,
        ],
        responses=list_schema(IndicatorSerializer),
    )
    def get(self, request: Request) -> Response:
        """PUE, WUE, REF, ERF and CUE by site and for the organisation (EN 50600-4, ISO/IEC 30134)."""
        refuse_unknown(request, ("from", "to", "site"))
        organisation = Organisation.objects.get(pk=principal_of(request).organisation_id)
        window = parse_window(request, default=whole_extent(organisation))
        if not window.is_whole_days:
            raise bad_parameter("from", request.query_params.get("from"), "dates: indicators are made of whole days")
        found = queries.indicators_of(organisation, window, site_codes=parse_list(request, "site"))
        return Response(rows_page(request, tables.records(found), ["site", "indicator"]))
