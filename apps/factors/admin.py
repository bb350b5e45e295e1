"""Reference data for operators: read only, because datasets never change once imported."""

from django.contrib import admin

from apps.core.admin import ReadOnlyAdmin
from apps.factors.models import CloudRegion, Equivalence, Factor, FactorDataset, GridZone, GwpValue


@admin.register(FactorDataset)
class FactorDatasetAdmin(ReadOnlyAdmin):
    list_display = ["slug", "edition", "kind", "publisher", "boundary", "imported_at"]
    list_filter = ["kind", "boundary"]


@admin.register(Factor)
class FactorAdmin(ReadOnlyAdmin):
    list_display = ["zone", "data_year", "co2e_kg_per_mwh", "co2_kg_per_mwh", "dataset"]
    list_filter = ["dataset__slug"]
    search_fields = ["zone__code", "zone__name"]
    list_select_related = ["zone", "dataset"]


@admin.register(GridZone)
class GridZoneAdmin(ReadOnlyAdmin):
    list_display = ["code", "name", "type", "country", "parent"]
    list_filter = ["type"]
    search_fields = ["code", "name"]


@admin.register(CloudRegion)
class CloudRegionAdmin(ReadOnlyAdmin):
    list_display = ["provider", "region", "location", "country", "grid_zone"]
    list_filter = ["provider"]


admin.site.register([GwpValue, Equivalence], ReadOnlyAdmin)
