"""Reads of the instruments, for pages, API and accounts."""

from __future__ import annotations

from django.db.models import QuerySet

from apps.organisations.models import Organisation
from apps.procurement.models import Instrument


def instruments(organisation: Organisation | int) -> QuerySet[Instrument]:
    """The organisation's instruments, oldest vintage first."""
    return Instrument.objects.of(organisation)


def instrument(organisation: Organisation | int, key: int) -> Instrument | None:
    """One instrument by its number."""
    return instruments(organisation).filter(pk=key).first()


def technologies(organisation: Organisation) -> list[str]:
    """Technologies named so far, for a picker."""
    names = instruments(organisation).exclude(technology="").order_by("technology").values_list("technology", flat=True)
    return list(names.distinct())


def tracking_systems(organisation: Organisation) -> list[str]:
    """Tracking systems named so far, for a picker."""
    rows = instruments(organisation).exclude(tracking_system="").order_by("tracking_system")
    return list(rows.values_list("tracking_system", flat=True).distinct())
