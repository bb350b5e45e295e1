"""API of the hours of the what-if. No rules."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounting.engine.rulesets import RULESET_DRAFT_2025_10
from apps.accounting.hourly import queries, services
from apps.accounting.models import MarketHour
from apps.accounting.queries import ledger_extent
from apps.core.api import (
    LIST_PARAMETERS,
    CsvRenderer,
    keyset_page,
    kg,
    kwh,
    list_schema,
    parse_list,
    parse_window,
    refuse_unknown,
)
from apps.core.windows import Window, from_epoch_hour, midnight
from apps.organisations.authentication import principal_of
from apps.organisations.models import Organisation, Scope

FALLBACKS = {
    MarketHour.Fallback.HOURLY_RESIDUAL: "hourly_residual",
    MarketHour.Fallback.RESIDUAL: "residual",
    MarketHour.Fallback.FOSSIL: "fossil",
    MarketHour.Fallback.DEFAULT: "default",
}


class MarketHourSerializer(serializers.Serializer[Any]):
    """One hour of one market in the what-if; energies in kWh, emissions in kg CO2e. Informative, never reported."""

    market = serializers.CharField()
    hour = serializers.DateTimeField(help_text="its beginning, UTC")
    load_kwh = serializers.FloatField(help_text="facility energy; standard supply + matched + unmatched")
    standard_supply_kwh = serializers.FloatField()
    matched_kwh = serializers.FloatField(help_text="covered by instruments of the same hour")
    unmatched_kwh = serializers.FloatField()
    surplus_kwh = serializers.FloatField(help_text="moved to no other hour")
    carbon_free_kwh = serializers.FloatField(
        allow_null=True, help_text="numerator of the 24/7 score; null where the grid's share is not known"
    )
    location_kg = serializers.FloatField(allow_null=True)
    what_if_market_kg = serializers.FloatField()
    fallback = serializers.ChoiceField(choices=list(FALLBACKS.values()), help_text="what unmatched energy takes")
    fallback_g_per_kwh = serializers.FloatField()
    ruleset = serializers.CharField(help_text=f"{RULESET_DRAFT_2025_10}: a draft that binds nobody")


COLUMNS = list(MarketHourSerializer().fields)


def record(row: MarketHour) -> dict[str, Any]:
    """A stored hour with the names and units of the API."""
    return {
        "market": row.market,
        "hour": from_epoch_hour(row.hour).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "load_kwh": kwh(row.load_milliwatt_hours),
        "standard_supply_kwh": kwh(row.standard_supply_milliwatt_hours),
        "matched_kwh": kwh(row.matched_milliwatt_hours),
        "unmatched_kwh": kwh(row.unmatched_milliwatt_hours),
        "surplus_kwh": kwh(row.surplus_milliwatt_hours),
        "carbon_free_kwh": kwh(row.carbon_free_milliwatt_hours),
        "location_kg": kg(row.location_mg),
        "what_if_market_kg": kg(row.market_mg),
        "fallback": FALLBACKS[MarketHour.Fallback(row.fallback)],
        "fallback_g_per_kwh": kg(row.fallback_ug_per_kwh),
        "ruleset": RULESET_DRAFT_2025_10,
    }


class HourlyView(APIView):
    scope = {"GET": Scope.READ}
    renderer_classes = [JSONRenderer, CsvRenderer]
    csv_columns = COLUMNS

    @extend_schema(
        operation_id="hourly_list",
        parameters=[
            OpenApiParameter("from", str, description="date or time, UTC. Default: the day of the first reading"),
            OpenApiParameter("to", str, description="date or time, excluded. Default: the last hour with readings"),
            OpenApiParameter("market", str, description="codes of markets, as a,b"),
            *LIST_PARAMETERS,
        ],
        responses=list_schema(MarketHourSerializer),
    )
    def get(self, request: Request) -> Response:
        """Hourly matching by market: the what-if under the draft of October 2025, never a reported figure."""
        refuse_unknown(request, ("from", "to", "market"))
        organisation = Organisation.objects.get(pk=principal_of(request).organisation_id)
        now = datetime.now(UTC)
        extent = ledger_extent(organisation.pk) or Window(midnight(now.date()), now)
        window = parse_window(request, default=extent)
        services.bring_up_to_date(organisation, window)
        rows = queries.hours(organisation, window, parse_list(request, "market"))
        return Response(keyset_page(request, rows, ["market", "hour"], record))
