"""Reads of estimates, for the page and the API."""

from __future__ import annotations

from django.db.models import F, QuerySet

from apps.organisations.models import Organisation
from apps.telemetry.models import Estimate


def estimates(organisation: Organisation | int) -> QuerySet[Estimate]:
    """The organisation's estimates with source and receipt, latest first; ``energy_milliwatt_hours`` for display."""
    rows = Estimate.objects.of(organisation).select_related("source", "receipt").order_by("-pk")
    return rows.annotate(energy_milliwatt_hours=F("energy_microwatt_hours") / 1000)


def estimate(organisation: Organisation | int, pk: int) -> Estimate | None:
    return estimates(organisation).filter(pk=pk).first()
