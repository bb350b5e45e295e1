"""Working out the hours of the what-if, stored by market and hour. They are made when somebody asks for them.

No settling waits for this: the figures are informative, and most hours that are settled are never looked at. Whoever
reads them calls :func:`bring_up_to_date` first, which does nothing while what the hours follow from is unchanged.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import date, timedelta
from typing import Any

import numpy as np
from celery import current_app
from django.db import connection, transaction
from django.utils import timezone

from apps.accounting import locks
from apps.accounting.engine.hourly import (
    ABSENT,
    DEFAULT,
    HourlyLot,
    HourlyResult,
    carbon_free_energy,
    fallback_factors,
    hourly_market_based,
)
from apps.accounting.engine.market import lot_outcome
from apps.accounting.engine.rulesets import RULESET_DRAFT_2025_10
from apps.accounting.engine.version import ENGINE_VERSION
from apps.accounting.hourly.inputs import (
    FLAT_PROFILE,
    Hours,
    Inputs,
    digest_of,
    fallback_arrays,
    hours_of,
    inputs_of,
    markets_of,
    supply_arrays,
)
from apps.accounting.hourly.models import HourlyRun
from apps.accounting.market import Period, claim_period
from apps.accounting.queries import ledger_extent
from apps.core.units import Int64Array
from apps.core.windows import Window, epoch_hour, midnight
from apps.organisations.models import Organisation

logger = logging.getLogger(__name__)

TASK = "accounting.hourly"
HOURLY = -3  # stands for the hours of the what-if where a lock names a day
STRETCH = 31 * 24  # hours worked out at once: memory does not grow with the length of a claim period
ROWS_AT_ONCE = 5_000
# So many markets x hours are worked out while the reader waits (about two seconds); more are left to a worker.
INLINE_CELLS = 50_000

_COLUMNS = (
    "organisation_id, market, hour, load_milliwatt_hours, standard_supply_milliwatt_hours, matched_milliwatt_hours,"
    " unmatched_milliwatt_hours, surplus_milliwatt_hours, carbon_free_milliwatt_hours, location_mg, market_mg,"
    " fallback, fallback_ug_per_kwh"
)
_INSERT = f"INSERT INTO accounting_markethour ({_COLUMNS}) VALUES ({', '.join(['%s'] * 13)})"  # noqa: S608
_DELETE = "DELETE FROM accounting_markethour WHERE organisation_id = %s AND hour >= %s AND hour < %s"


def claim_periods(organisation: Organisation, window: Window) -> list[Period]:
    """The claim periods that a window touches, in order."""
    day, last = window.start.date(), (window.end - timedelta(microseconds=1)).date()
    periods = []
    while day <= last:
        periods.append(claim_period(day, organisation.claim_period))
        day = periods[-1][1]
    return periods


def bring_up_to_date(organisation: Organisation, window: Window) -> bool:
    """Work out the hours of a window's claim periods where they are out of date. False: a worker will.

    A worker is asked where there are more than :data:`INLINE_CELLS` to do; the hours stored before stay until then.
    Claim periods without any hour in the ledger have nothing to work out.
    """
    extent = ledger_extent(organisation.pk)
    if extent is None or window.end <= extent.start or extent.end <= window.start:
        return True
    current = True
    settled = Window(max(window.start, extent.start), min(window.end, extent.end))
    for period in claim_periods(organisation, settled):
        run = HourlyRun.objects.of(organisation).filter(period_start=period[0]).first()
        if run and run.digest == digest_of(organisation, period):
            continue
        cells = len(markets_of(organisation)) * (period[1] - period[0]).days * 24
        if cells <= INLINE_CELLS:
            refresh_hours(organisation.pk, period[0])
        else:
            _ask_worker(organisation.pk, period[0])
            current = False
    return current


def _ask_worker(organisation_id: int, start: date) -> None:
    try:
        current_app.send_task(TASK, args=(organisation_id, start.isoformat()), retry=False)
    except Exception:
        logger.warning("The broker is not available; the next reader asks for the hours again.", exc_info=True)


@transaction.atomic
def refresh_hours(organisation_id: int, start: date) -> int:
    """Work out the hours of the claim period that a day lies in, delete the stored ones and write these.

    Returns the number of rows written; 0 when the stored ones follow from the same inputs. Safe to run twice and to
    be killed.
    """
    locks.lock(organisation_id, HOURLY)
    organisation = Organisation.objects.get(pk=organisation_id)
    period = claim_period(start, organisation.claim_period)
    digest = digest_of(organisation, period)
    run = HourlyRun.objects.of(organisation).filter(period_start=period[0]).first()
    if run and run.digest == digest:
        return 0
    inputs = inputs_of(organisation, period)
    with connection.cursor() as cursor:
        cursor.execute(_DELETE, [organisation_id, epoch_hour(midnight(period[0])), epoch_hour(midnight(period[1]))])
    accepted: dict[str, int] = defaultdict(int)
    applied: dict[str, int] = defaultdict(int)
    flags: set[str] = set()
    written = 0
    for first in range(inputs.first_hour, inputs.end_hour, STRETCH):
        end = min(first + STRETCH, inputs.end_hour)
        written += _write(_stretch(inputs, first, end, accepted, applied, flags))
    outcome = {
        "lots": {
            market: [_json(each, accepted[each.lot.id], applied[each.lot.id]) for each in lots]
            for market, lots in inputs.lots.items()
            if lots
        },
        "flags": sorted(flags),
    }
    HourlyRun.unscoped.update_or_create(
        organisation=organisation,
        period_start=period[0],
        defaults={
            "period_end": period[1],
            "first_hour": inputs.first_hour,
            "end_hour": inputs.end_hour,
            "digest": digest,
            "outcome": outcome,
            "ruleset": RULESET_DRAFT_2025_10,
            "engine_version": ENGINE_VERSION,
            "calculated_at": timezone.now(),
        },
    )
    return written


def _json(each: Any, accepted: int, applied: int) -> dict[str, Any]:
    flags = () if each.hours is not None else (FLAT_PROFILE,)
    return asdict(lot_outcome(each.lot, each.criteria, accepted=accepted, applied=applied, flags=flags))


def _stretch(
    inputs: Inputs, first: int, end: int, accepted: dict[str, int], applied: dict[str, int], flags: set[str]
) -> Iterator[tuple[Any, ...]]:
    """The rows of the hours ``[first, end)``; adds up what they take of each lot."""
    hours = hours_of(inputs, first, end)
    lots = [
        (each, HourlyLot(row, each.volume(first, end), each.lot.ug_per_kwh or 0))
        for row, market in enumerate(inputs.markets)
        for each in inputs.lots[market]
        if each.stands
    ]
    annual, fossil, default = fallback_arrays(inputs, end - first)
    factor, level = fallback_factors(
        hourly_residual=hours.hourly_residual, residual=annual, fossil=fossil, default_ug_per_kwh=default
    )
    share, supply_factor = supply_arrays(inputs, first, end)
    result = hourly_market_based(
        load=hours.load,
        lots=[lot for _, lot in lots],
        fallback_ug_per_kwh=factor,
        standard_share_ppm=share,
        standard_ug_per_kwh=supply_factor,
    )
    for (each, lot), used in zip(lots, result.applied, strict=True):
        accepted[each.lot.id] += int(lot.volume.sum())
        applied[each.lot.id] += int(used.sum())
    for row, market in enumerate(inputs.markets):
        if ((level[row] == DEFAULT) & (result.unmatched[row] > 0)).any():
            flags.add(f"default_fossil_factor:{market}")
    return _rows(inputs, hours, result, factor, level)


def _rows(
    inputs: Inputs, hours: Hours, result: HourlyResult, factor: Int64Array, level: Int64Array
) -> Iterator[tuple[Any, ...]]:
    carbon_free = carbon_free_energy(load=hours.load, contracted=result.carbon_free, grid_cfe_ppm=hours.grid_cfe_ppm)
    for row, market in enumerate(inputs.markets):
        at = np.flatnonzero((hours.load[row] > 0) | (result.surplus[row] > 0))
        columns = (
            hours.load, result.standard_supply, result.matched, result.unmatched, result.surplus, carbon_free,
            hours.location_mg, result.market_mg, level, factor,
        )  # fmt: skip
        values = [column[row][at].tolist() for column in columns]
        for place in (5, 6):
            values[place] = [None if value == ABSENT else value for value in values[place]]
        for hour, *rest in zip((at + hours.first_hour).tolist(), *values, strict=True):
            yield (inputs.organisation.pk, market, hour, *rest)


def _write(rows: Iterable[tuple[Any, ...]]) -> int:
    written, block = 0, []
    with connection.cursor() as cursor:
        for row in rows:
            block.append(row)
            if len(block) == ROWS_AT_ONCE:
                cursor.executemany(_INSERT, block)
                written, block = written + len(block), []
        if block:
            cursor.executemany(_INSERT, block)
    return written + len(block)
