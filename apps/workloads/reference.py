"""Published facts that ship with the repository: hardware, its embodied emissions, energy of inference per token."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import Model

from apps.workloads.models import EmbodiedFigure, HardwareProfile, InferenceProfile

_FOLDER = Path(__file__).parent / "reference"
HARDWARE, EMBODIED, INFERENCE = _FOLDER / "hardware.csv", _FOLDER / "embodied.csv", _FOLDER / "inference.csv"
_NUMBERS = ("memory_gb", "tdp_w", "idle_w", "max_w")


@transaction.atomic
def load_hardware_profiles() -> int:
    """Bring the hardware profiles to what the repository ships and return their number; repeatable.

    Watts are of what ``scope`` says. An empty cell is unknown, never zero. Profiles that are no longer listed stay:
    readings point to them.
    """
    profiles = [
        HardwareProfile(
            code=row["code"],
            name=row["name"],
            vendor=row["vendor"],
            kind=row["kind"],
            scope=row["scope"],
            release_year=int(row["release_year"]) if row["release_year"] else None,
            source_title=row["source_title"],
            source_url=row["source_url"],
            licence=row["licence"],
            note=row["note"],
            **{name: Decimal(row[name]) if row[name] else None for name in _NUMBERS},
        )
        for row in _rows(HARDWARE)
    ]
    HardwareProfile.objects.bulk_create(
        profiles,
        update_conflicts=True,
        unique_fields=["code"],
        update_fields=[f.name for f in HardwareProfile._meta.concrete_fields if f.name != "code"],
    )
    return len(profiles)


@transaction.atomic
def load_embodied_figures() -> int:
    """Bring the embodied emissions [g CO2e] to what the repository ships and return their number; repeatable.

    Of several figures of one device the one of the lowest ``rank`` is used; their boundaries differ, and rows of
    different boundary are never added.
    """
    figures = [
        EmbodiedFigure(
            hardware_code=row["hardware_code"],
            rank=int(row["rank"]),
            name=row["name"],
            embodied_g=int(row["embodied_g"]),
            boundary=row["boundary"],
            year=int(row["year"]),
            source_title=row["source_title"],
            source_url=row["source_url"],
            licence=row["licence"],
            note=row["note"],
        )
        for row in _rows(EMBODIED)
    ]
    return _load(EmbodiedFigure, figures, ["hardware_code", "rank"])


@transaction.atomic
def load_inference_profiles() -> int:
    """Bring the energies per output token [uJ] to what the repository ships and return their number; repeatable.

    Each is the median over the published configurations (batch sizes) of one model, device, number of devices and
    task, and is the energy of the accelerators alone.
    """
    profiles = [
        InferenceProfile(
            model_name=row["model_name"],
            hardware=row["hardware"],
            accelerators=int(row["accelerators"]),
            task=row["task"],
            microjoules_per_token=int(row["microjoules_per_token"]),
            configurations=int(row["configurations"]),
            year=int(row["year"]),
            source_title=row["source_title"],
            source_url=row["source_url"],
            licence=row["licence"],
        )
        for row in _rows(INFERENCE)
    ]
    return _load(InferenceProfile, profiles, ["model_name", "hardware", "accelerators", "task"])


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _load(model: type[Model], rows: Sequence[Any], key: list[str]) -> int:
    kept = {"id", *key}
    model._default_manager.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=key,
        update_fields=[field.name for field in model._meta.concrete_fields if field.name not in kept],
    )
    return len(rows)
