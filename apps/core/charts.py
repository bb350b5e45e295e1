"""Charts as plain dictionaries for plotly.js: bars and lines on two axes, nothing else.

A colour is named by its meaning (``"training"``), and ``static/js/charts.js`` puts in the one of the scheme that the
reader sees. The page's font, grid and the settings that keep plotly.js from talking to other hosts stand there as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from apps.core.palette import LABELS, PALETTE
from apps.core.tables import Table


@dataclass(frozen=True, slots=True)
class Series:
    """One row of values in the chart's unit; ``None`` where there is none."""

    meaning: str
    values: Sequence[float | None]
    label: str = ""
    total: str = ""  # as text with its unit, for the key

    @property
    def name(self) -> str:
        return self.label or LABELS[self.meaning]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart, the sentence that it shows, and the table that says the same."""

    id: str
    title: str
    figure: dict[str, Any]
    table: Table
    key: Sequence[Series] = ()
    sub: str = ""
    csv_url: str = ""

    @property
    def has_values(self) -> bool:
        """Whether there is anything to draw."""
        return any(
            value for trace in self.figure["data"] for value in trace["x" if trace.get("orientation") == "h" else "y"]
        )

    @property
    def height(self) -> int:
        """The space [px] that the drawing wants; 0 for the page's usual height."""
        return int(self.figure["layout"].get("height", 0))

    @property
    def data_id(self) -> str:
        return f"{self.id}-figure"


def _bar(series: Series, labels: Sequence[str], unit: str) -> dict[str, Any]:
    marker: dict[str, Any] = {"color": series.meaning}
    if shape := PALETTE[series.meaning].pattern:
        marker["pattern"] = {"shape": shape, "size": 6, "solidity": 0.2, "fillmode": "overlay"}
    return {
        "type": "bar",
        "name": series.name,
        "x": list(labels),
        "y": list(series.values),
        "marker": marker,
        "hovertemplate": f"%{{x}}<br>{series.name}: <b>%{{y:,.3~f}}</b> {unit}<extra></extra>",
    }


def _layout(unit: str, **more: Any) -> dict[str, Any]:
    return {
        "xaxis": {"type": "category"},
        "yaxis": {"title": {"text": unit}, "rangemode": "tozero"},
        "showlegend": False,
        **more,
    }


def stacked_bars(labels: Sequence[str], series: Sequence[Series], unit: str) -> dict[str, Any]:
    """How much over time, made of what: at most five series; one that is nothing everywhere is left out."""
    shown = [each for each in series if any(each.values)]
    if len(shown) > 5:
        raise ValueError("more than five series in one stack cannot be told apart")
    return {
        "data": [_bar(each, labels, unit) for each in shown],
        "layout": _layout(unit, barmode="stack", bargap=0.25),
    }


def paired_bars(labels: Sequence[str], series: Sequence[Series], unit: str, decimals: int = 2) -> dict[str, Any]:
    """Two or three methods side by side on one axis, each bar with its value."""
    traces = []
    for each in series:
        trace = _bar(each, labels, unit)
        if len(labels) <= 6:
            trace["text"] = ["" if value is None else f"{value:,.{decimals}f}" for value in each.values]
            trace["textposition"] = "outside"
            trace["cliponaxis"] = False
        traces.append(trace)
    return {"data": traces, "layout": _layout(unit, barmode="group", bargap=0.35, bargroupgap=0.08)}


def ranked_bars(
    labels: Sequence[str], series: Sequence[Series], unit: str, *, stacked: bool, texts: Sequence[Sequence[str]]
) -> dict[str, Any]:
    """Things below each other, largest first: each with a bar per series, or with one bar made of all of them.

    ``texts`` stand at the ends of the bars, one row of them per series; of a stack there is one row, for the whole.
    """
    positions = list(range(len(labels)))
    traces = []
    for index, each in enumerate(series):
        trace = _bar(each, [], unit) | {
            "orientation": "h",
            "x": list(each.values),
            "y": positions,
            "hovertext": list(labels),
            "hovertemplate": f"%{{hovertext}}<br>{each.name}: <b>%{{x:,.3~f}}</b> {unit}<extra></extra>",
        }
        if not stacked:
            trace |= {"text": list(texts[index]), "textposition": "outside", "cliponaxis": False}
        traces.append(trace)
    ends = [sum(each.values[position] or 0.0 for each in series) for position in positions]
    at_the_end = {"showarrow": False, "xanchor": "left", "xshift": 2}
    notes = [
        {"x": end, "y": y, "text": text, **at_the_end} for y, end, text in zip(positions, ends, texts[0], strict=True)
    ]
    return {
        "data": traces,
        "layout": {
            "xaxis": {"rangemode": "tozero", "nticks": 6},
            "yaxis": {"tickmode": "array", "tickvals": positions, "ticktext": list(labels), "autorange": "reversed"},
            "showlegend": False,
            "barmode": "stack" if stacked else "group",
            "bargap": 0.4 if stacked else 0.3,
            "height": (28 if stacked else 38) * len(labels) + 48,
            "annotations": notes if stacked else [],
        },
    }


def line(labels: Sequence[str], series: Sequence[Series], unit: str) -> dict[str, Any]:
    """Values over time; a gap stays a gap."""
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "lines+markers" if len(labels) <= 60 else "lines",
                "name": each.name,
                "x": list(labels),
                "y": list(each.values),
                "connectgaps": False,
                "line": {"color": each.meaning, "width": 2, "shape": "linear"},
                "marker": {"color": each.meaning, "size": 5},
                "hovertemplate": f"%{{x}}<br>{each.name}: <b>%{{y:,.3~f}}</b> {unit}<extra></extra>",
            }
            for each in series
        ],
        "layout": _layout(unit),
    }


def ranged_bars(
    series: Sequence[Series], ranges: Sequence[tuple[float, float] | None], unit: str, texts: Sequence[str]
) -> dict[str, Any]:
    """One bar per series, each with a whisker from the lowest to the highest value of its range, below each other.

    A series has one value here. ``texts`` stand behind the whiskers.
    """
    traces: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    for position, (each, limits, text) in enumerate(zip(series, ranges, texts, strict=True)):
        value = each.values[0] or 0.0
        low, high = limits or (value, value)
        trace = _bar(each, [], unit) | {
            "orientation": "h",
            "x": [each.values[0]],
            "y": [position],
            "hovertemplate": f"{each.name}: <b>%{{x:,.3~f}}</b> {unit}<extra></extra>",
        }
        trace["marker"]["opacity"] = 0.5  # the whisker's lower half lies on the bar
        if limits:
            trace["error_x"] = {
                "type": "data",
                "symmetric": False,
                "array": [high - value],
                "arrayminus": [value - low],
                "thickness": 1.5,
                "width": 8,
            }
        traces.append(trace)
        notes.append({"x": high, "y": position, "text": text, "showarrow": False, "xanchor": "left", "xshift": 8})
    positions = list(range(len(series)))
    names = [each.name for each in series]
    return {
        "data": traces,
        "layout": {
            "xaxis": {"rangemode": "tozero", "nticks": 6},
            "yaxis": {"tickmode": "array", "tickvals": positions, "ticktext": names, "autorange": "reversed"},
            "showlegend": False,
            "barmode": "overlay",
            "bargap": 0.5,
            "height": 44 * len(series) + 48,
            "annotations": notes,
        },
    }
