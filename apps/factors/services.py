"""Writes of the reference data: importing a dataset as a new version, and loading what the repository ships."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.db import models, transaction

from apps.audit.services import record
from apps.core.signals import announce_inputs_changed
from apps.factors.importing import FactorFileError, Fault, ParsedDataset, read_factor_file
from apps.factors.models import CloudRegion, Equivalence, Factor, FactorDataset, GridZone, GwpValue
from apps.factors.queries import factor_validity

REFERENCE = Path(__file__).parent / "reference"


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import did. ``added`` is 0 and ``unchanged`` true when the very same dataset was there already."""

    dataset: FactorDataset
    added: int
    none_published: int
    superseded: FactorDataset | None
    unchanged: bool = False


@transaction.atomic
def import_dataset(*, content: bytes, kind: str, actor: str) -> ImportResult:
    """Import a factor file (``importing.read_factor_file``) as a new dataset; it supersedes the last one of its slug.

    A dataset never changes: the same slug and edition with the same content is reported as unchanged, with other
    content it is refused. Raises :class:`FactorFileError`, having changed nothing.
    """
    zones = frozenset(GridZone.objects.values_list("code", flat=True))
    result = _store(read_factor_file(content, kind=kind, zones=zones), actor=actor)
    if not result.unchanged:
        announce_inputs_changed(None)
    return result


def _store(parsed: ParsedDataset, *, actor: str) -> ImportResult:
    slug, edition = parsed.fields["slug"], parsed.fields["edition"]
    editions = FactorDataset.objects.filter(slug=slug).order_by("-pk")
    known = editions.filter(edition=edition).first()
    if known is not None:
        if known.digest == parsed.digest:
            return ImportResult(known, 0, 0, known.supersedes, unchanged=True)
        expected = f"an edition of {slug} not imported yet: a dataset never changes, a correction is a new edition"
        raise FactorFileError([Fault(1, "-", f"edition {edition} with other content", expected)])
    previous = editions.first()
    if previous is not None and previous.kind != parsed.fields["kind"]:
        raise FactorFileError([Fault(1, "-", f"slug {slug}", f"a slug not used for a {previous.kind} dataset")])
    absences = [[row.zone, row.data_year] for _, row in parsed.rows if row.is_absence]
    dataset = FactorDataset.objects.create(
        **parsed.fields, digest=parsed.digest, supersedes=previous, none_published=absences
    )
    Factor.objects.bulk_create(_factors(dataset, parsed), batch_size=1000)
    added = len(parsed.rows) - len(absences)
    record(
        organisation_id=0,
        actor=actor,
        action="factor_dataset.imported",
        instance=dataset,
        after={"slug": slug, "edition": edition, "factors": added, "digest": dataset.digest},
    )
    return ImportResult(dataset, added, len(absences), previous)


def _factors(dataset: FactorDataset, parsed: ParsedDataset) -> Iterable[Factor]:
    for _, row in parsed.rows:
        if row.is_absence:
            continue
        valid_from, valid_to = factor_validity(row.data_year)
        yield Factor(
            dataset=dataset,
            zone_id=row.zone,
            data_year=row.data_year,
            valid_from=valid_from,
            valid_to=valid_to,
            quality=row.quality,
            note=row.note,
            **{f"{gas}_kg_per_mwh": value for gas, value in row.values.items()},
        )


@transaction.atomic
def load_reference_data(*, actor: str = "system") -> list[ImportResult]:
    """Bring the installation's reference tables to what the repository ships; running it again changes nothing.

    Grid zones, GWP sets, equivalences and cloud regions are brought up to date in place (they are names and
    constants); factor files become datasets, each once. Returns what became of each factor file.
    """
    load_grid_zones()
    _upsert(GwpValue, ["gwp_set", "gas"], _gwp_rows())
    _upsert(Equivalence, ["code"], _equivalence_rows())
    _upsert(CloudRegion, ["provider", "region"], _rows("cloud_regions.csv", rename={"grid_zone": "grid_zone_id"}))
    zones = frozenset(GridZone.objects.values_list("code", flat=True))
    results = []
    for path in sorted(REFERENCE.glob("*_*.csv")):
        kind = path.name.partition("_")[0]
        if kind in FactorDataset.Kind.values:
            results.append(_store(read_factor_file(path.read_bytes(), kind=kind, zones=zones), actor=actor))
    if any(not result.unchanged for result in results):
        announce_inputs_changed(None)
    return results


def _rows(name: str, rename: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """Rows of a reference file. Plain text throughout, so that ``NA`` stays the code of Namibia."""
    with (REFERENCE / name).open(newline="", encoding="utf-8") as file:
        return [{(rename or {}).get(key, key): value for key, value in row.items()} for row in csv.DictReader(file)]


@transaction.atomic
def load_grid_zones() -> None:
    """Bring the grid zones to what the repository ships: names and which zone contains which."""
    rows = _rows("zones.csv")
    zones = [
        GridZone(
            code=row["code"],
            name=row["name"],
            type=row["type"],
            country=row["country"],
            parent_id=row["parent"] or None,
        )
        for row in sorted(rows, key=lambda row: row["parent"] != "")  # parents first
    ]
    GridZone.objects.bulk_create(
        zones,
        update_conflicts=True,
        unique_fields=["code"],
        update_fields=["name", "type", "country", "parent"],
        batch_size=1000,
    )


def _gwp_rows() -> list[dict[str, Any]]:
    return [
        {
            "gwp_set": row["gwp_set"],
            "gas": row["gas"],
            "value": Decimal(row["kg_co2e_per_kg"]),
            "source_title": row["source_title"],
            "source_url": row["source_url"],
        }
        for row in _rows("gwp.csv")
    ]


def _equivalence_rows() -> list[dict[str, Any]]:
    rows = _rows("equivalences.csv")
    for row in rows:
        row.pop("retrieved")
        row["tonnes_per_unit"] = Decimal(row["tonnes_per_unit"])
        row["year"] = int(row["year"])
    return rows


def _upsert(model: type[models.Model], keys: list[str], rows: list[dict[str, Any]]) -> None:
    fields = [name.removesuffix("_id") for name in rows[0] if name not in keys]
    model._default_manager.bulk_create(
        [model(**row) for row in rows],
        update_conflicts=True,
        unique_fields=keys,
        update_fields=fields,
        batch_size=1000,
    )
