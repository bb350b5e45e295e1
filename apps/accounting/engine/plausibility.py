"""What cannot be, or hardly can be, in figures that come from elsewhere. Nothing is corrected here: it is said.

[1] Commission and publishers' own tables: no electricity system reaches 3 kg CO2e/kWh, not even lignite alone.
[2] ISO/IEC 21031:2024 (SCI): the time share of embodied emissions is at most the whole life.
[3] Energy is conserved: cutting intervals or changing their resolution leaves the total as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

HIGHEST_G_PER_KWH = 3_000
# Below this no grid average of a country with thermal plants is published; water and nuclear alone come near it.
LOWEST_USUAL_G_PER_KWH = 5
# A figure that is so many times the grid's average, or that fraction of it, was not made with that grid.
GRID_RATIO = 3


@dataclass(frozen=True, slots=True)
class Doubt:
    """A rule that a figure breaks. ``is_impossible``: refuse it; otherwise ask for the source's explanation."""

    rule: str
    is_impossible: bool
    text: str


def factor_doubts(g_per_kwh: Fraction) -> list[Doubt]:
    """An emission factor [g CO2e/kWh] against what electricity can emit ([1]); kg read as g is a thousand off."""
    if g_per_kwh < 0:
        return [
            Doubt("factor-negative", True, f"{float(g_per_kwh):g} g/kWh is negative; avoided emissions are no factor")
        ]
    if g_per_kwh <= HIGHEST_G_PER_KWH:
        return []
    hint = ""
    if g_per_kwh / 1000 <= HIGHEST_G_PER_KWH:
        hint = (
            f"; {float(g_per_kwh / 1000):g} kg per MWh, which is the same as g per kWh, would be usual: check the unit"
        )
    return [
        Doubt(
            "factor-too-high",
            True,
            f"{float(g_per_kwh):g} g/kWh is above {HIGHEST_G_PER_KWH} g/kWh, more than any plant emits{hint}",
        )
    ]


def run_doubts(*, energy_kwh: Fraction, emissions_kg: Fraction, grid_g_per_kwh: Fraction | None = None) -> list[Doubt]:
    """The energy and location-based emissions that somebody states for one run, against each other.

    ``grid_g_per_kwh``: the average factor of the grid that the run is said to have used, where it is said.
    """
    if energy_kwh < 0 or emissions_kg < 0:
        return [Doubt("negative", True, "energy and emissions are 0 or more")]
    if energy_kwh == 0:
        if emissions_kg == 0:
            return []
        return [Doubt("emissions-without-energy", True, "emissions are stated and no energy")]
    implied = emissions_kg * 1000 / energy_kwh
    doubts = factor_doubts(implied)
    if doubts:
        return doubts
    if grid_g_per_kwh:
        ratio = implied / grid_g_per_kwh
        if not Fraction(1, GRID_RATIO) <= ratio <= GRID_RATIO:
            doubts.append(
                Doubt(
                    "not-this-grid",
                    False,
                    f"{float(implied):.3g} g/kWh is implied; the grid's average is {float(grid_g_per_kwh):.3g} g/kWh,"
                    f" {float(max(ratio, 1 / ratio)):.0f} times {'less' if ratio > 1 else 'more'}"
                    if ratio
                    else f"no emissions are stated; the grid's average is {float(grid_g_per_kwh):.3g} g/kWh",
                )
            )
    elif implied < LOWEST_USUAL_G_PER_KWH:
        doubts.append(
            Doubt(
                "below-any-grid",
                False,
                f"{float(implied):.3g} g/kWh is implied, below {LOWEST_USUAL_G_PER_KWH} g/kWh: a market-based figure,"
                " a misprint, or a grid of water and nuclear power alone",
            )
        )
    return doubts


def conservation_doubts(before: Sequence[Fraction], after: Sequence[Fraction], what: str = "energy") -> list[Doubt]:
    """A series before and after its intervals were cut or joined ([3])."""
    was, is_now = sum(before, Fraction(0)), sum(after, Fraction(0))
    if was == is_now:
        return []
    change = f" ({float((is_now - was) / was):+.1%})" if was else ""
    return [Doubt("not-conserved", True, f"{what} adds up to {float(is_now):g} after, {float(was):g} before{change}")]


def embodied_doubts(*, reserved_s: Fraction, lifespan_s: Fraction) -> list[Doubt]:
    """The time share of embodied emissions ([2])."""
    if lifespan_s <= 0:
        return [Doubt("lifespan", True, "the expected life is more than 0")]
    share = reserved_s / lifespan_s
    if share <= 1:
        return []
    return [
        Doubt(
            "time-share-above-one",
            True,
            f"reserved for {float(share):g} times the expected life of {float(lifespan_s):g} s: check its unit",
        )
    ]
