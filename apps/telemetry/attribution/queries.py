"""What is read of the attribution rules."""

from __future__ import annotations

from apps.telemetry.attribution.models import AttributionRule


def rules_of(organisation_id: int) -> list[AttributionRule]:
    """An organisation's rules in the order in which they are tried."""
    return list(AttributionRule.objects.of(organisation_id))
