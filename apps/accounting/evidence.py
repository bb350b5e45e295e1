"""What stands behind the figures, for the pages: factors in use."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date

from django.utils import timezone

from apps.accounting.models import LocationRate, MarketRate
from apps.core.windows import epoch_hour, from_epoch_hour
from apps.factors.models import Factor, FactorDataset
from apps.organisations.models import Organisation
from apps.sites.models import Site


@dataclass(frozen=True, slots=True)
class FactorInUse:
    """The factor of one site for a stretch of time; ``factor`` empty: none is known, emissions are absent."""

    site: Site
    start: date
    end: date
    factor: Factor | None
    kg_per_mwh: float | None
    reasons: list[str] = field(default_factory=list)

    @property
    def is_life_cycle(self) -> bool:
        return self.factor is not None and self.factor.dataset.boundary == FactorDataset.Boundary.LIFE_CYCLE


@dataclass(frozen=True, slots=True)
class ResidualInUse:
    """The fallback of one market in its latest claim period; ``factor`` empty: no residual mix is published."""

    market: str
    start: date
    end: date
    factor: Factor | None
    kg_per_mwh: float | None
    reasons: list[str]


def location_factors_in_use(organisation: Organisation) -> list[FactorInUse]:
    """The location-based factor of every site until now, by site and time; stretches with one reason are one row."""
    rates = LocationRate.objects.of(organisation).select_related("site", "factor__dataset", "factor__zone")
    rows: list[FactorInUse] = []
    for rate in rates.filter(first_hour__lte=epoch_hour(timezone.now())).order_by("site__name", "site", "first_hour"):
        row = FactorInUse(
            site=rate.site,
            start=from_epoch_hour(rate.first_hour).date(),
            end=from_epoch_hour(rate.end_hour).date(),
            factor=rate.factor,
            kg_per_mwh=None if rate.factor_ug_per_kwh is None else rate.factor_ug_per_kwh / 1_000_000,
            reasons=list(rate.reasons),
        )
        if rows and replace(rows[-1], start=row.start, end=row.end) == row:  # only the PUE changed
            rows[-1] = replace(row, start=rows[-1].start)
        else:
            rows.append(row)
    return rows


def residual_factors_in_use(organisation: Organisation) -> list[ResidualInUse]:
    """The market-based fallback of every market in its latest settled claim period."""
    rates = MarketRate.objects.of(organisation).select_related("fallback_factor__dataset", "fallback_factor__zone")
    latest = {rate.market: rate for rate in rates.order_by("market", "period_start")}
    return [
        ResidualInUse(
            market=rate.market,
            start=rate.period_start,
            end=rate.period_end,
            factor=rate.fallback_factor,
            kg_per_mwh=None if rate.fallback_ug_per_kwh is None else rate.fallback_ug_per_kwh / 1_000_000,
            reasons=list(rate.outcome.get("residual_reasons", [])),
        )
        for rate in latest.values()
    ]
