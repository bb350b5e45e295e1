"""National Energy System Operator, Carbon Intensity API: Great Britain by half hours, no key.

``GET /intensity/{from}/{to}``: ``data: [{from, to, intensity: {forecast, actual, index}}]``, at most 14 days a call.
Generation, imports and losses are accounted for; operational emissions, not life cycle. CC BY 4.0.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from apps.factors.providers.base import AVERAGE, IntensityInterval, Provider, ProviderError, moment_of


class Neso(Provider):
    name = "neso"
    label = "National Energy System Operator (GB)"
    base_url = "https://api.carbonintensity.org.uk"
    licence = "CC BY 4.0"
    source_url = "https://carbonintensity.org.uk/"
    needs_key = False
    most_per_call = timedelta(days=14)

    def intensity(self, zone: str, start: datetime, end: datetime) -> list[IntensityInterval]:
        """Half hours of ``[start, end)``. Without an actual value the forecast stands, marked as estimated.

        A half hour with neither is absent. Raises ``ProviderError``, also for any zone but GB.
        """
        if zone != "GB":
            raise ProviderError(f"{self.label} knows GB only; its regions have forecasts and no actual values.")
        intervals: dict[datetime, IntensityInterval] = {}
        for first, until in self.parts(start, end):
            path = f"/intensity/{first:%Y-%m-%dT%H:%MZ}/{until:%Y-%m-%dT%H:%MZ}"
            answer, digest, at = self.get(path, {}, {})
            rows = answer.get("data") if isinstance(answer, dict) else None
            if not isinstance(rows, list):
                raise self.unusable("no list `data`")
            for row in rows:
                one = self._interval(row, digest, at)
                # The half hour before the first one asked for may come along.
                if one is not None and first <= one.start < until:
                    intervals[one.start] = one
        return [intervals[at] for at in sorted(intervals)]

    def _interval(self, row: Any, digest: str, at: datetime) -> IntensityInterval | None:
        intensity = row.get("intensity") if isinstance(row, dict) else None
        start, end = (moment_of(row.get(name)) for name in ("from", "to")) if intensity else (None, None)
        if not isinstance(intensity, dict) or start is None or end is None or end <= start:
            raise self.unusable("an interval without from, to and intensity")
        actual, forecast = intensity.get("actual"), intensity.get("forecast")
        value = forecast if actual is None else actual
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise self.unusable("an intensity that is no number")
        return IntensityInterval(
            start=start,
            end=end,
            g_per_kwh=Decimal(value),
            kind=AVERAGE,
            basis="direct",
            perimeter="consumption",
            estimated=actual is None,
            provider=self.name,
            retrieved_at=at,
            raw_hash=digest,
        )
