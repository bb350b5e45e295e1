"""Everything that reads models, workloads, studies and hardware for a page or the API."""

from __future__ import annotations

from django.db.models import QuerySet

from apps.organisations.models import Organisation
from apps.workloads.models import AIModel, HardwareProfile, Study, Workload


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
