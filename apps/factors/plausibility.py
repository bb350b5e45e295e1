"""Whether a number can be an emission factor of electricity at all, and which slip of units would explain it.

Tables with such slips have been published: a mix of 731.59 *kg*/kWh that is right in kg/MWh, a residual mix of
0.427 in a column of g/kWh. A guard that only asks for a number lets them through.

>>> explain(Decimal("731590"))
'at most 3000 kg/MWh: no grid emits more; 1,000 times too large, it looks like kg/kWh taken for g/kWh'
>>> looks_like_kg_per_kwh(Decimal("0.329"), known=Decimal("329"))
True
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

KG_PER_LB = Decimal("0.45359237")  # exact, by the international yard and pound agreement
LOWEST_KG_PER_MWH = 0
# Lignite in an old plant emits some 1,500 kg/MWh; the highest published grid mixes stay below 1,400.
HIGHEST_KG_PER_MWH = 3_000
# A table whose largest factor is below this holds kg/kWh or t/MWh in a column of kg/MWh.
LOWEST_MAXIMUM_KG_PER_MWH = 2
ROWS_TO_JUDGE_UNITS = 3
# Two published factors of one zone differ by boundary and year, at most some five-fold (Sweden); not 200-fold.
KNOWN_TO_JUDGE_KG_PER_MWH = 20
_TIMES_APART = 200

OUT_OF_RANGE = f"at most {HIGHEST_KG_PER_MWH} kg/MWh: no grid emits more"


def explain(kg_per_mwh: Decimal) -> str | None:
    """What is expected instead of a factor [kg/MWh, equal to g/kWh] that cannot be one; None where it can.

    >>> explain(Decimal(380)) is None
    True
    >>> explain(Decimal(-1))
    '0 or more'
    """
    if kg_per_mwh < LOWEST_KG_PER_MWH:
        return "0 or more"
    if kg_per_mwh <= HIGHEST_KG_PER_MWH:
        return None
    hint = _slip(kg_per_mwh)
    return f"{OUT_OF_RANGE}; {hint}" if hint else OUT_OF_RANGE


def _slip(kg_per_mwh: Decimal) -> str:
    if kg_per_mwh * KG_PER_LB <= HIGHEST_KG_PER_MWH:
        return "it looks like lb/MWh, to be multiplied by 0.45359237"
    if kg_per_mwh / 1000 <= HIGHEST_KG_PER_MWH:
        return "1,000 times too large, it looks like kg/kWh taken for g/kWh"
    return "is it g/MWh or per GWh?"


def looks_like_kg_per_kwh(kg_per_mwh: Decimal, known: Decimal | None) -> bool:
    """Whether a factor is so far below another one of the same zone [kg/MWh] that its unit must be kg/kWh."""
    if known is None or known < KNOWN_TO_JUDGE_KG_PER_MWH:
        return False
    return kg_per_mwh > 0 and kg_per_mwh * _TIMES_APART < known


def table_looks_like_kg_per_kwh(kg_per_mwh: Sequence[Decimal]) -> bool:
    """Whether all factors of a table [kg/MWh] together are so small that their unit must be kg/kWh.

    >>> table_looks_like_kg_per_kwh([Decimal("0.017"), Decimal("0.01"), Decimal("0.329")])
    True
    """
    return len(kg_per_mwh) >= ROWS_TO_JUDGE_UNITS and 0 < max(kg_per_mwh) < LOWEST_MAXIMUM_KG_PER_MWH
