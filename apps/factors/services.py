"""Writes of the reference data: importing a dataset as a new version, and loading what the repository ships."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.db import connection, models, transaction
from django.utils import timezone

from apps.audit.services import record
from apps.core.signals import announce_inputs_changed
from apps.factors import checking, formats, queries
from apps.factors.comparison import Comparison, compare, compare_hours
from apps.factors.formats.table import FactorFileError, FactorTable, Fault, Given, HourlyTable, Progress, Table, each
from apps.factors.models import CloudRegion, Equivalence, Factor, FactorDataset, GridZone, GwpValue, HourlyFactor

REFERENCE = Path(__file__).parent / "reference"
_INSERT_HOUR = """
INSERT INTO factors_hourlyfactor (dataset_id, zone_id, hour, value, is_estimated) VALUES (%s, %s, %s, %s, %s)
"""


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import did. ``added`` is 0 and ``unchanged`` true when the very same dataset was there already."""

    dataset: FactorDataset
    added: int
    none_published: int
    superseded: FactorDataset | None
    unchanged: bool = False
    comparison: Comparison | None = None


def read_tables(
    content: bytes,
    *,
    layout: str = "",
    given: Given | None = None,
    organisation_id: int | None = None,
    progress: Progress = lambda rows: None,
    checked: Progress = lambda rows: None,
    known: Mapping[str, Decimal] | None = None,
) -> tuple[str, list[Table]]:
    """The layout and the datasets of a file with every fault found; nothing is stored.

    ``progress`` is told of rows read, ``checked`` of rows checked; ``known`` are the factors that units are judged by.
    Raises :class:`FactorFileError` for a file that is no table at all, and not for faults: they stand in the tables.
    """
    name, tables = formats.read(content, layout=layout, given=given, progress=progress)
    zones = frozenset(GridZone.objects.values_list("code", flat=True))
    if known is None:
        known = queries.known_location_values(organisation_id)
    for table in tables:
        checking.check(table, zones=zones, known=known, this_year=timezone.now().year)
        if not table.faults:
            table.faults.extend(_faults_with_what_is_held(table, organisation_id))
        checked(len(table))
    return name, list(tables)


def faults_of(tables: Iterable[Table]) -> list[Fault]:
    """Every fault of a file, sheet by sheet and row by row."""
    return [fault for table in tables for fault in table.faults]


def _faults_with_what_is_held(table: Table, organisation_id: int | None) -> Iterable[Fault]:
    slug, edition = table.facts["slug"], table.facts["edition"]
    known = queries.dataset(slug, edition, organisation_id)
    if known is not None and known.digest != table.digest:
        expected = f"an edition of {slug} not imported yet: a dataset never changes, a correction is a new edition"
        yield Fault(1, "-", f"edition {edition} with other content", expected)
    previous = queries.latest_edition(slug, organisation_id)
    if previous is not None and previous.kind != table.facts["kind"]:
        yield Fault(1, "-", f"slug {slug}", f"a slug not used for a {previous.kind} dataset")


def comparison_of(table: Table, organisation_id: int | None) -> Comparison:
    """What a table changes against the edition that it would supersede, by what the organisation may see."""
    previous = _superseded_by(table, organisation_id)
    edition = previous.edition if previous else ""
    if isinstance(table, HourlyTable):
        held = {}
        for zone in sorted(set(table.zones)) if previous else ():
            series = queries.hourly_series(
                table.facts["kind"], zone, min(table.hours), max(table.hours) + 1, organisation_id, table.facts["slug"]
            )
            held[zone] = (series.hour, series.value)
        return compare_hours(table, held, edition)
    return compare(table, queries.headline_values(previous) if previous else {}, edition)


def _superseded_by(table: Table, organisation_id: int | None) -> FactorDataset | None:
    """The edition before: of annual factors the latest of the slug, of hours the latest that holds any of them."""
    if isinstance(table, FactorTable):
        return queries.latest_edition(table.facts["slug"], organisation_id)
    of_slug = queries.visible_datasets(organisation_id).filter(slug=table.facts["slug"])
    overlapping = HourlyFactor.objects.filter(
        dataset__in=of_slug,
        zone__in=sorted(set(table.zones)),
        hour__gte=min(table.hours),
        hour__lte=max(table.hours),
    )
    return of_slug.filter(pk__in=overlapping.values("dataset")).order_by("-pk").first()


@transaction.atomic
def import_tables(
    *, tables: Sequence[Table], actor: str, organisation_id: int | None = None, source: Mapping[str, Any] | None = None
) -> list[ImportResult]:
    """Store the datasets of a file, each as a new version that supersedes the one before of its slug.

    With ``organisation_id`` they are that organisation's own and nobody else's. A dataset never changes: the same
    slug and edition with the same content is reported as unchanged, with other content it is refused. ``source`` goes
    into the audit event. Raises :class:`FactorFileError`, having changed nothing.
    """
    for table in tables:  # what is held may have changed since the file was read
        if not table.faults:
            table.faults.extend(_faults_with_what_is_held(table, organisation_id))
    if faults := faults_of(tables):
        raise FactorFileError(faults)
    results = [_store(table, actor, organisation_id, source or {}) for table in tables]
    if any(not result.unchanged for result in results):
        announce_inputs_changed(organisation_id)
    return results


def import_file(
    *, content: bytes, actor: str, layout: str = "", given: Given | None = None, organisation_id: int | None = None
) -> list[ImportResult]:
    """Read, check and store a file in one go (:func:`read_tables`, :func:`import_tables`)."""
    _, tables = read_tables(content, layout=layout, given=given, organisation_id=organisation_id)
    return import_tables(tables=tables, actor=actor, organisation_id=organisation_id)


def _store(table: Table, actor: str, organisation_id: int | None, source: Mapping[str, Any]) -> ImportResult:
    facts = table.facts
    known = queries.dataset(facts["slug"], facts["edition"], organisation_id)
    if known is not None:
        if known.perimeter == FactorDataset.Perimeter.UNSTATED != facts["perimeter"]:
            # A classification that the file did not carry when it was imported: no figure depends on it.
            FactorDataset.objects.filter(pk=known.pk).update(perimeter=facts["perimeter"])
        return ImportResult(known, 0, 0, known.supersedes, unchanged=True)
    previous = _superseded_by(table, organisation_id)
    comparison = comparison_of(table, organisation_id)
    absences = table.absences if isinstance(table, FactorTable) else []
    dataset = FactorDataset.objects.create(
        **facts,
        organisation_id=organisation_id,
        digest=table.digest,
        supersedes=previous,
        none_published=[list(absence) for absence in absences],
    )
    if isinstance(table, HourlyTable):
        _insert_hours(dataset, table)
    else:
        Factor.objects.bulk_create(_factors(dataset, table), batch_size=1000)
    added = len(table) - len(absences)
    record(
        organisation_id=organisation_id or 0,
        actor=actor,
        action="factor_dataset.imported",
        instance=dataset,
        after={
            "slug": facts["slug"],
            "edition": facts["edition"],
            "factors": added,
            "digest": dataset.digest,
            **source,
        },
    )
    return ImportResult(dataset, added, len(absences), previous, comparison=comparison)


def _factors(dataset: FactorDataset, table: FactorTable) -> Iterable[Factor]:
    for i in each(table):
        valid_from, valid_to = table.periods[i] or queries.factor_validity(table.years[i])
        yield Factor(
            dataset=dataset,
            zone_id=table.zones[i],
            data_year=table.years[i],
            valid_from=valid_from,
            valid_to=valid_to,
            quality=table.qualities[i],
            note=table.notes[i],
            **{f"{gas}_kg_per_mwh": value for gas, value in table.of_row(i).items()},
        )


def _insert_hours(dataset: FactorDataset, table: HourlyTable) -> None:
    """A year of four zones in a second; made into model objects first, it takes nine times as long."""
    columns = (table.zones, table.hours, table.values, table.estimated)
    with connection.cursor() as cursor:
        cursor.executemany(_INSERT_HOUR, [(dataset.pk, *hour) for hour in zip(*columns, strict=True)])


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
    results = []
    for path in sorted(REFERENCE.glob("*_*.csv")):
        kind = path.name.partition("_")[0]
        if kind in FactorDataset.Kind.values:
            given = {"kind": kind, "kinds": kind}
            # Judged by what is held, every file would read all of it; shipped files were judged when they were made.
            _, tables = read_tables(path.read_bytes(), layout="generic", given=given, known={})
            results += import_tables(tables=tables, actor=actor)
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
