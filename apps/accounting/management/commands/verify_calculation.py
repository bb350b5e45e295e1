"""``verify_calculation FILE.json``: exit 0 when the receipt gives its figures, else the differences and exit 1."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.accounting.engine.receipt import UnreadableReceiptError, differences


class Command(BaseCommand):
    help = (
        "Recomputes the figures of a calculation receipt from the file alone: every line, rate, factor, market and"
        " digest. No database is read."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--digest", help="the digest printed beside a figure, which the receipt must have")

    def handle(self, *args: Any, file: Path, digest: str | None = None, **options: Any) -> None:
        try:
            receipt = json.loads(file.read_bytes())
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise CommandError(f"{file} is no JSON: {error}") from None
        try:
            found = differences(receipt)
        except UnreadableReceiptError as error:
            raise CommandError(f"{file}: {error}") from None
        head = receipt["head"]
        if digest is not None and head["digest"] != digest.strip().lower():
            found.insert(0, f"digest: the receipt has {head['digest']}, expected {digest}")
        if found:
            for line in found:
                self.stdout.write(line)
            sys.exit(1)
        self.stdout.write(f"{file.name} holds: {len(receipt['lines'])} lines give its figures to the integer")
        for figure in head["figures"]:
            self.stdout.write(
                f"scope {figure['scope']}: {figure['facility_energy_kwh']} kWh, location-based"
                f" {figure['location_kg'] or 'none'} kg, market-based {figure['market_kg'] or 'none'} kg CO2e"
            )
        self.stdout.write(f"digest {head['digest']}")
