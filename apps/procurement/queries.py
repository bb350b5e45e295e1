"""Reads of the instruments, for pages, API and accounts."""

from __future__ import annotations

from django.db.models import QuerySet
from django.db.models.functions import Lower

from apps.organisations.models import Organisation
from apps.procurement.models import Instrument, InstrumentHour, StandardSupply


def instruments(organisation: Organisation | int) -> QuerySet[Instrument]:
    """The organisation's instruments, oldest vintage first."""
    return Instrument.objects.of(organisation).select_related("earmark_team", "earmark_model")


def instrument(organisation: Organisation | int, key: int) -> Instrument | None:
    """One instrument by its number."""
    return instruments(organisation).filter(pk=key).first()


def instrument_hours(organisation: Organisation | int, first_hour: int, end_hour: int) -> QuerySet[InstrumentHour]:
    """The hours of granular certificates that lie in ``[first, end)`` hours since the epoch, with their lots."""
    rows = InstrumentHour.objects.of(organisation).filter(hour__gte=first_hour, hour__lt=end_hour)
    return rows.select_related("instrument")


def standard_supply(organisation: Organisation | int, market: str = "") -> QuerySet[StandardSupply]:
    """The shares of standard supply stated for a market (or every one), oldest first."""
    rows = StandardSupply.objects.of(organisation)
    return rows.filter(market=market) if market else rows


def standard_supply_row(organisation: Organisation | int, key: int) -> StandardSupply | None:
    """One statement of standard supply by its number."""
    return standard_supply(organisation).filter(pk=key).first()


def claimed_before(lot: Instrument) -> Instrument | None:
    """A lot of whatever organisation that claims a serial of ``lot``'s range in the same tracking system."""
    if not lot.serial_start:
        return None
    rows = Instrument.unscoped.alias(system=Lower("tracking_system")).filter(
        system=lot.tracking_system.lower(),
        serial_prefix=lot.serial_prefix,
        serial_first__lte=lot.serial_last,
        serial_last__gte=lot.serial_first,
    )
    return rows.exclude(serial_start="").exclude(pk=lot.pk).order_by("pk").first()


def common_serials(lot: Instrument, other: Instrument) -> str:
    """The serials that two overlapping ranges share, as ``lot`` writes them."""
    if not lot.serial_first:
        return lot.serial_start
    first = lot.serial_start if lot.serial_first >= other.serial_first else other.serial_start
    own_end, other_end = lot.serial_end or lot.serial_start, other.serial_end or other.serial_start
    last = own_end if lot.serial_last <= other.serial_last else other_end
    return first if first == last else f"{first} to {last}"


def technologies(organisation: Organisation) -> list[str]:
    """Technologies named so far, for a picker."""
    names = instruments(organisation).exclude(technology="").order_by("technology").values_list("technology", flat=True)
    return list(names.distinct())


def tracking_systems(organisation: Organisation) -> list[str]:
    """Tracking systems named so far, for a picker."""
    rows = instruments(organisation).exclude(tracking_system="").order_by("tracking_system")
    return list(rows.values_list("tracking_system", flat=True).distinct())
