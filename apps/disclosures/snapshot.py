"""Freezing a quarter: everything that a document prints, as JSON of whole numbers, texts and dates.

No float enters a snapshot and every key is text, so that its canonical form, and with it the digest, is the same
before and after the database, on any machine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any

import pandas as pd
from django.utils import timezone

from apps.accounting import queries as ledger
from apps.accounting.engine.market import CRITERIA
from apps.accounting.market import lots_of
from apps.accounting.models import LocationRate, MarketRate
from apps.accounting.queries import LedgerQuery
from apps.core.units import round_half_up
from apps.core.windows import Quarter, Window, from_epoch_hour
from apps.disclosures.formats import FORMAT
from apps.disclosures.frozen import beside, sureness
from apps.disclosures.frozen.method import method, methodology_text
from apps.disclosures.frozen.periods import windows
from apps.disclosures.frozen.plain import Json, factor_json, texts, time_text
from apps.disclosures.frozen.receipts import receipts
from apps.disclosures.models import Disclosure
from apps.disclosures.report.parts import ADDITIVE
from apps.organisations.models import Organisation
from apps.procurement.models import Instrument
from apps.sites.models import Site
from apps.workloads.models import AIModel, Provenance, Workload

STATE = "Unassured interim data"
# A source that has been silent for longer than this before the period has been taken away, not fallen silent.
GONE_AFTER = timedelta(days=92)
TIMES_READ = 3


class NothingToDiscloseError(Exception):
    """The quarter holds no Scope 2 energy; the text says what to do."""


def collect(disclosure: Disclosure) -> Json:
    """The snapshot of a disclosure's quarter as the ledger stands now. Raises ``NothingToDiscloseError``.

    Read again when hours were settled meanwhile, a few times at most, so that its parts are of one moment.
    """
    organisation_id = disclosure.organisation_id
    for _ in range(TIMES_READ):
        before = ledger.ledger_status(organisation_id).last_settled_at
        snapshot = _collect(disclosure)
        if ledger.ledger_status(organisation_id).last_settled_at == before:
            break
    return snapshot


def _collect(disclosure: Disclosure) -> Json:
    organisation = disclosure.organisation
    quarter = Quarter.parse(disclosure.period.label)
    window, now = quarter.window, timezone.now()
    total = _total(organisation, window)
    if total is None:
        raise NothingToDiscloseError(
            f"No reading of {quarter} belongs to a Scope 2 site. Send telemetry for the quarter, or assign its sources"
            " to sites, wait until no hours are pending, and make the disclosure again."
        )
    status = ledger.ledger_status(organisation.pk)
    rates = ledger.location_rates(organisation.pk, window)
    totals = _totals(organisation, quarter, total)
    scope_3 = {"total": _total(organisation, window, "3"), "by_site": _by_site(organisation, window, "3")}
    return {
        "format": FORMAT,
        "organisation": {
            "slug": organisation.slug,
            "name": organisation.name,
            "claim_period": organisation.claim_period,
            "market_allocation": organisation.market_allocation,
            "vintage_window_months": organisation.vintage_window_months,
            "demo": organisation.is_demo,
        },
        "period": {
            "label": str(quarter),
            "start": window.start.date().isoformat(),
            "end": window.end.date().isoformat(),
            "ended": now >= window.end,
        },
        "document": {
            "id": str(disclosure.public_id),
            "version": disclosure.version,
            "state": STATE,
            "prepared_by": str(disclosure.requested_by) if disclosure.requested_by else "",
            "requested_at": time_text(disclosure.requested_at),
            "collected_at": time_text(now),
            "supersedes": _superseded(disclosure),
        },
        "method": method(organisation, window, (rate.gwp_set for rate in rates)),
        "ledger": {"pending_hours": status.pending_hours, "last_settled_at": time_text(status.last_settled_at)},
        "totals": totals,
        "by_site": _by_site(organisation, window, "2"),
        "by_team": _grouped(organisation, window, "team"),
        "by_model": _grouped(organisation, window, "model"),
        "by_kind": _grouped(organisation, window, "kind"),
        "by_model_kind": _grouped(organisation, window, "model", "kind"),
        "by_week_kind": _by_week(organisation, window),
        "published": _published(organisation, window),
        "scope_3": scope_3,
        "unassigned": {
            "total": _total(organisation, window, "unassigned"),
            "by_source": _grouped(organisation, window, "source", scope="unassigned"),
        },
        "sites": [
            {name: getattr(site, name) for name in ("code", "name", "country", "control", "grid_zone", "market")}
            for site in Site.objects.of(organisation).order_by("name", "code")
        ],
        "location_rates": [_location_rate(rate, window) for rate in rates],
        "market_rates": _market_rates(organisation, ledger.market_rates(organisation.pk, window)),
        "sources": _sources(organisation, window),
        "uncertainty": sureness.uncertainties(organisation, window),
        "reconciliation": sureness.reconciliations(organisation, window),
        "set_aside": sureness.set_aside(organisation, window),
        "gap_decisions": sureness.gap_decisions(organisation, window),
        "estimates": sureness.modelled(organisation, window),
        "hourly": beside.hourly(organisation, window),
        "scope_3_memo": beside.scope_3_memo(organisation, window),
        "indicators": beside.indicators(organisation, window),
        "intensities": beside.intensities(organisation, window),
        "receipts": receipts(
            organisation,
            quarter,
            {name for name, one in totals.items() if one["figures"]},
            cloud=scope_3["total"] is not None,
        ),
        "methodology": methodology_text(),
    }


# --- Figures ------------------------------------------------------------------------------------------------------


def _whole(value: Any) -> int | None:
    return None if value is None or pd.isna(value) else int(value)


def _figures(row: Any) -> Json:
    quality = row["quality"]
    return {
        **{name: _whole(row[name]) for name in ADDITIVE},
        "quality": quality if isinstance(quality, str) else None,
    }


def _total(organisation: Organisation, window: Window, scope: str = "2") -> Json | None:
    """The figures of a window, or None when no reading lies in it: absent is not zero."""
    row = ledger.ledger_total(LedgerQuery(organisation.pk, window, scope=scope))
    return _figures(row) if int(row["readings"]) else None


def _totals(organisation: Organisation, quarter: Quarter, total: Json) -> Json:
    """The quarter, and the periods it is held against; absent where there is no reading."""
    found: Json = {}
    for name, (label, window) in windows(quarter).items():
        found[name] = {"label": label, "figures": total if name == "quarter" else _total(organisation, window)}
    return found


def _grouped(organisation: Organisation, window: Window, *dimensions: str, scope: str = "2") -> list[Json]:
    query = LedgerQuery(organisation.pk, window, dimensions, scope)
    names = [name for name in ledger.group_columns(query) if name != "scope"]
    return [
        {**{name: row[name] if isinstance(row[name], str) else None for name in names}, **_figures(row)}
        for _, row in ledger.ledger_frame(query).iterrows()
    ]


def _by_site(organisation: Organisation, window: Window, scope: str) -> list[Json]:
    sites = {site.code: site for site in Site.objects.of(organisation)}
    return [
        {**row, **{name: getattr(sites[row["site"]], name) for name in ("country", "control", "grid_zone", "market")}}
        for row in _grouped(organisation, window, "site", scope=scope)
    ]


def _added(rows: Iterable[Json]) -> Json:
    sums: Json = dict.fromkeys(ADDITIVE)
    for row in rows:
        for name in ADDITIVE:
            if row[name] is not None:
                sums[name] = (sums[name] or 0) + row[name]
    return sums


def _by_week(organisation: Organisation, window: Window) -> list[Json]:
    """By phase of work and by week, counted from the first day of the quarter."""
    weeks: dict[tuple[str, str], list[Json]] = defaultdict(list)
    for row in _grouped(organisation, window, "day", "kind"):
        days = (date.fromisoformat(row["day"]) - window.start.date()).days
        start = window.start.date() + timedelta(days=days - days % 7)
        weeks[start.isoformat(), row["kind"]].append(row)
    return [{"week_start": week, "kind": kind, **_added(rows)} for (week, kind), rows in sorted(weeks.items())]


def _published(organisation: Organisation, window: Window) -> list[Json]:
    """What other organisations published and this one shows as an example, each with its citation."""
    citations: dict[str, dict[str, str]] = {
        "model_name": dict(
            AIModel.objects.of(organisation).filter(provenance=Provenance.PUBLISHED).values_list("name", "citation")
        ),
        "workload": dict(
            Workload.objects.of(organisation).filter(provenance=Provenance.PUBLISHED).values_list("name", "citation")
        ),
    }
    found: dict[tuple[str, str], list[Json]] = defaultdict(list)
    for row in _grouped(organisation, window, "model", "workload", scope="all"):
        for column in ("workload", "model_name"):
            if row[column] in citations[column]:
                found[row[column], citations[column][row[column]]].append(row)
                break
    return [{"name": name, "citation": citation, **_added(rows)} for (name, citation), rows in sorted(found.items())]


# --- Rates, instruments, sources ----------------------------------------------------------------------------------


def _location_rate(rate: LocationRate, window: Window) -> Json:
    start = max(window.start, from_epoch_hour(max(rate.first_hour, window.first_hour)))
    end = from_epoch_hour(min(rate.end_hour, window.end_hour))
    return {
        "site": rate.site.code,
        "site_name": rate.site.name,
        "control": rate.site.control,
        "grid_zone": rate.site.grid_zone,
        "start": time_text(start),
        "end": time_text(end),
        "last_day": (end - timedelta(microseconds=1)).date().isoformat(),
        "pue_ppm": rate.pue_ppm,
        "pue_source": rate.pue_source,
        "factor": factor_json(rate.factor),
        "factor_ug_per_kwh": rate.factor_ug_per_kwh,
        "gwp_set": rate.gwp_set,
        "level": rate.level,
        "lag_years": rate.lag_years,
        "reasons": texts(rate.reasons),
        "engine_version": rate.engine_version,
    }


def _market_rates(organisation: Organisation, rates: Sequence[MarketRate]) -> list[Json]:
    lots = {lot.id: lot for lot in lots_of(organisation)}
    rows = {row.reference: row for row in Instrument.objects.of(organisation)}
    return [
        {
            "market": rate.market,
            "period_start": rate.period_start.isoformat(),
            "period_end": rate.period_end.isoformat(),
            "facility_energy_milliwatt_hours": rate.facility_energy_milliwatt_hours,
            "location_mg": rate.location_mg,
            "covered_milliwatt_hours": rate.covered_milliwatt_hours,
            "uncovered_milliwatt_hours": rate.uncovered_milliwatt_hours,
            "surplus_milliwatt_hours": rate.surplus_milliwatt_hours,
            "instruments_mg": rate.instruments_mg,
            "fallback": rate.fallback,
            "fallback_factor": factor_json(rate.fallback_factor),
            "fallback_ug_per_kwh": rate.fallback_ug_per_kwh,
            "fallback_reasons": texts(rate.outcome.get("residual_reasons", [])),
            "market_mg": rate.market_mg,
            "engine_version": rate.engine_version,
            "instruments": [
                _instrument(outcome, lots[outcome["id"]], rows[outcome["id"]])
                for outcome in rate.outcome.get("lots", [])
                if outcome["id"] in rows
            ],
        }
        for rate in rates
    ]


def _instrument(outcome: Json, lot: Any, row: Instrument) -> Json:
    return {
        "reference": row.reference,
        "type": row.type,
        "technology": row.technology,
        "vintage_start": row.vintage_start.isoformat(),
        "vintage_end": row.vintage_end.isoformat(),
        "vintage_last_day": (row.vintage_end - timedelta(days=1)).isoformat(),
        "volume_milliwatt_hours": row.volume_milliwatt_hours,
        "accepted_milliwatt_hours": outcome["accepted_milliwatt_hours"],
        "applied_milliwatt_hours": outcome["applied_milliwatt_hours"],
        "surplus_milliwatt_hours": outcome["surplus_milliwatt_hours"],
        "applied_mg": outcome["applied_mg"],
        "ug_per_kwh": lot.ug_per_kwh,
        "tracking_system": row.tracking_system,
        "serial_start": row.serial_start,
        "serial_end": row.serial_end,
        "retired_on": row.retired_on.isoformat() if row.retired_on else None,
        "beneficiary": row.beneficiary,
        "simulated": row.simulated,
        "failed": [
            f"{number} ({CRITERIA[number]}): {reason}"
            for number, reason in zip(outcome["rejected_criteria"], outcome["reasons"], strict=True)
        ],
        "criteria": [
            {"number": check["number"], "status": check["status"], "reason": check["reason"]}
            for check in outcome.get("criteria", [])
        ],
        "evidence_digest": row.evidence_digest,
        "earmark": list(lot.earmark) if lot.earmark else None,
    }


def _sources(organisation: Organisation, window: Window) -> list[Json]:
    rows = []
    for row in ledger.source_coverage(organisation.pk, window).to_dict("records"):
        first, last = (
            None if pd.isna(row[f"{end}_reading_at"]) else row[f"{end}_reading_at"] for end in ("first", "last")
        )
        if first is None or first >= window.end or last is None or last < window.start - GONE_AFTER:
            continue
        rows.append(
            {
                "source": row["source"],
                "site": row["site"] if isinstance(row["site"], str) else None,
                "first_reading": time_text(first),
                "last_reading": time_text(last),
                "covered_ms": int(row["covered_ms"]),
                "decided_ms": int(row["decided_ms"]),
                "window_ms": int(row["window_ms"]),
                "coverage_ppm": min(round_half_up(float(row["coverage"]) * 1_000_000), 1_000_000),
                "silent": bool(row["silent"]),
                "overlap_ms": int(row["overlap_ms"]),
            }
        )
    return rows


def _superseded(disclosure: Disclosure) -> Json | None:
    earlier = (
        Disclosure.objects.of(disclosure.organisation_id)
        .filter(period=disclosure.period, version__lt=disclosure.version, state=Disclosure.State.READY)
        .order_by("-version")
        .first()
    )
    return {"version": earlier.version, "snapshot_digest": earlier.snapshot_digest} if earlier else None
