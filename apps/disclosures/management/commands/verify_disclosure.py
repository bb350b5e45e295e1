"""``verify_disclosure FILE.pdf``: exit 0 when the document holds, else a list of differences and exit 1."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.disclosures import services
from apps.disclosures.verification import differences


class Command(BaseCommand):
    help = (
        "Checks a disclosure from its PDF alone: the embedded evidence against its digest, its figures against each"
        " other, and the file against a fresh rendering. No database is read."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            pdf = file.read_bytes()
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}") from None
        found = differences(pdf, services.pdf_of)
        if found:
            for line in found:
                self.stdout.write(line)
            sys.exit(1)
        self.stdout.write(f"{file.name} holds: evidence, figures and bytes agree")
