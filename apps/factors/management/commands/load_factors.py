"""``load_factors FILE``: import location-based factors, and what belongs to them, for the whole installation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.factors import formats
from apps.factors.comparison import Change
from apps.factors.formats.table import FactorFileError
from apps.factors.models import HOURLY_KINDS, FactorDataset
from apps.factors.services import ImportResult, import_tables, read_tables

Kind = FactorDataset.Kind
LARGEST_CHANGES = 5
GIVEN = ("slug", "edition", "publisher", "title", "licence", "kind", "year", "valid_from", "valid_to")


class Command(BaseCommand):
    help = (
        "Import factors for the whole installation as a new dataset version: our own CSV layout, hourly series, the"
        " eGRID workbook, the DESNZ flat file (docs/methodology/factors.md). It changes no figure: an organisation"
        " adopts it."
    )
    kinds: tuple[str, ...] = (
        Kind.LOCATION,
        Kind.SUPPLIER,
        Kind.FOSSIL_DEFAULT,
        Kind.UPSTREAM,
        Kind.LOSSES,
        Kind.HOURLY,
        Kind.HOURLY_CFE,
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--format", choices=list(formats.FORMATS), default="", help="found out unless given")
        for name in GIVEN:
            choices = self.kinds if name == "kind" else None
            parser.add_argument(
                f"--{name.replace('_', '-')}", default="", choices=choices, help="instead of the file's"
            )

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}") from None
        given = {name: options.get(name) or "" for name in GIVEN}
        given["kinds"] = " ".join(kind for kind in self.kinds if kind not in HOURLY_KINDS)
        try:
            _, tables = read_tables(content, layout=options.get("format") or "", given=given)
            self.refuse_other_kinds({str(table.facts["kind"]) for table in tables if not table.faults})
            results = import_tables(tables=tables, actor="system")
        except FactorFileError as error:
            raise CommandError(f"{file}: nothing was changed\n{error}") from None
        except ValueError as error:
            raise CommandError(f"{file}: nothing was changed\n{error}") from None
        for result in results:
            for line in describe(result):
                self.stdout.write(line)

    def refuse_other_kinds(self, found: set[str]) -> None:
        if others := found - set(self.kinds):
            residual = {str(Kind.RESIDUAL), str(Kind.HOURLY_RESIDUAL)}
            command = "load_residual_mix" if others <= residual else "load_factors"
            raise CommandError(f"nothing was changed: the file holds {', '.join(sorted(others))}; use {command}")


def describe(result: ImportResult) -> list[str]:
    """What an import did, for a terminal: added, superseded, the largest changes, how an organisation adopts it."""
    if result.unchanged:
        return [f"{result.dataset}: already loaded, unchanged"]
    dataset = result.dataset
    what = "hours" if dataset.kind in HOURLY_KINDS else "factors"
    lines = [f"{dataset}: {result.added} {what} added"]
    if result.none_published:
        lines.append(f"  {result.none_published} zones for which the publisher states that there is none")
    if result.superseded is not None:
        lines.append(f"  supersedes edition {result.superseded.edition} of {result.superseded.slug}")
    if result.comparison is not None and result.comparison.previous:
        lines.append(f"  against it: {result.comparison.summary}")
        lines += [f"    {change_line(change)}" for change in result.comparison.changed[:LARGEST_CHANGES]]
    if dataset.kind not in HOURLY_KINDS:
        lines.append(
            "  changes no figure until an organisation adopts it: manage.py adopt_factors --organisation SLUG"
            f' --dataset {dataset.slug} --edition "{dataset.edition}" [--from DATE] [--to DATE]'
        )
    return lines


def change_line(change: Change) -> str:
    """``DE 2025: 329 -> 300 kg/MWh (-8.8 %)``."""
    old = "none" if change.old is None else f"{change.old.normalize():f}"
    new = "none" if change.new is None else f"{change.new.normalize():f}"
    when = change.when or (
        str(change.year) if change.year == change.old_year else f"{change.old_year} -> {change.year}"
    )
    percent = "" if change.percent is None else f" ({change.percent:+.1f} %)"
    return f"{change.zone} {when}: {old} -> {new} kg/MWh{percent}"
