"""The layouts that a snapshot may have: documents made in an earlier one are read as the present one would say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

FORMAT_1 = "esgportal-disclosure-1"
FORMAT = "esgportal-disclosure-2"

# What came with the second layout, and how its absence reads.
_ADDED: Mapping[str, Any] = {
    "uncertainty": {
        "confidence_percent": 95,
        "table": [],
        "total": None,
        "by_site": [],
        "drivers": {},
        "weaknesses": {"assumed_pue": [], "life_cycle": [], "lagging": []},
    },
    "reconciliation": [],
    "set_aside": [],
    "gap_decisions": [],
    "estimates": [],
    "hourly": {"ruleset": None, "markets": [], "total": None, "default_fossil_markets": []},
    "scope_3_memo": {"lifetime_years": "", "rows": [], "totals": []},
    "indicators": {"days": 0, "by_site": [], "total": []},
    "intensities": [],
    "receipts": [],
    "methodology": {"version": "", "digest": "", "texts": []},
}


class UnknownFormatError(ValueError):
    """Evidence of a layout that this version of the portal does not read."""


def in_present_format(snapshot: Mapping[str, Any]) -> Json:
    """The same figures with every field that the report and the workbook ask for; a new mapping, nothing recalculated.

    Raises :class:`UnknownFormatError`.
    """
    if snapshot["format"] == FORMAT:
        return dict(snapshot)
    if snapshot["format"] != FORMAT_1:
        raise UnknownFormatError(f"the evidence has the format {snapshot['format']!r}; known are {FORMAT_1}, {FORMAT}")
    old = snapshot["method"]
    names = ("title", "version", "published_on", "status", "source", "source_url")
    method = {
        **old,
        "ruleset": {"id": old["ruleset"], **dict.fromkeys(names, "")},
        "energy_boundary": "",
        "gwp_set": "",
        "policies": [],
        "adoptions": [],
    }
    markets = [
        {
            **rate,
            "instruments": [
                {"criteria": [], "earmark": None, "evidence_digest": "", **lot} for lot in rate["instruments"]
            ],
        }
        for rate in snapshot["market_rates"]
    ]
    sources = [{"decided_ms": 0, **source} for source in snapshot["sources"]]
    return {**_ADDED, **snapshot, "method": method, "market_rates": markets, "sources": sources}
