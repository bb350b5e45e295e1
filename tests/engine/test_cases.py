"""Worked cases through the command an auditor uses: the project's own, and the shared ones where they are at hand."""

from __future__ import annotations

import json
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command

from apps.accounting.engine.rulesets import RULESETS

OWN = sorted((Path(__file__).parent / "cases").glob("*.json"))
SHARED = Path(settings.BASE_DIR).parent / "shared" / "vectors" / "scope2.json"


def evaluated(case: dict[str, Any], folder: Path) -> dict[str, Any]:
    file = folder / "scenario.json"
    file.write_text(json.dumps(case["input"]))
    out = StringIO()
    call_command("evaluate_scenario", str(file), stdout=out)
    return json.loads(out.getvalue())


def pointed(document: Any, pointer: str) -> Any:
    for token in pointer.strip("/").split("/"):
        document = document[int(token)] if isinstance(document, list) else document[token]
    return document


def agrees(found: Any, expected: Any, tolerance: str) -> bool:
    if found is None or expected is None or isinstance(expected, list):
        return found == expected
    try:
        return abs(Decimal(str(found)) - Decimal(expected)) <= Decimal(tolerance)
    except ArithmeticError:
        return found == expected


def assert_case(case: dict[str, Any], folder: Path) -> None:
    result = evaluated(case, folder)
    wrong = {
        pointer: (pointed(result, pointer), expected)
        for pointer, expected in case["expected"].items()
        if not agrees(pointed(result, pointer), expected, case["tolerance"])
    }
    assert not wrong, f"{case['title']}: found and expected {wrong}"
    for breakdown in ("by_market", "by_facility", "by_team", "by_model", "by_kind"):
        for figure in ("facility_energy_kwh", "location_kg", "market_kg"):
            parts = [row[figure] for row in result[breakdown].values()]
            if result["totals"][figure] is not None:
                assert sum(map(Decimal, parts)) == Decimal(result["totals"][figure]), (breakdown, figure)


@pytest.mark.parametrize("path", OWN, ids=[path.stem for path in OWN])
def test_own_case(path: Path, tmp_path: Path) -> None:
    case = json.loads(path.read_text())
    assert case["clause"]
    assert_case(case, tmp_path)


def test_shared_cases(tmp_path: Path) -> None:
    if not SHARED.exists():
        pytest.skip(f"the shared vectors are not beside the repository: {SHARED}")
    cases = json.loads(SHARED.read_text())
    assert {case["input"]["ruleset"] for case in cases} == set(RULESETS)
    for case in cases:
        assert_case(case, tmp_path)
