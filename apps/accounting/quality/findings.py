"""What the data quality page says of a period: tiers and intervals, by site and together, and what drives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from apps.accounting.quality.queries import Composed
from apps.accounting.queries import ENERGIES, MARKED, TIERS, LedgerQuery, group_columns, ledger_frame
from apps.core.figures import is_absent
from apps.core.windows import Window
from apps.organisations.models import Organisation

SUMS = (*ENERGIES, "location_mg", "market_mg", *TIERS, *MARKED)


@dataclass(frozen=True, slots=True)
class Estimated:
    """A figure [mWh or mg] with its interval; all ``None`` where there is none."""

    value: int | None
    low: int | None
    high: int | None
    share: float | None  # the half-width as a share of the value


@dataclass(frozen=True, slots=True)
class Group:
    """The figures of one site and scope, or of a whole scope; ``tiers``: facility energy [mWh] from A to D."""

    scope: str
    site: str | None
    name: str | None
    quality: str
    tiers: tuple[int, int, int, int]
    energy: Estimated
    location: Estimated
    market: Estimated


@dataclass(frozen=True, slots=True)
class Weakness:
    """Facility energy [mWh] of a site whose figure rests on something that can be bettered."""

    site: str
    energy: int


@dataclass(frozen=True, slots=True)
class Findings:
    """``drivers``: of Scope 2, by method, the parts of the squared half-width by kind of cause."""

    total: Group | None
    sites: list[Group]
    drivers: dict[str, dict[str, float]]
    assumed_pue: list[Weakness] = field(default_factory=list)
    life_cycle: list[Weakness] = field(default_factory=list)
    lagging: list[Weakness] = field(default_factory=list)


def headline(
    organisation_id: int, window: Window, filters: Mapping[str, tuple[str, ...]], by_site: pd.DataFrame
) -> Group | None:
    """The Scope 2 figures of a period with their intervals; ``None`` without any.

    ``by_site``: the ledger's frame of that window and those filters by site, in all scopes.
    """
    whole = _scope_2(by_site)
    if whole.empty:
        return None
    composed = Composed(LedgerQuery(organisation_id, window, scope="2", filters=filters, work=False))
    return _groups(whole, composed.intervals(whole, ["scope"]))[0]


def findings(organisation: Organisation, window: Window) -> Findings:
    """Everything above the gaps on the page, from one reading of the ledger's figures and one of their composition."""
    query = LedgerQuery(organisation.pk, window, ("site",), scope="all", work=False)
    frame = ledger_frame(query)
    composed = Composed(query)
    sites = _groups(frame, composed.intervals(frame, group_columns(query)))
    whole = _scope_2(frame)
    total = _groups(whole, composed.intervals(whole, ["scope"]))
    drivers = {name: composed.drivers(whole, ["scope"], name) for name in ("location", "market")}
    rows = composed.parts[composed.parts["scope"] == "2"]
    return Findings(
        total=total[0] if total else None,
        sites=sites,
        drivers={name: found[0] if found else {} for name, found in drivers.items()},
        assumed_pue=_weaknesses(rows[(rows["has_pue"] == 1) & (rows["is_assumed"] == 1)]),
        life_cycle=_weaknesses(rows[rows["level"] == "life_cycle"]),
        lagging=_weaknesses(rows[rows["lag_years"].abs() > 1]),
    )


def _scope_2(frame: pd.DataFrame) -> pd.DataFrame:
    """The sums of the Scope 2 rows as a frame of one row, or of none."""
    rows = frame[frame["scope"] == "2"]
    if rows.empty:
        return rows
    sums: dict[str, Any] = {name: [rows[name].sum(min_count=1)] for name in SUMS}
    return pd.DataFrame({"scope": ["2"], **sums, "quality": [_letter(sums)]})


def _letter(sums: dict[str, Any]) -> str | None:
    """As ``accounting.queries`` gives it: the weakest tier that makes up 5 % of the energy."""
    energy = int(sums["facility_energy_milliwatt_hours"][0])
    letters = [name[5].upper() for name in TIERS if 0 < int(sums[name][0]) * 20 >= energy]
    return letters[-1] if letters else None


def _whole(value: Any) -> int | None:
    return None if is_absent(value) else int(value)


def _groups(frame: pd.DataFrame, found: pd.DataFrame) -> list[Group]:
    rows = []
    for figure, interval in zip(frame.to_dict("records"), found.to_dict("records"), strict=True):

        def estimated(column: str, name: str, unit: str, figure: Any = figure, interval: Any = interval) -> Estimated:
            share = interval[f"{name}_uncertainty"]
            return Estimated(
                _whole(figure[column]),
                _whole(interval[f"{name}_low_{unit}"]),
                _whole(interval[f"{name}_high_{unit}"]),
                None if is_absent(share) else float(share),
            )

        rows.append(
            Group(
                scope=str(figure["scope"]),
                site=None if is_absent(figure.get("site")) else str(figure["site"]),
                name=None if is_absent(figure.get("site_name")) else str(figure["site_name"]),
                quality="" if is_absent(figure["quality"]) else str(figure["quality"]),
                tiers=tuple(int(figure[name]) for name in TIERS),  # type: ignore[arg-type]
                energy=estimated("facility_energy_milliwatt_hours", "energy", "milliwatt_hours"),
                location=estimated("location_mg", "location", "mg"),
                market=estimated("market_mg", "market", "mg"),
            )
        )
    return rows


def _weaknesses(rows: pd.DataFrame) -> list[Weakness]:
    if rows.empty:
        return []
    sums = rows.groupby("site_name", sort=True)["energy"].sum().sort_values(ascending=False, kind="stable")
    return [Weakness(str(name), int(energy)) for name, energy in sums.items() if energy > 0]
