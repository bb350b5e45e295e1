"""Reads of the factor files that an organisation brought in."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from apps.accounting.models import FactorImport
from apps.factors.formats import FORMATS, LABELS
from apps.factors.formats.table import Fault
from apps.factors.models import HOURLY_KINDS, FactorDataset
from apps.organisations.models import Organisation

State = FactorImport.State
IN_PROGRESS = (State.QUEUED, State.WORKING, State.CONFIRMED, State.IMPORTING)
SHOWN_IMPORTS = 20
SHOWN_FAULTS = 100
SHOWN_CHANGES = 50


def imports(organisation: Organisation) -> list[FactorImport]:
    """The files brought in last, newest first."""
    return list(FactorImport.objects.of(organisation).defer("outcome", "faults")[:SHOWN_IMPORTS])


def factor_import(organisation: Organisation, public_id: UUID) -> FactorImport | None:
    """One file of the organisation."""
    return FactorImport.objects.of(organisation).filter(public_id=public_id).first()


def is_under_way(taken: FactorImport) -> bool:
    return taken.state in IN_PROGRESS


def faults(taken: FactorImport) -> list[Fault]:
    """What is wrong with the file, by sheet, row and column."""
    return [Fault(**fault) for fault in taken.faults]


def changes(taken: FactorImport) -> list[tuple[Any, ...]]:
    """The changes kept of each dataset of a file, largest first, as rows of a table."""
    return [
        (one["facts"]["slug"], change["zone"], change["when"], change["old"], change["new"], change["percent"])
        for one in taken.outcome
        for change in one.get("comparison", {}).get("changes", [])
    ]


def datasets(taken: FactorImport) -> list[dict[str, Any]]:
    """The datasets of a file for the review: facts with their labels and what each changes, largest first."""
    shown = []
    for one in taken.outcome:
        comparison = one.get("comparison")
        facts = one["facts"]
        shown.append(
            {
                **one,
                "kind": _kind_label(facts.get("kind", "")),
                "is_hourly": facts.get("kind") in HOURLY_KINDS,
                "unit": "%" if facts.get("kind") == "hourly_cfe" else "kg CO₂e/MWh",
                "changes": comparison["changes"][:SHOWN_CHANGES] if comparison else [],
                "more_changes": max(comparison["changed"] - SHOWN_CHANGES, 0) if comparison else 0,
            }
        )
    return shown


def layout_defaults() -> list[dict[str, str]]:
    """Each format with the publisher and licence that it brings along."""
    return [
        {
            "name": name,
            "label": LABELS[name],
            "publisher": module.DEFAULTS.get("publisher", "from the file"),
            "licence": module.DEFAULTS.get("licence", "from the file"),
        }
        for name, module in FORMATS.items()
    ]


def _kind_label(kind: str) -> str:
    """A kind of dataset as people read it."""
    return str(FactorDataset.Kind(kind).label) if kind in FactorDataset.Kind.values else kind
