"""Market rates: the market-based result of each market and claim period, from the ledger and the instruments.

[1] GHG Protocol Scope 2 Guidance (2015), table 6.3 (``engine.market``).

A certificate more or less changes a handful of these rows and not one row of the ledger: they are applied when the
ledger is read (``queries``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import cache

from django.db import connection, transaction
from django.utils import timezone

from apps.accounting import locks
from apps.accounting.adoption.queries import Adoptions, adoptions_of
from apps.accounting.engine.allocation import EarmarkClass, EarmarkKey, earmark_classes, earmark_key
from apps.accounting.engine.factor_choice import choose_residual_factor
from apps.accounting.engine.gases import GWP_SETS, co2e_kg_per_mwh, factor_ug_per_kwh
from apps.accounting.engine.market import Lot, MarketResult, market_based
from apps.accounting.engine.version import ENGINE_VERSION
from apps.accounting.models import MarketRate, RebuiltDay
from apps.accounting.rates import GWP_SET
from apps.core.windows import Quarter, epoch_day, from_epoch_day
from apps.factors import queries as factors
from apps.organisations.models import Organisation
from apps.procurement.models import Instrument
from apps.sites.models import SCOPE_2_CONTROL_CLASSES, Site

Period = tuple[date, date]

# Summed by account first: the join then meets some thousand rows and not a year of days.
_CONSUMPTION = """
SELECT site.market, CAST(SUM(facility) AS bigint), CAST(SUM(location) AS bigint)
FROM (
    SELECT account_id, SUM(facility_energy_milliwatt_hours) AS facility, SUM(location_mg) AS location
    FROM accounting_ledgerday WHERE organisation_id = %s AND day >= %s AND day < %s GROUP BY account_id
) used
JOIN accounting_account account ON account.id = used.account_id
JOIN sites_site site ON site.id = account.site_id
WHERE site.control IN (%s, %s, %s)
GROUP BY site.market
"""

# The same by team and model, for lots that were bought for one of them.
_EARMARKED = (
    _CONSUMPTION.replace("SELECT site.market,", "SELECT team.slug, model.slug,")
    .replace(
        "WHERE site",
        "LEFT JOIN organisations_team team ON team.id = account.team_id\n"
        "LEFT JOIN workloads_aimodel model ON model.id = account.model_id\nWHERE site",
    )
    .replace("GROUP BY site.market", "AND site.market = %s GROUP BY team.slug, model.slug")
)


def claim_period(day: date, length: str) -> Period:
    """The claim period that a day lies in, half-open: its quarter or its year (``Organisation.claim_period``)."""
    if length == Organisation.ClaimPeriod.YEAR:
        return date(day.year, 1, 1), date(day.year + 1, 1, 1)
    quarter = Quarter.of(day)
    return quarter.first_day, quarter.next().first_day


def lots_of(organisation: Organisation) -> list[Lot]:
    """The organisation's instruments as the engine wants them, in the order of entry.

    A retirement names its beneficiary; an empty one is the organisation itself.
    """
    own = {"", organisation.name.casefold(), organisation.slug.casefold()}
    return [
        Lot(
            id=row.reference,
            type=row.type,
            market=row.market,
            vintage_start=row.vintage_start,
            vintage_end=row.vintage_end,
            energy_milliwatt_hours=row.volume_milliwatt_hours,
            ug_per_kwh=_ug_per_kwh(row),
            tracking_system=row.tracking_system,
            serial_start=row.serial_start,
            serial_end=row.serial_end,
            retired_on=row.retired_on,
            retired_for_reporter=row.beneficiary.strip().casefold() in own,
            claim_start=row.claim_start,
            claim_end=row.claim_end,
            earmark=_earmark(row),
            supplier_attested=row.supplier_attested,
            exclusive_claim=row.exclusive_claim,
            deliverable=row.deliverable,
        )
        for row in Instrument.objects.of(organisation).select_related("earmark_team", "earmark_model").order_by("pk")
    ]


def _earmark(row: Instrument) -> tuple[str, str] | None:
    if row.earmark_team is not None:
        return "team", row.earmark_team.slug
    return None if row.earmark_model is None else ("model", row.earmark_model.slug)


def _ug_per_kwh(row: Instrument) -> int | None:
    """The instrument's factor: of its gases where all are stated, else its CO2e, else its CO2; None without any."""
    co2, ch4, n2o = row.co2_kg_per_mwh, row.ch4_kg_per_mwh, row.n2o_kg_per_mwh
    if co2 is not None and ch4 is not None and n2o is not None:
        value: Fraction | Decimal | None = co2e_kg_per_mwh(
            co2_kg_per_mwh=co2, ch4_kg_per_mwh=ch4, n2o_kg_per_mwh=n2o, gwp=GWP_SETS[GWP_SET]
        )
    else:
        value = row.co2e_kg_per_mwh if row.co2e_kg_per_mwh is not None else co2
    return None if value is None else factor_ug_per_kwh(value)


@transaction.atomic
def refresh_all(organisation_id: int) -> None:
    """Work out the market rates of every claim period that has ledger rows, and remove those of any other."""
    locks.lock(organisation_id, locks.MARKET)
    organisation = Organisation.objects.get(pk=organisation_id)
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT month FROM accounting_ledgerday WHERE organisation_id = %s", [organisation_id])
        months = [date(month // 100, month % 100, 1) for (month,) in cursor.fetchall()]
    periods = sorted({claim_period(month, organisation.claim_period) for month in months})
    for rate in MarketRate.objects.of(organisation_id):
        if (rate.period_start, rate.period_end) not in periods:
            rate.delete()
    _refresh(organisation, periods, choose_again=True)


def refresh_rebuilt(organisation_id: int) -> None:
    """Work out the market rates of the claim periods in which days were rebuilt since the last time."""
    marks = list(RebuiltDay.objects.filter(organisation_id=organisation_id).values_list("pk", "day"))
    if not marks:
        return
    with transaction.atomic():
        locks.lock(organisation_id, locks.MARKET)
        organisation = Organisation.objects.get(pk=organisation_id)
        periods = {claim_period(from_epoch_day(day), organisation.claim_period) for _, day in marks}
        _refresh(organisation, sorted(periods), choose_again=False)
        with connection.cursor() as cursor:
            cursor.executemany("DELETE FROM accounting_rebuiltday WHERE id = %s", [(pk,) for pk, _ in marks])


def _refresh(organisation: Organisation, periods: Iterable[Period], *, choose_again: bool) -> None:
    """``choose_again``: whether the residual mixes known may have changed since the stored rates chose theirs."""
    lots = lots_of(organisation)
    # A day that was rebuilt chooses nothing: its market has its rate already.
    adoptions = cache(lambda: adoptions_of(organisation.pk))
    consuming = set(
        Site.objects.of(organisation).filter(control__in=SCOPE_2_CONTROL_CLASSES).values_list("market", flat=True)
    )
    for period in periods:
        stored = {rate.market: rate for rate in MarketRate.objects.of(organisation).filter(period_start=period[0])}
        consumption = _consumption(organisation.pk, period)
        claiming = {lot.market for lot in lots if lot.claim[0] < period[1] and period[0] < lot.claim[1]}
        for market in sorted(consumption.keys() | claiming):
            row = stored.pop(market, None)
            residual = (
                choose_residual(market, period, adoptions()) if row is None or choose_again else _stored_choice(row)
            )
            energy, location_mg = consumption.get(market, (0, 0))
            result = market_based(
                facility_energy_milliwatt_hours=energy,
                location_mg=location_mg,
                instruments=lots,
                residual_ug_per_kwh=residual.ug_per_kwh,
                period=period,
                market=market,
                vintage_window_months=organisation.vintage_window_months,
                is_consumed_in=market in consuming,
            )
            row = row or MarketRate(organisation=organisation, market=market, period_start=period[0])
            _store(row, result, residual, _earmarked(organisation, result, lots))
        for rate in stored.values():
            rate.delete()


@dataclass(frozen=True, slots=True)
class Residual:
    """The residual mix chosen for a market and year; without one both are None and the reasons say why."""

    factor_id: int | None
    ug_per_kwh: int | None
    reasons: list[str]


def choose_residual(market: str, period: Period, adoptions: Adoptions) -> Residual:
    """The residual mix of a market in a claim period, from the datasets adopted for the period's first day."""
    choice = choose_residual_factor(
        market=market,
        market_parents=factors.zone_parents(market),
        activity_year=period[0].year,
        candidates=factors.residual_candidates(market, adoptions.on(period[0])),
        gwp=GWP_SETS[GWP_SET],
    )
    return Residual(choice.candidate.factor_id if choice.candidate else None, choice.ug_per_kwh, choice.reasons)


def _stored_choice(row: MarketRate) -> Residual:
    return Residual(row.fallback_factor_id, row.fallback_ug_per_kwh, row.outcome["residual_reasons"])


def _consumption(organisation_id: int, period: Period) -> dict[str, tuple[int, int]]:
    """Facility energy [mWh] and location-based emissions [mg] of the Scope 2 sites in each market."""
    with connection.cursor() as cursor:
        cursor.execute(
            _CONSUMPTION,
            [organisation_id, epoch_day(period[0]), epoch_day(period[1]), *(c.value for c in SCOPE_2_CONTROL_CLASSES)],
        )
        return {market: (energy, location_mg or 0) for market, energy, location_mg in cursor.fetchall()}


def _earmarked(organisation: Organisation, result: MarketResult, lots: Sequence[Lot]) -> list[EarmarkClass]:
    """The result among the teams and models that lots were bought for, where the organisation chose so."""
    applied = {outcome.id for outcome in result.lots if outcome.applied_milliwatt_hours}
    earmarks = {lot.earmark for lot in lots if lot.earmark is not None and lot.id in applied}
    if organisation.market_allocation != Organisation.MarketAllocation.EARMARKED or not earmarks:
        return []
    consumption: dict[EarmarkKey, tuple[int, int]] = {}
    bounds = [epoch_day(result.period[0]), epoch_day(result.period[1])]
    with connection.cursor() as cursor:
        controls = [control.value for control in SCOPE_2_CONTROL_CLASSES]
        cursor.execute(_EARMARKED, [organisation.pk, *bounds, *controls, result.market])
        for team, model, energy, location_mg in cursor.fetchall():
            key = earmark_key(team, model, earmarks)
            before = consumption.get(key, (0, 0))
            consumption[key] = before[0] + energy, before[1] + (location_mg or 0)
    return earmark_classes(consumption, lots, result)


def _store(row: MarketRate, result: MarketResult, residual: Residual, parts: Sequence[EarmarkClass]) -> None:
    values = {
        "period_end": result.period[1],
        "facility_energy_milliwatt_hours": result.facility_energy_milliwatt_hours,
        "location_mg": result.location_mg,
        "covered_milliwatt_hours": result.covered_milliwatt_hours,
        "uncovered_milliwatt_hours": result.uncovered_milliwatt_hours,
        "surplus_milliwatt_hours": result.surplus_milliwatt_hours,
        "instruments_mg": result.instruments_mg,
        "fallback": result.fallback,
        "fallback_factor_id": residual.factor_id,
        "fallback_ug_per_kwh": result.fallback_ug_per_kwh,
        "market_mg": result.market_mg,
        "outcome": _outcome(result, residual.reasons),
        "parts": [asdict(part) for part in parts],
        "engine_version": ENGINE_VERSION,
    }
    if row.pk is None or any(getattr(row, name) != value for name, value in values.items()):
        for name, value in values.items():
            setattr(row, name, value)
        row.calculated_at = timezone.now()
        row.save()


def _outcome(result: MarketResult, residual_reasons: Sequence[str]) -> dict[str, object]:
    # Lists as JSON has them: what was stored last time is compared with this.
    lots = [
        {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(lot).items()}
        for lot in result.lots
    ]
    return {"lots": lots, "flags": list(result.flags), "residual_reasons": list(residual_reasons)}
