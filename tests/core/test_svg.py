"""Charts as text: what a reader of the drawing, or of its text alternative, gets."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core import svg

NS = "{http://www.w3.org/2000/svg}"
LOCATION = svg.Series("Location-based", [4.0, 2.0], "#3a3f86")
MARKET = svg.Series("Market-based", [3.0, None], "#d9762b", "/")


def texts(drawing: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(drawing).iter(f"{NS}text")]


def paired() -> str:
    return svg.paired_bars(
        ["Vision <&>", "Speech"], (LOCATION, MARKET), (["4 t", "2 t"], ["3 t", "—"]), title="Both", description="Why"
    )


def test_the_same_call_gives_the_same_bytes() -> None:
    assert paired() == paired()


def test_a_drawing_carries_its_text_alternative() -> None:
    root = ElementTree.fromstring(paired())
    assert root.findtext(f"{NS}title") == "Both. Why"
    assert root.findtext(f"{NS}desc") == "Why"
    assert root.get("role") == "img"


def test_names_are_escaped_and_every_value_is_printed() -> None:
    printed = texts(paired())
    assert "Vision <&>" in printed
    assert {"4 t", "3 t", "2 t", "—", "Location-based", "Market-based"} <= set(printed)


def test_paired_bars_share_one_scale() -> None:
    widths = [float(r.get("width", 0)) for r in ElementTree.fromstring(paired()).iter(f"{NS}rect")][2:]
    assert widths[1] / widths[0] == pytest.approx(3 / 4, rel=1e-3)
    assert len(widths) == 3  # the absent value has no bar


def test_what_is_there_at_all_is_seen() -> None:
    drawing = svg.stacked_rows(["A", "B"], [svg.Series("x", [1e9, 1.0], "#000000")], ["1 GWh", "1 Wh"], title="T")
    widths = [float(r.get("width", 0)) for r in ElementTree.fromstring(drawing).iter(f"{NS}rect")]
    assert widths[-1] == 0.75


def test_an_absent_column_is_a_dash_and_not_a_zero() -> None:
    drawing = svg.stacked_columns(["1 Jul", "8 Jul"], [svg.Series("x", [1.0, None], "#000000")], title="T", unit="MWh")
    assert "—" in texts(drawing)


def test_an_absent_value_breaks_a_line() -> None:
    drawing = svg.line(["a", "b", "c", "d"], [svg.Series("x", [1.0, 2.0, None, 3.0], "#000000")], title="T", unit="g")
    assert len(list(ElementTree.fromstring(drawing).iter(f"{NS}polyline"))) == 2


def test_series_are_named_at_the_end_of_their_lines_and_apart() -> None:
    pair = [svg.Series(name, [1.0, 1.0], "#000000") for name in ("One", "Two")]
    root = ElementTree.fromstring(svg.line(["a", "b"], pair, title="T", unit="g"))
    heights = [float(e.get("y", 0)) for e in root.iter(f"{NS}text") if e.text in ("One", "Two")]
    assert abs(heights[0] - heights[1]) >= 12


@pytest.mark.parametrize(
    "drawing",
    [
        svg.paired_bars([], (svg.Series("a", [], "#000000"), svg.Series("b", [], "#000000")), ([], []), title="T"),
        svg.stacked_columns([], [], title="T", unit="MWh"),
        svg.stacked_rows([], [], [], title="T"),
        svg.bars([], svg.Series("a", [], "#000000"), [], title="T"),
        svg.ranged_bars([], [], [], title="T"),
        svg.ranged_bars([svg.Series("a", [None], "#000000")], [None], [""], title="T"),
        svg.line([], [], title="T", unit="g"),
        svg.line(["a"], [svg.Series("x", [None], "#000000")], title="T", unit="g"),
    ],
)
def test_nothing_to_draw_is_still_a_drawing(drawing: str) -> None:
    ElementTree.fromstring(drawing)


@given(st.floats(min_value=1e-9, max_value=1e15))
def test_ticks_begin_at_zero_reach_the_highest_value_and_are_few(highest: float) -> None:
    ticks = svg.nice_ticks(highest)
    assert ticks[0] == 0
    assert ticks[-1] >= highest * (1 - 1e-6) or ticks[-1] == pytest.approx(highest)
    assert len(ticks) <= 7


@given(
    st.sampled_from(["/", "\\", "-", ".", "x"]),
    st.floats(0, 500),
    st.floats(0, 500),
    st.floats(0.5, 300),
    st.floats(0.5, 60),
)
def test_hatching_stays_inside_its_rectangle(hatch: str, x: float, y: float, w: float, h: float) -> None:
    for px, py in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", svg._hatching(x, y, w, h, hatch)):
        assert x - 0.02 <= float(px) <= x + w + 0.02
        assert y - 0.02 <= float(py) <= y + h + 0.02


def test_long_names_are_cut_to_the_room_there_is() -> None:
    cut = svg.shortened("a very long name of a model that nobody can read", 100)
    assert cut.endswith("…")
    assert svg.text_width(cut) <= 100
    assert svg.shortened("short", 100) == "short"


def test_a_whisker_reaches_from_the_lowest_to_the_highest_value_of_its_range() -> None:
    pair = [svg.Series("Location-based", [200.0], "#3a3f86"), svg.Series("Market-based", [100.0], "#d9762b", "/")]
    drawing = svg.ranged_bars(pair, [(150.0, 250.0), None], ["200 t ± 25 %", "100 t"], title="How sure")
    root = ElementTree.fromstring(drawing)
    name = "{http://www.w3.org/2000/svg}"
    lines = [
        {key: float(each.attrib[key]) for key in ("x1", "x2", "y1", "y2")}
        for each in root.iter(f"{name}line")
        if each.attrib["stroke"] == svg.INK
    ]
    whisker, low, high = lines  # one figure has a range: a line and its two ends
    bars = [each for each in root.iter(f"{name}rect") if each.attrib["fill"] == "#3a3f86"]
    left, length = float(bars[0].attrib["x"]), float(bars[0].attrib["width"])
    per_unit = length / 200
    assert whisker["x1"] == low["x1"] == low["x2"] == pytest.approx(left + 150 * per_unit, abs=0.02)
    assert whisker["x2"] == high["x1"] == high["x2"] == pytest.approx(left + 250 * per_unit, abs=0.02)
    assert "200 t ± 25 %" in drawing
    assert "100 t" in drawing
