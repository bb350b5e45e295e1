"""Location rates: which PUE and which grid factor hold for a site in which hours, and why.

[1] GHG Protocol Scope 2 Guidance (2015), table 6.2 and p. 36: factor by grid and year (``engine.factor_choice``).
[2] ISO/IEC 30134-2: PUE, here by the periods that the organisation recorded.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from django.db import connection, transaction

from apps.accounting import locks
from apps.accounting.adoption.first import adopt_first
from apps.accounting.adoption.queries import Adoptions, adoptions_of
from apps.accounting.engine.factor_choice import FactorChoice, choose_location_factor
from apps.accounting.engine.gases import GWP_SETS
from apps.accounting.engine.version import ENGINE_VERSION
from apps.accounting.models import LocationRate
from apps.core.units import PPM
from apps.core.windows import epoch_hour, from_epoch_ms, midnight
from apps.factors import queries as factors
from apps.sites.models import PuePeriod, Site
from apps.telemetry.models import Reading

GWP_SET = "AR5"
NO_PUE = "no PUE recorded: 1.0 assumed"

_MARK_HOURS = """
INSERT INTO telemetry_dirtyhour (organisation_id, hour, marked_at)
SELECT DISTINCT %s, ledger.hour, CURRENT_TIMESTAMP
FROM accounting_ledgerhour ledger JOIN accounting_account account ON account.id = ledger.account_id
WHERE ledger.organisation_id = %s AND ledger.hour >= %s AND ledger.hour < %s AND account.site_id = %s
"""


@dataclass(frozen=True, slots=True)
class Rate:
    """What a :class:`LocationRate` should say; ``start`` is its first day."""

    start: date
    end: date
    pue_ppm: int
    pue_source: str
    factor_id: int | None
    factor_ug_per_kwh: int | None
    level: str
    lag_years: int
    reasons: list[str]


def first_year(organisation_id: int) -> int | None:
    """The year of the earliest reading; None when there is none."""
    row = Reading.objects.filter(organisation_id=organisation_id).order_by("organisation_id", "start_ms")
    start_ms = row.values_list("start_ms", flat=True).first()
    return None if start_ms is None else from_epoch_ms(start_ms).year


def years_covered(organisation_id: int) -> range:
    """The years that rates are made for: from the first reading's to the next year, so that no reading waits."""
    now = datetime.now(UTC).year
    return range(min(first_year(organisation_id) or now, now), now + 2)


def rates_of(site: Site, pue_periods: Sequence[PuePeriod], years: Iterable[int], adoptions: Adoptions) -> list[Rate]:
    """The rates of a site over whole years, in order and without a gap, from the datasets adopted for each day.

    A year without a recorded PUE takes 1.0 and says so. No factor: empty, with the levels that were tried.
    """
    every = factors.location_candidates(site.grid_zone, {dataset for dataset, _, _ in adoptions.rows})
    parents = factors.zone_parents(site.grid_zone)
    cuts = {day for period in pue_periods for day in (period.start, period.end) if day is not None} | adoptions.cuts
    rates = []
    for year in years:
        choices: dict[frozenset[int], FactorChoice[factors.Candidate]] = {}
        for start, end in _pieces(date(year, 1, 1), date(year + 1, 1, 1), cuts):
            adopted = adoptions.on(start)
            if adopted not in choices:
                choices[adopted] = choose_location_factor(
                    zone=site.grid_zone,
                    zone_parents=parents,
                    activity_year=year,
                    candidates=[candidate for candidate in every if candidate.dataset_id in adopted],
                    gwp=GWP_SETS[GWP_SET],
                )
            choice = choices[adopted]
            pue = _pue_on(start, pue_periods)
            rates.append(
                Rate(
                    start=start,
                    end=end,
                    pue_ppm=pue.pue_ppm if pue else PPM,
                    pue_source=pue.source if pue else NO_PUE,
                    factor_id=choice.candidate.factor_id if choice.candidate else None,
                    factor_ug_per_kwh=choice.ug_per_kwh,
                    level=choice.level,
                    lag_years=choice.lag_years,
                    reasons=list(choice.reasons),
                )
            )
    return rates


def _pieces(start: date, end: date, cuts: Iterable[date]) -> Iterable[tuple[date, date]]:
    return itertools.pairwise(sorted({start, end, *(day for day in cuts if start < day < end)}))


def _pue_on(day: date, pue_periods: Sequence[PuePeriod]) -> PuePeriod | None:
    """The period that holds on a day; of two the one that started later, which is the newer statement."""
    holding = [p for p in pue_periods if p.start <= day and (p.end is None or day < p.end)]
    return max(holding, key=lambda p: p.start, default=None)


@transaction.atomic
def refresh(organisation_id: int) -> int:
    """Bring the location rates of every site in line with its PUE, zone and the factors, and mark what changed dirty.

    Returns the number of rates written or removed; 0 when all were as they should be.
    """
    locks.lock(organisation_id, locks.INPUTS)
    years = years_covered(organisation_id)
    adopt_first(organisation_id)
    adoptions = adoptions_of(organisation_id)
    changed = 0
    for site in Site.objects.of(organisation_id).order_by("pk"):
        periods = list(PuePeriod.objects.of(organisation_id).filter(site=site).order_by("start"))
        changed += _store(organisation_id, site, rates_of(site, periods, years, adoptions))
    return changed


def _store(organisation_id: int, site: Site, rates: Sequence[Rate]) -> int:
    stored = {rate.first_hour: rate for rate in LocationRate.objects.of(organisation_id).filter(site=site)}
    stale: list[tuple[int, int]] = []
    changed = 0
    for wanted in rates:
        first_hour, end_hour = epoch_hour(midnight(wanted.start)), epoch_hour(midnight(wanted.end))
        row = stored.pop(first_hour, None)
        if row is None:
            row = LocationRate(organisation_id=organisation_id, site=site, first_hour=first_hour)
            stale.append((first_hour, end_hour))
        elif (row.pue_ppm, row.factor_ug_per_kwh) != (wanted.pue_ppm, wanted.factor_ug_per_kwh):
            # An end that only moves marks nothing here: the rate that comes or goes next to it does.
            stale.append((first_hour, max(end_hour, row.end_hour)))
        values = {
            "end_hour": end_hour,
            "pue_ppm": wanted.pue_ppm,
            "pue_source": wanted.pue_source,
            "factor_id": wanted.factor_id,
            "factor_ug_per_kwh": wanted.factor_ug_per_kwh,
            "level": wanted.level,
            "lag_years": wanted.lag_years,
            "gwp_set": GWP_SET,
            "reasons": wanted.reasons,
            "engine_version": ENGINE_VERSION,
        }
        if row.pk is None or any(getattr(row, name) != value for name, value in values.items()):
            for name, value in values.items():
                setattr(row, name, value)
            row.save()
            changed += 1
    for row in stored.values():
        stale.append((row.first_hour, row.end_hour))
        row.delete()
        changed += 1
    for first_hour, end_hour in stale:
        with connection.cursor() as cursor:
            cursor.execute(_MARK_HOURS, [organisation_id, organisation_id, first_hour, end_hour, site.pk])
    return changed
