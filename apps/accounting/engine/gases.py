"""From gas masses to CO2 equivalent: global warming potentials over 100 years.

[1] IPCC, Fourth Assessment Report (2007), Working Group I, table 2.14.
[2] IPCC, Fifth Assessment Report (2013), Working Group I, table 8.A.1, without climate-carbon feedbacks.
[3] IPCC, Sixth Assessment Report (2021), Working Group I, table 7.15; CH4 without distinction of origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Protocol

from apps.core.units import UG_PER_KWH_PER_KG_PER_MWH, round_half_up


class GwpSet(Protocol):
    """One assessment report's GWP100 [kg CO2e per kg of gas]; that of CO2 is 1 by definition."""

    @property
    def name(self) -> str: ...
    @property
    def ch4(self) -> Decimal: ...
    @property
    def n2o(self) -> Decimal: ...


@dataclass(frozen=True, slots=True)
class Gwp:
    """A :class:`GwpSet` as a plain value."""

    name: str
    ch4: Decimal
    n2o: Decimal


GWP_SETS = {
    "AR4": Gwp("AR4", Decimal(25), Decimal(298)),  # [1]
    "AR5": Gwp("AR5", Decimal(28), Decimal(265)),  # [2]
    "AR6": Gwp("AR6", Decimal("27.9"), Decimal(273)),  # [3]
}


def co2e_kg_per_mwh(
    *, co2_kg_per_mwh: Decimal, ch4_kg_per_mwh: Decimal, n2o_kg_per_mwh: Decimal, gwp: GwpSet
) -> Fraction:
    """CO2 equivalent [kg/MWh] of three gas masses [kg/MWh], exact: CO2 + GWP(CH4) CH4 + GWP(N2O) N2O.

    Scope 2 Guidance (2015), ch. 6.11: the gases are kept apart where the factor allows and summed with one GWP set.
    Biogenic CO2 is no argument: it stands outside the scopes; biogenic CH4 and N2O are inside (p. 57-59).
    """
    return (
        Fraction(co2_kg_per_mwh)
        + Fraction(gwp.ch4) * Fraction(ch4_kg_per_mwh)
        + Fraction(gwp.n2o) * Fraction(n2o_kg_per_mwh)
    )


def factor_ug_per_kwh(kg_per_mwh: Fraction | Decimal) -> int:
    """An emission factor [kg/MWh, equal to g/kWh] as the integer the portal calculates with [ug CO2e/kWh].

    The only rounding of a factor, half up; it is below two parts in a billion for any factor above 0.3 kg/MWh.
    """
    return round_half_up(Fraction(kg_per_mwh) * UG_PER_KWH_PER_KG_PER_MWH)
