"""Reading a scenario: JSON in, checked values out, every fault named by its JSON pointer.

The format is public: energies in kWh, emissions in kg as decimal strings, times ISO 8601 in UTC, intervals half-open.
``docs/methodology/scenarios.md`` describes it.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import groupby, pairwise
from typing import Any, TypeVar

from apps.accounting.engine.gases import GWP_SETS, Gwp, co2e_kg_per_mwh, factor_ug_per_kwh
from apps.accounting.engine.market import HIERARCHY, Lot
from apps.accounting.engine.rulesets import RULESET_2015, RULESETS
from apps.accounting.engine.scenario_fields import FieldReader, ScenarioError, ScenarioFault, escape
from apps.core.units import ppm

GASES = ("co2", "ch4", "n2o")
CONTROLS = ("owned", "leased", "colocation", "cloud")


@dataclass(frozen=True, slots=True)
class ScenarioFactor:
    """A factor in force during ``[start, end)``: CO2e [ug/kWh], gas masses [kg/MWh] where known, biogenic CO2."""

    start: datetime
    end: datetime
    ug_per_kwh: int
    gases_kg_per_mwh: tuple[Fraction, Fraction, Fraction] | None
    biogenic_co2_kg_per_mwh: Fraction


@dataclass(frozen=True, slots=True)
class ScenarioShare:
    """A carbon-free share of the grid [ppm] during ``[start, end)``."""

    start: datetime
    end: datetime
    ppm: int


@dataclass(frozen=True, slots=True)
class StandardSupply:
    """The share [ppm] of regulated or mandated clean supply in every hour's load, and its factor [ug/kWh]."""

    share_ppm: int
    ug_per_kwh: int


@dataclass(frozen=True, slots=True)
class ScenarioMarket:
    """``location``, ``residual`` and ``grid_cfe`` are sorted by time and do not overlap.

    The last three are asked by the hourly draft alone. ``fossil_ug_per_kwh``: the fossil-only average of the market.
    """

    location: tuple[ScenarioFactor, ...]
    residual: tuple[ScenarioFactor, ...]
    fossil_ug_per_kwh: int | None = None
    grid_cfe: tuple[ScenarioShare, ...] = ()
    standard_supply: StandardSupply | None = None


@dataclass(frozen=True, slots=True)
class Facility:
    market: str
    control: str
    pue: Fraction


@dataclass(frozen=True, slots=True)
class Consumption:
    """Energy in milliwatt-hours, exact."""

    facility: str
    start: datetime
    end: datetime
    energy_milliwatt_hours: Fraction
    boundary: str
    team: str
    model: str
    workload: str
    kind: str


@dataclass(frozen=True, slots=True)
class ScenarioLot:
    """An instrument with the gas masses of its factor beside the lot that the engine allocates.

    ``[start, end)``: its vintage to the microsecond, of which ``lot`` has the days.
    """

    lot: Lot
    start: datetime
    end: datetime
    gases_kg_per_mwh: tuple[Fraction, Fraction, Fraction] | None
    biogenic_co2_kg_per_mwh: Fraction


@dataclass(frozen=True, slots=True)
class Scenario:
    ruleset: str
    gwp: Gwp
    period: tuple[datetime, datetime]
    markets: Mapping[str, ScenarioMarket]
    facilities: Mapping[str, Facility]
    consumption: tuple[Consumption, ...]
    instruments: tuple[ScenarioLot, ...]
    vintage_window_months: int
    market_allocation: str


def read_scenario(text: str) -> Scenario:
    """The scenario in a JSON text: an input object, or a whole case with one under ``input``.

    Raises :class:`ScenarioError` with every fault found.
    """
    try:
        document = json.loads(text, parse_float=Decimal, parse_constant=Decimal)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ScenarioError([ScenarioFault("", f"no JSON ({error})", "a scenario as a JSON object")]) from None
    pointer = ""
    if isinstance(document, dict) and isinstance(document.get("input"), dict):
        document, pointer = document["input"], "/input"
    reader = _Reader()
    scenario = reader.scenario(document, pointer)
    if reader.faults:
        raise ScenarioError(reader.faults)
    return scenario


def covering_dates(start: datetime, end: datetime) -> tuple[date, date]:
    """The whole days that cover an interval, half-open."""
    last = end.date()
    return start.date(), last if end == datetime(last.year, last.month, last.day, tzinfo=UTC) else last + timedelta(1)


Timed = TypeVar("Timed", ScenarioFactor, ScenarioShare)


def finest(values: Sequence[Timed]) -> list[Timed]:
    """Values of nested intervals as a sequence in time: where several hold, the one of the shortest interval.

    Two of equal length that overlap are both kept, since neither is the finer.
    """
    kept: list[Timed] = []
    for _, same in groupby(sorted(values, key=_length), key=_length):
        finer = [(other.start, other.end) for other in kept]
        kept += [replace(value, start=start, end=end) for value in same for start, end in _outside(value, finer)]
        kept.sort(key=lambda value: value.start)
    return kept


def _length(value: ScenarioFactor | ScenarioShare) -> timedelta:
    return value.end - value.start


def _outside(
    value: ScenarioFactor | ScenarioShare, finer: Sequence[tuple[datetime, datetime]]
) -> Iterator[tuple[datetime, datetime]]:
    """The parts of an interval that none of the others, sorted and without overlap, covers."""
    start = value.start
    for first, last in finer[max(bisect_right(finer, (start, start)) - 1, 0) :]:
        if first >= value.end:
            break
        if start < first:
            yield start, first
        start = max(start, last)
    if start < value.end:
        yield start, value.end


class _Reader(FieldReader):
    """Reads a scenario piece by piece."""

    nests = False

    def scenario(self, value: Any, at: str) -> Scenario:
        keys = ("ruleset", "gwp_set", "period", "markets", "facilities", "consumption", "instruments", "policies")
        top = self.object(value, at, keys, required=("period", "markets", "facilities", "consumption"))
        ruleset = self.choice(top.get("ruleset", RULESET_2015), f"{at}/ruleset", tuple(RULESETS)) or RULESET_2015
        self.nests = not RULESETS[ruleset].is_reported
        gwp = GWP_SETS[self.choice(top.get("gwp_set", "AR5"), f"{at}/gwp_set", tuple(GWP_SETS)) or "AR5"]
        span = self.object(top["period"], f"{at}/period", ("start", "end")) if top.get("period") is not None else {}
        period = self.interval(span, f"{at}/period", None)
        markets = {
            code: self.market(item, f"{at}/markets/{escape(code)}", period, gwp)
            for code, item in self.mapping(top.get("markets"), f"{at}/markets").items()
        }
        facilities = {
            code: self.facility(item, f"{at}/facilities/{escape(code)}", markets)
            for code, item in self.mapping(top.get("facilities"), f"{at}/facilities").items()
        }
        consumption = tuple(
            self.consumption(item, f"{at}/consumption/{i}", period, facilities)
            for i, item in enumerate(self.list(top.get("consumption"), f"{at}/consumption"))
        )
        policies = self.object(
            top.get("policies", {}), f"{at}/policies", ("vintage_window_months", "market_allocation"), required=()
        )
        instruments: list[ScenarioLot] = []
        ids: set[str] = set()
        for i, item in enumerate(self.list(top.get("instruments", []), f"{at}/instruments")):
            lot = self.instrument(item, f"{at}/instruments/{i}", period, gwp)
            if lot.lot.id and lot.lot.id in ids:
                self.fault(f"{at}/instruments/{i}/id", lot.lot.id, "an id that no other instrument has")
            instruments.append(lot)
            ids.add(lot.lot.id)
        return Scenario(
            ruleset=ruleset,
            gwp=gwp,
            period=period,
            markets=markets,
            facilities=facilities,
            consumption=consumption,
            instruments=tuple(instruments),
            vintage_window_months=self.months(policies.get("vintage_window_months", 12), f"{at}/policies"),
            market_allocation=self.choice(
                policies.get("market_allocation", "pro_rata"),
                f"{at}/policies/market_allocation",
                ("pro_rata", "earmarked"),
            ),
        )

    def market(self, value: Any, at: str, period: tuple[datetime, datetime], gwp: Gwp) -> ScenarioMarket:
        hourly_only = ("fossil_default_kg_per_mwh", "grid_cfe_fraction", "standard_supply")
        item = self.object(value, at, ("location_factors", "residual_factors", *hourly_only), required=())
        fossil = item.get("fossil_default_kg_per_mwh")
        return ScenarioMarket(
            location=self.factors(item.get("location_factors", []), f"{at}/location_factors", period, gwp),
            residual=self.factors(item.get("residual_factors", []), f"{at}/residual_factors", period, gwp),
            fossil_ug_per_kwh=(
                None if fossil is None else factor_ug_per_kwh(self.number(fossil, f"{at}/fossil_default_kg_per_mwh"))
            ),
            grid_cfe=self.shares(item.get("grid_cfe_fraction", []), f"{at}/grid_cfe_fraction", period),
            standard_supply=self.standard_supply(item.get("standard_supply"), f"{at}/standard_supply"),
        )

    def shares(self, value: Any, at: str, period: tuple[datetime, datetime]) -> tuple[ScenarioShare, ...]:
        shares = []
        for i, entry in enumerate(self.list(value, at)):
            item = self.object(entry, f"{at}/{i}", ("start", "end", "value"), required=("value",))
            start, end = self.interval(item, f"{at}/{i}", period)
            shares.append(ScenarioShare(start, end, self.share(item.get("value", "0"), f"{at}/{i}/value")))
        return self.in_time(shares, at)

    def standard_supply(self, value: Any, at: str) -> StandardSupply | None:
        if value is None:
            return None
        item = self.object(value, at, ("share", "co2e_kg_per_mwh"))
        co2e = self.number(item.get("co2e_kg_per_mwh", "0"), f"{at}/co2e_kg_per_mwh")
        return StandardSupply(self.share(item.get("share", "0"), f"{at}/share"), factor_ug_per_kwh(co2e))

    def share(self, value: Any, at: str) -> int:
        share = self.number(value, at)
        if share > 1:
            self.fault(at, value, "a share from 0 to 1")
            return 0
        return ppm(share)

    def factors(self, value: Any, at: str, period: tuple[datetime, datetime], gwp: Gwp) -> tuple[ScenarioFactor, ...]:
        factors = []
        for i, entry in enumerate(self.list(value, at)):
            item = self.object(entry, f"{at}/{i}", ("start", "end", *_FACTOR_KEYS), required=())
            start, end = self.interval(item, f"{at}/{i}", period)
            content = self.factor(item, f"{at}/{i}", gwp)
            if content is None:
                self.fault(f"{at}/{i}", "no value", "co2e_kg_per_mwh, or the three gas masses")
                continue
            factors.append(ScenarioFactor(start, end, *content))
        return self.in_time(factors, at)

    def in_time(self, values: Sequence[Timed], at: str) -> tuple[Timed, ...]:
        """Sorted by time. In the hourly draft the finest interval holds where several do: an hour before a year."""
        values = sorted(values, key=lambda value: value.start)
        if self.nests:
            values = finest(values)
        for before, after in pairwise(values):
            if after.start < before.end:
                self.fault(at, f"no order: two factors hold at {after.start.isoformat()}", "one factor at any time")
        return tuple(values)

    def factor(
        self, item: Mapping[str, Any], at: str, gwp: Gwp
    ) -> tuple[int, tuple[Fraction, Fraction, Fraction] | None, Fraction] | None:
        """``(ug CO2e/kWh, gas masses, biogenic CO2)``, or ``None`` when no value is stated."""
        biogenic = Fraction(self.number(item.get("biogenic_co2_kg_per_mwh", "0"), f"{at}/biogenic_co2_kg_per_mwh"))
        masses = {gas: f"{gas}_kg_per_mwh" for gas in GASES if item.get(f"{gas}_kg_per_mwh") is not None}
        if item.get("co2e_kg_per_mwh") is not None:
            if masses:
                self.fault(at, item["co2e_kg_per_mwh"], "either co2e_kg_per_mwh or gas masses, not both")
            co2e = self.number(item["co2e_kg_per_mwh"], f"{at}/co2e_kg_per_mwh")
            nothing = Fraction(0)
            # A CO2e of 0 leaves no room for any gas; another one says nothing about them.
            return factor_ug_per_kwh(co2e), (nothing, nothing, nothing) if co2e == 0 else None, biogenic
        if not masses:
            return None
        for gas in GASES:
            if gas not in masses:
                self.fault(f"{at}/{gas}_kg_per_mwh", "no value", "all three gas masses, 0 where there is none")
        co2, ch4, n2o = (self.number(item.get(f"{gas}_kg_per_mwh", "0"), f"{at}/{gas}_kg_per_mwh") for gas in GASES)
        total = co2e_kg_per_mwh(co2_kg_per_mwh=co2, ch4_kg_per_mwh=ch4, n2o_kg_per_mwh=n2o, gwp=gwp)
        return factor_ug_per_kwh(total), (Fraction(co2), Fraction(ch4), Fraction(n2o)), biogenic

    def facility(self, value: Any, at: str, markets: Mapping[str, Any]) -> Facility:
        item = self.object(value, at, ("market", "control", "pue"))
        market = self.text(item.get("market"), f"{at}/market")
        if market and market not in markets:
            self.fault(f"{at}/market", market, f"one of the markets: {', '.join(sorted(markets)) or 'none given'}")
        control = self.choice(item.get("control"), f"{at}/control", CONTROLS)
        pue = self.number(item.get("pue", "1"), f"{at}/pue")
        if pue < 1:
            if "pue" in item and not any(fault.pointer == f"{at}/pue" for fault in self.faults):
                self.fault(f"{at}/pue", item["pue"], "1 or more: facility energy / IT energy")
            pue = Decimal(1)
        return Facility(market, control, Fraction(pue))

    def consumption(
        self, value: Any, at: str, period: tuple[datetime, datetime], facilities: Mapping[str, Any]
    ) -> Consumption:
        names = ("team", "model", "workload", "kind")
        required = ("facility", "start", "end", "energy_kwh")
        item = self.object(value, at, (*required, "boundary", *names), required=required)
        facility = self.text(item.get("facility"), f"{at}/facility")
        if facility and facility not in facilities:
            self.fault(f"{at}/facility", facility, f"one of the facilities: {', '.join(sorted(facilities))}")
        start, end = self.interval(item, at, period)
        if start < period[0] or end > period[1]:
            expected = f"within the period {period[0].isoformat()} to {period[1].isoformat()}"
            self.fault(at, f"{item.get('start')} to {item.get('end')}", expected)
        energy = self.number(item.get("energy_kwh", "0"), f"{at}/energy_kwh")
        boundary = self.choice(item.get("boundary", "facility"), f"{at}/boundary", ("it", "facility"))
        team, model, workload, kind = (
            self.text(item[name], f"{at}/{name}") if item.get(name) is not None else "" for name in names
        )
        return Consumption(facility, start, end, Fraction(energy) * 10**6, boundary, team, model, workload, kind)

    def instrument(self, value: Any, at: str, period: tuple[datetime, datetime], gwp: Gwp) -> ScenarioLot:
        required = ("id", "type", "market", "start", "end", "energy_kwh")
        evidence = ("tracking_system", "serial_start", "serial_end", "retired_on", "beneficiary")
        known = (*required, *evidence, *_STATEMENTS, "earmark", *_FACTOR_KEYS)
        item = self.object(value, at, known, required=required)
        start, end = self.interval(item, at, period)
        content = self.factor(item, at, gwp)
        energy = Fraction(self.number(item.get("energy_kwh", "0"), f"{at}/energy_kwh")) * 10**6
        retired = item.get("retired_on")
        texts = {
            name: self.text(item[name], f"{at}/{name}") if item.get(name) is not None else ""
            for name in ("tracking_system", "serial_start", "serial_end", "beneficiary")
        }
        deliverable, attested, exclusive = (self.truth(item.get(name), f"{at}/{name}") for name in _STATEMENTS)
        vintage, claim = covering_dates(start, end), covering_dates(*period)
        lot = Lot(
            id=self.text(item.get("id"), f"{at}/id"),
            type=self.choice(item.get("type"), f"{at}/type", tuple(HIERARCHY)) or "eac",
            market=self.text(item.get("market"), f"{at}/market"),
            vintage_start=vintage[0],
            vintage_end=vintage[1],
            energy_milliwatt_hours=int(energy),  # what is less than a milliwatt-hour stays uncovered
            ug_per_kwh=None if content is None else content[0],
            tracking_system=texts["tracking_system"],
            serial_start=texts["serial_start"],
            serial_end=texts["serial_end"],
            retired_on=None if retired is None else self.day(retired, f"{at}/retired_on"),
            retired_for_reporter=texts["beneficiary"] == "reporter",
            claim_start=claim[0],
            claim_end=claim[1],
            earmark=self.earmark(item.get("earmark"), f"{at}/earmark"),
            supplier_attested=attested,
            exclusive_claim=exclusive,
            deliverable=deliverable is not False,
        )
        gases, biogenic = (None, Fraction(0)) if content is None else content[1:]
        return ScenarioLot(lot, start, end, gases, biogenic)

    def earmark(self, value: Any, at: str) -> tuple[str, str] | None:
        if value is None:
            return None
        item = self.object(value, at, ("team", "model", "facility"), required=())
        if len(item) != 1:
            self.fault(at, value, "one of team, model, facility")
            return None
        ((dimension, name),) = item.items()
        return dimension, self.text(name, f"{at}/{dimension}")


_STATEMENTS = ("deliverable", "supplier_attested", "exclusive_claim")
_FACTOR_KEYS = ("co2e_kg_per_mwh", *(f"{gas}_kg_per_mwh" for gas in GASES), "biogenic_co2_kg_per_mwh")
