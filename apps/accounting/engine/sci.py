"""Software Carbon Intensity (ISO/IEC 21031:2024) and SCI for AI: ``SCI = (O + M) per R``.

[1] SCI specification, 4: ``O = E x I`` with a location-based I; no instruments or offsets enter it.
[2] The same, 4.3: ``M = TE x (TiR / EL) x (RR / ToR)``: total embodied emissions, time reserved over expected
    lifetime, resources reserved over total resources.
[3] SCI for AI (Green Software Foundation, ratified 2025-12-17): consumer boundary, operation per token or request;
    provider boundary, design and development over their whole duration, intermediate and early-stopped runs included.

Errors printed in the text of [3] are not copied: 9.1.3 states 0.13 g per million tokens where its own 9.1.1 gives
130 g; 9.2.2 and 9.2.3 state 3,000 and 30 kg per billion parameters where 75,000 / 2.5 is 30,000.

The embodied part belongs to Scope 3 category 2. It is a memo here and enters no Scope 2 figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

MS_PER_YEAR = 31_557_600_000  # 365.25 days
LIFETIME_YEARS = Decimal(4)  # assumption, adjustable: depreciation of AI servers is stated between 3 and 6 years
LEAST_LIFETIME_YEARS, MOST_LIFETIME_YEARS = Decimal(1), Decimal(20)
CONSUMER_UNITS = ("tokens", "requests")
PROVIDER_KINDS = ("training", "fine_tuning", "evaluation", "data")
PROVIDER_RUN_KINDS = ("training", "fine_tuning")


@dataclass(frozen=True, slots=True)
class Embodied:
    """The embodied part of a stretch of use [mg CO2e, exact] and what it could not be told for.

    ``missing_ms``: accelerator-time of hardware without a known figure, by its code; with any, ``mg`` is a part only.
    """

    mg: Fraction
    known_ms: int
    missing_ms: Mapping[str, int]

    @property
    def is_complete(self) -> bool:
        return self.known_ms > 0 and not self.missing_ms


@dataclass(frozen=True, slots=True)
class Score:
    """SCI of a boundary, in g CO2e per functional unit, exact; ``total`` only where both parts are known."""

    operational: Fraction | None
    embodied: Fraction | None

    @property
    def total(self) -> Fraction | None:
        if self.operational is None or self.embodied is None:
            return None
        return self.operational + self.embodied


def operational_mg(*, energy_milliwatt_hours: int, factor_ug_per_kwh: int) -> Fraction:
    """``O = E x I`` [1]: energy [mWh] times location-based intensity [ug/kWh], in mg, exact."""
    return Fraction(energy_milliwatt_hours * factor_ug_per_kwh, 10**9)


def embodied_mg(*, embodied_g: int, reserved_ms: int, lifetime_years: Decimal = LIFETIME_YEARS) -> Fraction:
    """``M`` [2] of accelerators reserved whole (RR / ToR is 1) for so many device-milliseconds, in mg, exact.

    Raises ``ValueError`` for a lifetime outside 1 to 20 years and for negative figures.
    """
    lifetime_ms = lifetime(lifetime_years)
    if embodied_g < 0 or reserved_ms < 0:
        raise ValueError(f"embodied emissions and time are 0 or more, got {embodied_g} g and {reserved_ms} ms")
    return Fraction(embodied_g * 1_000 * reserved_ms, 1) / lifetime_ms


def lifetime(years: Decimal) -> Fraction:
    """An expected lifetime in milliseconds. Raises ``ValueError`` outside 1 to 20 years."""
    if not LEAST_LIFETIME_YEARS <= years <= MOST_LIFETIME_YEARS:
        raise ValueError(f"expected a lifetime of {LEAST_LIFETIME_YEARS} to {MOST_LIFETIME_YEARS} years, got {years}")
    return Fraction(years) * MS_PER_YEAR


def embodied_of(
    used_ms: Mapping[str, int], figures_g: Mapping[str, int], lifetime_years: Decimal = LIFETIME_YEARS
) -> Embodied:
    """The embodied part of device-time by hardware code, with the published figures [g] that are known."""
    total, known_ms, missing = Fraction(0), 0, {}
    for code, reserved_ms in sorted(used_ms.items()):
        if reserved_ms <= 0:
            continue
        if code in figures_g:
            total += embodied_mg(embodied_g=figures_g[code], reserved_ms=reserved_ms, lifetime_years=lifetime_years)
            known_ms += reserved_ms
        else:
            missing[code] = reserved_ms
    return Embodied(total, known_ms, missing)


def score(*, operational: Fraction | None, embodied: Embodied, units: int, unit_size: int = 1) -> Score:
    """``(O + M) per R`` [g CO2e]: ``operational`` is O per unit already, ``units`` the counted work that M is of.

    A part that is not known, or known for some of the hardware only, is absent; so is everything without units.
    """
    if units <= 0:
        return Score(None, None)
    part = embodied.mg * Fraction(unit_size, units * 1_000) if embodied.is_complete else None
    return Score(operational, part)
