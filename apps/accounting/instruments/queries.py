"""What became of the instruments: each lot in each claim period held against the Quality Criteria, and the totals.

[1] GHG Protocol Scope 2 Guidance (2015), table 6.3: the hierarchy of market-based factors.
[2] The same, table 7.1: the Scope 2 Quality Criteria.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from apps.accounting.engine.market import (
    CRITERIA,
    FAILED,
    NOT_STATED,
    CriterionResult,
    Lot,
    claimed_volume_milliwatt_hours,
    criterion_5_market,
    quality_criteria,
)
from apps.accounting.market import Period, claim_period, lots_of
from apps.accounting.models import MarketRate
from apps.core.windows import Quarter
from apps.organisations.models import Organisation
from apps.procurement import queries as procurement
from apps.procurement.models import Instrument
from apps.sites.models import SCOPE_2_CONTROL_CLASSES, Site

NOT_SETTLED = "open until the period is settled"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a lot puts into one claim period, and what the accounts made of it [mWh].

    ``accepted``, ``applied`` and ``surplus`` are ``None`` while nothing is settled for the market and period.
    ``fell_to``: what the consumption took that a refused lot would have covered.
    """

    period: Period
    label: str
    claimed_milliwatt_hours: int
    accepted_milliwatt_hours: int | None
    applied_milliwatt_hours: int | None
    surplus_milliwatt_hours: int | None
    checks: list[CriterionResult]
    fell_to: str

    @property
    def failed(self) -> list[CriterionResult]:
        return [check for check in self.checks if check.status == FAILED]

    @property
    def not_stated(self) -> list[CriterionResult]:
        """What waits for an attestation of a person, not for the accounts."""
        return [check for check in self.checks if check.status == NOT_STATED and check.reason != NOT_SETTLED]

    @property
    def checks_named(self) -> list[tuple[str, CriterionResult]]:
        return [(CRITERIA[check.number], check) for check in self.checks]


@dataclass(frozen=True, slots=True)
class InstrumentRow:
    """A lot with its claims, oldest period first. Sums are ``None`` where nothing is settled for it yet."""

    instrument: Instrument
    ug_per_kwh: int | None
    claims: list[Claim]

    @property
    def kg_per_mwh(self) -> float | None:
        return None if self.ug_per_kwh is None else self.ug_per_kwh / 1_000_000

    @property
    def failed(self) -> list[CriterionResult]:
        """The criteria that it fails in some period, each with the reason first found."""
        return _first_of_each(check for claim in self.claims for check in claim.failed)

    @property
    def not_stated(self) -> list[CriterionResult]:
        return _first_of_each(check for claim in self.claims for check in claim.not_stated)

    @property
    def accepted_milliwatt_hours(self) -> int | None:
        return _sum(claim.accepted_milliwatt_hours for claim in self.claims)

    @property
    def applied_milliwatt_hours(self) -> int | None:
        return _sum(claim.applied_milliwatt_hours for claim in self.claims)

    @property
    def surplus_milliwatt_hours(self) -> int | None:
        return _sum(claim.surplus_milliwatt_hours for claim in self.claims)


@dataclass(slots=True)
class MarketTotal:
    """All claims of one market and claim period [mWh]: ``accepted = applied + surplus``, ``applied <= consumption``.

    ``consumption`` and ``uncovered`` are ``None`` while nothing is settled for the market and period.
    """

    market: str
    period: Period
    label: str
    consumption_milliwatt_hours: int | None
    uncovered_milliwatt_hours: int | None
    fallback: str
    claimed_milliwatt_hours: int = 0
    accepted_milliwatt_hours: int = 0
    applied_milliwatt_hours: int = 0
    surplus_milliwatt_hours: int = 0

    @property
    def refused_milliwatt_hours(self) -> int:
        return self.claimed_milliwatt_hours - self.accepted_milliwatt_hours

    @property
    def covered_fraction(self) -> float | None:
        if not self.consumption_milliwatt_hours:
            return None
        return self.applied_milliwatt_hours / self.consumption_milliwatt_hours


def _first_of_each(checks: Iterable[CriterionResult]) -> list[CriterionResult]:
    found: dict[int, CriterionResult] = {}
    for check in checks:
        found.setdefault(check.number, check)
    return [found[number] for number in sorted(found)]


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


@dataclass(frozen=True, slots=True)
class _Accounts:
    """What the accounts know of an organisation's markets."""

    organisation: Organisation
    markets: frozenset[str]  # with a Scope 2 site
    rates: Mapping[tuple[str, date], MarketRate]
    outcomes: Mapping[tuple[str, date], Mapping[str, Mapping[str, Any]]]
    sharing: Mapping[str, list[Lot]] = field(default_factory=lambda: defaultdict(list))  # lots by tracking system

    def rate(self, market: str, period: Period) -> MarketRate | None:
        rate = self.rates.get((market, period[0]))
        return rate if rate is not None and rate.period_end == period[1] else None


def instrument_rows(organisation: Organisation) -> list[InstrumentRow]:
    """Every instrument of the organisation, newest vintage first, in every claim period that its claim touches."""
    instruments = {row.reference: row for row in procurement.instruments(organisation)}
    accounts = _accounts(organisation)
    rows = []
    for lot in lots_of(organisation):
        claims = [_claim(lot, period, accounts) for period in _periods(lot, organisation.claim_period)]
        rows.append(InstrumentRow(instruments[lot.id], lot.ug_per_kwh, claims))
        accounts.sharing[lot.tracking_system].append(lot)
    return sorted(rows, key=lambda row: (row.instrument.vintage_start, row.instrument.reference), reverse=True)


def market_totals(organisation: Organisation, rows: Sequence[InstrumentRow]) -> list[MarketTotal]:
    """The claims of ``rows`` by market and claim period, newest period first."""
    accounts = _accounts(organisation)
    totals: dict[tuple[str, date], MarketTotal] = {}
    for row in rows:
        for claim in row.claims:
            key = row.instrument.market, claim.period[0]
            if key not in totals:
                totals[key] = _empty_total(row.instrument.market, claim, accounts)
            total = totals[key]
            total.claimed_milliwatt_hours += claim.claimed_milliwatt_hours
            total.accepted_milliwatt_hours += claim.accepted_milliwatt_hours or 0
            total.applied_milliwatt_hours += claim.applied_milliwatt_hours or 0
            total.surplus_milliwatt_hours += claim.surplus_milliwatt_hours or 0
    return sorted(totals.values(), key=lambda total: (-total.period[0].toordinal(), total.market))


def _empty_total(market: str, claim: Claim, accounts: _Accounts) -> MarketTotal:
    rate = accounts.rate(market, claim.period)
    consumption = rate.facility_energy_milliwatt_hours if rate else None
    uncovered = rate.uncovered_milliwatt_hours if rate else None
    if market not in accounts.markets:
        consumption = uncovered = 0
    return MarketTotal(
        market=market,
        period=claim.period,
        label=claim.label,
        consumption_milliwatt_hours=consumption,
        uncovered_milliwatt_hours=uncovered,
        fallback=_fallback(market, rate, accounts),
    )


def _accounts(organisation: Organisation) -> _Accounts:
    sites = Site.objects.of(organisation).filter(control__in=SCOPE_2_CONTROL_CLASSES)
    rates = {(rate.market, rate.period_start): rate for rate in MarketRate.objects.of(organisation)}
    return _Accounts(
        organisation=organisation,
        markets=frozenset(sites.values_list("market", flat=True)),
        rates=rates,
        outcomes={key: {lot["id"]: lot for lot in rate.outcome.get("lots", [])} for key, rate in rates.items()},
    )


def _periods(lot: Lot, length: str) -> list[Period]:
    """The claim periods that a lot's claim touches, oldest first."""
    start, end = lot.claim
    periods = [claim_period(start, length)]
    while periods[-1][1] < end:
        periods.append(claim_period(periods[-1][1], length))
    return periods


def period_label(period: Period) -> str:
    """``2026-Q3`` or ``2026``."""
    quarter = Quarter.of(period[0])
    return str(quarter) if quarter.next().first_day == period[1] else str(period[0].year)


def _claim(lot: Lot, period: Period, accounts: _Accounts) -> Claim:
    rate = accounts.rate(lot.market, period)
    outcome = accounts.outcomes.get((lot.market, period[0]), {}).get(lot.id) if rate else None
    checks = _checks(lot, period, outcome, accounts)
    amounts: list[int | None] = [None, None, None]
    if outcome is not None:
        amounts = [outcome[f"{name}_milliwatt_hours"] for name in ("accepted", "applied", "surplus")]
    if lot.market not in accounts.markets:
        amounts = [0, 0, 0]  # no consumption that the lot could be surplus to
    is_refused = any(check.status == FAILED for check in checks)
    return Claim(
        period=period,
        label=period_label(period),
        claimed_milliwatt_hours=claimed_volume_milliwatt_hours(lot, period),
        accepted_milliwatt_hours=amounts[0],
        applied_milliwatt_hours=amounts[1],
        surplus_milliwatt_hours=amounts[2],
        checks=checks,
        fell_to=_fallback(lot.market, rate, accounts) if is_refused else "",
    )


def _checks(lot: Lot, period: Period, outcome: Mapping[str, Any] | None, accounts: _Accounts) -> list[CriterionResult]:
    """All criteria of [2] as they were settled; where they were not, as they stand now."""
    market = lot.market if lot.market in accounts.markets else ""
    settled = outcome.get("criteria", []) if outcome else []
    if settled:
        checks = [CriterionResult(check["number"], check["status"], check["reason"]) for check in settled]
    else:
        checks = quality_criteria(
            lot,
            market=market,
            period=period,
            vintage_window_months=accounts.organisation.vintage_window_months,
            earlier=accounts.sharing.get(lot.tracking_system, []),
        )
    by_number = {check.number: check for check in checks}
    if not market:
        by_number[5] = criterion_5_market(lot, market)
    if not settled:
        by_number[8] = CriterionResult(8, NOT_STATED, NOT_SETTLED)
    return [by_number[number] for number in sorted(by_number)]


def _fallback(market: str, rate: MarketRate | None, accounts: _Accounts) -> str:
    """The level of [1] that consumption without an instrument took."""
    if market not in accounts.markets:
        return f"nothing: no Scope 2 consumption in {market}"
    if rate is None:
        return NOT_SETTLED
    if rate.facility_energy_milliwatt_hours == 0:
        return f"nothing: no consumption in {market} in the period"
    if rate.uncovered_milliwatt_hours == 0:
        return "nothing: other instruments covered all of it"
    if rate.fallback == MarketRate.Fallback.RESIDUAL and rate.fallback_ug_per_kwh is not None:
        return f"level 4, residual mix, {rate.fallback_ug_per_kwh / 1_000_000:g} kg CO₂e/MWh"
    return "level 5, grid average: no residual mix is published"
