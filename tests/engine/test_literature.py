"""Published tables recomputed; known misprints caught; what cannot be is said."""

from __future__ import annotations

from fractions import Fraction

import pytest

from apps.accounting.engine import plausibility
from apps.accounting.engine.literature import AGREES, DIFFERS, FLAGGED, PLAUSIBLE, checks, unexplained

CHECKS = {check.id: check for check in checks()}


def test_every_verdict_is_the_known_one() -> None:
    assert [(row.id, row.verdict) for row in unexplained(list(CHECKS.values()))] == []


@pytest.mark.parametrize(
    ("id_", "recomputed"),
    [  # by hand, from the inputs as printed
        ("ST-1 kWh", "26.843"),
        ("ST-4 lb", "1433.882"),
        ("ST-5 kWh", "656347.28"),
        ("PA-1 MWh", "85.33"),
        ("PA-5 MWh", "1289.38"),
        ("PA-3 gross", "4.8441"),
        ("BL-2", "24.692"),
        ("BL-3b", "50.52"),
        ("LL-1", "31.2238"),
        ("LL-3", "291.4222"),
        ("EQ-01", "0.0003925"),
    ],
)
def test_the_arithmetic(id_: str, recomputed: str) -> None:
    value = CHECKS[id_].recomputed
    assert value is not None
    assert abs(value / Fraction(recomputed) - 1) < Fraction("0.0003")


@pytest.mark.parametrize(
    ("id_", "verdict"),
    [
        ("LL-6b", PLAUSIBLE),
        ("LL-9", FLAGGED),  # Llama 3.3 70B
        ("IF-time-sync", FLAGGED),
        ("IF-sci-embodied", FLAGGED),
        ("CC-mix", FLAGGED),
        ("ST-4 kWh", DIFFERS),
        ("BL-4", DIFFERS),
        ("PA-2 net", AGREES),
    ],
)
def test_verdicts(id_: str, verdict: str) -> None:
    assert CHECKS[id_].verdict == verdict


def test_a_unit_taken_for_another_is_named() -> None:
    [doubt] = plausibility.factor_doubts(Fraction("731590"))
    assert doubt.is_impossible
    assert "731.59 kg per MWh" in doubt.text
    assert plausibility.factor_doubts(Fraction("731.59")) == []
    assert plausibility.factor_doubts(Fraction(3000)) == []
    assert plausibility.factor_doubts(Fraction(-1))[0].rule == "factor-negative"


def test_a_stated_run_is_held_against_its_grid() -> None:
    energy, emissions = Fraction(4_900_000), Fraction(2_040_000)
    assert plausibility.run_doubts(energy_kwh=energy, emissions_kg=emissions, grid_g_per_kwh=Fraction(350)) == []
    [doubt] = plausibility.run_doubts(energy_kwh=energy, emissions_kg=Fraction(12_900), grid_g_per_kwh=Fraction(350))
    assert (doubt.rule, doubt.is_impossible) == ("not-this-grid", False)
    [doubt] = plausibility.run_doubts(energy_kwh=energy, emissions_kg=Fraction(0), grid_g_per_kwh=Fraction(350))
    assert doubt.text.startswith("no emissions are stated")
    [doubt] = plausibility.run_doubts(energy_kwh=energy, emissions_kg=Fraction(12_900))
    assert doubt.rule == "below-any-grid"
    [doubt] = plausibility.run_doubts(energy_kwh=Fraction(0), emissions_kg=Fraction(1))
    assert doubt.rule == "emissions-without-energy"


def test_resampling_conserves() -> None:
    assert plausibility.conservation_doubts([Fraction(10)], [Fraction(2)] * 5) == []
    [doubt] = plausibility.conservation_doubts([Fraction(10)], [Fraction(2)] * 6)
    assert "12 after, 10 before (+20.0%)" in doubt.text
