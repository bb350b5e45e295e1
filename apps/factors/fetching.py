"""Asking a provider for hours of carbon intensity and keeping them as a dataset."""

from __future__ import annotations

import os
from datetime import datetime

from django.utils import timezone

from apps.factors import checking
from apps.factors.formats.table import FactorFileError
from apps.factors.models import GridZone
from apps.factors.providers import PROVIDERS
from apps.factors.providers.base import Provider, ProviderError, hourly_table
from apps.factors.services import ImportResult, import_tables

KEY_VARIABLES = {"electricity_maps": "ELECTRICITY_MAPS_API_KEY"}


def key_of_environment(provider: str) -> str:
    """The key that the operator set for a provider; empty when there is none."""
    return os.environ.get(KEY_VARIABLES.get(provider, ""), "")


def fetch_hours(
    *,
    provider: str,
    provider_zone: str,
    start: datetime,
    end: datetime,
    actor: str,
    zone: str = "",
    key: str = "",
    organisation_id: int | None = None,
) -> ImportResult:
    """Ask for ``[start, end)`` and store the whole hours as an hourly dataset of the organisation.

    ``zone`` is our grid zone where the provider names it differently; ``key`` is used and not kept, without it that of
    the environment. Each call makes a new edition: providers revise, and what was answered stays. Raises
    ``ProviderError`` with what to do, having stored nothing.
    """
    chosen: type[Provider] | None = PROVIDERS.get(provider)
    if chosen is None:
        raise ProviderError(f"No provider {provider!r}. Known: {', '.join(PROVIDERS)}.")
    if chosen.needs_key and organisation_id is None:
        raise ProviderError(f"Data of {chosen.label} belong to the holder of the key: name the organisation.")
    if end <= start or start >= timezone.now():
        raise ProviderError("The time asked for must begin in the past and end after it begins.")
    ours = zone or provider_zone
    if not GridZone.objects.filter(pk=ours).exists():
        raise ProviderError(f"{ours!r} is no grid zone of the portal: name the one that these hours are for.")
    intervals = chosen(key or key_of_environment(provider)).intensity(provider_zone, start, min(end, timezone.now()))
    if not intervals:
        raise ProviderError(f"{chosen.label} has no data for {provider_zone} in this time.")
    table = hourly_table(chosen, intervals, zone=ours, provider_zone=provider_zone)
    checking.check(table, zones={ours}, known={}, this_year=timezone.now().year)
    try:
        (result,) = import_tables(
            tables=[table],
            actor=actor,
            organisation_id=organisation_id,
            source={"provider": provider, "retrieved_via": table.facts["retrieved_via"]},
        )
    except FactorFileError as error:
        raise ProviderError(f"{chosen.label} answered values that cannot be: {error}") from None
    return result
