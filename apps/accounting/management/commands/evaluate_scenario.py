"""``evaluate_scenario FILE``: a calculation without the database, by the engine of the live figures."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.accounting.engine.scenario import evaluate_text
from apps.accounting.engine.scenario_fields import ScenarioError, ScenarioFault


class Command(BaseCommand):
    help = "Evaluate one scenario (docs/methodology/scenarios.md) and print the result as JSON. '-' reads stdin."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file")

    def handle(self, *args: Any, file: str, **options: Any) -> None:
        try:
            result = evaluate_text(sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig"))
        except ScenarioError as error:
            self._refuse(error.faults)
        except (OSError, UnicodeDecodeError) as error:
            self._refuse([ScenarioFault("", f"no readable file ({error})", "a UTF-8 text file")])
        self.stdout.write(json.dumps(result, indent=2, ensure_ascii=False))

    def _refuse(self, faults: list[ScenarioFault]) -> None:
        for fault in faults:
            self.stderr.write(str(fault))
        sys.exit(2)
