"""The ledger of instruments with what became of each: the page and its CSV file. No rules.

A page of the accounts and not of ``procurement``: only this room sees both sides.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.accounting.engine.market import CRITERIA
from apps.accounting.instruments import queries
from apps.accounting.instruments.queries import InstrumentRow
from apps.core.exports import csv_response
from apps.core.units import kwh
from apps.organisations.pages import PageRequest, requires
from apps.organisations.roles import Capability, may

LOTS_PER_PAGE = 100
PERIODS_SHOWN = 24

CSV_COLUMNS = (
    "reference",
    "type",
    "market",
    "technology",
    "device",
    "vintage_start",
    "vintage_end",
    "claim_period",
    "claimed_kwh",
    "accepted_kwh",
    "applied_kwh",
    "surplus_kwh",
    "co2e_kg_per_mwh",
    "biogenic_co2_kg_per_mwh",
    *(f"criterion_{number}" for number in CRITERIA),
    "reasons",
    "refused_energy_took",
    "tracking_system",
    "serial_start",
    "serial_end",
    "issued_on",
    "retired_on",
    "beneficiary",
    "earmarked_for",
    "evidence_sha256",
    "simulated",
    "note",
)


@requires(Capability.READ)
@require_GET
def instruments(request: PageRequest) -> HttpResponse:
    rows = queries.instrument_rows(request.organisation)
    totals = queries.market_totals(request.organisation, rows)
    context = {
        "page": Paginator(rows, LOTS_PER_PAGE).get_page(request.GET.get("page")),
        "totals": totals[:PERIODS_SHOWN],
        "totals_left_out": max(len(totals) - PERIODS_SHOWN, 0),
        "criteria": CRITERIA,
        "may_manage": may(request.membership.role, Capability.MANAGE_INVENTORY),
    }
    return render(request, "accounting/instruments.html", context)


@requires(Capability.READ)
@require_GET
def instruments_csv(request: PageRequest) -> HttpResponse:
    """Every lot and claim period with its checks; energies in kWh, exact."""
    rows = queries.instrument_rows(request.organisation)
    lines = (line for row in rows for line in _lines(row))
    return csv_response(f"{request.organisation.slug}-instruments", CSV_COLUMNS, lines)


def _lines(row: InstrumentRow) -> Iterator[list[Any]]:
    lot = row.instrument
    for claim in row.claims:
        status = {check.number: check.status for check in claim.checks}
        yield [
            lot.reference,
            lot.type,
            lot.market,
            lot.technology,
            lot.device,
            lot.vintage_start,
            lot.vintage_end,
            claim.label,
            kwh(claim.claimed_milliwatt_hours),
            *(
                None if value is None else kwh(value)
                for value in (
                    claim.accepted_milliwatt_hours,
                    claim.applied_milliwatt_hours,
                    claim.surplus_milliwatt_hours,
                )
            ),
            row.kg_per_mwh,
            lot.biogenic_co2_kg_per_mwh,
            *(status.get(number) for number in CRITERIA),
            "; ".join(f"{check.number}: {check.reason}" for check in claim.checks),
            claim.fell_to,
            lot.tracking_system,
            lot.serial_start,
            lot.serial_end,
            lot.issued_on,
            lot.retired_on,
            lot.beneficiary,
            str(lot.earmark_team or lot.earmark_model or ""),
            lot.evidence_digest,
            lot.simulated,
            lot.note,
        ]
