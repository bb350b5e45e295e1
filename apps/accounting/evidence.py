"""What stands behind the figures, for the pages: instruments held against the Quality Criteria, factors in use.

[1] GHG Protocol Scope 2 Guidance (2015), table 7.1: the Scope 2 Quality Criteria.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from django.utils import timezone

from apps.accounting.engine.market import CRITERIA, CriterionResult, Lot, quality_criteria
from apps.accounting.market import Period, claim_period, lots_of
from apps.accounting.models import LocationRate, MarketRate
from apps.core.windows import epoch_hour, from_epoch_hour
from apps.factors.models import Factor, FactorDataset
from apps.organisations.models import Organisation
from apps.procurement import queries as procurement
from apps.procurement.models import Instrument
from apps.sites.models import SCOPE_2_CONTROL_CLASSES, Site


@dataclass(frozen=True, slots=True)
class InstrumentRow:
    """A lot with its checks and what the settled ledger made of it; ``None`` where nothing is settled for it yet."""

    instrument: Instrument
    ug_per_kwh: int | None
    checks: list[CriterionResult]
    applied_milliwatt_hours: int | None
    surplus_milliwatt_hours: int | None

    @property
    def failed(self) -> list[CriterionResult]:
        return [check for check in self.checks if not check.passed]

    @property
    def kg_per_mwh(self) -> float | None:
        return None if self.ug_per_kwh is None else self.ug_per_kwh / 1_000_000


def instrument_rows(organisation: Organisation) -> list[InstrumentRow]:
    """Every instrument of the organisation, newest vintage first, held against criteria 1 to 5 of [1]."""
    instruments = {row.reference: row for row in procurement.instruments(organisation)}
    sites = Site.objects.of(organisation).filter(control__in=SCOPE_2_CONTROL_CLASSES)
    markets = set(sites.values_list("market", flat=True))
    applied, surplus = _outcomes(organisation)
    rows: list[InstrumentRow] = []
    earlier: list[Lot] = []
    for lot in lots_of(organisation):
        rows.append(
            InstrumentRow(
                instrument=instruments[lot.id],
                ug_per_kwh=lot.ug_per_kwh,
                checks=_checks(lot, organisation, lot.market if lot.market in markets else "", earlier),
                applied_milliwatt_hours=applied.get(lot.id),
                surplus_milliwatt_hours=surplus.get(lot.id),
            )
        )
        earlier.append(lot)
    return sorted(rows, key=lambda row: (row.instrument.vintage_start, row.instrument.reference), reverse=True)


def _checks(lot: Lot, organisation: Organisation, market: str, earlier: Sequence[Lot]) -> list[CriterionResult]:
    """A criterion passes when it does in every claim period that the lot's claim touches; else the first reason."""
    results: dict[int, CriterionResult] = {}
    for period in _claim_periods(lot, organisation):
        for check in quality_criteria(
            lot,
            market=market,
            period=period,
            vintage_window_months=organisation.vintage_window_months,
            earlier=earlier,
        ):
            if check.number not in results or results[check.number].passed:
                results[check.number] = check
    return [results[number] for number in CRITERIA]


def _claim_periods(lot: Lot, organisation: Organisation) -> list[Period]:
    """The first and the last claim period that the claim touches: the window is narrowest at its ends."""
    start, end = lot.claim
    ends = {claim_period(start, organisation.claim_period), claim_period(end - timedelta(1), organisation.claim_period)}
    return sorted(ends)


def _outcomes(organisation: Organisation) -> tuple[dict[str, int], dict[str, int]]:
    """Applied and surplus energy [mWh] of each lot over all settled claim periods."""
    applied: dict[str, int] = defaultdict(int)
    surplus: dict[str, int] = defaultdict(int)
    for rate in MarketRate.objects.of(organisation):
        for lot in rate.outcome.get("lots", []):
            applied[lot["id"]] += lot["applied_milliwatt_hours"]
            surplus[lot["id"]] += lot["surplus_milliwatt_hours"]
    return dict(applied), dict(surplus)


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
