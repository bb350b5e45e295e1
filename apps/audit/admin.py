"""The event log for operators: read, filtered, never changed."""

from django.contrib import admin

from apps.audit.models import AuditEvent
from apps.core.admin import ReadOnlyAdmin


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = ["organisation_id", "sequence", "at", "actor", "action", "object_label"]
    list_filter = ["organisation_id", "action"]
    search_fields = ["object_label", "actor"]
