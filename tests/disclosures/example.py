"""A snapshot made by hand, with everything in it that a document has to be able to say."""

from __future__ import annotations

import random
from copy import deepcopy
from datetime import date, timedelta
from typing import Any

from tests.disclosures import example_parts

MWH = 10**9
FIELDS = (
    "it_energy_milliwatt_hours",
    "facility_energy_milliwatt_hours",
    "location_mg",
    "market_mg",
    "tokens",
    "requests",
    "readings",
    "covered_ms",
    "tier_a_milliwatt_hours",
    "tier_b_milliwatt_hours",
    "tier_c_milliwatt_hours",
    "tier_d_milliwatt_hours",
    "simulated_milliwatt_hours",
    "published_milliwatt_hours",
    "without_factor_milliwatt_hours",
)


def figures(it: int, pue: float, location: float, market: float, **more: Any) -> dict[str, Any]:
    """Figures of IT energy ``it`` [mWh] at a PUE and two factors [kg/MWh]."""
    facility = round(it * pue)
    row: dict[str, Any] = {
        "it_energy_milliwatt_hours": it,
        "facility_energy_milliwatt_hours": facility,
        "location_mg": round(facility * location / 1000),
        "market_mg": round(facility * market / 1000),
        "tokens": None,
        "requests": None,
        "readings": 1 + it // MWH,
        "covered_ms": it // 1000,
        "tier_a_milliwatt_hours": facility // 5,
        "tier_b_milliwatt_hours": facility - facility // 5 - facility // 8 - facility // 50,
        "tier_c_milliwatt_hours": facility // 8,
        "tier_d_milliwatt_hours": facility // 50,
        "simulated_milliwatt_hours": facility // 2,
        "published_milliwatt_hours": facility // 10,
        "without_factor_milliwatt_hours": 0,
        "quality": "C",
    }
    row.update(more)
    return row


def added(rows: list[dict[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for name in FIELDS:
        present = [row[name] for row in rows if row[name] is not None]
        total[name] = sum(present) if present else None
    return {**total, "quality": "C"}


def _factor(
    zone: str, zone_name: str, year: int, publisher: str, title: str, edition: str, boundary: str
) -> dict[str, Any]:
    return {
        "dataset": title.lower().replace(" ", "-"),
        "edition": edition,
        "publisher": publisher,
        "title": title,
        "boundary": boundary,
        "basis": "generation, losses not included",
        "gwp_set": "AR5",
        "source_url": "https://example.org/factors",
        "licence": "CC BY 4.0",
        "dataset_digest": "cd" * 32,
        "zone": zone,
        "zone_name": zone_name,
        "data_year": year,
        "quality": "",
        "note": "",
    }


SITES = [
    ("fra1", "Frankfurt hall A", "DE", "owned", "DE", "DE", 1.31, 363.0, 121.5),
    ("dal2", "Dallas colocation", "US", "colocation", "ERCT", "US-TX", 1.42, 348.12, 348.12),
    ("osl1", "Oslo campus", "NO", "leased", "NO", "NO", 1.12, 11.4, 503.0),
]
TEAMS = ["Foundation models", "Search & ranking", "Speech", "Vision", "Safety evaluation", "Platform"]
MODELS = ["llama-3.1-70b-instruct", "bloom-176b", "whisper-large-v3", "ranker-v7", "vit-22b", "guard-2", "embed-small"]


def example_snapshot(models: int = len(MODELS)) -> dict[str, Any]:
    """``models``: how many AI models there are; more than a page holds to see how a long table is set."""
    dice = random.Random(7)
    names = [MODELS[i] if i < len(MODELS) else f"experiment-{i:03d}" for i in range(models)]
    atoms = []
    for s, (code, name, country, control, zone, market, pue, location, residual) in enumerate(SITES):
        for t, team in enumerate(TEAMS):
            for m, model in enumerate(names):
                kind = ("training", "inference", "inference", "evaluation", "fine_tuning", "data", "idle")[(m + t) % 7]
                it = dice.randrange(1, 40) * MWH // (1 + m) // (1 + s)
                row = figures(it, pue, location, residual)
                if kind == "inference":
                    row["tokens"] = row["facility_energy_milliwatt_hours"] * 2
                    row["requests"] = row["tokens"] // 700
                atoms.append(
                    {
                        "site": code,
                        "site_name": name,
                        "country": country,
                        "control": control,
                        "grid_zone": zone,
                        "market": market,
                        "team": team.lower().split()[0] if t < 5 else None,
                        "team_name": team if t < 5 else None,
                        "model": model if m != 6 else None,
                        "model_name": model if m != 6 else None,
                        "kind": kind,
                        "week": (m * 5 + t * 3 + s) % 13,
                        **row,
                    }
                )

    def grouped(*keys: str) -> list[dict[str, Any]]:
        groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        for atom in atoms:
            groups.setdefault(tuple(atom[key] for key in keys), []).append(atom)
        return [
            {**dict(zip(keys, values, strict=True)), **added(rows)}
            for values, rows in sorted(groups.items(), key=lambda item: [str(part) for part in item[0]])
        ]

    total = added(atoms)
    markets = {row["market"]: row for row in grouped("market")}
    cloud = {**figures(6 * MWH, 1.1, 280, 280), "site": "aws-eu", "site_name": "Public cloud, Ireland", "country": "IE"}
    unassigned = figures(1_200_000_000, 1.0, 0, 0, location_mg=None, market_mg=None)
    start = date(2026, 7, 1)
    weeks = [
        {**row, "week_start": (start + timedelta(days=7 * row["week"])).isoformat()} for row in grouped("week", "kind")
    ]
    earlier = {**total, **{name: total[name] * 8 // 10 for name in FIELDS if total[name]}}
    snapshot: dict[str, Any] = {
        "format": "esgportal-disclosure-2",
        "organisation": {
            "slug": "acme",
            "name": "Acme AI",
            "claim_period": "quarter",
            "market_allocation": "pro_rata",
            "vintage_window_months": 12,
            "demo": True,
        },
        "period": {"label": "2026-Q3", "start": "2026-07-01", "end": "2026-10-01", "ended": True},
        "document": {
            "id": "6f0c2f0e-51c4-4a7b-9b39-3a0fb1c7c0aa",
            "version": 2,
            "state": "Unassured interim data",
            "prepared_by": "Olivia Officer",
            "requested_at": "2026-10-12T08:30:00+00:00",
            "collected_at": "2026-10-12T08:30:02+00:00",
            "supersedes": {"version": 1, "snapshot_digest": "ab" * 32},
        },
        "method": example_parts.method(),
        "ledger": {"pending_hours": 3, "last_settled_at": "2026-10-12T08:29:40+00:00"},
        "totals": {
            "quarter": {"label": "2026-Q3", "figures": total},
            "previous": {"label": "2026-Q2", "figures": earlier},
            "year_ago": {"label": "2025-Q3", "figures": None},
            "year_to_date": {"label": "2026-Q1 to Q3", "figures": added([total, earlier])},
        },
        "by_site": grouped("site", "site_name", "country", "control", "grid_zone", "market"),
        "by_team": grouped("team", "team_name"),
        "by_model": [
            {**row, "provenance": "published" if row["model"] == "bloom-176b" else "reported", "citation": ""}
            for row in grouped("model", "model_name")
        ],
        "by_kind": grouped("kind"),
        "by_model_kind": grouped("model", "model_name", "kind"),
        "by_week_kind": weeks,
        "published": [{"name": "BLOOM 176B", "citation": "Luccioni et al. 2023, JMLR 24(253)", **total}],
        "scope_3": {"total": added([cloud]), "by_site": [cloud]},
        "unassigned": {"total": unassigned, "by_source": [{"source": "node-99/gpu0", **unassigned}]},
        "sites": [
            {"code": s[0], "name": s[1], "country": s[2], "control": s[3], "grid_zone": s[4], "market": s[5]}
            for s in SITES
        ]
        + [
            {
                "code": "aws-eu",
                "name": "Public cloud, Ireland",
                "country": "IE",
                "control": "cloud",
                "grid_zone": "IE",
                "market": "IE",
            }
        ],
        "location_rates": [
            {
                "site": s[0],
                "site_name": s[1],
                "grid_zone": s[4],
                "start": "2026-07-01T00:00:00+00:00",
                "end": "2026-10-01T00:00:00+00:00",
                "last_day": "2026-09-30",
                "pue_ppm": round(s[6] * 10**6),
                "pue_source": "annual mean of the utility meter, 2025",
                "factor": _factor(s[4], s[4], 2024, "Statistical office", "Grid factors", "2026-03", "direct")
                if s[0] != "osl1"
                else _factor("NO", "Norway", 2024, "Ember", "Yearly electricity data", "2026-05", "life_cycle"),
                "factor_ug_per_kwh": round(s[7] * 10**6),
                "gwp_set": "AR5",
                "reasons": ["data year 2024 is 2 years before the activity", "no sub-national factor for the zone"],
                "engine_version": "1.0",
            }
            for s in SITES
        ],
        "market_rates": [
            {
                "market": market,
                "period_start": "2026-07-01",
                "period_end": "2026-10-01",
                "facility_energy_milliwatt_hours": row["facility_energy_milliwatt_hours"],
                "location_mg": row["location_mg"],
                "covered_milliwatt_hours": row["facility_energy_milliwatt_hours"] * share // 10,
                "uncovered_milliwatt_hours": row["facility_energy_milliwatt_hours"]
                - row["facility_energy_milliwatt_hours"] * share // 10,
                "surplus_milliwatt_hours": 4 * MWH if market == "NO" else 0,
                "instruments_mg": 0,
                "fallback": "location" if market == "US-TX" else "residual",
                "fallback_factor": None
                if market == "US-TX"
                else _factor(market, market, 2025, "AIB", "European residual mixes", "2025", "direct"),
                "fallback_ug_per_kwh": None if market == "US-TX" else 503_000_000,
                "fallback_reasons": ["no residual mix is known"] if market == "US-TX" else [],
                "market_mg": row["market_mg"],
                "engine_version": "1.0",
                "instruments": [
                    {
                        "reference": f"{market}-lot-1",
                        "type": "eac",
                        "technology": "Wind",
                        "vintage_start": "2026-04-01",
                        "vintage_end": "2026-07-01",
                        "vintage_last_day": "2026-06-30",
                        "volume_milliwatt_hours": 60 * MWH,
                        "accepted_milliwatt_hours": row["facility_energy_milliwatt_hours"] * share // 10
                        + (4 * MWH if market == "NO" else 0),
                        "applied_milliwatt_hours": row["facility_energy_milliwatt_hours"] * share // 10,
                        "applied_mg": 0,
                        "beneficiary": "Acme AI",
                        "surplus_milliwatt_hours": 4 * MWH if market == "NO" else 0,
                        "ug_per_kwh": 0,
                        "tracking_system": "AIB",
                        "serial_start": "643002406801000000000012345678",
                        "serial_end": "643002406801000000000012405677",
                        "retired_on": "2026-10-02",
                        "simulated": True,
                        "failed": [],
                        "criteria": example_parts.criteria({}),
                        "evidence_digest": "",
                        "earmark": None,
                    },
                    {
                        "reference": f"{market}-lot-2",
                        "type": "ppa",
                        "technology": "Solar",
                        "vintage_start": "2024-01-01",
                        "vintage_end": "2024-04-01",
                        "vintage_last_day": "2024-03-31",
                        "volume_milliwatt_hours": 10 * MWH,
                        "accepted_milliwatt_hours": 0,
                        "applied_milliwatt_hours": 0,
                        "applied_mg": 0,
                        "beneficiary": "",
                        "surplus_milliwatt_hours": 0,
                        "ug_per_kwh": 0,
                        "tracking_system": "",
                        "serial_start": "",
                        "serial_end": "",
                        "retired_on": None,
                        "simulated": True,
                        "failed": ["3: not retired for the reporter", "4: vintage is 27 months from the period"],
                        "criteria": example_parts.criteria(
                            {3: "not retired for the reporter", 4: "vintage is 27 months from the period"}
                        ),
                        "evidence_digest": "",
                        "earmark": None,
                    },
                ],
            }
            for (market, row), share in zip(markets.items(), (6, 10, 0), strict=True)
        ],
        "sources": [
            {
                "source": f"node-{i:02d}/gpu{i % 8}",
                "site": SITES[i % 3][0],
                "first_reading": "2026-07-01T00:00:00+00:00",
                "last_reading": f"2026-0{9 if i else 8}-12T03:00:00+00:00",
                "covered_ms": 7_948_800_000 - i * 100_000_000,
                "decided_ms": 0,
                "window_ms": 7_948_800_000,
                "coverage_ppm": 1_000_000 - i * 12_580,
                "silent": i == 0,
                "overlap_ms": 3_600_000 if i == 4 else 0,
            }
            for i in range(28)
        ],
    }
    parts = ("by_site", "by_model_kind", "market_rates")
    return {**snapshot, **example_parts.parts(total, *(snapshot[name] for name in parts))}


def first_format(snapshot: dict[str, Any]) -> dict[str, Any]:
    """The same document as it was frozen before the second format."""
    old = deepcopy({name: value for name, value in snapshot.items() if name not in example_parts.ADDED})
    old["format"] = "esgportal-disclosure-1"
    method = old["method"]
    old["method"] = {
        "ruleset": method["ruleset"]["id"],
        **{name: method[name] for name in ("engine_version", "gwp_sets", "renderer")},
    }
    for rate in old["market_rates"]:
        for lot in rate["instruments"]:
            for name in ("criteria", "evidence_digest", "earmark"):
                del lot[name]
    for source in old["sources"]:
        del source["decided_ms"]
    return old
