"""Instruments for operators: read only, because a change has to reach the audit log and the accounts."""

from django.contrib import admin

from apps.core.admin import ReadOnlyAdmin
from apps.procurement.models import Instrument


@admin.register(Instrument)
class InstrumentAdmin(ReadOnlyAdmin):
    list_display = ["reference", "organisation", "type", "market", "vintage_start", "vintage_end", "retired_on"]
    list_filter = ["organisation", "type", "market"]
    list_select_related = ["organisation"]
