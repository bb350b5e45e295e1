"""Market-based emissions of one market in one claim period, and the criteria an instrument must meet.

[1] GHG Protocol Scope 2 Guidance (2015), table 6.3: the hierarchy of market-based factors.
[2] The same, table 7.1: the Scope 2 Quality Criteria.

Everything is an exact integer: energy in milliwatt-hours, emissions in milligrams CO2e, factors in micrograms CO2e
per kilowatt-hour. Nothing here knows a database; the figures of a scenario file and the live figures both come from
:func:`market_based`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from functools import lru_cache
from heapq import heappop, heappush

from apps.core.units import emissions_mg, round_half_up

# Levels of [1] that an instrument can stand on; what they leave uncovered takes level 4 (residual mix) or 5 (grid).
HIERARCHY = {"eac": 1, "ppa": 2, "supplier": 3}

FALLBACK_RESIDUAL = "residual"
FALLBACK_LOCATION = "location"

CRITERIA = {
    1: "conveys a direct emission rate",
    2: "is the only instrument with this claim",
    3: "is tracked, and retired for the reporter",
    4: "was generated and retired close to the consumption",
    5: "comes from the market of the consumption",
    6: "states delivered electricity without attributes sold elsewhere, where it is a supplier rate",
    7: "brings its claim to the reporter alone, where it is a direct contract",
    8: "is used beside a residual mix for everybody else, or the absence of one is disclosed",
}

PASSED, FAILED, NOT_STATED = "passed", "failed", "not_stated"
UNATTESTED = "unattested"
"""Flag of a lot that stands on an attestation which is not on file (criteria 6 and 7)."""


@dataclass(frozen=True, slots=True)
class Lot:
    """One lot of a contractual instrument.

    ``claim_start``, ``claim_end``: the consumption that its retirement names, half-open; without them the vintage.
    ``retired_for_reporter``: the beneficiary of the retirement is the reporter, or somebody who acted for it.
    ``earmark``: ``(dimension, name)`` such as ``("team", "vision")`` when one part of the organisation bought it.
    ``supplier_attested`` and ``exclusive_claim``: what the attestations behind criteria 6 and 7 say; ``None`` where
    none is on file. ``deliverable`` is asked by the hourly draft alone.
    """

    id: str
    type: str
    market: str
    vintage_start: date
    vintage_end: date
    energy_milliwatt_hours: int
    ug_per_kwh: int | None
    tracking_system: str = ""
    serial_start: str = ""
    serial_end: str = ""
    retired_on: date | None = None
    retired_for_reporter: bool = True
    claim_start: date | None = None
    claim_end: date | None = None
    earmark: tuple[str, str] | None = None
    supplier_attested: bool | None = None
    exclusive_claim: bool | None = None
    deliverable: bool = True

    @property
    def claim(self) -> tuple[date, date]:
        """The consumption that the lot may cover, half-open."""
        return self.claim_start or self.vintage_start, self.claim_end or self.vintage_end


@dataclass(frozen=True, slots=True)
class CriterionResult:
    """One Quality Criterion of [2] held against one lot; ``reason`` says what was found.

    ``status``: ``"passed"``, ``"failed"``, or ``"not_stated"`` where an attestation that would decide is not on file;
    the lot is not refused for that.
    """

    number: int
    status: str
    reason: str

    @property
    def passed(self) -> bool:
        """Whether the lot may stand as far as this criterion goes."""
        return self.status != FAILED


@dataclass(frozen=True, slots=True)
class LotOutcome:
    """What became of a lot. ``accepted`` is 0 for a failing lot, else ``applied + surplus``.

    ``criteria``: all eight with their reasons; ``rejected_criteria`` and ``reasons`` repeat the failed ones. ``flags``:
    ``"unattested"``, and ``"flat_profile"`` in the hourly draft.
    """

    id: str
    accepted_milliwatt_hours: int
    applied_milliwatt_hours: int
    surplus_milliwatt_hours: int
    applied_mg: int
    rejected_criteria: tuple[int, ...]
    reasons: tuple[str, ...]
    criteria: tuple[CriterionResult, ...] = ()
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MarketResult:
    """The market-based result of one market in one claim period; the fields of ``accounting.MarketRate``.

    ``covered + uncovered = facility energy``; ``market_mg = instruments_mg + fallback_mg``. ``fallback`` is
    ``"residual"`` or ``"location"``; with the latter every row takes the uncovered share of its *own* location-based
    figure. ``fallback_ug_per_kwh`` is empty for ``"location"``.
    """

    market: str
    period: tuple[date, date]
    facility_energy_milliwatt_hours: int
    location_mg: int
    covered_milliwatt_hours: int
    uncovered_milliwatt_hours: int
    surplus_milliwatt_hours: int
    instruments_mg: int
    fallback: str
    fallback_ug_per_kwh: int | None
    fallback_mg: int
    market_mg: int
    lots: tuple[LotOutcome, ...] = field(default=())
    flags: tuple[str, ...] = ()


# --- Quality criteria ---------------------------------------------------------------------------------------------


def criterion_1_emission_rate(lot: Lot) -> CriterionResult:
    """[2] 1: the instrument conveys the direct greenhouse gas emission rate of the unit of electricity produced."""
    if lot.ug_per_kwh is None:
        return CriterionResult(1, FAILED, "no emission rate is stated")
    return CriterionResult(1, PASSED, f"{lot.ug_per_kwh / 1_000_000:g} kg CO2e/MWh")


def criterion_2_sole_claim(lot: Lot, earlier: Sequence[Lot]) -> CriterionResult:
    """[2] 2: no other instrument carries the claim to the same generation. ``earlier``: the lots listed before it."""
    if lot.type == "eac" and not lot.serial_start:
        return CriterionResult(2, FAILED, "a certificate without serial numbers cannot be shown to be the only claim")
    for other in earlier:
        if _serials_overlap(lot, other):
            return CriterionResult(2, FAILED, f"the serial range is already claimed by {other.id}")
    return CriterionResult(2, PASSED, "no other lot has these serial numbers")


def criterion_3_retired_for_reporter(lot: Lot) -> CriterionResult:
    """[2] 3: tracked, and redeemed, retired or cancelled by the reporter or on its behalf."""
    if not lot.tracking_system:
        return CriterionResult(3, FAILED, "no tracking system is named")
    if lot.retired_on is None:
        return CriterionResult(3, FAILED, f"not retired in {lot.tracking_system}")
    if not lot.retired_for_reporter:
        return CriterionResult(3, FAILED, "retired for somebody else")
    return CriterionResult(3, PASSED, f"retired in {lot.tracking_system} on {lot.retired_on.isoformat()}")


def criterion_4_vintage(lot: Lot, period: tuple[date, date], vintage_window_months: int) -> CriterionResult:
    """[2] 4: issued and redeemed as close as possible to the consumption.

    The Guidance sets no number. Here: the whole vintage lies inside the consumption period widened by the reporter's
    window at both ends, and the lot is retired no later than the window after the period.
    """
    first = add_months(period[0], -vintage_window_months)
    last = add_months(period[1], vintage_window_months)
    vintage = f"{lot.vintage_start.isoformat()} to {lot.vintage_end.isoformat()}"
    window = f"{first.isoformat()} to {last.isoformat()}"
    if lot.vintage_start < first or lot.vintage_end > last:
        return CriterionResult(4, FAILED, f"vintage {vintage} is not within {window}")
    if lot.retired_on is not None and lot.retired_on > last:
        return CriterionResult(4, FAILED, f"retired on {lot.retired_on.isoformat()}, after {last.isoformat()}")
    return CriterionResult(4, PASSED, f"vintage {vintage} is within {window}")


def criterion_5_market(lot: Lot, market: str) -> CriterionResult:
    """[2] 5: sourced from the same market in which the consumption is located."""
    if lot.market != market:
        consumed = f"the consumption is in {market}" if market else "nothing is consumed there in Scope 2"
        return CriterionResult(5, FAILED, f"the lot is of market {lot.market}; {consumed}")
    return CriterionResult(5, PASSED, f"market {market}")


def criterion_6_supplier_mix(lot: Lot) -> CriterionResult:
    """[2] 6: a supplier rate is that of delivered electricity, and power whose attributes were sold is left out of it.

    What the supplier did only the supplier can say: an attestation to the contrary fails the lot. None on file is no
    finding against it; the result says so, and whoever assures the figure can ask for it.
    """
    return _attested(6, lot.type == "supplier", lot.supplier_attested, "the supplier", "not a supplier rate")


def criterion_7_exclusive_claim(lot: Lot) -> CriterionResult:
    """[2] 7: of a direct purchase, every instrument that carries the claim goes to the reporter and to nobody else."""
    return _attested(7, lot.type == "ppa", lot.exclusive_claim, "the contract", "not a direct contract")


def _attested(number: int, applies: bool, attested: bool | None, by: str, other: str) -> CriterionResult:
    if not applies:
        return CriterionResult(number, PASSED, f"{other}: nothing to attest")
    if attested is None:
        return CriterionResult(number, NOT_STATED, "not stated: attestation not on file")
    if attested:
        return CriterionResult(number, PASSED, f"attested by {by}")
    return CriterionResult(number, FAILED, f"{by} does not leave the whole claim to its users")


def criterion_8_residual_mix(market: str, has_residual_mix: bool | None) -> CriterionResult:
    """[2] 8: an adjusted residual mix exists for everybody else, or its absence is disclosed with the risk in it.

    Never fails, because the portal discloses the absence itself (the flag ``no_residual_mix``). ``None``: the caller
    did not look one up.
    """
    if has_residual_mix is None:
        return CriterionResult(8, NOT_STATED, "not looked up here: stands with the figures of the market")
    if has_residual_mix:
        return CriterionResult(8, PASSED, f"a residual mix is published for {market}")
    absent = f"no residual mix is published for {market or 'the market'}: disclosed, others may count the same claims"
    return CriterionResult(8, PASSED, absent)


def quality_criteria(
    lot: Lot,
    *,
    market: str,
    period: tuple[date, date],
    vintage_window_months: int,
    earlier: Sequence[Lot] = (),
    has_residual_mix: bool | None = None,
) -> list[CriterionResult]:
    """Criteria 1 to 8 of [2] for one lot, in order.

    ``market``: where the consumption is, empty where there is none. ``earlier``: the lots listed before this one.
    ``has_residual_mix``: whether one is published for the market; ``None`` where that was not looked up.
    """
    return [
        criterion_1_emission_rate(lot),
        criterion_2_sole_claim(lot, earlier),
        criterion_3_retired_for_reporter(lot),
        criterion_4_vintage(lot, period, vintage_window_months),
        criterion_5_market(lot, market),
        criterion_6_supplier_mix(lot),
        criterion_7_exclusive_claim(lot),
        criterion_8_residual_mix(market, has_residual_mix),
    ]


def lot_outcome(
    lot: Lot, criteria: Sequence[CriterionResult], *, accepted: int, applied: int, flags: Sequence[str] = ()
) -> LotOutcome:
    """The outcome of a lot [mWh] of which ``accepted`` met the criteria and ``applied`` covers consumption."""
    failed = [check for check in criteria if not check.passed]
    unattested = any(check.status == NOT_STATED and check.number in (6, 7) for check in criteria)
    return LotOutcome(
        id=lot.id,
        accepted_milliwatt_hours=accepted,
        applied_milliwatt_hours=applied,
        surplus_milliwatt_hours=accepted - applied,
        applied_mg=emissions_mg(applied, lot.ug_per_kwh or 0),
        rejected_criteria=tuple(check.number for check in failed),
        reasons=tuple(check.reason for check in failed),
        criteria=tuple(criteria),
        flags=((UNATTESTED,) if unattested else ()) + tuple(flags),
    )


# --- The hierarchy ------------------------------------------------------------------------------------------------


def claimed_volume_milliwatt_hours(lot: Lot, period: tuple[date, date]) -> int:
    """The part of a lot's volume [mWh] that its claim puts into a period, by days.

    A lot of a year is spread over the four quarters that way, so that no megawatt-hour is used in two of them and a
    sealed quarter does not move when the next one is settled. Parts of adjoining periods add up to the volume.
    """
    start, end = lot.claim
    days = (end - start).days

    def up_to(day: date) -> int:
        return lot.energy_milliwatt_hours * min(max((day - start).days, 0), days) // days

    return up_to(period[1]) - up_to(period[0])


def order_of_use(lots: Sequence[Lot]) -> list[Lot]:
    """Lots in the order in which they cover consumption: level of [1], lower factor, older vintage, name.

    The order within a level is the portal's documented choice; the Guidance names none. It does not depend on the
    order in which lots were entered.
    """
    return sorted(lots, key=lambda lot: (HIERARCHY[lot.type], lot.ug_per_kwh or 0, lot.vintage_start, lot.id))


def market_based(
    *,
    facility_energy_milliwatt_hours: int,
    location_mg: int,
    instruments: Sequence[Lot],
    residual_ug_per_kwh: int | Fraction | None,
    period: tuple[date, date],
    market: str,
    vintage_window_months: int,
    is_consumed_in: bool = True,
) -> MarketResult:
    """The market-based result of all Scope 2 consumption in one market and claim period, by [1].

    Accepted lots cover the consumption in the order of :func:`order_of_use` until it is used up; what is left of
    them is surplus: disclosed, never negative, never carried to another market or period. A lot that fails a Quality
    Criterion is no error: its energy falls to the next level. Uncovered consumption takes the residual mix
    [ug CO2e/kWh]; with none published (``None``) the grid average, which is ``location_mg``, and the flag
    ``no_residual_mix:MARKET`` ([2] 8). A residual mix that varies in time is given as its consumption-weighted mean,
    an exact ``Fraction``.

    ``instruments``: all lots of the reporter. Their order only matters where two have the same serial numbers, in
    whatever market or period: the first one stands. ``lots`` of the result has those of this market (criterion 5)
    whose claim touches the period, in the order of ``instruments``. ``period`` is half-open. ``is_consumed_in``:
    whether the reporter has Scope 2 consumption in the market at all; a lot of a market where it has none fails
    criterion 5 and is no surplus. Raises ``ValueError`` on negative quantities.
    """
    if facility_energy_milliwatt_hours < 0 or location_mg < 0:
        raise ValueError("energy and emissions are 0 or more")
    claimed = claimed_before(instruments)
    checked: dict[str, list[CriterionResult]] = {}
    accepted: dict[str, int] = {}
    present: list[Lot] = []
    for position, lot in enumerate(instruments):
        if lot.market != market or lot.claim[1] <= period[0] or period[1] <= lot.claim[0]:
            continue
        checks = quality_criteria(
            lot,
            market=market if is_consumed_in else "",
            period=period,
            vintage_window_months=vintage_window_months,
            earlier=claimed.get(position, ()),
            has_residual_mix=residual_ug_per_kwh is not None,
        )
        present.append(lot)
        checked[lot.id] = checks
        stands = all(check.passed for check in checks)
        accepted[lot.id] = claimed_volume_milliwatt_hours(lot, period) if stands else 0

    uncovered = facility_energy_milliwatt_hours
    applied: dict[str, int] = {}
    for lot in order_of_use(present):
        applied[lot.id] = min(accepted[lot.id], uncovered)
        uncovered -= applied[lot.id]
    outcomes = tuple(
        lot_outcome(lot, checked[lot.id], accepted=accepted[lot.id], applied=applied[lot.id]) for lot in present
    )
    instruments_mg = sum(outcome.applied_mg for outcome in outcomes)
    fallback_mg = _fallback_mg(facility_energy_milliwatt_hours, location_mg, uncovered, residual_ug_per_kwh)
    return MarketResult(
        market=market,
        period=period,
        facility_energy_milliwatt_hours=facility_energy_milliwatt_hours,
        location_mg=location_mg,
        covered_milliwatt_hours=facility_energy_milliwatt_hours - uncovered,
        uncovered_milliwatt_hours=uncovered,
        surplus_milliwatt_hours=sum(outcome.surplus_milliwatt_hours for outcome in outcomes),
        instruments_mg=instruments_mg,
        fallback=FALLBACK_LOCATION if residual_ug_per_kwh is None else FALLBACK_RESIDUAL,
        fallback_ug_per_kwh=None if residual_ug_per_kwh is None else round_half_up(Fraction(residual_ug_per_kwh)),
        fallback_mg=fallback_mg,
        market_mg=instruments_mg + fallback_mg,
        lots=outcomes,
        flags=(f"no_residual_mix:{market}",) if residual_ug_per_kwh is None else (),
    )


def _fallback_mg(energy: int, location_mg: int, uncovered: int, residual: int | Fraction | None) -> int:
    """Levels 4 and 5 of [1] for the uncovered energy [mWh]: residual mix, else the grid average."""
    if uncovered == 0:
        return 0
    if residual is None:
        return round_half_up(Fraction(location_mg * uncovered, energy))
    return round_half_up(uncovered * Fraction(residual) / 10**9)


def add_months(day: date, months: int) -> date:
    """The same day ``months`` later (earlier if negative); a month too short for it gives its last day."""
    index = day.year * 12 + day.month - 1 + months
    year, month = index // 12, index % 12 + 1
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month, last)
        except ValueError:
            continue
    raise AssertionError("every month has a 28th")


def claimed_before(lots: Sequence[Lot]) -> dict[int, tuple[Lot]]:
    """For each lot, by position, the first of the lots listed before it that has a serial of its range; [2] 2.

    What ``earlier`` of :func:`quality_criteria` needs to hold, found in one pass over the ranges in order: lots of
    hourly certificates come by the thousand, and each against each would be millions of comparisons.
    """
    groups: dict[tuple[str, ...], list[tuple[int, int, int]]] = defaultdict(list)
    for position, lot in enumerate(lots):
        if lot.serial_start:
            numbers = _serial_range(lot.serial_start, lot.serial_end)
            if numbers is None:
                groups[lot.tracking_system, lot.serial_start, lot.serial_end].append((0, 0, position))
            else:
                groups[lot.tracking_system, numbers[0]].append((numbers[1], numbers[2], position))
    first: dict[int, int] = {}
    for ranges in groups.values():
        reaching: list[tuple[int, int]] = []  # (last serial, position) of the ranges begun so far, soonest end first
        for start, end, position in sorted(ranges):
            while reaching and reaching[0][0] < start:
                heappop(reaching)
            for _, other in reaching:
                earlier, later = sorted((position, other))
                first[later] = min(first.get(later, earlier), earlier)
            heappush(reaching, (end, position))
    return {later: (lots[earlier],) for later, earlier in first.items()}


def _serials_overlap(lot: Lot, other: Lot) -> bool:
    """Whether two lots of one tracking system share a serial number.

    Serials that end in digits and begin alike are compared as numbers; others only as whole texts.
    """
    if not lot.serial_start or not other.serial_start or lot.tracking_system != other.tracking_system:
        return False
    ours = _serial_range(lot.serial_start, lot.serial_end)
    theirs = _serial_range(other.serial_start, other.serial_end)
    if ours is None or theirs is None or ours[0] != theirs[0]:
        return (lot.serial_start, lot.serial_end) == (other.serial_start, other.serial_end)
    return ours[1] <= theirs[2] and theirs[1] <= ours[2]


@lru_cache(maxsize=100_000)  # of the same lots for every market and period
def _serial_range(start: str, end: str) -> tuple[str, int, int] | None:
    """``(prefix, first, last)`` of serials such as ``GO-2026-000001``; ``None`` where they are not numbered."""
    first = re.fullmatch(r"(.*?)(\d+)", start)
    last = re.fullmatch(r"(.*?)(\d+)", end or start)
    if not first or not last or first[1] != last[1] or int(last[2]) < int(first[2]):
        return None
    return first[1], int(first[2]), int(last[2])
