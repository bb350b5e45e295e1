"""The Scope 3 memo beside Scope 2: purchased cloud, upstream and losses, embodied hardware. Never added to anything.

[1] GHG Protocol Corporate Value Chain (Scope 3) Standard, ch. 5: category 1 purchased goods and services, category 2
    capital goods, category 3 fuel- and energy-related activities not in Scope 1 or 2.
[2] Scope 3 Calculation Guidance, category 3: upstream emissions of purchased electricity and transmission and
    distribution losses, each the activity times its own factor; neither is part of Scope 2.
[3] ESRS E1 (2026), AR 24(g): purchased cloud and data-centre services are a subset of Scope 3 category 1.

A factor that is not known leaves its figure absent, with the zone named. It is never taken as zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from apps.accounting.engine.factor_choice import nearest_year
from apps.core.units import emissions_mg

UPSTREAM, LOSSES = "upstream", "losses"


class ZoneFactor(Protocol):
    """A published factor of category 3: of a zone and data year [ug CO2e per kWh of consumption]."""

    @property
    def zone(self) -> str: ...
    @property
    def data_year(self) -> int: ...
    @property
    def ug_per_kwh(self) -> int: ...
    @property
    def label(self) -> str: ...


Candidate = TypeVar("Candidate", bound=ZoneFactor)


@dataclass(frozen=True, slots=True)
class Category3(Generic[Candidate]):
    """The emissions [mg] of one energy by one factor of category 3, with the formula; absent without a factor."""

    mg: int | None
    factor: Candidate | None
    working: str
    note: str = ""


def category_3(
    *, kind: str, energy_milliwatt_hours: int, zones: Sequence[str], year: int, candidates: Sequence[Candidate]
) -> Category3[Candidate]:
    """Scope 2 energy [mWh] x the factor of the nearest zone [2]; ``zones`` from the site's own to the country.

    The year is chosen as for location-based factors: the same, else the latest earlier, else the earliest later one.
    """
    words = "upstream factor" if kind == UPSTREAM else "factor of losses"
    for zone in zones:
        own = [candidate for candidate in candidates if candidate.zone == zone]
        if not own:
            continue
        chosen = nearest_year((candidate.data_year for candidate in own), year)
        factor = min((c for c in own if c.data_year == chosen), key=lambda c: c.label)
        mg = emissions_mg(energy_milliwatt_hours, factor.ug_per_kwh)
        lag = "" if chosen == year else f"; data of {chosen} stand in for {year}"
        working = (
            f"{energy_milliwatt_hours / 1e6:,.3f} kWh × {factor.ug_per_kwh / 1e6:g} g/kWh = {mg / 1e6:,.6f} kg"
            f" ({factor.label}, {zone} {chosen}{lag})"
        )
        return Category3(mg, factor, working)
    return Category3(None, None, "", f"no {words} known for {zones[0] if zones else 'a site without a zone'}")
