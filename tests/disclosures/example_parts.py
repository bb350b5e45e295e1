"""What the second format of a snapshot added, for the snapshot made by hand: consistent with its totals."""

from __future__ import annotations

from typing import Any

from apps.accounting.engine.rulesets import REPORTED, RULESET_DRAFT_2025_10, RULESETS
from apps.disclosures.frozen.method import BOUNDARY, methodology_text, ruleset

MWH = 10**9
FACILITY = "facility_energy_milliwatt_hours"
Json = dict[str, Any]
ADDED = (
    "uncertainty", "reconciliation", "set_aside", "gap_decisions", "estimates", "hourly", "scope_3_memo", "indicators",
    "intensities", "receipts", "methodology",
)  # fmt: skip


def method() -> Json:
    return {
        "ruleset": ruleset(REPORTED),
        "energy_boundary": BOUNDARY,
        "engine_version": "1.0",
        "gwp_set": "AR5",
        "gwp_sets": {"AR5": [["CH4", "28"], ["CO2", "1"], ["N2O", "265"]]},
        "policies": [
            {"name": "idle", "label": "Idle energy", "value": "unallocated", "words": "Left in the pool"},
            {"name": "difference", "label": "Booked difference", "value": "by_energy", "words": "Shared by energy"},
        ],
        "adoptions": [
            {
                "dataset": dataset,
                "edition": edition,
                "kind": "location",
                "publisher": "Statistical office",
                "title": f"Grid factors, {edition}",
                "licence": "CC BY 4.0",
                "dataset_digest": "cd" * 32,
                "from": None,
                "until": None,
                "adopted_by": "officer@acme.example",
                "adopted_at": "2026-04-02T08:00:00+00:00",
                "reason": "",
            }
            for dataset, edition in (
                ("grid-factors", "2025"),
                ("grid-factors", "2026-03"),
                ("european-residual-mixes", "2025"),
                ("yearly-electricity-data", "2026-05"),
            )
        ],
        "renderer": {"weasyprint": "70.0", "template": "1"},
    }


def criteria(failed: dict[int, str]) -> list[Json]:
    """All eight, those named failed; criterion 7 has no attestation on file."""
    return [
        {
            "number": number,
            "status": "failed" if number in failed else "not_stated" if number == 7 else "passed",
            "reason": failed.get(number, "not stated: attestation not on file" if number == 7 else "as it should be"),
        }
        for number in range(1, 9)
    ]


def _interval(value: int, per_cent: int) -> Json:
    half = -(-value * per_cent // 100)
    return {"value": value, "low": max(value - half, 0), "high": value + half}


def _intervals(row: Json, per_cent: int) -> Json:
    return {
        "energy": _interval(row[FACILITY], per_cent),
        "location": _interval(row["location_mg"], per_cent + 2),
        "market": _interval(row["market_mg"], per_cent + 4),
    }


def parts(total: Json, by_site: list[Json], by_model_kind: list[Json], market_rates: list[Json]) -> Json:
    """Everything that stands beside the figures, made from them."""
    return {
        "uncertainty": {
            "confidence_percent": 95,
            "table": [
                {
                    "name": "activity_metered",
                    "label": "Activity, tier A: metered",
                    "ppm": 15_000,
                    "default_ppm": 20_000,
                    "basis": "Calibration certificate of 2025",
                    "own": True,
                },
                {
                    "name": "factor_country",
                    "label": "Factor of the country",
                    "ppm": 100_000,
                    "default_ppm": 100_000,
                    "basis": "Assumption: the average of several grid regions.",
                    "own": False,
                },
            ],
            "total": _intervals(total, 8),
            "by_site": [{"site": row["site"], "site_name": row["site_name"], **_intervals(row, 11)} for row in by_site],
            "drivers": {
                "location": {"activity": 610_000, "factor": 340_000, "pue": 50_000},
                "market": {"activity": 550_000, "factor": 300_000, "instruments": 100_000, "pue": 50_000},
            },
            "weaknesses": {
                "assumed_pue": [],
                "life_cycle": [{"site_name": by_site[0]["site_name"], FACILITY: by_site[0][FACILITY]}],
                "lagging": [],
            },
        },
        "reconciliation": [
            _month(row, month, position)
            for position, row in enumerate(by_site)
            for month in ("2026-07", "2026-08", "2026-09")
        ],
        "set_aside": [
            {
                "source": "node-07/driver",
                "counted_source": "node-07/gpu7",
                "it_energy_milliwatt_hours": 3 * MWH,
                "covered_ms": 86_400_000,
            }
        ],
        "gap_decisions": [
            {
                "source": "node-03/gpu3",
                "site": by_site[0]["site"],
                "start": "2026-08-03T04:00:00+00:00",
                "end": "2026-08-03T09:30:00+00:00",
                "basis": "mean_power",
                "energy_microwatt_hours": 2_200_000_000,
                "reason": "the collector was down, the job went on",
                "working": "400.0 W x 5.50 h = 2.200000 kWh.",
                "decided_by": "officer@acme.example",
                "decided_at": "2026-10-02T08:00:00+00:00",
            }
        ],
        "estimates": [
            {
                "source": "edge/estimates",
                "basis": "accelerator_hours",
                "start": "2026-07-01T00:00:00+00:00",
                "end": "2026-08-01T00:00:00+00:00",
                "energy_microwatt_hours": 31_000_000_000,
                "profile_source": "Vendor data sheet, 2024",
                "working": "744 h x 41.7 W = 31.0 kWh",
                "created_by": "officer@acme.example",
                "created_at": "2026-08-02T08:00:00+00:00",
            }
        ],
        "hourly": _hourly(market_rates),
        "scope_3_memo": _memo(by_site),
        "indicators": _indicators(by_site),
        "intensities": _intensities(by_model_kind),
        "receipts": [
            {
                "of": of,
                "label": f"Scope 2 {of}, 2026-Q3",
                "path": f"/api/v1/calculations?from=2026-07-01&to=2026-10-01&group_by={of}",
                "page": f"/o/acme/calculations/?from=2026-07-01&to=2026-10-01&group_by={of}",
                "sha256": f"{position}" * 64,
            }
            for position, of in enumerate(("quarter", "by_site", "by_team"), 1)
        ],
        "methodology": methodology_text(),
    }


def _month(row: Json, month: str, position: int) -> Json:
    telemetry = row[FACILITY] // 3 + (row[FACILITY] % 3 if month == "2026-09" else 0)
    metered = None if position == 2 else telemetry * (104, 99)[position] // 100
    days = 30 if month == "2026-09" else 31
    return {
        "site": row["site"],
        "site_name": row["site_name"],
        "month": month,
        "days": days,
        "metered_days": 0 if metered is None else days,
        "metered_milliwatt_hours": metered,
        "telemetry_milliwatt_hours": telemetry,
        "difference_milliwatt_hours": None if metered is None else metered - telemetry,
        "coverage_ppm": None if metered is None else (2 * telemetry * 10**6 + metered) // (2 * metered),
        "state": ("difference", "reconciled", "no_meter")[position],
        "is_over": True,
        "missing": [],
        "booked_milliwatt_hours": metered - telemetry if position == 0 and metered is not None else None,
        "booking_is_out_of_date": False,
        "booked_by": "officer@acme.example" if position == 0 else "",
        "booked_at": "2026-10-05T09:00:00+00:00" if position == 0 else None,
        "note": "",
        "month_telemetry_milliwatt_hours": telemetry,
        "month_booked_milliwatt_hours": 0,
    }


def _hourly(market_rates: list[Json]) -> Json:
    rows = []
    for rate in market_rates:
        load = rate[FACILITY]
        matched = min(rate["covered_milliwatt_hours"] * 8 // 10, load)
        rows.append(
            {
                "market": rate["market"],
                "hours": 2208,
                "load_milliwatt_hours": load,
                "standard_supply_milliwatt_hours": 0,
                "matched_milliwatt_hours": matched,
                "unmatched_milliwatt_hours": load - matched,
                "surplus_milliwatt_hours": 5 * MWH,
                "carbon_free_milliwatt_hours": matched,
                "cfe_load_milliwatt_hours": load,
                "location_mg": rate["location_mg"],
                "draft_market_mg": rate["market_mg"] * 12 // 10,
                "reported_market_mg": rate["market_mg"],
                "unmatched_by_fallback": {"residual": load - matched},
            }
        )
    names = [name for name in rows[0] if name.endswith(("_milliwatt_hours", "_mg"))]
    total = {
        "market": "",
        "hours": 2208,
        **{name: sum(row[name] for row in rows) for name in names},
        "unmatched_by_fallback": {"residual": sum(row["unmatched_milliwatt_hours"] for row in rows)},
    }
    return {
        "ruleset": ruleset(RULESETS[RULESET_DRAFT_2025_10]),
        "markets": rows,
        "total": total,
        "default_fossil_markets": [],
    }


def _memo(by_site: list[Json]) -> Json:
    def row(part: str, category: str, **more: Any) -> Json:
        empty = dict.fromkeys(("site", "site_name", "hardware", "energy_milliwatt_hours", "accelerator_ms", "mg"))
        return {"part": part, "category": category, **empty, "factor": "", "working": "", "note": "", **more}

    first, second = by_site[:2]
    rows = [
        row("embodied", "2", hardware="h100", accelerator_ms=3_600_000_000, mg=4_677_162, factor="Vendor (2024)",
            working="1,000.000 accelerator-hours × 164.0 kg ÷ 35,064 h of life = 4.677162 kg"),
        row("embodied", "2", hardware="b300", accelerator_ms=3_600_000, note="no embodied figure known for b300"),
        row("upstream", "3", site=first["site"], site_name=first["site_name"], energy_milliwatt_hours=first[FACILITY],
            mg=first[FACILITY] // 20, factor="DESNZ 2026, DE 2026", working="kWh × g/kWh = kg"),
        row("upstream", "3", site=second["site"], site_name=second["site_name"],
            energy_milliwatt_hours=second[FACILITY], note="no upstream factor known for NO"),
        row("losses", "3", site=first["site"], site_name=first["site_name"], energy_milliwatt_hours=first[FACILITY],
            note="no factor of losses known for DE"),
    ]  # fmt: skip
    labels = {"embodied": "Embodied", "upstream": "Upstream", "losses": "Losses"}
    totals = []
    for part, label in labels.items():
        own = [one for one in rows if one["part"] == part]
        known = [one["mg"] for one in own if one["mg"] is not None]
        totals.append(
            {
                "part": part,
                "category": own[0]["category"],
                "label": label,
                "mg": sum(known) if known else None,
                "rows": len(own),
                "absent": len(own) - len(known),
            }
        )
    return {"lifetime_years": "4", "rows": rows, "totals": totals}


def _indicators(by_site: list[Json]) -> Json:
    def result(key: str, numerator: int | None, denominator: int | None, **more: Any) -> Json:
        known = numerator is not None and bool(denominator)
        assert denominator is not None
        value = (2 * numerator * 10**6 + denominator) // (2 * denominator) if known and numerator is not None else None
        label, unit, clause, top, bottom = {
            "pue": ("PUE", "", "ISO/IEC 30134-2", "Facility energy", "IT energy"),
            "ref": ("REF", "", "ISO/IEC 30134-3", "Renewable energy", "facility energy"),
            "cue_location": (
                "CUE, location-based", "kg CO₂e/kWh", "ISO/IEC 30134-8", "Location-based emissions", "IT energy",
            ),
        }[key]  # fmt: skip
        return {
            "key": key, "label": label, "name": label, "unit": unit, "clause": clause, "numerator_is": top,
            "denominator_is": bottom, "numerator": numerator, "denominator": denominator, "value_ppm": value,
            "capped": False, "days": 92, "sites": 1, "it_from": "metered", "numerator_from": "metered",
            "why": "" if known else "no renewable energy", "error": False, **more,
        }  # fmt: skip

    def results(rows: list[Json], **more: Any) -> list[Json]:
        facility, it, mg = (
            sum(row[name] for row in rows) for name in (FACILITY, "it_energy_milliwatt_hours", "location_mg")
        )
        return [
            result("pue", facility, it, **more),
            result("ref", None, facility, **more),
            result("cue_location", mg, it, **more),
        ]

    return {
        "days": 92,
        "by_site": [{"site": row["site"], "site_name": row["site_name"], "results": results([row])} for row in by_site],
        "total": results(by_site, sites=len(by_site)),
    }


def _intensities(by_model_kind: list[Json]) -> list[Json]:
    found = []
    for row in by_model_kind:
        if row["kind"] != "inference" or not row["tokens"]:
            continue
        count, energy = row["tokens"], row[FACILITY]

        def nano(value: int, count: int = count) -> int:
            return (2 * value * 10**9 + count) // (2 * count)

        found.append(
            {
                "model": row["model"],
                "model_name": row["model_name"],
                FACILITY: energy,
                "quality": "B",
                "boundary": [["node", 700_000], ["accelerator", 300_000]],
                "units": [
                    {
                        "unit": "tokens",
                        "label": "1,000 tokens",
                        "size": 1_000,
                        "count": count,
                        FACILITY: energy,
                        "wh_nano": nano(energy),
                        "location_g_nano": nano(row["location_mg"]),
                        "market_g_nano": nano(row["market_mg"]),
                        "boundary": [["node", 700_000], ["accelerator", 300_000]],
                    }
                ],
                "sci_consumer": {
                    "unit": "1,000 tokens",
                    "operational_g_nano": nano(row["location_mg"]),
                    "embodied_g_nano": None,
                    "total_g_nano": None,
                },
                "sci_provider": None,
                "embodied_missing": ["b300"],
            }
        )
    return found
