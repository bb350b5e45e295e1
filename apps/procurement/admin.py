"""Instruments and standard supply for operators: read only, as a change has to reach audit log and accounts."""

from django.contrib import admin

from apps.core.admin import ReadOnlyAdmin
from apps.procurement.models import Instrument, StandardSupply


@admin.register(Instrument)
class InstrumentAdmin(ReadOnlyAdmin):
    list_display = ["reference", "organisation", "type", "market", "vintage_start", "vintage_end", "retired_on"]
    list_filter = ["organisation", "type", "market"]
    list_select_related = ["organisation"]


@admin.register(StandardSupply)
class StandardSupplyAdmin(ReadOnlyAdmin):
    list_display = ["market", "organisation", "start", "end", "share_ppm"]
    list_filter = ["organisation", "market"]
    list_select_related = ["organisation"]
