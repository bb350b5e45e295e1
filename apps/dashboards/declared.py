"""The page of CodeCarbon's experiments: who they are, what to paste, and the CO2 that clients declare beside ours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pandas as pd
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.accounting.queries import LedgerQuery, ledger_frame
from apps.core.exports import csv_response
from apps.core.units import kg, kwh
from apps.core.windows import HOUR_MS, Window, from_epoch_ms
from apps.organisations.models import Organisation
from apps.organisations.pages import PageRequest, requires
from apps.organisations.roles import Capability
from apps.telemetry.codecarbon import queries
from apps.telemetry.codecarbon.queries import DeclaredRow

CSV_COLUMNS = (
    "source",
    "runs",
    "energy_declared_kwh",
    "declared_kg",
    "declared_g_per_kwh",
    "country_of_the_client",
    "facility_energy_kwh",
    "location_kg",
    "location_g_per_kwh",
)


@dataclass(frozen=True, slots=True)
class Compared:
    """A source's declared CO2 beside the portal's location-based figure of it over the hours of its posts.

    ``facility_milliwatt_hours``: electricity with the site's PUE; ``location_mg`` None: no site, or no factor.
    """

    declared: DeclaredRow
    facility_milliwatt_hours: int
    location_mg: int | None

    @property
    def grams_per_kwh(self) -> float | None:
        if self.location_mg is None or not self.facility_milliwatt_hours:
            return None
        return self.location_mg / 1000 / (self.facility_milliwatt_hours / 1_000_000)


def compared(organisation: Organisation) -> list[Compared]:
    """The declared rows with the portal's figures, which never use them."""
    rows = queries.declared(organisation)
    if not rows:
        return []
    first = min(row.first_ms for row in rows) // HOUR_MS * HOUR_MS
    window = Window(from_epoch_ms(first), from_epoch_ms(max(row.last_ms for row in rows)) + timedelta(hours=1))
    names = tuple(row.source for row in rows)
    query = LedgerQuery(organisation.pk, window, ("source",), "all", {"source": names}, work=False)
    figures: dict[str, tuple[int, int | None]] = {}
    for name, part in ledger_frame(query).groupby("source"):
        mg = part["location_mg"].sum(min_count=1)
        figures[str(name)] = int(part["facility_energy_milliwatt_hours"].sum()), None if pd.isna(mg) else int(mg)
    return [Compared(row, *figures.get(row.source, (0, None))) for row in rows]


@requires(Capability.READ)
@require_GET
def codecarbon(request: PageRequest) -> HttpResponse:
    rows = compared(request.organisation)
    if request.GET.get("export") == "csv":
        return csv_response("declared-co2", CSV_COLUMNS, map(_csv_row, rows))
    context = {
        "rows": queries.experiments(request.organisation),
        "compared": rows,
        "endpoint": request.build_absolute_uri("/api/codecarbon"),
    }
    return render(request, "telemetry/codecarbon/experiments.html", context)


def _csv_row(row: Compared) -> tuple[object, ...]:
    said = row.declared
    return (
        said.source,
        said.runs,
        kwh(said.energy_milliwatt_hours),
        kg(said.emissions_mg),
        said.grams_per_kwh,
        said.country,
        kwh(row.facility_milliwatt_hours),
        None if row.location_mg is None else kg(row.location_mg),
        row.grams_per_kwh,
    )
