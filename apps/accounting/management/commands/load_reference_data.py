"""``load_reference_data``: zones, factors, GWP sets, equivalences, cloud regions and hardware that ship with us.

It stands in this room because it is the lowest one that may see both factors and workloads.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from apps.factors.services import load_reference_data
from apps.workloads.reference import load_embodied_figures, load_hardware_profiles, load_inference_profiles


class Command(BaseCommand):
    help = "Load the reference data of the repository. Running it again changes nothing."

    def handle(self, *args: Any, **options: Any) -> None:
        results = load_reference_data()
        new = [result for result in results if not result.unchanged]
        for result in new:
            self.stdout.write(f"{result.dataset}: {result.added} factors added")
        self.stdout.write(f"{len(results)} factor datasets, {len(new)} of them new")
        self.stdout.write(f"{load_hardware_profiles()} hardware profiles")
        self.stdout.write(f"{load_embodied_figures()} embodied figures of hardware")
        self.stdout.write(f"{load_inference_profiles()} energies of inference per token")
