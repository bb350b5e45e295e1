"""Energy where nothing is measured: from accelerator-hours and a power profile, or from tokens and energy per token.

[1] Luccioni, Viguier, Ligozat 2022 (BLOOM, arXiv 2211.02001): accelerator-hours x TDP, idle power beside it.
[2] Lacoste et al. 2019 (arXiv 1910.09700): hardware power x time as the activity of a training run.
[3] GHG Protocol Corporate Standard, ch. 6: calculation from activity data where no meter stands, disclosed as such.

Powers in watts, times in hours, energies in microwatt-hours [uWh], all exact until the one rounding at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from apps.core.units import round_half_up
from apps.core.windows import epoch_ms, from_epoch_ms

MICROWATT_HOURS_PER_WH = 1_000_000
JOULES_PER_WH = 3_600
Number = Decimal | Fraction | int


@dataclass(frozen=True, slots=True)
class Worked:
    """An estimated energy [uWh] and how it came about: the formula in words, and with the numbers put in."""

    energy_microwatt_hours: int
    formula: str
    working: str


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of time [ms since the epoch, half-open] with its part of an energy [uWh] and of a count of work."""

    start_ms: int
    end_ms: int
    energy_microwatt_hours: int
    work: int | None


def energy_of_accelerator_hours(
    *, accelerator_hours: Number, utilisation: Number, tdp_w: Number, idle_w: Number | None
) -> Worked:
    """Accelerator-hours x (idle + utilisation x (TDP - idle)), by [1] with the idle power in its place.

    ``utilisation`` is the mean share of the power range between idle and TDP, 0 to 1. Without a known idle power the
    formula is TDP x utilisation, which understates at low utilisation, and the working says so. Raises ``ValueError``
    for a utilisation outside 0 to 1, a TDP that is not above 0, an idle power outside 0 to TDP and negative hours.
    """
    hours, share, most = Fraction(accelerator_hours), Fraction(utilisation), Fraction(tdp_w)
    if not 0 <= share <= 1:
        raise ValueError(f"utilisation is a share from 0 to 1, got {text_of(share)}")
    if most <= 0:
        raise ValueError(f"the TDP is above 0 W, got {text_of(most)}")
    if hours < 0:
        raise ValueError(f"accelerator-hours are 0 or more, got {text_of(hours)}")
    if idle_w is None:
        power = most * share
        formula = "accelerator-hours × TDP × utilisation"
        made = f"{text_of(most)} W × {text_of(share)}"
        note = "; the profile states no idle power, so none is in it"
    else:
        least = Fraction(idle_w)
        if not 0 <= least <= most:
            raise ValueError(f"the idle power is 0 W to the TDP ({text_of(most)} W), got {text_of(least)}")
        power = least + share * (most - least)
        formula = "accelerator-hours × (idle power + utilisation × (TDP − idle power))"
        made = f"({text_of(least)} W + {text_of(share)} × ({text_of(most)} W − {text_of(least)} W))"
        note = ""
    energy = round_half_up(hours * power * MICROWATT_HOURS_PER_WH)
    working = f"{text_of(hours)} h × {made} = {text_of(hours)} h × {text_of(power)} W = {energy_text(energy)}{note}"
    return Worked(energy, formula, working)


def energy_of_tokens(*, tokens: int, microjoules_per_token: int) -> Worked:
    """Tokens x published energy per token [uJ]; 3,600 J are 1 Wh. Raises ``ValueError`` for a negative argument."""
    if tokens < 0 or microjoules_per_token < 0:
        raise ValueError(f"tokens and energy per token are 0 or more, got {tokens} and {microjoules_per_token}")
    energy = round_half_up(Fraction(tokens * microjoules_per_token, JOULES_PER_WH))
    joules = Fraction(microjoules_per_token, 1_000_000)
    working = f"{tokens:,} tokens × {text_of(joules)} J ÷ 3,600 J/Wh = {energy_text(energy)}"
    return Worked(energy, "tokens × energy per token ÷ 3,600 J/Wh", working)


def split_by_month(*, start_ms: int, end_ms: int, energy_microwatt_hours: int, work: int | None = None) -> list[Part]:
    """An interval cut where the UTC months begin: parts of 31 days at most, in proportion to time.

    The part up to a cut is ``floor(quantity x elapsed / duration)`` and a part is the difference of two such, so that
    energies and work add up exactly. Raises ``ValueError`` when the end does not lie after the start.
    """
    if end_ms <= start_ms:
        raise ValueError("the end must lie after the start")
    cuts = [start_ms]
    while (following := _next_month_ms(cuts[-1])) < end_ms:
        cuts.append(following)
    cuts.append(end_ms)
    span = end_ms - start_ms

    def upto(quantity: int, cut: int) -> int:
        return quantity * (cut - start_ms) // span

    return [
        Part(
            first,
            end,
            upto(energy_microwatt_hours, end) - upto(energy_microwatt_hours, first),
            None if work is None else upto(work, end) - upto(work, first),
        )
        for first, end in pairwise(cuts)
    ]


def _next_month_ms(moment_ms: int) -> int:
    moment = from_epoch_ms(moment_ms)
    year, month = moment.year + moment.month // 12, moment.month % 12 + 1
    return epoch_ms(datetime(year, month, 1, tzinfo=UTC))


def text_of(value: Number) -> str:
    """A number as the working shows it: thousands separated, at most six decimals, no trailing zeros."""
    exact = Fraction(value)
    rounded = Decimal(round_half_up(exact * 1_000_000)).scaleb(-6)
    return f"{rounded:,.6f}".rstrip("0").rstrip(".")


def energy_text(microwatt_hours: int) -> str:
    """An energy [uWh] in Wh or kWh, whole: nothing of it is rounded away."""
    in_kwh = microwatt_hours >= 1_000 * MICROWATT_HOURS_PER_WH
    value = Decimal(microwatt_hours).scaleb(-9 if in_kwh else -6)
    digits = f"{value:,.9f}".rstrip("0").rstrip(".")
    return f"{digits} {'kWh' if in_kwh else 'Wh'}"
