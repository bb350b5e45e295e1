"""From the cells of a receipt to figures: the market's result among its parts, and each pool among who bears it.

A cell is the sum of the lines that agree in everything a figure of the receipt depends on. Rounding happens where the
ledger's reader rounds: once for a market (or a class of earmarked consumption), once for each row of a pool.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from apps.accounting.engine.allocation import EarmarkClass, EarmarkKey, earmarked_market_mg, pro_rata_market_mg
from apps.core.units import largest_remainder

IT, USED, LOCATION, MARKET = (
    "it_energy_milliwatt_hours",
    "facility_energy_milliwatt_hours",
    "location_mg",
    "market_mg",
)
BEARING = ("team", "model", "workload")
POOL_COLUMNS = ("pool", "pool_site", "pool_method")

Json = Mapping[str, Any]
Quantities = dict[str, int | None]


@dataclass(slots=True)
class Sums:
    """Energies [mWh] and location-based emissions [mg] of lines; ``location_mg`` is absent until one has a factor."""

    it_energy_milliwatt_hours: int = 0
    facility_energy_milliwatt_hours: int = 0
    location_mg: int | None = None
    readings: int = 0

    def add(self, it: int, used: int, location: int | None, readings: int) -> None:
        self.it_energy_milliwatt_hours += it
        self.facility_energy_milliwatt_hours += used
        self.readings += readings
        if location is not None:
            self.location_mg = location + (self.location_mg or 0)


@dataclass(frozen=True, slots=True)
class Reading:
    """How one figure or grouping reads the cells. ``dimensions``: those that bear pools; empty where none is shared."""

    group_by: tuple[str, ...]
    moment: str  # hour, day or month
    dimensions: tuple[str, ...]

    @property
    def told_apart(self) -> tuple[str, ...]:
        """The names that rows are told apart by, besides scope, market and moment."""
        return (*self.group_by, *(name for name in self.dimensions if name not in self.group_by))


def reading_of(head: Json, group_by: Sequence[str]) -> Reading:
    filters = head["query"]["filters"]
    times = [name for name in ("hour", "day") if name in group_by or name in filters]
    dimensions = [name for name in BEARING if name in group_by or name in filters]
    return Reading(tuple(group_by), times[0] if times else "month", tuple(dimensions) if head["pools"] else ())


def classes_of(market: Json) -> dict[EarmarkKey, EarmarkClass]:
    """The classes of a market's earmarked consumption; empty for pro rata."""
    return {(part["team"], part["model"]): EarmarkClass(**part) for part in market["classes"]}


def own_class(classes: Mapping[EarmarkKey, EarmarkClass], team: str | None, model: str | None) -> EarmarkKey:
    """The class of a row in a market."""
    teams, models = {key[0] for key in classes}, {key[1] for key in classes}
    return team if team in teams else None, model if model in models else None


def is_in(market: Json, month: int) -> bool:
    """Whether a month lies in the claim period of a market's result."""
    day = date(month // 100, month % 100, 1).isoformat()
    return bool(market["period_start"] <= day < market["period_end"])


def pool_of(line: Json, reading: Reading, pools: Json | None) -> str:
    """``difference``, ``idle`` or nothing: the pool that a line belongs to where none of ``dimensions`` is named."""
    if not pools or not reading.dimensions or line[reading.dimensions[0]] is not None:
        return ""
    if "difference" in pools["policies"] and line["source"].startswith(pools["difference_prefix"]):
        return "difference"
    return "idle" if "idle" in pools["policies"] and line["kind"] == "idle" and line["team"] is None else ""


def is_asked_for(line: Json, filters: Json, names: Iterable[str]) -> bool:
    """Whether the filters by ``names`` let a line through."""
    return all(("" if line[name] is None else line[name]) in filters[name] for name in names if name in filters)


class Rows:
    """The rows of one reading, filled line by line, then priced and shared."""

    def __init__(self, head: Json, reading: Reading) -> None:
        self.head, self.reading = head, reading
        self.filters = head["query"]["filters"]
        self.earmarks = {
            (dimension, part[dimension])
            for market in head["markets"]
            for part in market["classes"]
            for dimension in ("team", "model")
            if part[dimension] is not None
        }
        self.names = [
            *reading.told_apart,
            *(("earmark_team", "earmark_model") if self.earmarks else ()),
            *(POOL_COLUMNS if reading.dimensions else ()),
        ]
        self.sums: dict[tuple[Any, ...], Sums] = {}

    def add(self, line: Json, times: Mapping[str, str], quantities: tuple[int, int, int | None, int]) -> bool:
        """Count a line; False when it belongs to nobody asked for."""
        pool = pool_of(line, self.reading, self.head["pools"])
        if not pool and not is_asked_for(line, self.filters, BEARING):
            return False
        values = {**line, **times, "pool": pool}
        for dimension in ("team", "model"):
            known = (dimension, line[dimension]) in self.earmarks
            values[f"earmark_{dimension}"] = line[dimension] if known else None
        month = int(times["month"].replace("-", ""))
        key = (
            line["scope"],
            line["market"],
            month,
            values[self.reading.moment],
            *(values[name] for name in self.names),
        )
        if key not in self.sums:
            self.sums[key] = Sums()
        self.sums[key].add(*quantities)
        return True

    def figures(self) -> dict[str, dict[tuple[Any, ...], Quantities]]:
        """Scope to the values of ``group_by`` to what they used and emitted."""
        market_mg = self._market_mg()
        answer: dict[str, dict[tuple[Any, ...], Quantities]] = {}
        for key, sums in self.sums.items():
            found: Quantities = {
                IT: sums.it_energy_milliwatt_hours,
                USED: sums.facility_energy_milliwatt_hours,
                LOCATION: sums.location_mg,
                MARKET: market_mg.get(key),
            }
            for names, part in self._borne(key, found):
                group = tuple(names[name] for name in self.reading.group_by)
                row = answer.setdefault(key[0], {}).setdefault(group, {IT: 0, USED: 0, LOCATION: None, MARKET: None})
                for name, value in part.items():
                    if value is not None:
                        row[name] = value + (row[name] or 0)
        return answer

    def parts(self, market: Json) -> list[dict[str, Any]]:
        """The selection's months in a market, by class of earmarked consumption and pool, as a receipt's head has them.

        A pool stands whole here: what the selection bears of it is told by its bearers.
        """
        cells: dict[tuple[Any, ...], Sums] = {}
        for key, sums in self.sums.items():
            if key[0] == "2" and key[1] == market["market"] and is_in(market, key[2]):
                named = self._named(key)
                cell = (key[2], named.get("earmark_team"), named.get("earmark_model"), named.get("pool", ""))
                cells.setdefault(cell, Sums()).add(
                    sums.it_energy_milliwatt_hours, sums.facility_energy_milliwatt_hours, sums.location_mg, 0
                )
        return market_parts(
            market, {cell: (each.facility_energy_milliwatt_hours, each.location_mg) for cell, each in cells.items()}
        )

    def _named(self, key: tuple[Any, ...]) -> dict[str, Any]:
        return dict(zip(self.names, key[4:], strict=True))

    def _market_mg(self) -> dict[tuple[Any, ...], int | None]:
        found: dict[tuple[Any, ...], int | None] = {}
        kept = [place for place, name in enumerate(self.names) if name != "market"]
        for market in self.head["markets"]:
            classes = classes_of(market)
            by_class: dict[EarmarkKey, list[tuple[Any, ...]]] = {}
            for key in self.sums:
                if key[0] == "2" and key[1] == market["market"] and is_in(market, key[2]):
                    named = self._named(key)
                    own = own_class(classes, named.get("earmark_team"), named.get("earmark_model"))
                    by_class.setdefault(own, []).append(key)
            for own, keys in by_class.items():
                parts = part_mg(
                    market,
                    classes.get(own),
                    [self.sums[key].facility_energy_milliwatt_hours for key in keys],
                    [self.sums[key].location_mg for key in keys],
                    ["\0".join(map(str, (*(key[4 + place] for place in kept), key[2]))) for key in keys],
                )
                found |= dict(zip(keys, parts, strict=True))
        return found

    def _borne(self, key: tuple[Any, ...], whole: Quantities) -> list[tuple[dict[str, Any], Quantities]]:
        """A row as it is, or, of a pool, once for each who bears it and was asked for."""
        named = self._named(key)
        if not named.get("pool"):
            return [(named, whole)]
        pools = self.head["pools"]
        bearers = bearers_of(pools, self.reading.dimensions, key[2], named["pool_site"])
        weights = weights_of(pools, named["pool"], bearers)
        if not sum(weights):
            return [(named, whole)] if is_asked_for(named, self.filters, self.reading.dimensions) else []
        split: dict[str, list[int | None]] = {}
        for name, value in whole.items():
            order = [f"{place:09d}" for place in range(len(weights))]
            split[name] = [None] * len(weights) if value is None else [*largest_remainder(value, weights, order)]
        parts = []
        for place, names in enumerate(bearers["names"]):
            borne = {**named, **dict(zip(self.reading.dimensions, names, strict=True))}
            if is_asked_for(borne, self.filters, self.reading.dimensions):
                parts.append((borne, {name: values[place] for name, values in split.items()}))
        return parts


def bearers_of(pools: Json, dimensions: Sequence[str], month: int, site: int) -> Json:
    """Who bears the pools of a site and month; nobody where nobody used energy by name there."""
    for bearers in pools["bearers"]:
        if (tuple(bearers["dimensions"]), bearers["month"], bearers["site"]) == (tuple(dimensions), month, site):
            return dict(bearers)
    return {"names": [], "facility_energy_milliwatt_hours": [], "accelerator_ms": []}


def weights_of(pools: Json, pool: str, bearers: Json) -> list[int]:
    """The weights of those who bear a pool, by its policy: facility energy [mWh] or accelerator-milliseconds."""
    by_hours = pools["policies"][pool] == "by_accelerator_hours"
    return list(bearers["accelerator_ms" if by_hours else "facility_energy_milliwatt_hours"])


def market_parts(market: Json, cells: Mapping[tuple[Any, ...], tuple[int, int | None]]) -> list[dict[str, Any]]:
    """Cells ``(month, earmark_team, earmark_model, pool)`` of a market with their market-based emissions, in order.

    Each cell comes with its facility energy [mWh] and location-based emissions [mg]; rounded once for each class.
    """
    classes = classes_of(market)
    by_class: dict[EarmarkKey, list[tuple[Any, ...]]] = {}
    for cell in sorted(cells, key=str):
        by_class.setdefault(own_class(classes, cell[1], cell[2]), []).append(cell)
    rows = []
    for own, held in by_class.items():
        energies, locations = [cells[cell][0] for cell in held], [cells[cell][1] for cell in held]
        mg = part_mg(market, classes.get(own), energies, locations, [str(cell) for cell in held])
        rows += [
            {
                "month": month,
                "earmark_team": team,
                "earmark_model": model,
                "pool": pool,
                USED: energy,
                LOCATION: location,
                MARKET: part,
            }
            for (month, team, model, pool), energy, location, part in zip(held, energies, locations, mg, strict=True)
        ]
    return rows


def part_mg(
    market: Json,
    own: EarmarkClass | None,
    energies: Sequence[int],
    locations: Sequence[int | None],
    names: Sequence[str],
) -> list[int | None]:
    """The market-based emissions [mg] of parts of a market, or of one class of it (``engine.allocation``)."""
    if own is not None:
        return earmarked_market_mg(
            own,
            facility_energy_milliwatt_hours=energies,
            location_mg=locations,
            names=names,
            fallback=market["fallback"],
        )
    return pro_rata_market_mg(
        facility_energy_milliwatt_hours=energies,
        location_mg=locations,
        names=names,
        market_energy_milliwatt_hours=market["facility_energy_milliwatt_hours"],
        uncovered_milliwatt_hours=market["uncovered_milliwatt_hours"],
        instruments_mg=market["instruments_mg"],
        market_mg=market["market_mg"],
        fallback=market["fallback"],
    )
