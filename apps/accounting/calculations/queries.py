"""The receipt of a figure: what it follows from, as JSON that ``engine.receipt`` recomputes.

The head is made from the daily roll-up and the rates, whatever the number of readings; the lines, one per hour and
account, are read when they are asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pandas as pd

from apps.accounting import pools
from apps.accounting.calculations import sql
from apps.accounting.calculations.markets import Json, datasets, factor_json, market_key, markets_of
from apps.accounting.calculations.sql import LedgerLine, Sum, Words
from apps.accounting.engine.gases import GWP_SETS
from apps.accounting.engine.receipt import FORMAT, WORDS, head_digest
from apps.accounting.engine.rulesets import REPORTED
from apps.accounting.engine.version import ENGINE_VERSION
from apps.accounting.ledger_sql import COLUMNS
from apps.accounting.market_parts import earmarks_of, hidden_of
from apps.accounting.models import LocationRate
from apps.accounting.queries import LedgerQuery, group_columns, ledger_frame, location_rates, market_rates
from apps.accounting.rates import GWP_SET
from apps.core.units import kg, kwh
from apps.core.windows import from_epoch_hour
from apps.organisations.models import Organisation
from apps.sites.models import Site
from apps.telemetry.rules import RESERVED_PREFIX

NO_SITE = "no site"
FILE_LINES = 2_000_000  # of one downloaded receipt


class TooManyLinesError(ValueError):
    """A receipt with more lines than one file takes; the text says what to do."""


def iso(hour: int) -> str:
    """An hour of the ledger as ``2026-07-01T05:00:00Z``."""
    return f"{from_epoch_hour(hour):%Y-%m-%dT%H:00:00Z}"


# --- The head -------------------------------------------------------------------------------------------------------


class Calculation:
    """One query of the ledger and what its figures follow from."""

    def __init__(self, query: LedgerQuery) -> None:
        self.query = replace(query, work=False)
        self.organisation = Organisation.objects.get(pk=query.organisation_id)
        self.market = market_rates(query.organisation_id, query.window) if query.scope in ("2", "all") else []
        earmarks = earmarks_of(self.market)
        self.pools = pools.pools_of(query.organisation_id, (), query.filters)
        self.row_pools = (
            pools.pools_of(query.organisation_id, query.group_by, query.filters) if query.group_by else None
        )
        self.selection = sql.Selection(
            self.query,
            (*((hidden_of(earmarks),) if earmarks else ()), *((self.pools.hidden,) if self.pools else ())),
            (self.row_pools.hidden,) if self.row_pools else (),
        )
        self.rates = location_rates(query.organisation_id, query.window)
        self._by_site: dict[int, list[LocationRate]] = defaultdict(list)
        for rate in self.rates:
            self._by_site[rate.site_id].append(rate)

    def rate_at(self, site_id: int | None, hour: int) -> LocationRate | None:
        if site_id is None:
            return None
        held = self._by_site.get(site_id, ())
        return next((rate for rate in held if rate.first_hour <= hour < rate.end_hour), None)

    def head(self) -> Json:
        """Everything that the figures follow from, with ``digest``, the SHA-256 over all of it."""
        query, organisation = self.query, self.organisation
        sums = sql.sums(self.selection, sorted({rate.first_hour for rate in self.rates}))
        rates = self._rates(sums)
        markets = markets_of(organisation, self.market, sums, self._market_of())
        head: Json = {
            "format": FORMAT,
            "organisation": {"slug": organisation.slug, "name": organisation.name},
            "query": {
                "from": _time(query.window.start),
                "to": _time(query.window.end),
                # An hour counts in the window in which it begins.
                "from_hour": iso(query.window.first_hour),
                "to_hour": iso(query.window.end_hour),
                "scope": query.scope,
                "filters": dict(sql.filters_of(query)),
                "group_by": list(query.group_by),
            },
            "figures": self._figures(),
            "groups": self._groups(),
            "method": {
                "ruleset": REPORTED.id,
                "ruleset_source": REPORTED.source,
                "engine_version": ENGINE_VERSION,
                "gwp_set": GWP_SET,
                "gwp_100": {"CO2": "1", "CH4": str(GWP_SETS[GWP_SET].ch4), "N2O": str(GWP_SETS[GWP_SET].n2o)},
                "energy_boundaries": sorted({each.boundary for each in sums}),
                "units": "energy in mWh, emissions in mg CO2e, factors in ug CO2e/kWh, PUE in ppm; rounded half up once"
                " a line",
            },
            "policies": {
                "claim_period": organisation.claim_period,
                "market_allocation": organisation.market_allocation,
                "idle_policy": organisation.idle_policy,
                "difference_policy": organisation.difference_policy,
                "vintage_window_months": organisation.vintage_window_months,
            },
            "pools": self._pools(sums),
            "set_aside": self._set_aside(),
            "datasets": datasets(rates, markets),
            "rates": rates,
            "markets": markets,
        }
        return {**head, "digest": head_digest(head)}

    def _pools(self, sums: Sequence[Sum]) -> Json | None:
        """Who bears the pools, and what lies in them; None where the selection bears none."""
        read = {each.dimensions: each for each in (self.pools, self.row_pools) if each is not None}
        if not read:
            return None
        bearers = []
        for dimensions, each in sorted(read.items()):
            places = [next(iter(COLUMNS[name])) for name in dimensions]
            aliases = [alias for name in dimensions for alias in COLUMNS[name]]
            found = pools.bearers_of(each, self.organisation.pk, self.query.window)
            for (month, site), (names, energies, hours) in sorted(found.items()):
                bearers.append(
                    {
                        "dimensions": list(dimensions),
                        "month": month,
                        "site": site,
                        "names": [[name[aliases.index(place)] for place in places] for name in names],
                        "facility_energy_milliwatt_hours": energies,
                        "accelerator_ms": hours,
                    }
                )
        held: dict[tuple[str, int, int], int] = defaultdict(int)
        for row in sums:
            if row.pool:
                held[row.pool, row.month, row.site_id or 0] += row.facility
        return {
            "policies": dict(next(iter(read.values())).policies),
            "difference_prefix": RESERVED_PREFIX,
            "bearers": bearers,
            "energy": [
                {"pool": pool, "month": month, "site": site, "facility_energy_milliwatt_hours": energy}
                for (pool, month, site), energy in sorted(held.items())
            ],
        }

    def _set_aside(self) -> list[Json]:
        """What another source of the same device measured too, by source: received, and not counted."""
        return [
            {"source": source, "counted_source": counted, "hours": hours, "energy_microwatt_hours": energy}
            for source, counted, hours, energy in sql.set_aside(self.selection)
        ]

    def said(self, words: Words) -> Json:
        """An account in words; where pools are shared, with the numbers that tell their rows apart."""
        said = {name: getattr(words, name) for name in WORDS}
        if self.pools or self.row_pools:
            said |= {"pool_site": words.site_id or 0, "pool_method": words.method_number}
        return said

    def _market_of(self) -> dict[int, str]:
        return dict(Site.objects.of(self.organisation).values_list("pk", "market"))

    def _figures(self) -> list[Json]:
        """The figure of each scope: the scopes are never added to each other."""
        frame = ledger_frame(replace(self.query, group_by=()))
        return [{"scope": str(row["scope"]), **_figure(row)} for row in _records(frame)]

    def _groups(self) -> list[Json]:
        if not self.query.group_by:
            return []
        names = [name for name in group_columns(self.query) if not name.endswith("_name")]
        return [{**{name: row[name] for name in names}, **_figure(row)} for row in _records(ledger_frame(self.query))]

    def _rates(self, sums: Sequence[Sum]) -> list[Json]:
        """One block per rate, in order of site and time, with the energies and emissions that it made."""
        found: dict[tuple[str, str], Json] = {}
        parts: dict[tuple[str, str], dict[str, Json]] = defaultdict(dict)
        codes = dict(Site.objects.of(self.organisation).values_list("pk", "code"))
        for each in sums:
            rate = self.rate_at(each.site_id, each.first_hour)
            site = None if each.site_id is None else codes[each.site_id]
            key = (site or "", rate_key(rate, site))
            if key not in found:
                found[key] = _rate(rate, site, each.scope)
            part = parts[key].setdefault(
                each.boundary,
                {
                    "boundary": each.boundary,
                    "readings": 0,
                    "it_energy_milliwatt_hours": 0,
                    "facility_energy_milliwatt_hours": 0,
                    "location_mg": None,
                },
            )
            part["readings"] += each.readings
            part["it_energy_milliwatt_hours"] += each.it
            part["facility_energy_milliwatt_hours"] += each.facility
            if each.location_mg is not None:
                part["location_mg"] = each.location_mg + (part["location_mg"] or 0)
        return [{**found[key], "sums": [parts[key][name] for name in sorted(parts[key])]} for key in sorted(found)]

    # --- Lines ------------------------------------------------------------------------------------------------------

    def line_rows(self, lines: Iterable[LedgerLine], words: Mapping[int, Words]) -> list[Json]:
        """Lines in the words of the API, each with the rate it was made with."""
        rows = []
        for line in lines:
            said = words[line.account_id]
            rate = self.rate_at(said.site_id, line.hour)
            rows.append(
                {
                    "hour": iso(line.hour),
                    "account": line.account_id,
                    **self.said(said),
                    "readings": line.readings,
                    "rate": rate_key(rate, said.site),
                    "pue_ppm": rate.pue_ppm if rate else None,
                    "factor_ug_per_kwh": rate.factor_ug_per_kwh if rate else None,
                    "it_energy_milliwatt_hours": line.it,
                    "facility_energy_milliwatt_hours": line.facility,
                    "location_mg": line.location_mg,
                    "market_period": self._market_period(said, line.hour),
                }
            )
        return rows

    def _market_period(self, said: Words, hour: int) -> str | None:
        """The market and first day of the claim period whose result the line has a share of."""
        if said.scope != "2" or said.market is None:
            return None
        day = from_epoch_hour(hour).date()
        for rate in self.market:
            if rate.market == said.market and rate.period_start <= day < rate.period_end:
                return market_key(rate)
        return None

    def page(self, after: tuple[int, int] | None, limit: int) -> tuple[list[Json], tuple[int, int] | None]:
        """``limit`` lines behind ``after`` (epoch hour, account), and where the next page starts."""
        ranges = sql.hours_of(self.query)
        found = (
            sql.lines(self.selection, ranges, limit + 1)
            if after is None
            else sql.lines_after(self.selection, *after, limit=limit + 1)
        )
        shown = found[:limit]
        words = sql.words(self.query.organisation_id, sorted({line.account_id for line in shown}))
        following = (shown[-1].hour, shown[-1].account_id) if len(found) > limit else None
        return self.line_rows(shown, words), following

    def rows_by_day(self) -> Iterator[tuple[list[list[Any]], dict[int, Words]]]:
        """The lines as arrays in the order of ``engine.receipt.COLUMNS``, a day at a time, with the new accounts."""
        known: dict[int, Words] = {}
        for ranges in sql.days_of(sql.hours_of(self.query)):
            found = sql.lines(self.selection, ranges)
            new = sorted({line.account_id for line in found} - known.keys())
            added = sql.words(self.query.organisation_id, new)
            known |= added
            rows = []
            for line in found:
                said = known[line.account_id]
                rate = rate_key(self.rate_at(said.site_id, line.hour), said.site)
                rows.append(
                    [iso(line.hour), line.account_id, rate, line.readings, line.it, line.facility, line.location_mg]
                )
            yield rows, added


def rate_key(rate: LocationRate | None, site: str | None) -> str:
    """The name of a rate inside a receipt: site and first day."""
    if rate is None:
        return f"{site} without a rate" if site else NO_SITE
    return f"{rate.site.code} {from_epoch_hour(rate.first_hour):%Y-%m-%d}"


def _records(frame: pd.DataFrame) -> list[Json]:
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in frame.to_dict("records")
    ]


def _figure(row: Mapping[str, Any]) -> Json:
    """A row of the ledger's frame: whole numbers, and the same in the units of the API, exact to six decimals."""
    whole = {
        name: None if row[name] is None else int(row[name])
        for name in ("it_energy_milliwatt_hours", "facility_energy_milliwatt_hours", "location_mg", "market_mg")
    }
    return {
        **whole,
        "it_energy_kwh": _units(whole["it_energy_milliwatt_hours"], kwh),
        "facility_energy_kwh": _units(whole["facility_energy_milliwatt_hours"], kwh),
        "location_kg": _units(whole["location_mg"], kg),
        "market_kg": _units(whole["market_mg"], kg),
        "quality": row["quality"],
    }


def _units(value: int | None, convert: Any) -> str | None:
    """As text: a float would not survive the canonical form on every machine."""
    return None if value is None else f"{convert(value):f}"


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _rate(rate: LocationRate | None, site: str | None, scope: str) -> Json:
    if rate is None:
        return {
            "rate": rate_key(None, site),
            "site": site,
            "scope": scope,
            "from": "0001-01-01T00:00:00Z",
            "to": "9999-12-31T00:00:00Z",
            "pue_ppm": None,
            "pue_source": "",
            "factor": None,
            "factor_ug_per_kwh": None,
            "gwp_set": GWP_SET,
            "level": "",
            "lag_years": 0,
            "reasons": ["no site: the energy is shown and has no emissions"] if site is None else ["no rate"],
            "engine_version": ENGINE_VERSION,
        }
    return {
        "rate": rate_key(rate, site),
        "site": rate.site.code,
        "site_name": rate.site.name,
        "control": rate.site.control,
        "scope": scope,
        "market": rate.site.market,
        "grid_zone": rate.site.grid_zone,
        "from": iso(rate.first_hour),
        "to": iso(rate.end_hour),
        "pue_ppm": rate.pue_ppm,
        "pue_source": rate.pue_source,
        "factor": factor_json(rate.factor),
        "factor_ug_per_kwh": rate.factor_ug_per_kwh,
        "gwp_set": rate.gwp_set,
        "level": rate.level,
        "lag_years": rate.lag_years,
        "reasons": [str(reason) for reason in rate.reasons],
        "engine_version": rate.engine_version,
    }


# --- What others ask for --------------------------------------------------------------------------------------------


def receipt_digest(query: LedgerQuery) -> str:
    """The digest of the receipt of a query: SHA-256 over everything that its figures follow from."""
    return str(Calculation(query).head()["digest"])


def receipt_path(query: LedgerQuery) -> str:
    """The API call that gives the receipt of a query, such as ``/api/v1/calculations?from=...``."""
    return f"/api/v1/calculations?{receipt_query(query)}"


def receipt_url(organisation: Organisation, query: LedgerQuery) -> str:
    """The page that shows the receipt of a query, from the root of the site."""
    return f"/o/{organisation.slug}/calculations/?{receipt_query(query, unassigned='~none')}"


def receipt_query(query: LedgerQuery, unassigned: str = "") -> str:
    """The query string of a receipt; ``unassigned``: how the reader writes what has no name."""
    window = query.window
    times = ("%Y-%m-%d",) * 2 if window.is_whole_days else ("%Y-%m-%dT%H:%M:%SZ",) * 2
    pairs = [("from", f"{window.start:{times[0]}}"), ("to", f"{window.end:{times[1]}}")]
    pairs += [(name, value or unassigned) for name, values in sorted(query.filters.items()) for value in values]
    if query.scope != "2":
        pairs.append(("scope", query.scope))
    if query.group_by:
        pairs.append(("group_by", ",".join(query.group_by)))
    return urlencode(pairs, safe=",:~")
