from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.core.admin import ReadOnlyAdmin
from apps.disclosures.models import Disclosure


@admin.register(Disclosure)
class DisclosureAdmin(ReadOnlyAdmin):
    """For the operator: what is being made, what failed and why."""

    list_display = ["organisation", "period", "version", "state", "progress_percent", "attempts", "requested_at"]
    list_filter = ["state"]
    exclude = ["snapshot"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Disclosure]:
        return Disclosure.unscoped.select_related("organisation", "period").defer("snapshot")
