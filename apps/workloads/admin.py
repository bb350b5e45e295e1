"""Models, workloads, studies and hardware for operators: read only."""

from django.contrib import admin

from apps.core.admin import ReadOnlyAdmin
from apps.workloads.models import AIModel, EmbodiedFigure, HardwareProfile, InferenceProfile, Study, Workload


@admin.register(AIModel)
class AIModelAdmin(ReadOnlyAdmin):
    list_display = ["name", "slug", "organisation", "provenance"]
    list_filter = ["organisation", "provenance"]
    list_select_related = ["organisation"]
    search_fields = ["name", "slug"]


@admin.register(Workload)
class WorkloadAdmin(ReadOnlyAdmin):
    list_display = ["name", "organisation", "provenance", "outcome"]
    list_filter = ["organisation", "provenance", "outcome"]
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


@admin.register(EmbodiedFigure)
class EmbodiedFigureAdmin(ReadOnlyAdmin):
    list_display = ["hardware_code", "rank", "name", "embodied_g", "boundary", "year"]
    search_fields = ["hardware_code", "name"]


@admin.register(InferenceProfile)
class InferenceProfileAdmin(ReadOnlyAdmin):
    list_display = ["model_name", "hardware", "accelerators", "task", "microjoules_per_token", "configurations"]
    list_filter = ["hardware", "task"]
    search_fields = ["model_name"]
