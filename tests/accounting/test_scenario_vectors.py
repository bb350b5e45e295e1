"""Our own worked cases, each with its clause and its working by hand, through the command an auditor uses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from apps.accounting.engine.market import CRITERIA
from tests.engine.test_cases import assert_case

CASES = json.loads((Path(__file__).parent / "vectors" / "scope2-own.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_case(case: dict[str, Any], tmp_path: Path) -> None:
    assert case["clause"]
    assert case["working"]
    assert_case(case, tmp_path)


def test_ids_are_unique_and_every_criterion_fails_or_is_disclosed_somewhere() -> None:
    assert len({case["id"] for case in CASES}) == len(CASES) >= 16
    seen = {
        number for case in CASES for value in case["expected"].values() if isinstance(value, list) for number in value
    }
    assert seen >= set(CRITERIA) - {8}  # 8 is met by disclosing
    assert any("no_residual_mix:M" in case["expected"].get("/flags", []) for case in CASES)
