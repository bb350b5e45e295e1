"""Hardware profiles that ship with the repository."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

from django.db import transaction

from apps.workloads.models import HardwareProfile

HARDWARE = Path(__file__).parent / "reference" / "hardware.csv"
_NUMBERS = ("memory_gb", "tdp_w", "idle_w", "max_w")


@transaction.atomic
def load_hardware_profiles() -> int:
    """Bring the hardware profiles to what the repository ships and return their number; repeatable.

    Watts are of what ``scope`` says. An empty cell is unknown, never zero. Profiles that are no longer listed stay:
    readings point to them.
    """
    with HARDWARE.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
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
        for row in rows
    ]
    HardwareProfile.objects.bulk_create(
        profiles,
        update_conflicts=True,
        unique_fields=["code"],
        update_fields=[f.name for f in HardwareProfile._meta.concrete_fields if f.name != "code"],
    )
    return len(profiles)
