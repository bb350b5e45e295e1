"""The methodology's examples are run: what is written there is what the engine does."""

from __future__ import annotations

import doctest
import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from apps.accounting.engine.scenario import evaluate_text
from apps.accounting.engine.version import ENGINE_VERSION
from apps.factors import checking, formats

PAGES = sorted((Path(settings.BASE_DIR) / "docs" / "methodology").glob("*.md"))


def fenced(page: str, kind: str) -> list[str]:
    text = next(path for path in PAGES if path.name == page).read_text(encoding="utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("path", PAGES, ids=[path.name for path in PAGES])
def test_examples_of_a_page(path: Path) -> None:
    failed, _ = doctest.testfile(str(path), module_relative=False, encoding="utf-8")
    assert failed == 0


def test_the_rules_have_examples() -> None:
    examples = doctest.DocTestParser()
    found = {path.name: len(examples.get_examples(path.read_text(encoding="utf-8"))) for path in PAGES}
    for page in ("location-based.md", "market-based.md", "hourly-matching.md", "pue-and-boundary.md", "rounding.md"):
        assert found[page] > 2


@pytest.mark.parametrize("kind", ["", "hourly "])
def test_the_scenario_gives_the_result_beside_it(kind: str) -> None:
    (scenario,), (expected,) = (fenced("scenarios.md", f"json {kind}{what}") for what in ("scenario", "result"))

    def assert_contains(found: Any, part: Any) -> None:
        if isinstance(part, dict):
            for key in part:
                assert_contains(found[key], part[key])
        else:
            assert found == part

    assert_contains(evaluate_text(scenario), json.loads(expected))


def test_the_example_files_can_be_imported() -> None:
    zones = frozenset({"NO", "DE", "AT", "ERCT", "FR"})
    examples = fenced("factors.md", "text")
    assert len(examples) == 3
    for text, kind in zip(examples, ("location", "residual", "residual"), strict=True):
        _, (table,) = formats.read(text.encode(), given={"kinds": kind})
        checking.check(table, zones=zones, known={}, this_year=2026)
        assert len(table)
        assert not table.faults


def test_the_version_is_the_one_that_is_stored() -> None:
    assert f"`{ENGINE_VERSION}`" in next(path for path in PAGES if path.name == "README.md").read_text(encoding="utf-8")
