"""What adopting a dataset would change, worked out before anything is written.

Energy stays as it is, so the comparison needs no hour of the ledger: each site's facility energy in a quarter, once
with the factors in use and once with those that would be. Both sides are rounded once per site and stretch of days,
not per hour, and so stand next to each other but may differ from the ledger by some milligrams per hour.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass
from datetime import date

from django.db import connection

from apps.accounting.adoption.queries import Adoptions, adoptions_of
from apps.accounting.engine.location import location_based_mg
from apps.accounting.engine.market import market_based
from apps.accounting.market import choose_residual, claim_period, lots_of
from apps.accounting.queries import ledger_extent
from apps.accounting.rates import Rate, rates_of
from apps.core.units import round_half_up
from apps.core.windows import Quarter, epoch_day, from_epoch_day
from apps.factors.models import FactorDataset
from apps.organisations.models import Organisation
from apps.sites.models import SCOPE_2_CONTROL_CLASSES, Site

_DAYS = """
SELECT account.site_id, ledger.day, CAST(SUM(ledger.facility_energy_milliwatt_hours) AS bigint)
FROM accounting_ledgerday ledger JOIN accounting_account account ON account.id = ledger.account_id
WHERE ledger.organisation_id = %s AND account.site_id IS NOT NULL GROUP BY account.site_id, ledger.day
"""

SiteDays = dict[int, dict[int, int]]  # site -> day of the epoch -> facility energy [mWh]


@dataclass(frozen=True, slots=True)
class Difference:
    """A quarter's Scope 2 figures [mg] before and after; None where a factor is missing."""

    quarter: str
    location_before: int | None
    location_after: int | None
    market_before: int | None
    market_after: int | None

    @property
    def location_change(self) -> int | None:
        return _change(self.location_before, self.location_after)

    @property
    def market_change(self) -> int | None:
        return _change(self.market_before, self.market_after)


@dataclass(frozen=True, slots=True)
class FactorChange:
    """Of a site or market from a day on: the factor in use and the one that would be [ug CO2e/kWh], with reasons."""

    name: str
    start: date
    end: date
    before_ug_per_kwh: int | None
    after_ug_per_kwh: int | None
    reasons: tuple[str, ...]

    @property
    def before_kg_per_mwh(self) -> float | None:
        return None if self.before_ug_per_kwh is None else self.before_ug_per_kwh / 1_000_000

    @property
    def after_kg_per_mwh(self) -> float | None:
        return None if self.after_ug_per_kwh is None else self.after_ug_per_kwh / 1_000_000


@dataclass(frozen=True, slots=True)
class Preview:
    """``differences``: by quarter with readings; ``factors``: what would change, by site and market."""

    differences: list[Difference]
    factors: list[FactorChange]

    @property
    def changes_nothing(self) -> bool:
        return not self.factors


def preview(organisation: Organisation, dataset: FactorDataset, start: date | None, end: date | None) -> Preview:
    """What an organisation's figures would be if it adopted ``dataset`` for activities of ``[start, end)``."""
    now = adoptions_of(organisation.pk)
    then = now.with_row(dataset.pk, start, end)
    extent = ledger_extent(organisation.pk)
    if extent is None:
        return Preview([], [])
    first, last = extent.start.date(), from_epoch_day(epoch_day(extent.end.date()) - 1)
    years = range(first.year, max(last.year, first.year) + 1)
    changes: list[FactorChange] = []
    energies = _site_days(organisation.pk)
    before: dict[str, dict[Quarter, tuple[int, int | None]]] = {}
    after: dict[str, dict[Quarter, tuple[int, int | None]]] = {}
    for site in Site.objects.of(organisation).prefetch_related("pue_periods").order_by("name", "pk"):
        periods = sorted(site.pue_periods.all(), key=lambda period: period.start)
        old, new = rates_of(site, periods, years, now), rates_of(site, periods, years, then)
        changes += _changed(site.name, old, new)
        if site.control in SCOPE_2_CONTROL_CLASSES:
            days = energies.get(site.pk, {})
            _add(before.setdefault(site.market, {}), days, old)
            _add(after.setdefault(site.market, {}), days, new)
    quarters = sorted({quarter for by_quarter in before.values() for quarter in by_quarter})
    market_before = _market(organisation, before, now, quarters)
    market_after = _market(organisation, after, then, quarters)
    for market in sorted(before):
        for quarter in sorted(before[market]):
            period = claim_period(quarter.first_day, organisation.claim_period)
            old_mix, new_mix = choose_residual(market, period, now), choose_residual(market, period, then)
            if old_mix.ug_per_kwh != new_mix.ug_per_kwh:
                changes.append(
                    FactorChange(
                        f"Residual mix {market}",
                        quarter.first_day,
                        quarter.next().first_day,
                        old_mix.ug_per_kwh,
                        new_mix.ug_per_kwh,
                        tuple(new_mix.reasons),
                    )
                )
    differences = [
        Difference(
            str(quarter), _location(before, quarter), _location(after, quarter), market_before[quarter],
            market_after[quarter],
        )
        for quarter in quarters
    ]  # fmt: skip
    return Preview(differences, changes)


def _site_days(organisation_id: int) -> SiteDays:
    days: SiteDays = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(_DAYS, [organisation_id])
        for site_id, day, energy in cursor.fetchall():
            days[site_id][day] = energy
    return days


def _changed(name: str, old: list[Rate], new: list[Rate]) -> list[FactorChange]:
    """The stretches in which the factor differs; both lists cover the same days."""
    cuts = sorted({rate.start for rate in (*old, *new)} | {old[-1].end})
    changes: list[FactorChange] = []
    for start, end in itertools.pairwise(cuts):
        was, will = _at(old, start), _at(new, start)
        if was.factor_ug_per_kwh != will.factor_ug_per_kwh:
            changes.append(
                FactorChange(name, start, end, was.factor_ug_per_kwh, will.factor_ug_per_kwh, tuple(will.reasons))
            )
    return changes


def _at(rates: list[Rate], day: date) -> Rate:
    return next(rate for rate in rates if rate.start <= day < rate.end)


def _add(by_quarter: dict[Quarter, tuple[int, int | None]], days: dict[int, int], rates: list[Rate]) -> None:
    """Add a site's energy [mWh] and location-based figure [mg] to each quarter; None once a factor is missing."""
    for rate in rates:
        energies: dict[Quarter, int] = defaultdict(int)
        for day, energy in days.items():
            if epoch_day(rate.start) <= day < epoch_day(rate.end):
                energies[Quarter.of(from_epoch_day(day))] += energy
        for quarter, energy in energies.items():
            known, mg = by_quarter.get(quarter, (0, 0))
            if rate.factor_ug_per_kwh is not None and mg is not None:
                mg += round_half_up(location_based_mg(energy, rate.factor_ug_per_kwh))
            else:
                mg = None
            by_quarter[quarter] = (known + energy, mg)


def _location(markets: dict[str, dict[Quarter, tuple[int, int | None]]], quarter: Quarter) -> int | None:
    figures = [by_quarter[quarter][1] for by_quarter in markets.values() if quarter in by_quarter]
    return None if None in figures else sum(mg for mg in figures if mg is not None)


def _market(
    organisation: Organisation,
    markets: dict[str, dict[Quarter, tuple[int, int | None]]],
    adoptions: Adoptions,
    quarters: list[Quarter],
) -> dict[Quarter, int | None]:
    """The market-based figure of each quarter by the engine; a claim period of a year is cut at quarters for this."""
    lots = lots_of(organisation)
    totals: dict[Quarter, int | None] = {}
    for quarter in quarters:
        total: int | None = 0
        for market, by_quarter in markets.items():
            energy, location_mg = by_quarter.get(quarter, (0, 0))
            period = claim_period(quarter.first_day, organisation.claim_period)
            residual = choose_residual(market, period, adoptions)
            result = market_based(
                facility_energy_milliwatt_hours=energy,
                location_mg=location_mg or 0,
                instruments=lots,
                residual_ug_per_kwh=residual.ug_per_kwh,
                period=(quarter.first_day, quarter.next().first_day),
                market=market,
                vintage_window_months=organisation.vintage_window_months,
            )
            absent = residual.ug_per_kwh is None and location_mg is None and result.uncovered_milliwatt_hours
            total = None if absent or total is None else total + result.market_mg
        totals[quarter] = total
    return totals


def _change(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before
