"""Tables, charts and files."""

import csv
import io
from pathlib import Path

import pytest

from apps.core.charts import Series, paired_bars, stacked_bars
from apps.core.exports import csv_response
from apps.core.palette import PALETTE
from apps.core.tables import Cell

CHARTS_JS = Path(__file__).parents[2] / "static/js/charts.js"


@pytest.mark.parametrize("name", ["=1+1", "+A1", "-2+3", "@SUM(A1)", "\tx", "\r=1"])
def test_a_name_from_outside_is_no_formula_in_a_spreadsheet(name: str) -> None:
    response = csv_response("file", ["team", "energy"], [[name, -1.5], ["fine", None]])
    rows = list(csv.reader(io.StringIO(response.text, newline="")))
    assert rows == [["team", "energy"], ["'" + name, "-1.5"], ["fine", ""]]
    assert response.headers["Content-Type"].startswith("text/csv")


def test_charts_stay_on_this_host() -> None:
    source = CHARTS_JS.read_text()
    assert "showSendToCloud: false" in source
    assert 'plotlyServerURL: ""' in source
    assert "displaylogo: false" in source
    assert "http://" not in source
    assert "https://" not in source


def test_a_chart_names_colours_by_meaning_and_titles_as_objects() -> None:
    figure = stacked_bars(["Jul", "Aug"], [Series("training", [1.0, 2.0]), Series("idle", [0.0, 0.0])], "MWh")
    assert [trace["marker"]["color"] for trace in figure["data"]] == ["training"]
    assert figure["layout"]["yaxis"] == {"title": {"text": "MWh"}, "rangemode": "tozero"}
    source = CHARTS_JS.read_text()
    assert all(f'"{meaning}"' in source for meaning in PALETTE)


def test_only_cartesian_traces_are_drawn() -> None:
    figure = paired_bars(["Jul"], [Series("location", [1.0]), Series("market", [None])], "t")
    assert {trace["type"] for trace in figure["data"]} == {"bar"}
    assert figure["data"][1]["text"] == [""]


def test_a_stack_has_at_most_five_series() -> None:
    with pytest.raises(ValueError, match="five"):
        stacked_bars(["Jul"], [Series(name, [1.0]) for name in list(PALETTE)[:6]], "MWh")


def test_a_bar_of_what_is_there_is_seen() -> None:
    assert Cell("", bar=0.0).bar_width == "0.0"
    assert Cell("", bar=0.00001).bar_width == "0.5"
    assert Cell("", bar=1.2).bar_width == "100.0"
