"""How figures are printed in a document."""

from __future__ import annotations

from decimal import Decimal

import pytest

from apps.disclosures.report.numbers import (
    ENERGY,
    MASS,
    change,
    factor,
    long_date,
    mean_factor,
    moment,
    ratio,
    share,
    typographic,
    unit_for,
)

MWH = 10**9


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ([1_290_000 * MWH], "GWh"),
        ([99_999 * MWH, 1], "MWh"),
        ([MWH, 5], "MWh"),
        ([MWH - 1, None], "kWh"),
        ([999_999], "Wh"),
        ([0, None], "MWh"),
        ([], "MWh"),
    ],
)
def test_a_column_takes_the_largest_unit_that_reads_well(values: list[int | None], name: str) -> None:
    assert unit_for(values, ENERGY).name == name


def test_small_is_not_nothing_and_absent_is_not_zero() -> None:
    unit = unit_for([5 * MWH], ENERGY)
    assert unit.of(1) == "< 0.01"
    assert unit.of(0) == "0"
    assert unit.of(None) == "—"
    assert unit.of(1_234_567 * MWH) == "1,234,567.00"
    assert unit_for([2 * 10**9], MASS).of(2_345_000_000) == "2.35"  # half up


def test_a_part_never_reads_as_the_whole() -> None:
    assert share(99_999, 100_000) == "> 99.9"
    assert share(100_000, 100_000) == "100.0"
    assert share(1, 100_000) == "< 0.1"
    assert share(1, 0) == "—"
    assert share(None, 5) == "—"


def test_a_change_carries_its_sign() -> None:
    assert change(125, 100) == "+ 25.0 %"
    assert change(80, 100) == "− 20.0 %"
    assert change(100, 100) == "± 0 %"
    assert change(1, 0) == "—"
    assert change(None, 4) == "—"


def test_factors_in_kilograms_per_megawatt_hour() -> None:
    assert factor(363_000_000) == "363.000"
    assert factor(None) == "—"
    assert mean_factor(363 * 10**6, 10**9) == "363.0"  # 363 kg for 1 MWh
    assert mean_factor(5, 0) == "—"
    assert ratio(1, 4) == Decimal("0.25")


def test_dates_and_formulas() -> None:
    assert long_date("2026-07-01") == "1 July 2026"
    assert moment("2026-10-12T08:30:02+00:00") == "12 October 2026, 08:30 UTC"
    assert moment(None) == "—"
    assert typographic("CO2e from CO2, CH4 and N2O") == "CO₂e from CO₂, CH₄ and N₂O"
