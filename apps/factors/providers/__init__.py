"""Providers of hourly carbon intensity, asked with the user's own key. One module each, all with the same interface."""

from __future__ import annotations

from apps.factors.providers.base import Provider
from apps.factors.providers.electricity_maps import ElectricityMaps
from apps.factors.providers.neso import Neso

PROVIDERS: dict[str, type[Provider]] = {ElectricityMaps.name: ElectricityMaps, Neso.name: Neso}
