"""``load_residual_mix FILE``: import a dataset of residual mixes as a new version."""

from __future__ import annotations

from apps.factors.management.commands.load_factors import Command as LoadFactors
from apps.factors.models import FactorDataset


class Command(LoadFactors):
    help = "Import residual mixes from a CSV file (docs/methodology/factors.md) as a new dataset version."
    kind = FactorDataset.Kind.RESIDUAL
