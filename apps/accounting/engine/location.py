"""Location-based emissions.

[1] GHG Protocol Scope 2 Guidance (2015), table 6.2 and ch. 6.4: activity x average factor of the grid, no instruments.
"""

from __future__ import annotations

from fractions import Fraction

SCOPE_2 = "2"
SCOPE_3 = "3"


def scope_of(control: str) -> str:
    """Which scope a site's electricity belongs to.

    Owned, leased and colocation sites are Scope 2; public cloud is the provider's electricity and the customer's
    Scope 3 category 1 (ESRS E1 (2026) AR 24(g); Scope 2 Guidance (2015), ch. 5).
    """
    return SCOPE_3 if control == "cloud" else SCOPE_2


def location_based_mg(facility_energy_milliwatt_hours: int | Fraction, factor_ug_per_kwh: int) -> Fraction:
    """Emissions [mg CO2e], exact and unrounded: energy [mWh] x factor [ug CO2e/kWh] ([1]).

    Whoever stores the figure rounds it once (``core.units.emissions_mg`` does both for integers).
    """
    return Fraction(facility_energy_milliwatt_hours) * factor_ug_per_kwh / 10**9
