"""The rates behind the figures, for operators: read only, because they are worked out and never written by hand."""

from django.contrib import admin

from apps.accounting.models import LocationRate, MarketRate
from apps.core.admin import ReadOnlyAdmin


@admin.register(LocationRate)
class LocationRateAdmin(ReadOnlyAdmin):
    list_display = ["site", "first_hour", "end_hour", "pue_ppm", "factor_ug_per_kwh", "gwp_set", "engine_version"]
    list_filter = ["organisation"]
    list_select_related = ["site"]


@admin.register(MarketRate)
class MarketRateAdmin(ReadOnlyAdmin):
    list_display = [
        "organisation",
        "market",
        "period_start",
        "period_end",
        "covered_milliwatt_hours",
        "uncovered_milliwatt_hours",
        "market_mg",
        "fallback",
    ]
    list_filter = ["organisation", "market"]
    list_select_related = ["organisation"]
