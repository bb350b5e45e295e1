"""What an hour of a market follows from: load, instruments, factors; and one digest over all of it.

[1] GHG Protocol, Scope 2 public consultation (20 October 2025), see ``engine.hourly``.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from django.db import connection
from django.db.models import Count, Max, QuerySet, Sum

from apps.accounting.adoption.queries import Adoptions, adoptions_of
from apps.accounting.engine.factor_choice import choose_residual_factor
from apps.accounting.engine.gases import GWP_SETS, factor_ug_per_kwh
from apps.accounting.engine.hourly import ABSENT, default_fossil_ug_per_kwh, draft_criteria, flat_profile
from apps.accounting.engine.market import CriterionResult, Lot, claimed_before, order_of_use, quality_criteria
from apps.accounting.engine.version import ENGINE_VERSION
from apps.accounting.market import Period, lots_of
from apps.accounting.models import LedgerState, MarketRate
from apps.accounting.rates import GWP_SET
from apps.core.units import PPM, Int64Array, emissions_mg
from apps.core.windows import epoch_hour, midnight
from apps.factors import queries as factors
from apps.factors.models import HOURLY_KINDS, FactorDataset
from apps.organisations.models import Organisation
from apps.procurement import queries as procurement
from apps.procurement.models import StandardSupply
from apps.sites.models import SCOPE_2_CONTROL_CLASSES, Site

Kind = FactorDataset.Kind
FLAT_PROFILE = "flat_profile"
"""Flag of a lot whose production is not known by the hour and was spread evenly over its vintage."""

# Summed by account first, as in ``accounting.market``: the join then meets as many rows as there are accounts.
_LOADS = """
SELECT site.market, site.grid_zone, used.hour, CAST(SUM(used.facility) AS bigint), CAST(SUM(used.location) AS bigint)
FROM (
    SELECT hour, account_id, SUM(facility_energy_milliwatt_hours) AS facility, SUM(location_mg) AS location
    FROM accounting_ledgerhour WHERE organisation_id = %s AND hour >= %s AND hour < %s GROUP BY hour, account_id
) used
JOIN accounting_account account ON account.id = used.account_id
JOIN sites_site site ON site.id = account.site_id
WHERE site.control IN (%s, %s, %s)
GROUP BY site.market, site.grid_zone, used.hour
"""
_LAST_HOUR = "SELECT MAX(hour) FROM accounting_ledgerhour WHERE organisation_id = %s AND hour >= %s AND hour < %s"


@dataclass(frozen=True, slots=True)
class LotHours:
    """An instrument with its criteria by the draft, and the hours of its production where they are known."""

    lot: Lot
    criteria: list[CriterionResult]
    hours: dict[int, int] | None

    @property
    def stands(self) -> bool:
        return all(check.passed for check in self.criteria)

    def volume(self, first_hour: int, end_hour: int) -> Int64Array:
        """The production [mWh] of the hours since the epoch ``[first, end)`` that its claim covers."""
        if self.hours is not None:
            volume = np.array([self.hours.get(hour, 0) for hour in range(first_hour, end_hour)], dtype=np.int64)
        else:
            start, end = _hours_of((self.lot.vintage_start, self.lot.vintage_end))
            volume = flat_profile(self.lot.energy_milliwatt_hours, end - start, first_hour - start, end_hour - start)
        start, end = _hours_of(self.lot.claim)
        hour = np.arange(first_hour, end_hour)
        return np.where((start <= hour) & (hour < end), volume, 0)


@dataclass(frozen=True, slots=True)
class Supply:
    """A share of standard supply [ppm] with its factor [ug/kWh] during hours since the epoch."""

    first_hour: int
    end_hour: int
    share_ppm: int
    ug_per_kwh: int


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that does not change by the hour. ``lots``: by market, in order of use, those that fail included."""

    organisation: Organisation
    period: Period
    first_hour: int
    end_hour: int
    markets: list[str]
    lots: dict[str, list[LotHours]]
    supplies: dict[str, list[Supply]]
    residual_ug_per_kwh: dict[str, int]
    fossil_ug_per_kwh: dict[str, int]


@dataclass(frozen=True, slots=True)
class Hours:
    """A stretch of hours: arrays of shape ``(markets, hours)``, :data:`ABSENT` where a value is not known."""

    first_hour: int
    load: Int64Array
    location_mg: Int64Array
    hourly_residual: Int64Array
    grid_cfe_ppm: Int64Array


def digest_of(organisation: Organisation, period: Period) -> str:
    """SHA-256 over what a claim period's hours follow from, or over what changes whenever that does.

    The hours of the ledger themselves are not read: ``last_settled_at`` moves with every rebuild of any of them.
    """
    first, end = _hours_of(period)
    state = LedgerState.objects.filter(pk=organisation.pk).values_list("last_settled_at", flat=True).first()
    rates = MarketRate.objects.of(organisation).filter(period_start=period[0]).order_by("market")
    hours = procurement.instrument_hours(organisation, first, end).order_by()
    datasets = factors.visible_datasets(organisation.pk).filter(kind__in=HOURLY_KINDS).order_by("pk")
    content = [
        ENGINE_VERSION,
        period,
        organisation.vintage_window_months,
        state,
        list(rates.values_list("market", "fallback", "fallback_ug_per_kwh", "market_mg", "calculated_at")),
        lots_of(organisation),
        list(hours.values_list("instrument").annotate(Count("pk"), Sum("energy_milliwatt_hours"), Max("pk"))),
        list(_supply_rows(organisation).values_list("pk", "market", "start", "end", "share_ppm", "co2e_kg_per_mwh")),
        list(datasets.values_list("pk", "digest")),
        adoptions_of(organisation.pk).rows,
        list(Site.objects.of(organisation).order_by("pk").values_list("pk", "market", "grid_zone", "control")),
    ]
    return hashlib.sha256(repr(content).encode()).hexdigest()


def markets_of(organisation: Organisation) -> list[str]:
    """The markets of the organisation's Scope 2 sites and of its instruments."""
    sites = Site.objects.of(organisation).filter(control__in=SCOPE_2_CONTROL_CLASSES)
    lots = procurement.instruments(organisation)
    found = {*sites.values_list("market", flat=True), *lots.order_by().values_list("market", flat=True)}
    return sorted(market for market in found if market)


def inputs_of(organisation: Organisation, period: Period) -> Inputs:
    """What a claim period's hours are worked out from, up to the last hour that the ledger has of it."""
    first, end = _hours_of(period)
    with connection.cursor() as cursor:
        cursor.execute(_LAST_HOUR, [organisation.pk, first, end])
        (last,) = cursor.fetchone()
    end = first if last is None else last + 1
    markets = markets_of(organisation)
    adoptions = adoptions_of(organisation.pk)
    rates = MarketRate.objects.of(organisation).filter(
        period_start=period[0], fallback=MarketRate.Fallback.RESIDUAL, fallback_ug_per_kwh__isnull=False
    )
    residual = dict(rates.values_list("market", "fallback_ug_per_kwh"))
    return Inputs(
        organisation=organisation,
        period=period,
        first_hour=first,
        end_hour=end,
        markets=markets,
        lots=_lots(organisation, period, markets, residual),
        supplies=_supplies(organisation),
        residual_ug_per_kwh={market: ug for market, ug in residual.items() if ug is not None},
        fossil_ug_per_kwh=_fossil(markets, period, adoptions),
    )


def hours_of(inputs: Inputs, first_hour: int, end_hour: int) -> Hours:
    """Loads, location-based emissions and hourly factors of the hours since the epoch ``[first, end)``.

    Location-based emissions are those of the ledger; where a site's zone has an hourly average, that one ([1]: the
    most precise factor that is accessible). The grid's carbon-free share is that of the zones, weighted by load.
    """
    shape = len(inputs.markets), end_hour - first_hour
    load, location = np.zeros(shape, np.int64), np.full(shape, ABSENT, np.int64)
    clean, dirty = np.zeros(shape, np.int64), np.zeros(shape, np.bool_)
    row_of = {market: row for row, market in enumerate(inputs.markets)}
    for (market, zone), (hour, energy, mg) in _loads(inputs, first_hour, end_hour).items():
        row, at = row_of[market], hour - first_hour
        grid = _series(Kind.HOURLY, zone, first_hour, end_hour, inputs)[at]
        mg = np.where(grid == ABSENT, mg, emissions_mg(energy, np.maximum(grid, 0)))
        location[row, at] = np.where(mg == ABSENT, location[row, at], np.maximum(location[row, at], 0) + mg)
        share = _series(Kind.HOURLY_CFE, zone, first_hour, end_hour, inputs)[at]
        load[row, at] += energy
        dirty[row, at] |= (share == ABSENT) & (energy > 0)
        clean[row, at] += emissions_mg(energy, np.maximum(share, 0) * 1000)  # energy x ppm / 10**6
    residual = np.stack(
        [_series(Kind.HOURLY_RESIDUAL, market, first_hour, end_hour, inputs) for market in inputs.markets]
        or [np.zeros(0, np.int64)]
    ).reshape(shape)
    cfe = np.where(dirty | (load == 0), ABSENT, np.minimum(_ratio_ppm(clean, load), PPM))
    return Hours(first_hour, load, location, residual, cfe)


def supply_arrays(inputs: Inputs, first_hour: int, end_hour: int) -> tuple[Int64Array, Int64Array]:
    """``(share [ppm], factor [ug/kWh])`` of standard supply by market and hour; 0 where none is stated."""
    share = np.zeros((len(inputs.markets), end_hour - first_hour), np.int64)
    factor = np.zeros_like(share)
    for row, market in enumerate(inputs.markets):
        for supply in inputs.supplies.get(market, ()):
            span = slice(max(supply.first_hour - first_hour, 0), max(supply.end_hour - first_hour, 0))
            share[row, span], factor[row, span] = supply.share_ppm, supply.ug_per_kwh
    return share, factor


def fallback_arrays(inputs: Inputs, hours: int) -> tuple[Int64Array, Int64Array, int]:
    """``(annual residual mix, fossil average, default)`` [ug/kWh] by market, the same in every hour."""
    shape = len(inputs.markets), hours
    annual, fossil = np.full(shape, ABSENT, np.int64), np.full(shape, ABSENT, np.int64)
    for row, market in enumerate(inputs.markets):
        annual[row] = inputs.residual_ug_per_kwh.get(market, ABSENT)
        fossil[row] = inputs.fossil_ug_per_kwh.get(market, ABSENT)
    return annual, fossil, default_fossil_ug_per_kwh(GWP_SETS[GWP_SET])


# --- Inside -------------------------------------------------------------------------------------------------------


def _hours_of(days: tuple[date, date]) -> tuple[int, int]:
    return epoch_hour(midnight(days[0])), epoch_hour(midnight(days[1]))


def _lots(
    organisation: Organisation, period: Period, markets: Sequence[str], residual: dict[str, int | None]
) -> dict[str, list[LotHours]]:
    first, end = _hours_of(period)
    known: dict[str, dict[int, int]] = defaultdict(dict)
    by_the_hour = set(
        procurement.instruments(organisation).filter(hours__isnull=False).values_list("reference", flat=True)
    )
    rows = procurement.instrument_hours(organisation, first, end).order_by()
    for reference, hour, energy in rows.values_list("instrument__reference", "hour", "energy_milliwatt_hours"):
        known[reference][hour] = energy
    in_use = {site.market for site in Site.objects.of(organisation).filter(control__in=SCOPE_2_CONTROL_CLASSES)}
    lots = lots_of(organisation)
    claimed = claimed_before(lots)
    found: dict[str, dict[str, LotHours]] = {market: {} for market in markets}
    for position, lot in enumerate(lots):
        if lot.claim[1] <= period[0] or period[1] <= lot.claim[0]:
            continue
        hourly = lot.id in by_the_hour
        touches = bool(known[lot.id]) if hourly else lot.vintage_start < period[1] and period[0] < lot.vintage_end
        checks = quality_criteria(
            lot,
            market=lot.market if lot.market in in_use else "",
            period=period,
            vintage_window_months=organisation.vintage_window_months,
            earlier=claimed.get(position, ()),
            has_residual_mix=lot.market in residual,
        )
        found[lot.market][lot.id] = LotHours(
            lot,
            draft_criteria(checks, lot, same_hours=touches, hourly=hourly),
            dict(known[lot.id]) if hourly else None,
        )
    return {
        market: [own[lot.id] for lot in order_of_use([each.lot for each in own.values()])]
        for market, own in found.items()
    }


def _supply_rows(organisation: Organisation) -> QuerySet[StandardSupply]:
    return procurement.standard_supply(organisation).order_by("market", "start", "pk")


def _supplies(organisation: Organisation) -> dict[str, list[Supply]]:
    found: dict[str, list[Supply]] = defaultdict(list)
    for row in _supply_rows(organisation):
        first, end = _hours_of((row.start, row.end))
        found[row.market].append(Supply(first, end, row.share_ppm, factor_ug_per_kwh(row.co2e_kg_per_mwh)))
    return dict(found)


def _fossil(markets: Sequence[str], period: Period, adoptions: Adoptions) -> dict[str, int]:
    """The fossil-only average of each market that has one, chosen as a residual mix is: its own, else a parent's."""
    found = {}
    for market in markets:
        choice = choose_residual_factor(
            market=market,
            market_parents=factors.zone_parents(market),
            activity_year=period[0].year,
            candidates=factors.fossil_candidates(market, adoptions.on(period[0])),
            gwp=GWP_SETS[GWP_SET],
        )
        if choice.ug_per_kwh is not None:
            found[market] = choice.ug_per_kwh
    return found


Columns = tuple[Int64Array, Int64Array, Int64Array]


def _loads(inputs: Inputs, first_hour: int, end_hour: int) -> dict[tuple[str, str], Columns]:
    """Hour, facility energy [mWh] and emissions [mg] of each market and grid zone, hours without load left out."""
    with connection.cursor() as cursor:
        classes = (control.value for control in SCOPE_2_CONTROL_CLASSES)
        cursor.execute(_LOADS, [inputs.organisation.pk, first_hour, end_hour, *classes])
        rows: dict[tuple[str, str], list[tuple[int, int, int]]] = defaultdict(list)
        for market, zone, hour, energy, mg in cursor.fetchall():
            rows[market, zone].append((hour, energy, ABSENT if mg is None else mg))
    return {
        key: tuple(np.array(column, dtype=np.int64) for column in zip(*values, strict=True))  # type: ignore[misc]
        for key, values in sorted(rows.items())
    }


def _series(kind: str, zone: str, first_hour: int, end_hour: int, inputs: Inputs) -> Int64Array:
    """An hourly series of a zone, else of the nearest zone around it that has one; :data:`ABSENT` elsewhere."""
    values = np.full(end_hour - first_hour, ABSENT, np.int64)
    if not factors.visible_datasets(inputs.organisation.pk).filter(kind=kind).exists():
        return values
    for place in (zone, *factors.zone_parents(zone)):
        known = factors.hourly_series(kind, place, first_hour, end_hour, inputs.organisation.pk)
        if len(known.hour):
            values[known.hour - first_hour] = known.value
            break
    return values


def _ratio_ppm(part: Int64Array, whole: Int64Array) -> Int64Array:
    """``part / whole`` in parts per million; a share of the grid is not known more finely than double precision."""
    return np.rint(part / np.maximum(whole, 1) * PPM).astype(np.int64)
