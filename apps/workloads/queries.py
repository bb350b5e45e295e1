"""Everything that reads models, workloads, studies and hardware for a page or the API."""

from __future__ import annotations

from django.db.models import QuerySet

from apps.organisations.models import Organisation
from apps.workloads.models import AIModel, EmbodiedFigure, HardwareProfile, InferenceProfile, Study, Workload


def models(organisation: Organisation | int) -> QuerySet[AIModel]:
    """The organisation's AI models, by name."""
    return AIModel.objects.of(organisation)


def model(organisation: Organisation | int, slug: str) -> AIModel | None:
    return models(organisation).filter(slug=slug).first()


def workloads(organisation: Organisation | int) -> QuerySet[Workload]:
    """The organisation's workloads, by name."""
    return Workload.objects.of(organisation)


def workload(organisation: Organisation | int, workload_id: int) -> Workload | None:
    return workloads(organisation).filter(pk=workload_id).first()


def studies(organisation: Organisation | int) -> QuerySet[Study]:
    """The organisation's studies, by name."""
    return Study.objects.of(organisation)


def hardware_profiles(vendor: str = "", kind: str = "") -> QuerySet[HardwareProfile]:
    """Published hardware profiles, by vendor and name; empty arguments do not filter."""
    rows = HardwareProfile.objects.all()
    if vendor:
        rows = rows.filter(vendor__iexact=vendor)
    if kind:
        rows = rows.filter(kind__iexact=kind)
    return rows


def hardware_profile(code: str) -> HardwareProfile | None:
    return HardwareProfile.objects.filter(pk=code).first()


def powered_profiles() -> QuerySet[HardwareProfile]:
    """The profiles that state a TDP, so that energy can be worked out from them."""
    return HardwareProfile.objects.filter(tdp_w__isnull=False).order_by("kind", "vendor", "name")


def embodied_figures() -> dict[str, EmbodiedFigure]:
    """For each hardware code the published embodied emissions that are used: those of the lowest rank."""
    found: dict[str, EmbodiedFigure] = {}
    for figure in EmbodiedFigure.objects.order_by("hardware_code", "rank"):
        found.setdefault(figure.hardware_code, figure)
    return found


def inference_profiles() -> QuerySet[InferenceProfile]:
    """Published energies per token, by model, device and number of devices."""
    return InferenceProfile.objects.order_by("model_name", "hardware", "accelerators", "task")


def inference_profile(pk: int) -> InferenceProfile | None:
    return InferenceProfile.objects.filter(pk=pk).first()


def outcomes(organisation: Organisation | int) -> dict[str, str]:
    """How each workload ended, by its name."""
    return dict(workloads(organisation).values_list("name", "outcome"))
