"""Telemetry for operators: read only. Readings are many; they are looked at through the API."""

from django.contrib import admin

from apps.core.admin import ReadOnlyAdmin
from apps.telemetry.models import Receipt, Source, TeamName


@admin.register(Source)
class SourceAdmin(ReadOnlyAdmin):
    list_display = ["name", "organisation", "site", "first_reading_at", "last_reading_at"]
    list_filter = ["organisation"]
    list_select_related = ["organisation", "site"]
    search_fields = ["name"]


@admin.register(TeamName)
class TeamNameAdmin(ReadOnlyAdmin):
    list_display = ["name", "organisation", "team"]
    list_filter = ["organisation"]
    list_select_related = ["organisation", "team"]
    search_fields = ["name"]


@admin.register(Receipt)
class ReceiptAdmin(ReadOnlyAdmin):
    list_display = ["public_id", "organisation", "received_at", "protocol", "accepted", "duplicates", "rejected"]
    list_filter = ["organisation", "protocol"]
    list_select_related = ["organisation"]
    search_fields = ["public_id", "idempotency_key"]
