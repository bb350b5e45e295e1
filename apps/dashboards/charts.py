"""Figures made into charts, each with the sentence that it shows and the table that says the same."""

from __future__ import annotations

from collections.abc import Sequence

from apps.core import figures
from apps.core.charts import Chart, Series, line, paired_bars, stacked_bars
from apps.core.palette import LABELS
from apps.core.tables import Cell, Column, Row, Table
from apps.dashboards.panels import energy_cell, mass_cell
from apps.dashboards.timelines import MeanPower, OverTime

STEP_WORDS = {"hour": "hour", "day": "day", "week": "week from", "month": "month"}
ORDER = ("training", "inference", "idle", "other", "overhead")


def _sum(values: Sequence[int | None]) -> int:
    return sum(value for value in values if value is not None)


def _scaled(values: Sequence[int | None], size: int) -> list[float | None]:
    return [None if value is None else round(value / size, 6) for value in values]


def energy_chart(over_time: OverTime, csv_url: str, chart_id: str = "energy-over-time") -> Chart:
    """How much energy, over time, made of what."""
    sums = {name: _sum(over_time.values[name]) for name in ORDER}
    total = sum(sums.values())
    per_bucket = [
        sum(int(over_time.values[name][index] or 0) for name in ORDER) for index in range(len(over_time.keys))
    ]
    unit = figures.column_energy_unit(per_bucket)
    size = figures.ENERGY_UNITS[unit]
    names = [name for name in ORDER if sums[name]]
    series = [Series(name, _scaled(over_time.values[name], size), total=figures.energy(sums[name])) for name in names]
    rows = [
        Row(
            [
                Cell(label),
                *(energy_cell(over_time.values[name][index], unit) for name in names),
                energy_cell(per_bucket[index], unit),
            ]
        )
        for index, label in enumerate(over_time.labels)
    ]
    rows.append(
        Row([Cell("Total"), *(energy_cell(sums[name], unit) for name in names), energy_cell(total, unit)], "total")
    )
    columns = [
        Column("time", STEP_WORDS[over_time.step].capitalize(), "UTC", numeric=False),
        *(Column(name, LABELS[name], unit) for name in names),
        Column("total", "Facility energy", unit),
    ]
    title = _energy_sentence(sums, total)
    return Chart(
        chart_id,
        title,
        stacked_bars(over_time.labels, series, unit),
        Table(f"Energy by kind, per {over_time.step}", columns, rows),
        key=series,
        sub=f"{unit} per {over_time.step}, UTC. IT energy by kind; the overhead is what PUE adds.{_cut(over_time)}",
        csv_url=csv_url,
    )


def _energy_sentence(sums: dict[str, int], total: int) -> str:
    if not total:
        return "No energy was reported in this period"
    kinds = {name: value for name, value in sums.items() if name != "overhead"}
    leader = max(kinds, key=lambda name: kinds[name])
    words = {"training": "Training", "inference": "Inference", "idle": "Idle hardware", "other": "Other work"}
    sentence = f"{words[leader]} used {figures.percent(kinds[leader] / total)} of the energy"
    if leader != "idle" and kinds["idle"] * 20 >= total:
        sentence += f", idle hardware {figures.percent(kinds['idle'] / total)}"
    return sentence


def methods_chart(over_time: OverTime, csv_url: str, scope: str, chart_id: str = "methods") -> Chart:
    """Location-based against market-based, side by side, never netted."""
    location, market = over_time.values["location"], over_time.values["market"]
    unit = figures.column_mass_unit([*location, *market])
    size = figures.MASS_UNITS[unit]
    sums = {"location": _sum(location), "market": _sum(market)}
    known = {name: any(value is not None for value in over_time.values[name]) for name in sums}
    series = [
        Series(
            name,
            _scaled(over_time.values[name], size),
            total=figures.mass(sums[name]) if known[name] else figures.DASH,
        )
        for name in ("location", "market")
    ]
    largest = max((abs(value) for each in series for value in each.values if value is not None), default=0.0)
    decimals = 0 if largest >= 100 else 1 if largest >= 10 else 2
    rows = [
        Row([Cell(label), mass_cell(location[index], unit), mass_cell(market[index], unit)])
        for index, label in enumerate(over_time.labels)
    ]
    ending = [mass_cell(sums[name] if known[name] else None, unit) for name in ("location", "market")]
    rows.append(Row([Cell("Total"), *ending], "total"))
    columns = [
        Column("time", STEP_WORDS[over_time.step].capitalize(), "UTC", numeric=False),
        Column("location", "Location-based", f"{unit} CO₂e"),
        Column("market", "Market-based", f"{unit} CO₂e"),
    ]
    word = "Scope 3 memo" if scope == "3" else "Scope 2" if scope == "2" else "emissions"
    return Chart(
        chart_id,
        _methods_sentence(sums, known),
        paired_bars(over_time.labels, series, unit, decimals),
        Table(f"Location-based and market-based {word}, per {over_time.step}", columns, rows),
        key=series,
        sub=f"{unit} CO₂e per {over_time.step}, {word}. Two methods for the same energy; they are never added.",
        csv_url=csv_url,
    )


def _methods_sentence(sums: dict[str, int], known: dict[str, bool]) -> str:
    if not any(known.values()):
        return "No emissions could be calculated in this period"
    if not sums["location"]:
        return "Location-based and market-based emissions"
    difference = (sums["market"] - sums["location"]) / sums["location"]
    if abs(difference) < 0.005:
        return "Market-based equals location-based: no instrument or residual mix changes it"
    side = "below" if difference < 0 else "above"
    return f"Market-based is {figures.percent_of_change(difference)} {side} location-based"


def _cut(over_time: OverTime) -> str:
    return " Weeks begin on Monday; the first and the last are cut by the period." if over_time.step == "week" else ""


def power_chart(power: MeanPower, csv_url: str) -> Chart:
    """When a workload ran, and how hard: its mean IT power per hour or day."""
    peak = max((watts for watts in power.watts if watts is not None), default=0.0)
    unit, size = ("kW", 1000) if peak >= 10_000 else ("W", 1)
    values = [None if watts is None else round(watts / size, 3) for watts in power.watts]
    rows = [
        Row([Cell(label), Cell(figures.DASH if value is None else f"{value:,.1f}")])
        for label, value in zip(power.labels, values, strict=True)
    ]
    columns = [
        Column("time", STEP_WORDS[power.step].capitalize(), "UTC", numeric=False),
        Column("power", "Mean IT power", unit),
    ]
    return Chart(
        "power",
        f"It drew up to {peak / size:,.0f} {unit}" if peak else "No power was reported",
        line(power.labels, [Series("inference", values, label="Mean IT power")], unit),
        Table(f"Mean IT power, per {power.step}", columns, rows),
        sub=f"{unit}, mean of each {power.step}, UTC; a gap is a time without readings.",
        csv_url=csv_url,
    )


def intensity_chart(over_time: OverTime, csv_url: str) -> Chart:
    """Whether serving gets more efficient: grams per 1,000 tokens, step by step."""
    pairs = list(zip(over_time.values["mg"], over_time.values["tokens"], strict=True))
    values = [mg / tokens if mg is not None and tokens else None for mg, tokens in pairs]  # mg per token is g per 1,000
    known = [value for value in values if value is not None]
    rows = [
        Row(
            [
                Cell(label),
                Cell(figures.count(tokens)),
                Cell(figures.DASH if value is None else f"{value:,.4f}", title="" if value else "No tokens reported"),
            ]
        )
        for label, value, (_, tokens) in zip(over_time.labels, values, pairs, strict=True)
    ]
    columns = [
        Column("time", STEP_WORDS[over_time.step].capitalize(), "UTC", numeric=False),
        Column("tokens", "Tokens"),
        Column("intensity", "Location-based", "g CO₂e/1k tokens"),
    ]
    title = "No tokens were reported in this period"
    if known:
        title = f"1,000 tokens emitted {known[0]:,.3f} g at first and {known[-1]:,.3f} g at the end"
    return Chart(
        "intensity",
        title,
        line(over_time.labels, [Series("location", values, label="Location-based")], "g CO₂e/1k tokens"),
        Table(f"Emissions per 1,000 tokens, per {over_time.step}", columns, rows),
        sub=f"Location-based, per {over_time.step}, UTC: facility energy of inference with tokens; idle not in it.",
        csv_url=csv_url,
    )
