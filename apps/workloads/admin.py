"""Models, workloads, studies and hardware for operators: read only."""

from django.contrib import admin

from apps.core.admin import ReadOnlyAdmin
from apps.workloads.models import AIModel, HardwareProfile, Study, Workload


@admin.register(AIModel)
class AIModelAdmin(ReadOnlyAdmin):
    list_display = ["name", "slug", "organisation", "provenance"]
    list_filter = ["organisation", "provenance"]
    list_select_related = ["organisation"]
    search_fields = ["name", "slug"]


@admin.register(Workload)
class WorkloadAdmin(ReadOnlyAdmin):
    list_display = ["name", "organisation", "provenance"]
    list_filter = ["organisation", "provenance"]
    list_select_related = ["organisation"]
    search_fields = ["name"]


@admin.register(Study)
class StudyAdmin(ReadOnlyAdmin):
    list_display = ["name", "organisation"]
    list_filter = ["organisation"]
    list_select_related = ["organisation"]


@admin.register(HardwareProfile)
class HardwareProfileAdmin(ReadOnlyAdmin):
    list_display = ["code", "name", "vendor", "kind", "tdp_w", "idle_w", "max_w"]
    list_filter = ["vendor", "kind"]
    search_fields = ["code", "name"]
