"""Intensities as tables, files and API rows. No query is asked here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from apps.accounting.engine.intensity import MS_PER_HOUR, UNITS, Intensity, boundary_text
from apps.accounting.work.queries import DevelopmentLine, WorkRow
from apps.core import figures
from apps.core.api import kg, kwh
from apps.core.filters import SCOPES
from apps.core.tables import Cell, Chip, Column, Row, Table
from apps.core.units import round_half_up
from apps.workloads.models import Workload

# Wh and g, or for what is large kWh and kg: divisor, energy unit, mass unit.
SCALES = {"training_runs": (1_000, "kWh", "kg")}
WORK_LABELS = {
    "tokens": "Tokens",
    "requests": "Requests",
    "accelerator_hours": "Accelerator-hours",
    "training_runs": "Runs",
}
KIND_LABELS = {"training": "Training", "fine_tuning": "Fine-tuning", "evaluation": "Evaluation", "data": "Data work"}
OUTCOME_CHIPS = {"failed": "bad", "early_stopped": "warn", "finished": "ok", "running": "info"}
FEW = 3


@dataclass(frozen=True, slots=True)
class UnitPanel:
    """The table of one unit of work and what its rows are of."""

    code: str
    title: str
    sub: str
    table: Table


SUBS = {
    "tokens": "Inference workloads that report tokens. Training and idle hardware are not in it.",
    "requests": "Inference workloads that report requests. Training and idle hardware are not in it.",
    "accelerator_hours": "Readings taken at the accelerator (one each, up to 3 kW, unless more are stated) or that"
    " state several accelerators; all kinds of work.",
    "training_runs": "Training and fine-tuning with energy in the period, failed and stopped runs included; each"
    " workload name is one run.",
}


def ratio_text(value: Fraction | None) -> str:
    """A ratio as people read it: four significant digits at most, a dash where it is absent."""
    if value is None:
        return figures.DASH
    exact = Decimal(round_half_up(value * 10**9)).scaleb(-9)
    size = abs(exact)
    return figures.number(exact, 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 1 else 4)


def mass_text(grams: Fraction | None) -> str:
    """Grams with the unit that fits: from 0.0001 g per token to tonnes per training run."""
    if grams is not None and grams >= 1_000:
        return figures.mass(round_half_up(grams * 1_000))
    return figures.DASH if grams is None else f"{ratio_text(grams)}{figures.NARROW}g"


def ratio_exact(value: Fraction | None, unit: str) -> str:
    """A ratio with nine decimals, for a tooltip."""
    if value is None:
        return "absent: nothing to divide by, or no factor"
    return f"{Decimal(round_half_up(value * 10**9)).scaleb(-9):,f} {unit}"


def ratio_number(value: Fraction | None) -> float | None:
    """A ratio with six decimals, for the API and files."""
    return None if value is None else round_half_up(value * 10**6) / 10**6


def unit_panels(
    rows: Sequence[WorkRow], link: Callable[[str], str], label: str, unnamed: str, *, with_scope: bool = False
) -> list[UnitPanel]:
    """One table per unit that any row has, each row with the energy boundary of what is behind it."""
    panels = []
    for code, unit in UNITS.items():
        having = [row for row in rows if row.intensities[code].wh is not None]
        if not having:
            continue
        divisor, energy, mass = SCALES.get(code, (1, "Wh", "g"))
        per = f"per {unit.label}"
        columns = [
            Column("name", label, numeric=False),
            Column("work", WORK_LABELS[code]),
            Column("energy", "Energy", f"{energy} {per}", hint="Facility energy: IT energy times PUE"),
            Column("location", "Location-based", f"{mass} CO₂e {per}"),
            Column("market", "Market-based", f"{mass} CO₂e {per}"),
            Column("boundary", "Measured at", numeric=False, nowrap=True),
        ]
        body = []
        for row in having:
            found = row.intensities[code]
            cells = [
                _name_cell(row, link, unnamed, with_scope),
                Cell(figures.count(_work(row, code))),
                *(
                    Cell(ratio_text(_scaled(value, divisor)), title=ratio_exact(_scaled(value, divisor), unit_text))
                    for value, unit_text in ((found.wh, energy), (found.location_g, mass), (found.market_g, mass))
                ),
                boundary_cell(found),
            ]
            body.append(Row(cells, "" if row.key is not None else "unassigned"))
        title = f"Per {unit.label}"
        panels.append(UnitPanel(code, title, SUBS[code], Table(f"Energy and emissions {per}", columns, body)))
    return panels


def one_table(row: WorkRow) -> Table:
    """Every unit of one model or workload, a row each, and its SCI."""
    columns = [
        Column("unit", "Per", numeric=False),
        Column("work", "Work done"),
        Column("energy", "Energy", hint="Facility energy: IT energy times PUE"),
        Column("location", "Location-based"),
        Column("market", "Market-based"),
        Column("boundary", "Measured at", numeric=False, nowrap=True),
    ]
    body = []
    for code, unit in UNITS.items():
        found = row.intensities[code]
        if found.wh is None:
            continue
        divisor, energy, mass = SCALES.get(code, (1, "Wh", "g"))
        values = ((found.wh, energy), (found.location_g, f"{mass} CO₂e"), (found.market_g, f"{mass} CO₂e"))
        cells = [Cell(unit.label), Cell(f"{figures.count(_work(row, code))} {WORK_LABELS[code].lower()}")]
        for value, words in values:
            scaled = _scaled(value, divisor)
            text = figures.DASH if scaled is None else f"{ratio_text(scaled)}{figures.NARROW}{words}"
            cells.append(Cell(text, title=ratio_exact(scaled, words)))
        body.append(Row([*cells, boundary_cell(found)]))
    return Table("Energy and emissions per unit of work", columns, body)


def line_words(line: DevelopmentLine) -> str:
    """What share of the development line the final runs are, and what the failed and early-stopped ones."""
    lost = figures.percent(float(line.lost_share)) if line.lost_share is not None else figures.DASH
    words = "Everything of the period that led to the model, failed and early-stopped runs included: run, study, model."
    if line.final_share is None:
        return f"{words} No run is said to have finished: say it on the page of the run or by the API."
    final = figures.percent(float(line.final_share))
    return (
        f"{words} Final runs (finished training and fine-tuning) are {final} of its energy, failed and stopped {lost}."
    )


def boundary_cell(found: Intensity) -> Cell:
    """What the readings behind a ratio measured; a mix is marked."""
    text = boundary_text(found.boundary)
    if not found.is_mixed:
        return Cell(text)
    return Cell(text, chips=(Chip("mixed", "warn", "Readings of several energy boundaries stand behind this ratio"),))


def sci_table(rows: Sequence[WorkRow], link: Callable[[str], str], label: str, unnamed: str) -> Table:
    """SCI of both boundaries: O, M and their sum, in g CO2e."""
    columns = [
        Column("name", label, numeric=False),
        Column("boundary", "Boundary, per", numeric=False),
        Column("operational", "O, operation", "CO₂e"),
        Column("embodied", "M, embodied", "CO₂e"),
        Column("total", "SCI", "CO₂e"),
    ]
    body = []
    for row in rows:
        missing = ", ".join(row.embodied_missing)
        why = f"No embodied figure is known for: {missing}" if missing else "No accelerator-time is known"
        for score, words in (
            (row.consumer, "consumer, 1,000 tokens"),
            (row.provider, f"provider, {row.provider_unit}"),
        ):
            if score.operational is None and score.embodied is None:
                continue
            cells = [
                _name_cell(row, link, unnamed, False),
                Cell(words),
                Cell(mass_text(score.operational), title=ratio_exact(score.operational, "g")),
                Cell(
                    mass_text(score.embodied),
                    title=why if score.embodied is None else ratio_exact(score.embodied, "g"),
                ),
                Cell(
                    mass_text(score.total),
                    title="Not stated: a part is absent" if score.total is None else ratio_exact(score.total, "g"),
                ),
            ]
            body.append(Row(cells, "" if row.key is not None else "unassigned"))
    return Table("Software Carbon Intensity", columns, body)


def line_table(line: DevelopmentLine) -> Table:
    """A model's development line: kind, study and outcome, with the line's total."""
    unit = figures.column_energy_unit(part.facility_milliwatt_hours for part in line.parts)
    mass = figures.column_mass_unit(mg for part in line.parts for mg in (part.location_mg, part.market_mg))
    columns = [
        Column("kind", "Kind", numeric=False),
        Column("study", "Study", numeric=False),
        Column("outcome", "Outcome", numeric=False),
        Column("runs", "Runs"),
        Column("energy", "Energy", unit),
        Column("share", "Share"),
        Column("location", "Location-based", f"{mass} CO₂e"),
        Column("market", "Market-based", f"{mass} CO₂e"),
    ]
    whole = line.facility_milliwatt_hours

    def ending(energy: int, location: int | None, market: int | None) -> list[Cell]:
        share = Cell(figures.percent(energy / whole) if whole else figures.DASH)
        return [
            Cell(figures.energy_in(energy, unit), title=figures.energy_exact(energy)),
            share,
            Cell(figures.mass_in(location, mass), title=figures.mass_exact(location)),
            Cell(figures.mass_in(market, mass), title=figures.mass_exact(market)),
        ]

    body = []
    for part in line.parts:
        label = str(Workload.Outcome(part.outcome).label)
        tone = OUTCOME_CHIPS.get(part.outcome)
        outcome = Cell("", chips=(Chip(label, tone),)) if tone else Cell(label)
        body.append(
            Row(
                [
                    Cell(KIND_LABELS.get(part.kind, part.kind)),
                    Cell(part.study or "No study named"),
                    outcome,
                    Cell(figures.count(part.runs)),
                    *ending(part.facility_milliwatt_hours, part.location_mg, part.market_mg),
                ]
            )
        )
    if body:
        total = [Cell("Total"), Cell(""), Cell(""), Cell(figures.count(line.runs))]
        total += ending(whole, line.location_mg, line.market_mg)
        body.append(Row(total, "total"))
    return Table("Development line: what led to the model", columns, body)


def records(rows: Sequence[WorkRow], group_by: str) -> list[dict[str, Any]]:
    """The rows as the API and files give them: kWh, Wh and g with six decimals, absent as ``None``."""
    done = []
    for row in rows:
        names = {"model": row.key, "model_name": row.name} if group_by == "model" else {"workload": row.key}
        record: dict[str, Any] = {
            **names,
            "scope": row.scope,
            "facility_energy_kwh": kwh(row.facility_milliwatt_hours),
            "simulated_energy_kwh": kwh(row.simulated_milliwatt_hours),
            "published_energy_kwh": kwh(row.published_milliwatt_hours),
            "tokens": row.tokens,
            "requests": row.requests,
            "accelerator_hours": round(row.accelerator_ms / MS_PER_HOUR, 6),
            "training_runs": row.training_runs,
            "quality": row.quality,
        }
        for code, suffix in (
            ("tokens", "1000_tokens"),
            ("requests", "request"),
            ("accelerator_hours", "accelerator_hour"),
            ("training_runs", "training_run"),
        ):
            found = row.intensities[code]
            record |= {
                f"wh_per_{suffix}": ratio_number(found.wh),
                f"location_g_per_{suffix}": ratio_number(found.location_g),
                f"market_g_per_{suffix}": ratio_number(found.market_g),
                f"boundary_per_{suffix}": boundary_text(found.boundary) if found.boundary else None,
            }
        record |= {
            "sci_consumer_operational_g": ratio_number(row.consumer.operational),
            "sci_consumer_embodied_g": ratio_number(row.consumer.embodied),
            "sci_consumer_g": ratio_number(row.consumer.total),
            "sci_provider_unit": row.provider_unit,
            "sci_provider_operational_g": ratio_number(row.provider.operational),
            "sci_provider_embodied_g": ratio_number(row.provider.embodied),
            "sci_provider_g": ratio_number(row.provider.total),
            "embodied_missing": ", ".join(row.embodied_missing) or None,
        }
        done.append(record)
    return done


def line_records(line: DevelopmentLine) -> list[dict[str, Any]]:
    """The parts of a development line as a file gives them."""
    return [
        {
            "kind": part.kind,
            "study": part.study,
            "outcome": part.outcome,
            "runs": part.runs,
            "scope": line.scope,
            "facility_energy_kwh": kwh(part.facility_milliwatt_hours),
            "location_kg": kg(part.location_mg),
            "market_kg": kg(part.market_mg),
        }
        for part in line.parts
    ]


def _name_cell(row: WorkRow, link: Callable[[str], str], unnamed: str, with_scope: bool) -> Cell:
    chips = _origin_chips(row)
    if with_scope and row.scope != "2":
        chips = (*chips, Chip(SCOPES[row.scope], "info"))
    if row.key is None:
        return Cell(unnamed, chips=chips)
    return Cell(row.name or row.key, url=link(row.key), chips=chips, quality=row.quality or "")


def _origin_chips(row: WorkRow) -> tuple[Chip, ...]:
    """The marks of what is not the organisation's own telemetry."""
    chips = []
    for energy, word, tone, title in (
        (row.simulated_milliwatt_hours, "simulated", "warn", "Simulated load, not a measurement"),
        (row.published_milliwatt_hours, "published", "info", "Published figures of somebody else's run"),
    ):
        if energy:
            whole = energy >= row.facility_milliwatt_hours
            text = word if whole else f"{figures.percent(energy / row.facility_milliwatt_hours)} {word}"
            chips.append(Chip(text, tone, title))
    return tuple(chips)


def _work(row: WorkRow, code: str) -> int:
    if code == "accelerator_hours":
        return round_half_up(Fraction(row.accelerator_ms, MS_PER_HOUR))
    return {"tokens": row.tokens, "requests": row.requests, "training_runs": row.training_runs}[code]


def _scaled(value: Fraction | None, divisor: int) -> Fraction | None:
    return None if value is None else value / divisor
