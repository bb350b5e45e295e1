"""What was set aside in a period, by source: the page and its CSV file. No rules.

A page of the accounts and not of ``telemetry``: only this room knows what was counted.
"""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.accounting.overlap.queries import set_aside_frame
from apps.accounting.queries import ledger_extent
from apps.core.exports import csv_response
from apps.core.figures import DASH, count, energy, energy_exact
from apps.core.filters import Period, default_period, parse_period, quarters_between
from apps.core.tables import Cell, Column, Row, Table
from apps.core.units import kwh
from apps.core.windows import HOUR_MS
from apps.organisations.pages import PageRequest, requires
from apps.organisations.roles import Capability

CSV_COLUMNS = ("source", "counted_source", "energy_kwh", "hours", "kind")


@requires(Capability.READ)
@require_GET
def set_aside(request: PageRequest) -> HttpResponse:
    extent = ledger_extent(request.organisation.pk)
    period = _period(request)
    frame = set_aside_frame(request.organisation.pk, period.window)
    rows = [
        Row(
            [
                Cell(row["source"]),
                Cell(row["counted_source"]),
                Cell(row["kind"]),
                Cell(energy(row["energy_milliwatt_hours"]), title=energy_exact(row["energy_milliwatt_hours"])),
                Cell(_hours(row["covered_ms"])),
            ]
        )
        for row in frame.to_dict("records")
    ]
    table = Table(
        caption=f"Set aside in {period.label}",
        columns=[
            Column("source", "Source", numeric=False),
            Column("counted_source", "Counted instead", numeric=False),
            Column("kind", "Which measured", numeric=False, hint="of several parts the largest is named"),
            Column("energy", "Energy set aside", hint="as measured, before PUE"),
            Column("hours", "Time set aside", unit="h"),
        ],
        rows=rows,
    )
    context = {
        "table": table,
        "period": period,
        "periods": quarters_between(extent.start if extent else None, extent.end if extent else None),
    }
    return render(request, "accounting/set_aside.html", context)


@requires(Capability.READ)
@require_GET
def set_aside_csv(request: PageRequest) -> HttpResponse:
    """The same rows; energies in kWh, exact, times in hours."""
    period = _period(request)
    frame = set_aside_frame(request.organisation.pk, period.window)
    lines = (
        (
            row["source"],
            row["counted_source"],
            kwh(row["energy_milliwatt_hours"]),
            round(row["covered_ms"] / HOUR_MS, 6),
            row["kind"],
        )
        for row in frame.to_dict("records")
    )
    return csv_response(f"{request.organisation.slug}-set-aside-{period.text}", CSV_COLUMNS, lines)


def _period(request: PageRequest) -> Period:
    """The period asked for; without one, or with one that is none, the latest ended quarter with readings."""
    try:
        return parse_period(request.GET.get("period", ""))
    except ValueError:
        extent = ledger_extent(request.organisation.pk)
        return default_period(extent.end if extent else None)


def _hours(milliseconds: int) -> str:
    hours = milliseconds / HOUR_MS
    return f"{hours:.2f}" if hours < 100 else count(round(hours)) if hours else DASH
