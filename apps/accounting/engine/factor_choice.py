"""Which published factor an activity takes, and why.

[1] GHG Protocol Scope 2 Guidance (2015), table 6.2: location-based factors, regional before national average.
[2] The same, ch. 4.3 and p. 36: the factor's year should match the activity's; a lagged factor is named.
[3] The same, table 6.3: the residual mix, subnational or national, in the market-based method.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Generic, Protocol, TypeVar

from apps.accounting.engine.gases import GwpSet, co2e_kg_per_mwh, factor_ug_per_kwh

DIRECT = "direct"
LEVEL_RESIDUAL = "residual"
LEVEL_LIFE_CYCLE = "life_cycle"
LEVEL_NONE = "none"


class FactorCandidate(Protocol):
    """One published factor. Masses in kg of the gas per MWh; all of them empty: the publisher states there is none.

    ``zone_type`` is country, subdivision, subregion or aggregate; ``rank`` orders publishers, lower first;
    ``generation`` counts the editions before it, higher is newer; ``gwp_set`` is that of the CO2e column.
    """

    @property
    def zone(self) -> str: ...
    @property
    def zone_type(self) -> str: ...
    @property
    def data_year(self) -> int: ...
    @property
    def boundary(self) -> str: ...
    @property
    def rank(self) -> int: ...
    @property
    def generation(self) -> int: ...
    @property
    def label(self) -> str: ...
    @property
    def gwp_set(self) -> str: ...
    @property
    def co2e_kg_per_mwh(self) -> Decimal | None: ...
    @property
    def co2_kg_per_mwh(self) -> Decimal | None: ...
    @property
    def ch4_kg_per_mwh(self) -> Decimal | None: ...
    @property
    def n2o_kg_per_mwh(self) -> Decimal | None: ...


Candidate = TypeVar("Candidate", bound=FactorCandidate)


@dataclass(frozen=True, slots=True)
class FactorChoice(Generic[Candidate]):
    """The chosen factor [ug CO2e/kWh] with its reasons in plain words; all empty when there is none.

    ``level``: the zone type it is of (``subregion``, ``subdivision``, ``country``), ``life_cycle`` for the fallback
    that is not on a direct boundary, ``residual`` or ``none``. ``lag_years``: activity year less data year.
    """

    candidate: Candidate | None
    ug_per_kwh: int | None
    reasons: list[str] = field(default_factory=list)
    lag_years: int = 0
    level: str = LEVEL_NONE


def choose_location_factor(
    *,
    zone: str,
    zone_parents: Sequence[str],
    activity_year: int,
    candidates: Sequence[Candidate],
    gwp: GwpSet,
) -> FactorChoice[Candidate]:
    """The location-based factor of a zone in a year, by [1].

    The most specific zone with a factor on the *direct* boundary wins: the zone itself, then ``zone_parents`` from
    near to far. Only where none of them has one, a life-cycle factor is taken, again the nearest, and labelled: it
    counts upstream emissions that belong to Scope 3 category 3, so it overstates rather than hides. Within a zone the
    year decides (:func:`nearest_year`), then the publisher's rank, then the newer edition.
    """
    zones = [zone, *zone_parents]
    reasons: list[str] = []
    for place in zones:
        direct = [c for c in candidates if c.zone == place and c.boundary == DIRECT]
        if direct:
            return _chosen(_best(direct, activity_year), activity_year, gwp, reasons, None)
        reasons.append(f"no official factor on the direct boundary for {place}")
    for place in zones:
        others = [c for c in candidates if c.zone == place and c.boundary != DIRECT]
        if others:
            reasons.append("life-cycle factor used as a fallback: it includes upstream emissions")
            return _chosen(_best(others, activity_year), activity_year, gwp, reasons, LEVEL_LIFE_CYCLE)
        reasons.append(f"no life-cycle factor for {place}")
    return FactorChoice(candidate=None, ug_per_kwh=None, reasons=reasons)


def choose_residual_factor(
    *,
    market: str,
    market_parents: Sequence[str],
    activity_year: int,
    candidates: Sequence[Candidate],
    gwp: GwpSet,
) -> FactorChoice[Candidate]:
    """The residual mix of a market in a year, by [3]: its own, else that of the nearest parent market.

    A publisher's statement that a market has none (a candidate without values) is an answer: the choice is empty and
    says so, and no older figure is dug out. An absent residual mix is absent, never zero.
    """
    reasons: list[str] = []
    for place in [market, *market_parents]:
        own = [c for c in candidates if c.zone == place]
        if not own:
            reasons.append(f"no residual mix is known for {place}")
            continue
        best = _best(own, activity_year)
        if not has_value(best):
            reasons.append(f"{best.label}: no residual mix is published for {place} ({best.data_year})")
            return FactorChoice(candidate=None, ug_per_kwh=None, reasons=reasons)
        return _chosen(best, activity_year, gwp, reasons, LEVEL_RESIDUAL)
    return FactorChoice(candidate=None, ug_per_kwh=None, reasons=reasons)


def nearest_year(years: Iterable[int], activity_year: int) -> int:
    """The data year to use, by [2]: the same year, else the latest earlier one, else the earliest later one."""
    known = sorted(set(years))
    earlier = [year for year in known if year <= activity_year]
    return earlier[-1] if earlier else known[0]


def has_value(candidate: FactorCandidate) -> bool:
    """Whether a candidate carries a figure, and is not the statement that there is none."""
    return candidate.co2e_kg_per_mwh is not None or candidate.co2_kg_per_mwh is not None


def candidate_kg_per_mwh(candidate: FactorCandidate, gwp: GwpSet) -> tuple[Fraction, str]:
    """A candidate's CO2e [kg/MWh], exact, and in words what it was made of.

    All three gas masses: summed with ``gwp``. Else the publisher's CO2e as printed. Else CO2 alone (the residual
    mixes of AIB), which understates by the CH4 and N2O that the publisher leaves out. Raises ``ValueError`` without
    any value.
    """
    co2, ch4, n2o = candidate.co2_kg_per_mwh, candidate.ch4_kg_per_mwh, candidate.n2o_kg_per_mwh
    if co2 is not None and ch4 is not None and n2o is not None:
        value = co2e_kg_per_mwh(co2_kg_per_mwh=co2, ch4_kg_per_mwh=ch4, n2o_kg_per_mwh=n2o, gwp=gwp)
        return value, f"from gas masses with {gwp.name}"
    if candidate.co2e_kg_per_mwh is not None:
        printed = f" with {candidate.gwp_set}" if candidate.gwp_set else ""
        return Fraction(candidate.co2e_kg_per_mwh), f"CO2e as published{printed}"
    if co2 is not None:
        return Fraction(co2), "CO2 only: the publisher gives no CH4 and N2O"
    raise ValueError(f"{candidate.label} carries no value for {candidate.zone}")


def _best(candidates: Sequence[Candidate], activity_year: int) -> Candidate:
    year = nearest_year((c.data_year for c in candidates), activity_year)
    same = [c for c in candidates if c.data_year == year]
    return min(same, key=lambda c: (c.rank, -c.generation, c.label))


def _chosen(
    candidate: Candidate, activity_year: int, gwp: GwpSet, reasons: list[str], level: str | None
) -> FactorChoice[Candidate]:
    value, made_of = candidate_kg_per_mwh(candidate, gwp)
    lag = activity_year - candidate.data_year
    found = [*reasons, f"{candidate.label}, {candidate.zone} {candidate.data_year}: {float(value):.6g} kg CO2e/MWh"]
    found.append(made_of)
    if lag:
        years = "year" if abs(lag) == 1 else "years"
        found.append(
            f"data of {candidate.data_year} stand in for {activity_year}: {abs(lag)} {years}"
            f" {'earlier' if lag > 0 else 'later'}, the nearest published"
        )
    return FactorChoice(
        candidate=candidate,
        ug_per_kwh=factor_ug_per_kwh(value),
        reasons=found,
        lag_years=lag,
        level=level or candidate.zone_type,
    )
