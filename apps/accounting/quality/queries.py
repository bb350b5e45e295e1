"""How sure the figures are: an interval for each, for pages, the API and the report.

[1] GHG Protocol, Guidance on uncertainty assessment in GHG inventories: ``engine.uncertainty``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from math import lcm
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from apps.accounting.engine import uncertainty
from apps.accounting.engine.uncertainty import Cause, Contribution
from apps.accounting.models import MarketRate
from apps.accounting.quality.composition import composition
from apps.accounting.queries import LedgerQuery, group_columns, ledger_frame, market_rates
from apps.core.figures import is_absent
from apps.organisations.models import Organisation

FIGURES = {"energy": "facility_energy_milliwatt_hours", "location": "location_mg", "market": "market_mg"}
_FINE = 2**32  # parts of a milligram that market-based contributions are counted in: whole numbers are fast
_BOUNDS = {"energy": "milliwatt_hours", "location": "mg", "market": "mg"}
# Cause of uncertainty: the columns of the composition that tell who shares it and by how much.
_CAUSES = {
    "activity": ("source_id", "activity_ppm"),
    "pue": ("site_id", "pue_ppm"),
    "factor": ("factor_id", "factor_ppm"),
}


def intervals(query: LedgerQuery, figures: pd.DataFrame | None = None) -> pd.DataFrame:
    """The 95 % interval of every figure of ``ledger_frame(query)``, one row each in the same order.

    ``figures``: that frame, where the caller has it already. Columns: the group columns;
    ``energy_low_milliwatt_hours`` and ``..._high_...``, ``location_low_mg``, ``location_high_mg``,
    ``market_low_mg``, ``market_high_mg`` as nullable Int64, rounded outwards; ``energy_uncertainty``,
    ``location_uncertainty``, ``market_uncertainty``: the half-width as a share of the figure. All absent where the
    figure is; the share also where the figure is zero. Correlations as ``engine.uncertainty`` has them, by [1].
    """
    if figures is None:
        figures = ledger_frame(replace(query, work=False))
    return Composed(query).intervals(figures, group_columns(query))


class Composed:
    """The composition of a query's figures, read once, for intervals by any of its dimensions."""

    def __init__(self, query: LedgerQuery) -> None:
        self.parts = composition(query)
        self._rates = market_rates(query.organisation_id, query.window) if query.scope in ("2", "all") else []
        self._values = uncertainty.table({name: own.ppm for name, own in own_values(query.organisation_id).items()})

    def intervals(self, figures: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
        """As :func:`intervals`, of figures that are told apart by ``columns``."""
        shares = self._shares(figures, columns)
        halves = {name: shares.halves(name, _whole(figures[column])) for name, column in FIGURES.items()}
        return _frame(figures, columns, halves)

    def drivers(self, figures: pd.DataFrame, columns: Sequence[str], name: str) -> list[dict[str, float]]:
        """For each figure the parts of the squared half-width by kind of cause; together they are 1."""
        return self._shares(figures, columns).drivers(name, len(figures))

    def _shares(self, figures: pd.DataFrame, columns: Sequence[str]) -> _Shares:
        positions = {key: position for position, key in enumerate(_keys(figures, columns))}
        number, distinct = _distinct(self.parts, columns)
        group = np.array([positions.get(key, -1) for key in distinct], dtype=np.int64)[number]
        parts = self.parts.assign(group=group)
        return _Shares(_with_causes(parts[group >= 0], self._values, self._rates), self._rates, self._values)


@dataclass(frozen=True, slots=True)
class OwnValue:
    """A relative uncertainty [ppm] that an organisation put in place of a default, and what it rests on."""

    ppm: int
    basis: str


def own_values(organisation: Organisation | int) -> dict[str, OwnValue]:
    """The organisation's own values by name; empty where it keeps the defaults."""
    key = organisation if isinstance(organisation, int) else organisation.pk
    stored = Organisation.objects.filter(pk=key).values_list("uncertainty_ppm", flat=True).first()
    return {name: OwnValue(int(each["ppm"]), str(each["basis"])) for name, each in (stored or {}).items()}


# --- Inside -------------------------------------------------------------------------------------------------------


def _keys(frame: pd.DataFrame, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    """The group of each row, absent values as ``None``."""
    lists = [[None if is_absent(value) else value for value in frame[name].tolist()] for name in columns]
    return list(zip(*lists, strict=True))


def _whole(values: pd.Series) -> list[int | None]:
    return [None if is_absent(value) else int(value) for value in values.tolist()]


def _distinct(frame: pd.DataFrame, columns: Sequence[str]) -> tuple[np.ndarray, list[tuple[Any, ...]]]:
    """The number of each row's combination of values, and the combinations in the order of their numbers."""
    if frame.empty:
        return np.empty(0, np.int64), []
    number = frame.groupby(list(columns), dropna=False, sort=False).ngroup().to_numpy()
    return number, _keys(frame.loc[~pd.Series(number, index=frame.index).duplicated()], columns)


def _with_causes(parts: pd.DataFrame, values: Mapping[str, int], rates: Sequence[MarketRate]) -> pd.DataFrame:
    """The parts with the uncertainty [ppm] of each by cause, and the place of their market rate among ``rates``."""

    def by(columns: Sequence[str], made: Callable[..., int]) -> np.ndarray:
        number, distinct = _distinct(parts, columns)
        return np.array([made(*key) for key in distinct], dtype=np.int64)[number]

    def pue(has_pue: int, is_assumed: int, located: bool) -> int:
        return values[uncertainty.PUE_ASSUMED if is_assumed else uncertainty.PUE_STATED] if has_pue and located else 0

    parts = parts.assign(
        located=parts["site_id"].notna(),
        location=pd.array([None if is_absent(mg) else int(mg) for mg in parts["location"].tolist()], dtype="Int64"),
    )
    return parts.assign(
        activity_ppm=by(["method"], lambda method: values[uncertainty.METHOD_NAMES[int(method)]]),
        pue_ppm=by(["has_pue", "is_assumed", "located"], pue),
        factor_ppm=by(
            ["level", "lag_years"], lambda level, lag: uncertainty.factor_ppm(values, str(level or ""), int(lag))
        ),
        rate=by(["scope", "market", "month_number"], lambda *place: _rate_position(rates, *place)),
    )


def _rate_position(rates: Sequence[MarketRate], scope: str, market: str, month: int) -> int:
    if scope == "2":
        day = date(month // 100, month % 100, 1)
        for position, rate in enumerate(rates):
            if rate.market == market and rate.period_start <= day < rate.period_end:
                return position
    return -1


@dataclass(frozen=True, slots=True)
class _Sum:
    """What one cause holds of a group: facility energy [mWh] and location-based emissions [mg], in one market rate."""

    cause: Cause
    ppm: int
    rate: int
    energy: int
    location: int


class _Shares:
    """The parts of every group, added up by cause."""

    def __init__(self, parts: pd.DataFrame, rates: Sequence[MarketRate], values: Mapping[str, int]) -> None:
        self._rates = rates
        self._instrument_ppm = values[uncertainty.FACTOR_INSTRUMENT]
        self._fallback_ppm = [_fallback_ppm(rate, values) for rate in rates]
        self._weights = [_Weights.of(rate) for rate in rates]
        self._sums: dict[int, list[_Sum]] = {}
        for kind, (key, ppm) in _CAUSES.items():
            for group, summed in self._by_cause(parts, kind, key, ppm):
                self._sums.setdefault(group, []).append(summed)

    @staticmethod
    def _by_cause(parts: pd.DataFrame, kind: str, key: str, ppm: str) -> Iterator[tuple[int, _Sum]]:
        if parts.empty:
            return
        sums = parts.groupby(["group", key, ppm, "rate"], dropna=False, sort=False)[["energy", "location"]].sum()
        for (group, shared_by, part_ppm, rate), energy, location in zip(
            sums.index.tolist(), sums["energy"].tolist(), sums["location"].tolist(), strict=True
        ):
            cause = Cause(kind, None if is_absent(shared_by) else int(shared_by))
            yield int(group), _Sum(cause, int(part_ppm), int(rate), int(energy), int(location))

    def halves(self, name: str, figures: Sequence[int | None]) -> list[int | None]:
        """Half the interval of each group's figure; ``None`` where there is no figure."""
        parts_of = {"energy": self._energy, "location": self._location, "market": self._market}[name]
        halves: list[int | None] = []
        for group, figure in enumerate(figures):
            if figure is None or group not in self._sums:
                halves.append(None)
                continue
            contributions, whole = parts_of(self._sums[group])
            half = uncertainty.half_width(contributions)
            # The parts may be in a finer unit; and a figure that was given a share of a pool has the relative
            # uncertainty of its own energy.
            halves.append(-(-half * figure // whole) if whole else -(-half // _FINE))
        return halves

    def drivers(self, name: str, groups: int) -> list[dict[str, float]]:
        """The squared half-width of each group by kind of cause, as shares of the whole."""
        parts_of = {"energy": self._energy, "location": self._location, "market": self._market}[name]
        found = []
        for group in range(groups):
            contributions, _ = parts_of(self._sums.get(group, []))
            by_kind: dict[str, list[Contribution]] = {}
            for each in contributions:
                by_kind.setdefault(each.cause.kind, []).append(each)
            squares = {kind: uncertainty.half_width(rows) ** 2 for kind, rows in by_kind.items()}
            whole = sum(squares.values())
            found.append({kind: square / whole for kind, square in squares.items()} if whole else {})
        return found

    # Each gives the contributions to a group's figure, and the figure itself in their unit.

    def _energy(self, sums: Sequence[_Sum]) -> tuple[list[Contribution], int]:
        found = [Contribution(each.cause, each.energy, each.ppm) for each in sums if each.cause.kind != "factor"]
        return found, sum(each.energy for each in sums if each.cause.kind == "activity")

    def _location(self, sums: Sequence[_Sum]) -> tuple[list[Contribution], int]:
        found = [Contribution(each.cause, each.location, each.ppm) for each in sums]
        return found, sum(each.location for each in sums if each.cause.kind == "activity")

    def _market(self, sums: Sequence[_Sum]) -> tuple[list[Contribution], int]:
        found: list[Contribution] = []
        whole = 0
        for each in sums:
            if each.rate < 0:
                continue
            rate, weights = self._rates[each.rate], self._weights[each.rate]
            if each.cause.kind != "factor":
                found.append(Contribution(each.cause, weights.activity(each), each.ppm))
                if each.cause.kind == "activity":
                    whole += weights.fallback(each) + weights.instruments(each)
                continue
            instruments = weights.instruments(each)
            found.append(Contribution(Cause("instruments", rate.market), instruments, self._instrument_ppm))
            fallback_ppm = self._fallback_ppm[each.rate]
            if fallback_ppm is None:  # the grid average: the location-based factor's own uncertainty
                found.append(Contribution(each.cause, weights.fallback(each), each.ppm))
            else:
                cause = Cause("factor", rate.fallback_factor_id)
                found.append(Contribution(cause, weights.fallback(each), fallback_ppm))
        return found, whole


class _Linear(NamedTuple):
    """``energy * a + location * b`` in units of 1/``_FINE`` mg, rounded up."""

    a: int
    b: int
    divisor: int

    @classmethod
    def of(cls, a: Fraction, b: Fraction) -> _Linear:
        divisor = lcm(a.denominator, b.denominator)
        return cls(int(a * divisor) * _FINE, int(b * divisor) * _FINE, divisor)

    def __call__(self, each: _Sum) -> int:
        return -(-(each.energy * self.a + each.location * self.b) // self.divisor)


@dataclass(frozen=True, slots=True)
class _Weights:
    """``engine.uncertainty.market_parts`` of one rate, which are linear in energy and location-based emissions."""

    fallback: _Linear
    instruments: _Linear
    activity: _Linear

    @classmethod
    def of(cls, rate: MarketRate) -> _Weights:
        def parts(energy: int, location: int) -> uncertainty.MarketParts:
            return uncertainty.market_parts(
                facility_energy_milliwatt_hours=energy,
                location_mg=location,
                market_energy_milliwatt_hours=rate.facility_energy_milliwatt_hours,
                uncovered_milliwatt_hours=rate.uncovered_milliwatt_hours,
                instruments_mg=rate.instruments_mg,
                fallback_ug_per_kwh=rate.fallback_ug_per_kwh if rate.fallback == MarketRate.Fallback.RESIDUAL else None,
            )

        by_energy, by_location = parts(1, 0), parts(0, 1)
        return cls(
            _Linear.of(by_energy.by_fallback, by_location.by_fallback),
            _Linear.of(by_energy.by_instruments, by_location.by_instruments),
            _Linear.of(by_energy.by_activity, by_location.by_activity),
        )


def _fallback_ppm(rate: MarketRate, values: Mapping[str, int]) -> int | None:
    """The uncertainty of the residual mix; ``None`` where the fallback is the grid average."""
    if rate.fallback != MarketRate.Fallback.RESIDUAL:
        return None
    lag = rate.period_start.year - rate.fallback_factor.data_year if rate.fallback_factor else 0
    return uncertainty.factor_ppm(values, "residual", lag)


def _frame(figures: pd.DataFrame, columns: Sequence[str], halves: Mapping[str, Sequence[int | None]]) -> pd.DataFrame:
    found: dict[Hashable, Any] = {name: figures[name].tolist() for name in columns}
    shares: dict[Hashable, Any] = {}
    for name, column in FIGURES.items():
        lows: list[int | None] = []
        highs: list[int | None] = []
        share: list[float | None] = []
        for figure, half in zip(_whole(figures[column]), halves[name], strict=True):
            low, high = (None, None) if figure is None or half is None else uncertainty.interval(figure, half)
            lows.append(low)
            highs.append(high)
            share.append(None if figure is None or half is None else uncertainty.relative(figure, half))
        found[f"{name}_low_{_BOUNDS[name]}"] = pd.array(lows, dtype="Int64")
        found[f"{name}_high_{_BOUNDS[name]}"] = pd.array(highs, dtype="Int64")
        shares[f"{name}_uncertainty"] = pd.Series(share, dtype=object)
    return pd.DataFrame(found | shares)
