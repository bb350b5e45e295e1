"""Reading a scenario: JSON in, checked values out, every fault named by its JSON pointer.

The format is public: energies in kWh, emissions in kg as decimal strings, times ISO 8601 in UTC, intervals half-open.
``docs/methodology/scenarios.md`` describes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from itertools import pairwise
from typing import Any

from apps.accounting.engine.gases import GWP_SETS, Gwp, co2e_kg_per_mwh, factor_ug_per_kwh
from apps.accounting.engine.market import HIERARCHY, Lot
from apps.accounting.engine.rulesets import RULESET_2015, RULESET_DRAFT_2025_10

GASES = ("co2", "ch4", "n2o")
CONTROLS = ("owned", "leased", "colocation", "cloud")
ANNOTATIONS = frozenset({"note", "title", "source", "comment"})
HIGHEST = Decimal("1e15")


@dataclass(frozen=True, slots=True)
class ScenarioFault:
    """What is wrong with a scenario: where, what was found, what was expected."""

    pointer: str
    got: str
    expected: str

    def __str__(self) -> str:
        return f"{self.pointer or '/'}: found {self.got}, expected {self.expected}"


class ScenarioError(ValueError):
    """A scenario that cannot be read."""

    def __init__(self, faults: Sequence[ScenarioFault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = list(faults)


@dataclass(frozen=True, slots=True)
class ScenarioFactor:
    """A factor in force during ``[start, end)``: CO2e [ug/kWh], gas masses [kg/MWh] where known, biogenic CO2."""

    start: datetime
    end: datetime
    ug_per_kwh: int
    gases_kg_per_mwh: tuple[Fraction, Fraction, Fraction] | None
    biogenic_co2_kg_per_mwh: Fraction


@dataclass(frozen=True, slots=True)
class ScenarioMarket:
    """``location`` and ``residual`` are sorted by time and do not overlap."""

    location: tuple[ScenarioFactor, ...]
    residual: tuple[ScenarioFactor, ...]


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
    """An instrument with the gas masses of its factor beside the lot that the engine allocates."""

    lot: Lot
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


class _Reader:
    """Reads piece by piece; after a fault it goes on with a harmless value so that all faults come at once."""

    def __init__(self) -> None:
        self.faults: list[ScenarioFault] = []

    def fault(self, pointer: str, got: Any, expected: str) -> None:
        shown = got if isinstance(got, str) and got.startswith("no ") else json.dumps(got, default=str)
        self.faults.append(ScenarioFault(pointer, shown if len(shown) <= 60 else shown[:57] + "...", expected))

    # --- parts of a scenario

    def scenario(self, value: Any, at: str) -> Scenario:
        keys = ("ruleset", "gwp_set", "period", "markets", "facilities", "consumption", "instruments", "policies")
        top = self.object(value, at, keys, required=("period", "markets", "facilities", "consumption"))
        ruleset = self.choice(top.get("ruleset", RULESET_2015), f"{at}/ruleset", (RULESET_2015, RULESET_DRAFT_2025_10))
        if ruleset == RULESET_DRAFT_2025_10:
            expected = f"{RULESET_2015}; the hourly what-if ruleset is not available yet"
            self.fault(f"{at}/ruleset", ruleset, expected)
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
        for i, item in enumerate(self.list(top.get("instruments", []), f"{at}/instruments")):
            lot = self.instrument(item, f"{at}/instruments/{i}", period, gwp)
            if lot.lot.id and lot.lot.id in {other.lot.id for other in instruments}:
                self.fault(f"{at}/instruments/{i}/id", lot.lot.id, "an id that no other instrument has")
            instruments.append(lot)
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
        return ScenarioMarket(
            location=self.factors(item.get("location_factors", []), f"{at}/location_factors", period, gwp),
            residual=self.factors(item.get("residual_factors", []), f"{at}/residual_factors", period, gwp),
        )

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
        factors.sort(key=lambda factor: factor.start)
        for before, after in pairwise(factors):
            if after.start < before.end:
                self.fault(at, f"no order: two factors hold at {after.start.isoformat()}", "one factor at any time")
        return tuple(factors)

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
        known = (*required, *evidence, "deliverable", "earmark", *_FACTOR_KEYS)
        item = self.object(value, at, known, required=required)
        start, end = self.interval(item, at, period)
        content = self.factor(item, at, gwp)
        energy = Fraction(self.number(item.get("energy_kwh", "0"), f"{at}/energy_kwh")) * 10**6
        retired = item.get("retired_on")
        texts = {
            name: self.text(item[name], f"{at}/{name}") if item.get(name) is not None else ""
            for name in ("tracking_system", "serial_start", "serial_end", "beneficiary")
        }
        if not isinstance(item.get("deliverable", True), bool):
            self.fault(f"{at}/deliverable", item["deliverable"], "true or false")
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
        )
        return ScenarioLot(lot, None, Fraction(0)) if content is None else ScenarioLot(lot, content[1], content[2])

    def earmark(self, value: Any, at: str) -> tuple[str, str] | None:
        if value is None:
            return None
        item = self.object(value, at, ("team", "model", "facility"), required=())
        if len(item) != 1:
            self.fault(at, value, "one of team, model, facility")
            return None
        ((dimension, name),) = item.items()
        return dimension, self.text(name, f"{at}/{dimension}")

    # --- values

    def object(
        self, value: Any, at: str, known: Sequence[str], required: Sequence[str] | None = None
    ) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.fault(at, "no value" if value is None else value, "an object")
            return {}
        for key in value:
            if key not in known and key not in ANNOTATIONS:
                self.fault(f"{at}/{escape(key)}", value[key], f"no such key; known are {', '.join(known)}")
        for key in known if required is None else required:
            if value.get(key) is None:
                self.fault(f"{at}/{key}", "no value", "it to be given")
        return {key: value[key] for key in value if key in known}

    def mapping(self, value: Any, at: str) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        if value is not None:
            self.fault(at, value, "an object of codes")
        return {}

    def list(self, value: Any, at: str) -> Sequence[Any]:
        if isinstance(value, list):
            return value
        if value is not None:
            self.fault(at, value, "a list")
        return []

    def text(self, value: Any, at: str) -> str:
        if isinstance(value, str) and value:
            return value
        if value is not None:
            self.fault(at, value, "a text")
        return ""

    def choice(self, value: Any, at: str, allowed: Sequence[str]) -> str:
        if isinstance(value, str) and value in allowed:
            return value
        if value is not None:
            self.fault(at, value, f"one of {', '.join(allowed)}")
        return ""

    def number(self, value: Any, at: str) -> Decimal:
        """A quantity of 0 or more, as a decimal string or a JSON number."""
        if not isinstance(value, bool) and isinstance(value, str | int | Decimal):
            try:
                number = Decimal(value)
            except InvalidOperation:
                number = Decimal("NaN")
            if number.is_finite() and 0 <= number < HIGHEST:
                return number
        self.fault(at, value, f"a number of 0 or more as a decimal string, below {HIGHEST:.0e}")
        return Decimal(0)

    def months(self, value: Any, at: str) -> int:
        if isinstance(value, str) and value.isdecimal():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 1200:
            return value
        self.fault(f"{at}/vintage_window_months", value, "a whole number of months")
        return 12

    def interval(
        self, item: Mapping[str, Any], at: str, default: tuple[datetime, datetime] | None
    ) -> tuple[datetime, datetime]:
        start = self.time(item["start"], f"{at}/start") if item.get("start") is not None else None
        end = self.time(item["end"], f"{at}/end") if item.get("end") is not None else None
        fallback = default or (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
        interval = (start or fallback[0], end or fallback[1])
        if start and end and end <= start:
            self.fault(f"{at}/end", item["end"], f"a time after the start, {item['start']}")
        return interval

    def time(self, value: Any, at: str) -> datetime | None:
        try:
            moment = datetime.fromisoformat(value)
            if len(value) == len("2026-01-01"):
                return moment.replace(tzinfo=UTC)
            if moment.tzinfo is not None:
                return moment.astimezone(UTC)
        except (TypeError, ValueError, OverflowError):
            pass
        self.fault(at, value, "a time in UTC such as 2026-01-01T00:00:00Z")
        return None

    def day(self, value: Any, at: str) -> date | None:
        try:
            return date.fromisoformat(value[:10]) if len(value) == len("2026-01-01") else self._day_of(value, at)
        except (TypeError, ValueError):
            self.fault(at, value, "a day such as 2027-01-15")
            return None

    def _day_of(self, value: Any, at: str) -> date | None:
        moment = self.time(value, at)
        return moment.date() if moment else None


_FACTOR_KEYS = ("co2e_kg_per_mwh", *(f"{gas}_kg_per_mwh" for gas in GASES), "biogenic_co2_kg_per_mwh")


def escape(key: str) -> str:
    """A key as one token of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")
