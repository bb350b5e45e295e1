"""Energy that no team used by name, and who bears it: the pools of idle energy and of differences to the meter.

No standard prescribes a key: it is portal policy. The organisation chooses one of three policies for each pool; the
pool of a site and month is shared inside that site and month, by largest remainder, so that the parts add up to it.
With the policy *unallocated* nothing here is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from django.db import connection

from apps.accounting.ledger_sql import COLUMNS, JOINS, Hidden
from apps.core.windows import Window, epoch_day
from apps.organisations.models import Organisation
from apps.telemetry.rules import RESERVED_PREFIX
from apps.workloads.models import Kind

BEARING = ("team", "model", "workload")  # what energy is shared among, in the order in which a grouping decides
SHARED = "shared_milliwatt_hours"
_UNALLOCATED = Organisation.PoolPolicy.UNALLOCATED.value
_BY_HOURS = Organisation.PoolPolicy.BY_ACCELERATOR_HOURS.value

_BEARERS = """
SELECT used.month, COALESCE(account.site_id, 0), {names},
       CAST(SUM(facility) AS bigint), CAST(SUM(covered_ms * COALESCE(account.accelerators, 1)) AS bigint)
FROM (
    SELECT month, account_id, SUM(facility_energy_milliwatt_hours) AS facility,
           CAST(SUM(covered_ms) AS bigint) AS covered_ms
    FROM accounting_ledgerday WHERE organisation_id = %s AND day >= %s AND day < %s GROUP BY month, account_id
) used
JOIN accounting_account account ON account.id = used.account_id
LEFT JOIN workloads_workload workload ON workload.id = account.workload_id
LEFT JOIN workloads_aimodel model ON model.id = account.model_id
{joins}
WHERE account.{bearing}_id IS NOT NULL
GROUP BY used.month, account.site_id, {names}
"""


@dataclass(frozen=True, slots=True)
class Pools:
    """How one query shares the pools: the policy of each that is not left alone, and the dimensions that bear."""

    policies: Mapping[str, str]
    dimensions: tuple[str, ...]

    @property
    def hidden(self) -> Hidden:
        """The columns that tell pools apart, for the ledger's statement."""
        parts, parameters = [], []
        bare = f"account.{self.dimensions[0]}_id IS NULL"
        if "difference" in self.policies:
            parts.append(f"WHEN SUBSTR(source.name, 1, {len(RESERVED_PREFIX)}) = %s AND {bare} THEN 'difference'")
            parameters.append(RESERVED_PREFIX)
        if "idle" in self.policies:
            parts.append(f"WHEN account.kind = {Kind.IDLE.value} AND account.team_id IS NULL AND {bare} THEN 'idle'")
        pool = f"CASE {' '.join(parts)} ELSE '' END"
        columns = {"pool": pool, "pool_site": "COALESCE(account.site_id, 0)", "pool_method": "account.method"}
        return Hidden(columns, tuple(parameters), ("source",), except_where=f"{pool} <> ''")


def policies_of(organisation: Organisation) -> dict[str, str]:
    """``idle`` and ``difference`` to the organisation's policy for that pool."""
    return {"idle": organisation.idle_policy, "difference": organisation.difference_policy}


def pools_of(organisation_id: int, group_by: Sequence[str], filters: Mapping[str, Any]) -> Pools | None:
    """The pools that a query has to share; None where it asks for nobody who could bear, or all are left alone."""
    dimensions = tuple(name for name in BEARING if name in group_by or name in filters)
    if not dimensions:
        return None
    organisation = Organisation.objects.only("idle_policy", "difference_policy").get(pk=organisation_id)
    policies = {pool: policy for pool, policy in policies_of(organisation).items() if policy != _UNALLOCATED}
    return Pools(policies, dimensions) if policies else None


def share(
    frame: pd.DataFrame, pools: Pools, organisation_id: int, window: Window, figures: Sequence[str]
) -> pd.DataFrame:
    """The rows with each pool among those who bear it, ``figures`` and all; what nobody can bear stays.

    ``frame`` has the columns of :attr:`Pools.hidden` and ``month_number``. A bearer's weight is its facility energy,
    or its accelerator-hours, at the site in the whole month, whatever the window and the filters.
    """
    frame = frame.assign(**{SHARED: 0})
    places = np.flatnonzero((frame["pool"] != "").to_numpy())
    if not len(places):
        return frame
    bearers = bearers_of(pools, organisation_id, window)
    taken, made = [], []
    groups = frame.iloc[places].groupby(["pool", "pool_site", "month_number"], sort=True)
    for (pool, site, month), rows in groups:
        names, energies, hours = bearers.get((int(str(month)), int(str(site))), ([], [], []))
        weights = hours if pools.policies[str(pool)] == _BY_HOURS else energies
        if sum(weights):
            taken += rows.index.tolist()
            made.append(_shared(rows, names, weights, pools.dimensions, figures))
    if not taken:
        return frame
    left = _emptied(frame, taken, figures)
    return pd.concat([left, *made], ignore_index=True)


def filtered(frame: pd.DataFrame, pools: Pools, filters: Mapping[str, tuple[str, ...]]) -> pd.DataFrame:
    """Only the rows of those asked for: what came into the frame for the sake of the pools is left out again."""
    for name in pools.dimensions:
        if name in filters:
            wanted = set(filters[name])
            asked_for = [("" if pd.isna(value) else value) in wanted for value in frame[name]]
            frame = frame[np.array(asked_for, dtype=np.bool_)]
    return frame


def bearers_of(
    pools: Pools, organisation_id: int, window: Window
) -> dict[tuple[int, int], tuple[list[tuple[Any, ...]], list[int], list[int]]]:
    """By month and site: the names of those who bear, in order, their facility energy [mWh] and accelerator-ms."""
    columns = [sql for name in pools.dimensions for sql in COLUMNS[name].values()]
    last = window.end.date()
    following = date(last.year + last.month // 12, last.month % 12 + 1, 1)
    statement = _BEARERS.format(
        names=", ".join(columns),
        joins=" ".join(JOINS[name] for name in JOINS if name in pools.dimensions),
        bearing=pools.dimensions[0],
    )
    with connection.cursor() as cursor:
        first = epoch_day(window.start.date().replace(day=1))
        cursor.execute(statement, [organisation_id, first, epoch_day(following)])
        rows = sorted(cursor.fetchall(), key=lambda row: [str(value) for value in row[2:-2]])
    found: dict[tuple[int, int], tuple[list[tuple[Any, ...]], list[int], list[int]]] = {}
    for month, site, *names, energy, accelerator_ms in rows:
        bearers = found.setdefault((month, site), ([], [], []))
        bearers[0].append(tuple(names))
        bearers[1].append(energy)
        bearers[2].append(accelerator_ms)
    return found


def _shared(
    rows: pd.DataFrame,
    names: Sequence[tuple[Any, ...]],
    weights: Sequence[int],
    dimensions: Sequence[str],
    figures: Sequence[str],
) -> pd.DataFrame:
    """Every row once for each bearer, with the bearer's names and part."""
    count = len(names)
    made = rows.loc[rows.index.repeat(count)].reset_index(drop=True)
    aliases = [alias for name in dimensions for alias in COLUMNS[name]]
    for place, alias in enumerate(aliases):
        made[alias] = [name[place] for name in names] * len(rows)
    known: dict[tuple[int | None, ...], list[int | None]] = {}
    for figure in figures:
        values = tuple(None if pd.isna(value) else int(value) for value in rows[figure])
        if values not in known:
            known[values] = _split(values, weights)
        made[figure] = pd.array(known[values], dtype="Int64" if None in values else "int64")
    made[SHARED] = made["facility_energy_milliwatt_hours"].astype("int64")
    for name in ("tokens", "requests"):
        if name in made:
            made[name] = pd.array([None] * len(made), dtype="Int64")
    for name in ("readings", "covered_ms", "accelerator_ms"):
        if name in made:
            made[name] = 0
    return made


def _split(values: Sequence[int | None], weights: Sequence[int]) -> list[int | None]:
    """Each value in proportion to the weights: whole quotas, then one each to the largest remainders, in order."""
    whole = sum(weights)
    plain = [value or 0 for value in values]
    fits = max(plain, default=0) * max(weights) < 2**62
    products = np.multiply.outer(
        np.array(plain, dtype=np.int64 if fits else object), np.array(weights, dtype=np.int64 if fits else object)
    )
    parts, rests = products // whole, products % whole
    first = np.argsort(-rests, axis=1, kind="stable")
    for row, (value, order) in enumerate(zip(plain, first, strict=True)):
        parts[row, order[: value - int(parts[row].sum())]] += 1
    absent = [value is None for value in values]
    return [None if gone else int(part) for gone, row in zip(absent, parts, strict=True) for part in row]


def _emptied(frame: pd.DataFrame, taken: Sequence[int], figures: Sequence[str]) -> pd.DataFrame:
    """The frame with nothing left in the rows that were shared; these stay for the time and work they count."""
    if "covered_ms" not in frame:
        return frame.drop(index=list(taken))
    left = frame.copy()
    for figure in figures:
        left.loc[list(taken), figure] = pd.NA if str(left[figure].dtype) == "Int64" else 0
    return left
