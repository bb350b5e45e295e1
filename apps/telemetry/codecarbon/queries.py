"""What is read of CodeCarbon's experiments and runs."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, Max, QuerySet

from apps.core.units import PPM
from apps.organisations.models import Organisation
from apps.telemetry.codecarbon.models import Experiment
from apps.telemetry.models import DeclaredEmissions
from apps.telemetry.protocols.codecarbon import PUBLIC_EXPERIMENT

MOST_RUNS = 200


@dataclass(frozen=True, slots=True)
class ExperimentRow:
    """An experiment with what its registration leaves open."""

    experiment: Experiment
    runs: int
    last_run_at: object
    is_public: bool

    @property
    def pue(self) -> str:
        return "" if self.experiment.pue_ppm is None else f"{self.experiment.pue_ppm / PPM:g}"


@dataclass(frozen=True, slots=True)
class DeclaredRow:
    """What a client worked out itself for one run: kg as declared [mg], the energy it said [uWh], and their ratio."""

    source: str
    run: str
    emissions_mg: int
    energy_microwatt_hours: int
    country: str

    @property
    def energy_milliwatt_hours(self) -> int:
        return (self.energy_microwatt_hours + 500) // 1000

    @property
    def grams_per_kwh(self) -> float | None:
        """The factor that the client must have used."""
        if not self.energy_microwatt_hours:
            return None
        return self.emissions_mg / 1000 / (self.energy_microwatt_hours / 10**9)


def experiments(organisation: Organisation) -> list[ExperimentRow]:
    """Those nobody has registered first."""
    rows = Experiment.objects.of(organisation).select_related("team", "site")
    found = rows.annotate(run_count=Count("runs"), last_run=Max("runs__started_at")).order_by("is_registered", "name")
    return [ExperimentRow(row, row.run_count, row.last_run, row.experiment_id == PUBLIC_EXPERIMENT) for row in found]


def experiment(organisation: Organisation, pk: int) -> Experiment | None:
    return Experiment.objects.of(organisation).select_related("team", "site").filter(pk=pk).first()


def declared(organisation: Organisation) -> list[DeclaredRow]:
    """The latest runs with the CO2 that their clients declared. Running totals count once, by their largest."""
    rows: QuerySet[DeclaredEmissions] = DeclaredEmissions.objects.of(organisation).select_related("source")
    found: dict[tuple[str, str], DeclaredRow] = {}
    for row in rows.order_by("-at_ms")[: MOST_RUNS * 50]:
        key = (row.source.name, row.run)
        before = found.get(key)
        if before is None and len(found) >= MOST_RUNS:
            continue
        mg, energy = row.emissions_mg, row.energy_microwatt_hours
        if before is not None:
            put = max if row.is_running_total else lambda a, b: a + b
            mg, energy = put(before.emissions_mg, mg), put(before.energy_microwatt_hours, energy)
        found[key] = DeclaredRow(row.source.name, row.run, mg, energy, str(row.said.get("country_iso_code", "")))
    return list(found.values())
