"""Whose energy a series is: rules from label to team, model, workload, study, site and kind. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from apps.telemetry.attribution.models import AttributionRule
from apps.telemetry.batch import Naming


def apply(rules: Sequence[AttributionRule], door: str, labels: Sequence[tuple[str, str]], naming: Naming) -> Naming:
    """The naming with what the rules, in their order, make of the labels; the first that matches a target decides."""
    said = dict(labels)
    decided: dict[str, str] = {}
    for rule in rules:
        value = said.get(rule.label, "")
        if rule.target in decided or not value or rule.door not in ("", door):
            continue
        if not rule.pattern or fnmatchcase(value, rule.pattern):
            decided[rule.target] = rule.value or value
    return naming._replace(**decided)
