"""Sites for operators: read only, because a change has to reach the audit log and the accounts."""

from django.contrib import admin

from apps.core.admin import ReadOnlyAdmin
from apps.sites.models import PuePeriod, Site, SiteMeasurement


@admin.register(Site)
class SiteAdmin(ReadOnlyAdmin):
    list_display = ["code", "name", "organisation", "control", "country", "grid_zone", "market"]
    list_filter = ["organisation", "control"]
    list_select_related = ["organisation"]


@admin.register(PuePeriod)
class PuePeriodAdmin(ReadOnlyAdmin):
    list_display = ["site", "start", "end", "pue_ppm", "source"]
    list_filter = ["organisation"]
    list_select_related = ["site"]


@admin.register(SiteMeasurement)
class SiteMeasurementAdmin(ReadOnlyAdmin):
    list_display = ["site", "quantity", "meter", "start", "end", "amount", "evidence", "reference"]
    list_filter = ["organisation", "quantity"]
    list_select_related = ["site"]
