"""Electricity Maps, API v3: flow-traced carbon intensity of a zone, with the user's own token.

``GET /v3/carbon-intensity/past-range?zone&start&end&temporalGranularity=hourly&emissionFactorType=direct``, header
``auth-token``; hourly at most ten days a call. The data are proprietary: they stay with the organisation whose key it
is.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from apps.factors.providers.base import AVERAGE, IntensityInterval, Provider, moment_of

HOUR = timedelta(hours=1)
_BASES = {"direct": "direct", "lifecycle": "life_cycle"}


class ElectricityMaps(Provider):
    name = "electricity_maps"
    label = "Electricity Maps"
    base_url = "https://api.electricitymaps.com/v3"
    licence = "Electricity Maps, by the contract of the organisation's own key; not to be passed on"
    source_url = "https://www.electricitymaps.com/"
    needs_key = True
    most_per_call = timedelta(days=10)

    def intensity(self, zone: str, start: datetime, end: datetime) -> list[IntensityInterval]:
        """Hours of ``[start, end)``; the emission factors of direct emissions are asked for, as Scope 2 wants them.

        An hour whose value is null is absent. Raises ``ProviderError``.
        """
        intervals = []
        for first, until in self.parts(start, end):
            answer, digest, at = self.get(
                "/carbon-intensity/past-range",
                {
                    "zone": zone,
                    "start": f"{first:%Y-%m-%dT%H:%M:%SZ}",
                    "end": f"{until:%Y-%m-%dT%H:%M:%SZ}",
                    "temporalGranularity": "hourly",
                    "emissionFactorType": "direct",
                },
                {"auth-token": self._key},
            )
            rows = answer.get("data", answer.get("history")) if isinstance(answer, dict) else None
            if not isinstance(rows, list):
                raise self.unusable("no list `data`")
            found = (self._interval(row, zone, digest, at) for row in rows)
            intervals += [one for one in found if one is not None and first <= one.start < until]
        return sorted(intervals, key=lambda one: one.start)

    def _interval(self, row: Any, zone: str, digest: str, at: datetime) -> IntensityInterval | None:
        if not isinstance(row, dict):
            raise self.unusable("an entry that is no object")
        if row.get("carbonIntensity") is None:
            return None
        start = moment_of(row.get("datetime"))
        basis = _BASES.get(str(row.get("emissionFactorType", "")))
        value = row["carbonIntensity"]
        if start is None or isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise self.unusable("an hour without `datetime` or a number as `carbonIntensity`")
        if basis is None:
            raise self.unusable("`emissionFactorType` is neither direct nor lifecycle")
        if row.get("zone", zone) != zone:
            raise self.unusable(f"zone {row['zone']} instead of {zone}")
        return IntensityInterval(
            start=start,
            end=start + HOUR,
            g_per_kwh=Decimal(value),
            kind=AVERAGE,
            basis=basis,
            perimeter="consumption",
            estimated=bool(row.get("isEstimated")),
            provider=self.name,
            retrieved_at=at,
            raw_hash=digest,
        )
