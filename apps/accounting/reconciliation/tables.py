"""The months of a reconciliation as a table, as a file and as rows of the API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.urls import reverse

from apps.accounting.engine.reconciliation import TOLERANCE_PPM, State
from apps.accounting.reconciliation.queries import MonthRow
from apps.core import figures
from apps.core.api import kwh
from apps.core.tables import Cell, Chip, Column, Row, Table
from apps.core.units import PPM
from apps.organisations.models import Organisation

TOLERANCE = figures.percent(TOLERANCE_PPM / PPM)
STATES = {
    State.NO_METER: Chip("no meter", "", "No reading of the facility's electricity for these days"),
    State.RECONCILED: Chip("reconciled", "ok", f"Meter and telemetry agree within {TOLERANCE} of the metered energy"),
    State.DIFFERENCE: Chip(
        "difference", "warn", f"The telemetry leaves more than {TOLERANCE} of the meter unexplained"
    ),
    State.METER_BELOW_TELEMETRY: Chip(
        "meter below telemetry", "bad", "Check the site's PUE, the boundary of its sources and double counting"
    ),
}


def chips_of(row: MonthRow) -> tuple[Chip, ...]:
    """What to see first of a month."""
    settled_by_booking = row.is_booked and not row.is_stale
    chips = [Chip("booked", "ok", "The difference is booked; the site's total is the meter's")]
    if not settled_by_booking:
        chips = [STATES[row.comparison.state]]
    if row.comparison.metered_days and not row.comparison.is_fully_metered:
        chips.append(Chip("partly metered", "warn", "; ".join(row.missing)))
    if not row.is_over:
        chips.append(Chip("running", "info", "The month is not over"))
    if row.is_stale:
        chips.append(Chip("booking out of date", "warn", stale_text(row)))
    return tuple(chips)


def stale_text(row: MonthRow) -> str:
    """What changed since the booking, in words."""
    booked = figures.energy(row.booking.booked_milliwatt_hours if row.booking else 0)
    if row.wanted_milliwatt_hours is None:
        return f"Booked were {booked}; the month is no longer metered in full."
    return f"Booked were {booked}; the difference is {figures.energy(row.comparison.difference_milliwatt_hours)} now."


def table_of(organisation: Organisation, rows: Sequence[MonthRow], caption: str) -> Table:
    """One line for each month and site."""
    values = [row.comparison.metered_milliwatt_hours for row in rows]
    values += [row.comparison.telemetry_milliwatt_hours for row in rows]
    unit = figures.column_energy_unit(values)

    def energy(value: int | None, note: str = "") -> Cell:
        return Cell(figures.energy_in(value, unit), title=figures.energy_exact(value), note=note)

    columns = [
        Column("month", "Month", numeric=False, nowrap=True),
        Column("site", "Site", numeric=False),
        Column("state", "State", numeric=False),
        Column("metered", "Metered", unit, hint="Facility energy of meters and invoices, by days"),
        Column(
            "telemetry", "Telemetry", unit, hint="IT energy times PUE, facility readings as they are; not the booking"
        ),
        Column("coverage", "Measured coverage", hint="Telemetry / metered"),
        Column("difference", "Difference", unit, hint="Metered less telemetry"),
        Column("total", "In the accounts", unit, hint="Telemetry and what is booked"),
    ]
    body = []
    for row in rows:
        found = row.comparison
        days = f"{found.metered_days} of {found.days} days" if found.metered_days < found.days else ""
        url = reverse("reconciliation-month", args=[organisation.slug, row.site.code, row.label])
        chips = chips_of(row)
        body.append(
            Row(
                [
                    Cell(row.label, url=url),
                    Cell(row.site.name, note=row.site.code),
                    Cell("", chips=chips),
                    energy(found.metered_milliwatt_hours, days if found.metered_days else ""),
                    energy(found.telemetry_milliwatt_hours),
                    Cell(figures.percent(_float(found.measured_coverage), 1)),
                    energy(found.difference_milliwatt_hours),
                    energy(row.total_milliwatt_hours),
                ]
            )
        )
    return Table(caption, columns, body)


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def record(row: MonthRow) -> dict[str, Any]:
    """One month as the API and the export give it; energies in kWh."""
    found = row.comparison
    booking = row.booking
    coverage = _float(found.measured_coverage)
    return {
        "month": row.label,
        "site": row.site.code,
        "days": found.days,
        "metered_days": found.metered_days,
        "metered_kwh": kwh(found.metered_milliwatt_hours),
        "telemetry_kwh": kwh(found.telemetry_milliwatt_hours),
        "difference_kwh": kwh(found.difference_milliwatt_hours),
        "measured_coverage": None if coverage is None else round(coverage, 6),
        "state": found.state.value,
        "booked_kwh": kwh(booking.booked_milliwatt_hours if booking else None),
        "booking_is_out_of_date": row.is_stale,
        "booked_by": booking.booked_by if booking else None,
        "booked_at": booking.booked_at if booking else None,
        "note": booking.note if booking else None,
        "in_the_accounts_kwh": kwh(row.total_milliwatt_hours),
    }
