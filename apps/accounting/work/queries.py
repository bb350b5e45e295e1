"""Energy and emissions per unit of AI work, SCI, and the development line of a model: read from the ledger.

Every figure is a ratio of sums over rows of :func:`apps.accounting.queries.ledger_frame`; the rules are those of
:mod:`apps.accounting.engine.intensity` and :mod:`apps.accounting.engine.sci`. One scope at a time: nothing here adds
Scope 3 to Scope 2, or location-based to market-based.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, cast

from apps.accounting.engine import sci
from apps.accounting.engine.intensity import UNITS, Carried, Intensity, boundary_shares, intensity
from apps.accounting.queries import TIER_COUNTS_FROM, TIERS, LedgerQuery, ledger_frame
from apps.core.figures import is_absent
from apps.core.windows import Window
from apps.workloads import queries as workloads

GRAIN = ("model", "workload", "kind", "source", "boundary", "hardware")
GROUPINGS = ("model", "workload")
INFERENCE = "inference"
UNNAMED_HARDWARE = "hardware not named"

# More than any published single accelerator draws (1,400 W in the hardware profiles).
MOST_ACCELERATOR_W = 3_000

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WorkRow:
    """What one model or workload used, did and emitted per unit of its work, within one scope.

    ``intensities`` by unit code (:data:`UNITS`). ``consumer``: SCI per 1,000 tokens of inference. ``provider``: SCI of
    the development, per ``provider_unit`` (``1,000 training tokens`` where every run reports them, else
    ``training run``). ``embodied_missing``: hardware codes without a published embodied figure.
    """

    key: str | None
    name: str | None
    scope: str
    facility_milliwatt_hours: int
    simulated_milliwatt_hours: int
    published_milliwatt_hours: int
    tokens: int
    requests: int
    accelerator_ms: int
    training_runs: int
    quality: str | None
    intensities: Mapping[str, Intensity]
    boundary: tuple[tuple[str, Fraction], ...]
    consumer: sci.Score
    provider: sci.Score
    provider_unit: str
    embodied_missing: tuple[str, ...]


def work_rows(
    organisation_id: int,
    window: Window,
    *,
    group_by: str = "model",
    scope: str = "2",
    filters: Mapping[str, tuple[str, ...]] | None = None,
    lifetime_years: Decimal = sci.LIFETIME_YEARS,
) -> list[WorkRow]:
    """One row per model (or workload) and scope with energy in the window, the largest first, unnamed last.

    ``group_by``: one of :data:`GROUPINGS`. Raises ``ValueError`` for another one, and for a lifetime outside 1 to 20
    years.
    """
    if group_by not in GROUPINGS:
        raise ValueError(f"unknown grouping {group_by!r}; known are {', '.join(GROUPINGS)}")
    sci.lifetime(lifetime_years)
    rows = _records(LedgerQuery(organisation_id, window, GRAIN, scope, filters or {}))
    name_of = "model_name" if group_by == "model" else "workload"
    groups: dict[tuple[str | None, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[_text(row[group_by]), str(row["scope"])].append(row)
    figures = {code: figure.embodied_g for code, figure in workloads.embodied_figures().items()}
    found = [
        _work_row(key, _text(part[0][name_of]), row_scope, part, figures, lifetime_years)
        for (key, row_scope), part in groups.items()
    ]
    found.sort(key=lambda row: (row.key is None, -row.facility_milliwatt_hours, row.name or "", row.scope))
    return found


def used_accelerator_ms(rows: Iterable[Row]) -> dict[str, int]:
    """Accelerator-time [ms] by hardware code, of the rows that tell accelerator-time (:func:`tells_accelerators`)."""
    used: dict[str, int] = defaultdict(int)
    for row in rows:
        if tells_accelerators(row):
            used[_text(row["hardware"]) or UNNAMED_HARDWARE] += int(row["accelerator_ms"])
    return dict(used)


def tells_accelerators(row: Row) -> bool:
    """Whether a row's time is accelerator-time: measured at the accelerator, or with more than one stated.

    A host's or a node's meter that states no accelerators would else count as one; so would a whole cluster whose
    readings state none, which is told by its mean power (:data:`MOST_ACCELERATOR_W`).
    """
    accelerator_ms, covered_ms = int(row["accelerator_ms"]), int(row["covered_ms"])
    if accelerator_ms > covered_ms:
        return True
    if accelerator_ms <= 0 or row["boundary"] != "accelerator":
        return False
    # mWh are W x ms / 3,600
    return int(row["it_energy_milliwatt_hours"]) * 3_600 <= MOST_ACCELERATOR_W * accelerator_ms


# --- The development line -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LinePart:
    """The runs of one kind, study and outcome. ``runs``: distinct workloads with energy; emissions may be absent."""

    kind: str
    study: str | None
    outcome: str
    runs: int
    facility_milliwatt_hours: int
    location_mg: int | None
    market_mg: int | None


@dataclass(frozen=True, slots=True)
class DevelopmentLine:
    """Everything that led to a model: training, fine-tuning, evaluation and data work, failed runs included."""

    scope: str
    parts: tuple[LinePart, ...]

    @property
    def facility_milliwatt_hours(self) -> int:
        return sum(part.facility_milliwatt_hours for part in self.parts)

    @property
    def location_mg(self) -> int | None:
        return _sum(part.location_mg for part in self.parts)

    @property
    def market_mg(self) -> int | None:
        return _sum(part.market_mg for part in self.parts)

    @property
    def runs(self) -> int:
        return sum(part.runs for part in self.parts)

    @property
    def final_share(self) -> Fraction | None:
        """The share of the finished training and fine-tuning runs in the line's energy; absent while none is said."""
        final = [p for p in self.parts if p.outcome == "finished" and p.kind in sci.PROVIDER_RUN_KINDS]
        if not final or not self.facility_milliwatt_hours:
            return None
        return Fraction(sum(p.facility_milliwatt_hours for p in final), self.facility_milliwatt_hours)

    @property
    def lost_share(self) -> Fraction | None:
        """The share of the failed and early-stopped runs; absent without energy."""
        if not self.facility_milliwatt_hours:
            return None
        lost = sum(p.facility_milliwatt_hours for p in self.parts if p.outcome in ("failed", "early_stopped"))
        return Fraction(lost, self.facility_milliwatt_hours)


def development_line(
    organisation_id: int, window: Window, model_slug: str, *, scope: str = "2", by_study: bool = True
) -> DevelopmentLine:
    """The development line of a model in a window: run < trial < study < model. Parts by energy, largest first."""
    query = LedgerQuery(
        organisation_id,
        window,
        ("kind", "study", "workload"),
        scope,
        {"model": (model_slug,), "kind": sci.PROVIDER_KINDS},
    )
    outcomes = workloads.outcomes(organisation_id)
    groups: dict[tuple[str, str | None, str], list[Row]] = defaultdict(list)
    for row in _records(query):
        workload = _text(row["workload"])
        outcome = outcomes.get(workload, "unknown") if workload else "unknown"
        study = _text(row["study"]) if by_study else None
        groups[str(row["kind"]), study, outcome].append(row)
    parts = [
        LinePart(
            kind,
            study,
            outcome,
            len({row["workload"] for row in rows if not is_absent(row["workload"])}),
            sum(int(row["facility_energy_milliwatt_hours"]) for row in rows),
            _known_sum(rows, "location_mg"),
            _known_sum(rows, "market_mg"),
        )
        for (kind, study, outcome), rows in groups.items()
    ]
    parts.sort(key=lambda part: (-part.facility_milliwatt_hours, part.kind, part.study or "", part.outcome))
    return DevelopmentLine(scope, tuple(parts))


# --- Inside -------------------------------------------------------------------------------------------------------


def _records(query: LedgerQuery) -> list[dict[str, Any]]:
    """The rows of a query that have energy or work."""
    frame = ledger_frame(query)
    return cast(list[dict[str, Any]], frame[frame["readings"] > 0].to_dict("records"))


def _work_row(
    key: str | None,
    name: str | None,
    scope: str,
    rows: Sequence[Row],
    figures: Mapping[str, int],
    lifetime_years: Decimal,
) -> WorkRow:
    inference = _by_workload(row for row in rows if row["kind"] == INFERENCE)
    runs = _by_workload(row for row in rows if row["kind"] in sci.PROVIDER_RUN_KINDS)
    runs = [group for group in runs if _text(group[0]["workload"]) and _energy(group) > 0]
    carrying = {
        "tokens": [(group, tokens) for group in inference if (tokens := _work(group, "tokens"))],
        "requests": [(group, requests) for group in inference if (requests := _work(group, "requests"))],
        "accelerator_hours": [([row], int(row["accelerator_ms"])) for row in rows if tells_accelerators(row)],
        "training_runs": [(group, 1) for group in runs],
    }
    carried = {code: _carried(groups) for code, groups in carrying.items()}
    intensities = {code: intensity(UNITS[code], carried[code]) for code in UNITS}
    consumer_rows = [row for group, _ in carrying["tokens"] for row in group]
    consumer_used = used_accelerator_ms(consumer_rows)
    consumer = sci.score(
        operational=intensities["tokens"].location_g,
        embodied=sci.embodied_of(consumer_used, figures, lifetime_years),
        units=carried["tokens"].count,
        unit_size=UNITS["tokens"].size,
    )
    provider, provider_unit, provider_used = _provider(rows, runs, figures, lifetime_years)
    missing = {code for code in {**consumer_used, **provider_used} if code not in figures}
    return WorkRow(
        key=key,
        name=name,
        scope=scope,
        facility_milliwatt_hours=_energy(rows),
        simulated_milliwatt_hours=sum(int(row["simulated_milliwatt_hours"]) for row in rows),
        published_milliwatt_hours=sum(int(row["published_milliwatt_hours"]) for row in rows),
        tokens=carried["tokens"].count,
        requests=carried["requests"].count,
        accelerator_ms=carried["accelerator_hours"].count,
        training_runs=carried["training_runs"].count,
        quality=_quality(rows),
        intensities=intensities,
        boundary=boundary_shares(_by_boundary(rows)),
        consumer=consumer,
        provider=provider,
        provider_unit=provider_unit,
        embodied_missing=tuple(sorted(missing)),
    )


def _provider(
    rows: Sequence[Row], runs: Sequence[Sequence[Row]], figures: Mapping[str, int], lifetime_years: Decimal
) -> tuple[sci.Score, str, dict[str, int]]:
    """SCI of the development, its functional unit and the accelerator-time behind it."""
    line = [row for row in rows if row["kind"] in sci.PROVIDER_KINDS]
    used = used_accelerator_ms(line)
    counts = [_work(group, "tokens") for group in runs]
    by_token = bool(counts) and all(counts)
    units, size = (sum(counts), 1_000) if by_token else (len(runs), 1)
    location = _known_sum(line, "location_mg")
    operational = Fraction(location * size, units * 1_000) if location is not None and units else None
    embodied = sci.embodied_of(used, figures, lifetime_years)
    score = sci.score(operational=operational, embodied=embodied, units=units, unit_size=size)
    return score, "1,000 training tokens" if by_token else "training run", used


def _by_workload(rows: Iterable[Row]) -> list[list[Row]]:
    """Rows of one model and workload: the tokens of a service and the energy of its devices come by several sources."""
    groups: dict[tuple[str | None, str | None], list[Row]] = defaultdict(list)
    for row in rows:
        groups[_text(row["model"]), _text(row["workload"])].append(row)
    return list(groups.values())


def _carried(groups: Sequence[tuple[Sequence[Row], int]]) -> Carried:
    """Sums over groups of rows, each with its count of work; a group lacking a figure stays out of that figure only."""
    location, market = (_figure(groups, column) for column in ("location_mg", "market_mg"))
    return Carried(
        facility_milliwatt_hours=sum(_energy(rows) for rows, _ in groups),
        count=sum(count for _, count in groups),
        location_mg=location[0],
        location_count=location[1],
        market_mg=market[0],
        market_count=market[1],
        by_boundary=_by_boundary(row for rows, _ in groups for row in rows),
    )


def _figure(groups: Sequence[tuple[Sequence[Row], int]], column: str) -> tuple[int | None, int]:
    known = [(mg, count) for rows, count in groups if (mg := _known_sum(rows, column)) is not None]
    if not known:
        return None, 0
    return sum(mg for mg, _ in known), sum(count for _, count in known)


def _known_sum(rows: Iterable[Row], column: str) -> int | None:
    """The sum of a figure over rows, absent where any energy among them has none."""
    total = 0
    seen = False
    for row in rows:
        energy = int(row["facility_energy_milliwatt_hours"])
        if is_absent(row[column]) or int(row["without_factor_milliwatt_hours"]):
            if energy:
                return None
            continue
        total, seen = total + int(row[column]), True
    return total if seen else None


def _sum(values: Iterable[int | None]) -> int | None:
    known = list(values)
    if not known or any(value is None for value in known):
        return None
    return sum(cast(list[int], known))


def _by_boundary(rows: Iterable[Row]) -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    for row in rows:
        found[str(row["boundary"])] += int(row["facility_energy_milliwatt_hours"])
    return dict(found)


def _quality(rows: Sequence[Row]) -> str | None:
    """The weakest tier that makes up 5 % of the energy, as the ledger has it."""
    whole, letter = _energy(rows), None
    for tier in TIERS:
        part = sum(int(row[tier]) for row in rows)
        if part > 0 and part * TIER_COUNTS_FROM >= whole:
            letter = tier.split("_")[1].upper()
    return letter


def _energy(rows: Iterable[Row]) -> int:
    return sum(int(row["facility_energy_milliwatt_hours"]) for row in rows)


def _work(rows: Iterable[Row], column: str) -> int:
    return sum(int(row[column]) for row in rows if not is_absent(row[column]))


def _text(value: Any) -> str | None:
    return None if is_absent(value) else str(value)
