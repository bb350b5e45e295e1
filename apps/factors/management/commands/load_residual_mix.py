"""``load_residual_mix FILE``: import residual mixes for the whole installation as a new version."""

from __future__ import annotations

from apps.factors.management.commands.load_factors import Command as LoadFactors
from apps.factors.models import FactorDataset


class Command(LoadFactors):
    help = (
        "Import residual mixes for the whole installation as a new dataset version: our own CSV layout, an hourly"
        " series, the AIB table (docs/methodology/factors.md). It changes no figure: an organisation adopts it."
    )
    kinds = (FactorDataset.Kind.RESIDUAL, FactorDataset.Kind.HOURLY_RESIDUAL)
