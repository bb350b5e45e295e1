"""``load_factors FILE``: import a dataset of location-based factors as a new version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.factors.importing import FactorFileError
from apps.factors.models import FactorDataset
from apps.factors.services import ImportResult, import_dataset


class Command(BaseCommand):
    help = "Import location-based factors from a CSV file (docs/methodology/factors.md) as a new dataset version."
    kind: str = FactorDataset.Kind.LOCATION

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}") from None
        try:
            result = import_dataset(content=content, kind=self.kind, actor="system")
        except FactorFileError as error:
            raise CommandError(f"{file}: nothing was changed\n{error}") from None
        for line in describe(result):
            self.stdout.write(line)


def describe(result: ImportResult) -> list[str]:
    """What an import did, for a terminal."""
    if result.unchanged:
        return [f"{result.dataset}: already loaded, unchanged"]
    lines = [f"{result.dataset}: {result.added} factors added"]
    if result.none_published:
        lines.append(f"  {result.none_published} zones for which the publisher states that there is none")
    if result.superseded is not None:
        lines.append(f"  supersedes edition {result.superseded.edition} of {result.superseded.slug}")
    return lines
