"""The terms of the data-centre indicators of a period, site by site and in sum, and what the engine makes of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction

import pandas as pd

from apps.accounting.engine import indicators
from apps.accounting.engine.indicators import ImpossibleValueError, Indicator
from apps.accounting.engine.reconciliation import BoolArray, Metered, metered_by_day
from apps.accounting.queries import LedgerQuery, ledger_frame
from apps.accounting.reconciliation.queries import SiteDays, days_in_ledger, extent, readings_of
from apps.core.units import Int64Array, round_half_up
from apps.core.windows import Window, epoch_day
from apps.organisations.models import Organisation
from apps.sites.models import SCOPE_2_CONTROL_CLASSES, Site, SiteMeasurement

Quantity = SiteMeasurement.Quantity

METERED = "metered"
TELEMETRY = "telemetry"
METERED_BY_FACTOR = "metered energy at the site's mean factor"


@dataclass(frozen=True, slots=True)
class Kind:
    """One indicator: its sign, its name and unit, the clause, and what its terms are."""

    key: str
    label: str
    name: str
    unit: str
    clause: str
    numerator: str
    denominator: str
    numerator_unit: str  # of the API and the export: kWh, m3 or kg
    ratio: Callable[[int | None, int | None], Indicator]


KINDS = (
    Kind(
        "pue", "PUE", "Power usage effectiveness", "", "ISO/IEC 30134-2, EN 50600-4-2",
        "Facility energy", "IT energy", "kWh", indicators.pue,
    ),
    Kind(
        "wue", "WUE", "Water usage effectiveness", "L/kWh", "ISO/IEC 30134-9, EN 50600-4-9",
        "Water intake", "IT energy", "m3", indicators.wue,
    ),
    Kind(
        "ref", "REF", "Renewable energy factor", "", "ISO/IEC 30134-3, EN 50600-4-3",
        "Renewable energy", "facility energy", "kWh", indicators.ref,
    ),
    Kind(
        "erf", "ERF", "Energy reuse factor", "", "ISO/IEC 30134-6, EN 50600-4-6",
        "Reused energy", "facility energy", "kWh", indicators.erf,
    ),
    Kind(
        "cue_location", "CUE, location-based", "Carbon usage effectiveness", "kg CO₂e/kWh",
        "ISO/IEC 30134-8, EN 50600-4-8", "Location-based emissions", "IT energy", "kg", indicators.cue,
    ),
    Kind(
        "cue_market", "CUE, market-based", "Carbon usage effectiveness", "kg CO₂e/kWh",
        "ISO/IEC 30134-8, EN 50600-4-8", "Market-based emissions", "IT energy", "kg", indicators.cue,
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Result:
    """One indicator of one site, or of the organisation.

    ``days``: days of the period on which both terms are known, over which both are summed. ``it_from``: whether IT
    energy was metered or is the telemetry's. ``error``: the terms contradict each other; then there is no value.
    ``sites``: how many sites are in the sum.
    """

    kind: Kind
    indicator: Indicator
    days: int
    it_from: str = ""
    error: str = ""
    sites: int = 1
    numerator_from: str = METERED

    @property
    def value(self) -> Fraction | None:
        return self.indicator.value

    @property
    def why(self) -> str:
        """Why there is no value; empty where there is one."""
        return self.error or self.indicator.reason


@dataclass(frozen=True, slots=True)
class SiteIndicators:
    """A site's indicators, and how many days of the period its meters have, by quantity."""

    site: Site
    days: int
    results: list[Result]
    covered: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Indicators:
    """``sites`` by name; ``total``: sums over the sites that have both terms, divided at the end."""

    start: date
    end: date
    sites: list[SiteIndicators]
    total: list[Result]


def indicators_of(organisation: Organisation | int, window: Window, site_codes: Sequence[str] = ()) -> Indicators:
    """The indicators of a window of whole days: of every site of Scope 2 (or of those named), and of them together.

    A ratio's terms are summed over the same days, those on which both are metered. IT energy that is not metered is
    taken from the telemetry of the equipment, and said to be. Emissions (CUE) are the metered facility energy at the
    mean factor that the site's energy has in the accounts; without a facility meter, what the accounts hold.
    Raises ``ValueError`` for a window that cuts a day.
    """
    if not window.is_whole_days:
        raise ValueError("indicators are made of whole days, UTC")
    organisation_id = organisation if isinstance(organisation, int) else organisation.pk
    days = (window.end - window.start).days
    first, end = _days_with_readings(organisation_id, window)
    readings = readings_of(organisation_id, Quantity.values, first, end)
    ledger = days_in_ledger(organisation_id, first, end)
    factors = _mean_factors(organisation_id, window)
    places = Site.objects.of(organisation_id).filter(control__in=SCOPE_2_CONTROL_CLASSES)
    if site_codes:
        places = places.filter(code__in=site_codes)
    sites = []
    for site in places:
        metered = {quantity: metered_by_day(readings[site.pk, quantity], first, end) for quantity in Quantity.values}
        results = _site_results(metered, ledger[site.pk], factors.get(site.code, _Factors()))
        covered = {quantity: each.days for quantity, each in metered.items() if readings[site.pk, quantity]}
        if any(covered.values()) or ledger[site.pk].telemetry.any() or ledger[site.pk].booked.any():
            sites.append(SiteIndicators(site, days, results, covered))
    return Indicators(window.start.date(), window.end.date(), sites, _total([each.results for each in sites]))


# --- Inside -------------------------------------------------------------------------------------------------------


def _days_with_readings(organisation_id: int, window: Window) -> tuple[int, int]:
    """The days of the window, from the epoch, as far as there are readings of any kind: a window may be centuries."""
    first, last = extent(organisation_id)
    start, end = epoch_day(window.start.date()), epoch_day(window.end.date())
    if first is None or last is None:
        return start, start
    begin = min(max(start, epoch_day(first.date())), end)
    return begin, max(min(end, epoch_day(last.date()) + 1), begin)


@dataclass(frozen=True, slots=True)
class _Factors:
    """Emissions [mg] and the facility energy [mWh] that carries them, of one site in the accounts of the window."""

    energy: int = 0
    location: int | None = None
    market: int | None = None


def _mean_factors(organisation_id: int, window: Window) -> dict[str, _Factors]:
    frame = ledger_frame(LedgerQuery(organisation_id, window, group_by=("site",), work=False))
    found = {}
    for row in frame.to_dict("records"):
        energy = int(row["facility_energy_milliwatt_hours"]) - int(row["without_factor_milliwatt_hours"])
        masses = [None if pd.isna(row[name]) else int(row[name]) for name in ("location_mg", "market_mg")]
        found[str(row["site"])] = _Factors(energy, *masses)
    return found


@dataclass(frozen=True, slots=True)
class _Term:
    """Amounts by day and the days on which they are known."""

    amount: Int64Array
    known: BoolArray
    origin: str = METERED

    @staticmethod
    def of(metered: Metered) -> _Term:
        return _Term(metered.amount, metered.complete)


def _site_results(metered: dict[str, Metered], ledger: SiteDays, factors: _Factors) -> list[Result]:
    facility = _Term.of(metered[Quantity.FACILITY_ENERGY])
    it = _Term.of(metered[Quantity.IT_ENERGY])
    if not it.known.any() and ledger.it.any():
        it = _Term(ledger.it, ledger.it > 0, TELEMETRY)  # a day without readings is a gap, not 0
    pairs = {
        "pue": (facility, it),
        "wue": (_Term.of(metered[Quantity.WATER_INTAKE]), it),
        "ref": (_Term.of(metered[Quantity.RENEWABLE_ENERGY]), facility),
        "erf": (_Term.of(metered[Quantity.REUSED_ENERGY]), facility),
    }
    results = []
    for kind in KINDS:
        if kind.key in pairs:
            numerator, denominator = pairs[kind.key]
            both = numerator.known & denominator.known
            days = int(both.sum())
            terms = [_sum(term, both, bool(days)) for term in (numerator, denominator)]
            origin, numerator_from = denominator.origin, METERED
        else:
            emissions = factors.location if kind.key == "cue_location" else factors.market
            days, terms, numerator_from = _carbon_terms(facility, it, ledger, factors.energy, emissions)
            origin = it.origin if numerator_from == METERED_BY_FACTOR else TELEMETRY
        it_from = origin if kind.denominator == "IT energy" else ""
        results.append(_result(kind, terms[0], terms[1], days, it_from, numerator_from=numerator_from))
    return results


def _sum(term: _Term, both: BoolArray, any_day: bool) -> int | None:
    """The sum over the days on which both are known; with no such day the term's own, so that a reason is right."""
    if any_day:
        return int(term.amount[both].sum())
    return int(term.amount[term.known].sum()) if term.known.any() else None


def _carbon_terms(
    facility: _Term, it: _Term, ledger: SiteDays, energy: int, emissions: int | None
) -> tuple[int, list[int | None], str]:
    """Days, numerator [mg] and denominator [mWh] of CUE, and what the numerator was made from."""
    both = facility.known & it.known
    days = int(both.sum())
    if days and energy and emissions is not None:
        used = int(facility.amount[both].sum())
        return days, [round_half_up(Fraction(used * emissions, energy)), int(it.amount[both].sum())], METERED_BY_FACTOR
    by_equipment = int(ledger.it.sum())
    return len(ledger.it), [emissions, by_equipment if ledger.it.any() else None], TELEMETRY


def _result(
    kind: Kind,
    numerator: int | None,
    denominator: int | None,
    days: int,
    it_from: str,
    *,
    sites: int = 1,
    numerator_from: str = METERED,
) -> Result:
    if numerator is not None and denominator is not None and not days:
        reason = f"{kind.numerator.lower()} and {kind.denominator} are known, but for no day together"
        return Result(kind, Indicator(numerator, denominator, None, reason), 0, it_from, sites=sites)
    try:
        found = kind.ratio(numerator, denominator)
    except ImpossibleValueError as error:
        impossible = Indicator(numerator, denominator, None)
        return Result(kind, impossible, days, it_from, str(error), sites, numerator_from)
    return Result(kind, found, days, it_from, sites=sites, numerator_from=numerator_from)


def _total(by_site: Sequence[Sequence[Result]]) -> list[Result]:
    """Numerators and denominators summed over the sites that have a value, then divided: no mean of ratios."""
    sums: dict[str, list[Result]] = defaultdict(list)
    for results in by_site:
        for result in results:
            if result.value is not None:
                sums[result.kind.key].append(result)
    total = []
    for kind in KINDS:
        parts = sums[kind.key]
        if not parts:
            total.append(Result(kind, Indicator(None, None, None, "no site has both terms"), 0, sites=0))
            continue
        it_from = " and ".join(sorted({part.it_from for part in parts if part.it_from}))
        total.append(
            _result(
                kind,
                sum(part.indicator.numerator or 0 for part in parts),
                sum(part.indicator.denominator or 0 for part in parts),
                max(part.days for part in parts),
                it_from,
                sites=len(parts),
            )
        )
    return total
