"""Figures as people read them: units, digits, dashes, and never a 0 for what is not 0."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from apps.core import figures
from apps.core.palette import KIND_GROUP, LABELS, PALETTE

CSS = Path(__file__).parents[2] / "static/css/portal.css"


@pytest.mark.parametrize(
    ("milliwatt_hours", "text"),
    [
        (0, "0 kWh"),
        (1, "< 0.01 Wh"),
        (1_500, "1.50 Wh"),
        (12_340_000_000, "12.34 MWh"),
        (123_456_000_000, "123.5 MWh"),
        (1_234_000_000_000_000, "1,234 GWh"),
        (np.int64(2_000_000), "2.00 kWh"),
        (None, "—"),
        (pd.NA, "—"),
        (float("nan"), "—"),
    ],
)
def test_an_energy_reads_with_the_unit_that_fits(milliwatt_hours: object, text: str) -> None:
    assert figures.energy(milliwatt_hours).replace("\u202f", " ") == text


@pytest.mark.parametrize(
    ("mg", "unit", "text"),
    [
        (1_234_567_890, "t", "1.23"),
        (4_000_000, "t", "< 0.01"),
        (5_000_000, "t", "0.01"),
        (0, "t", "0"),
        (None, "t", "—"),
        (12_345_678_000_000, "t", "12,345.68"),
        (1_500, "kg", "< 0.01"),
    ],
)
def test_a_column_of_emissions_prints_digits_in_its_unit(mg: int | None, unit: str, text: str) -> None:
    assert figures.mass_in(mg, unit) == text


def test_the_unit_of_a_column_follows_its_largest_value() -> None:
    assert figures.column_energy_unit([5, None, 3_000_000_000]) == "MWh"
    assert figures.column_energy_unit([5]) == "kWh"
    assert figures.column_mass_unit([pd.NA, 2_500_000]) == "kg"
    assert figures.column_mass_unit([]) == "g"


def test_the_whole_value_is_kept_for_the_tooltip() -> None:
    assert figures.energy_exact(1_234_567_890_123) == "1,234,567.890123 kWh"
    assert figures.mass_exact(1) == "0.000001 kg CO₂e"


def test_a_share_that_is_not_whole_does_not_read_100_percent() -> None:
    assert figures.percent(0.9999).replace("\u202f", " ") == "> 99 %"
    assert figures.percent(1).replace("\u202f", " ") == "100 %"
    assert figures.percent(0.001).replace("\u202f", " ") == "< 1 %"
    assert figures.percent(None) == "—"


def test_factors_and_pue_read_in_their_units() -> None:
    assert figures.grams_per_kwh(363_000_000) == "363.0"
    assert figures.pue(1_250_000) == "1.25"
    assert figures.pue(1_105_000) == "1.105"


def test_the_style_sheet_and_the_palette_say_the_same() -> None:
    css = CSS.read_text()
    for meaning, colours in PALETTE.items():
        assert re.findall(rf"--data-{meaning}: (#\w+)", css) == [colours.light, colours.dark, colours.dark]
        assert f".d-{meaning} " in css
    assert set(KIND_GROUP.values()) <= set(PALETTE)
    assert set(LABELS) == set(PALETTE)


def test_the_style_sheet_stays_small() -> None:
    assert CSS.stat().st_size < 40_000
