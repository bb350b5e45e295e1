"""API of the reconciliation. No rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounting.engine.reconciliation import State
from apps.accounting.reconciliation import queries, tables
from apps.core.api import LIST_PARAMETERS, CsvRenderer, list_schema, parse_list, parse_window, refuse_unknown, rows_page
from apps.core.windows import Window, midnight
from apps.organisations.authentication import principal_of
from apps.organisations.models import Organisation, Scope


class ReconciliationSerializer(serializers.Serializer[Any]):
    """One site's month; energies in kWh, summed over the days that are metered in full."""

    month = serializers.CharField(help_text="such as 2026-07")
    site = serializers.CharField()
    days = serializers.IntegerField()
    metered_days = serializers.IntegerField()
    metered_kwh = serializers.FloatField(allow_null=True)
    telemetry_kwh = serializers.FloatField(help_text="without what was booked")
    difference_kwh = serializers.FloatField(allow_null=True, help_text="metered less telemetry")
    measured_coverage = serializers.FloatField(allow_null=True, help_text="telemetry / metered")
    state = serializers.ChoiceField(choices=[(state.value, state.value) for state in State])
    booked_kwh = serializers.FloatField(allow_null=True)
    booking_is_out_of_date = serializers.BooleanField()
    booked_by = serializers.CharField(allow_null=True)
    booked_at = serializers.DateTimeField(allow_null=True)
    note = serializers.CharField(allow_null=True)
    in_the_accounts_kwh = serializers.FloatField(help_text="facility energy of the settled accounts")


class ReconciliationView(APIView):
    scope = {"GET": Scope.READ}
    renderer_classes = [JSONRenderer, CsvRenderer]

    @extend_schema(
        operation_id="reconciliation_list",
        parameters=[
            OpenApiParameter("from", str, description="date; months that it touches are whole. Default: the first"),
            OpenApiParameter("to", str, description="date, excluded. Default: the last month with readings"),
            OpenApiParameter("site", str, description="codes of sites, as a,b"),
            *LIST_PARAMETERS,
        ],
        responses=list_schema(ReconciliationSerializer),
    )
    def get(self, request: Request) -> Response:
        """Telemetry held against the meter, by month and site."""
        refuse_unknown(request, ("from", "to", "site"))
        organisation = Organisation.objects.get(pk=principal_of(request).organisation_id)
        window = parse_window(request, default=whole_extent(organisation))
        codes = parse_list(request, "site")
        rows = queries.month_rows(organisation, queries.months_of(organisation, window))
        records = [tables.record(row) for row in rows if not codes or row.site.code in codes]
        return Response(rows_page(request, records, ["month", "site"]))


def whole_extent(organisation: Organisation) -> Window:
    """The days from the first to the last reading of any kind; today where there is none."""
    now = datetime.now(UTC)
    first, last = queries.extent(organisation)
    if first is None or last is None:
        return Window(midnight(now.date()), midnight(now.date()) + timedelta(days=1))
    return Window(first, last)
