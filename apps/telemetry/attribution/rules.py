"""Whose energy a series is: rules from label to team, model, workload, study, site and kind. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from apps.telemetry.attribution.models import AttributionRule
from apps.telemetry.batch import Naming


class StandardRule(NamedTuple):
    """A rule that the portal comes with: what a label or resource attribute usually means."""

    door: str
    label: str
    target: str


# OpenTelemetry semantic conventions (resource, k8s, gen_ai); Kubernetes labels as exporters give them; Slurm.
STANDARD = (
    StandardRule("otlp", "service.namespace", "team"),
    StandardRule("otlp", "k8s.namespace.name", "team"),
    StandardRule("", "namespace", "team"),
    StandardRule("upload", "account", "team"),
    StandardRule("", "gen_ai.response.model", "model"),
    StandardRule("", "gen_ai.request.model", "model"),
    StandardRule("", "model_name", "model"),
    StandardRule("prometheus", "model", "model"),
    StandardRule("otlp", "service.name", "model"),
    StandardRule("otlp", "k8s.deployment.name", "workload"),
    StandardRule("otlp", "k8s.job.name", "workload"),
    StandardRule("", "hpc_job", "workload"),
    StandardRule("", "cloud.region", "site"),
    StandardRule("", "k8s.cluster.name", "site"),
    StandardRule("", "cluster", "site"),
    StandardRule("", "host.name", "site"),
)


def apply(rules: Sequence[AttributionRule], door: str, labels: Sequence[tuple[str, str]], naming: Naming) -> Naming:
    """The naming with what the rules, in their order, make of the labels; the first that matches a target decides.

    What the protocol itself says, such as the model in a metric's own label, stays against a standard rule and gives
    way to one that somebody wrote.
    """
    said = dict(labels)
    decided: dict[str, Any] = {}
    for rule in rules:
        if rule.target in decided or (rule.is_standard and getattr(naming, rule.target)):
            continue
        if matches(rule, door, said):
            decided[rule.target] = rule.value or said[rule.label]
    return naming._replace(**decided)


def matches(rule: AttributionRule, door: str, labels: dict[str, str]) -> bool:
    """Whether a rule is for this door and its label has a value that fits; ``*`` in the pattern stands for anything."""
    value = labels.get(rule.label, "")
    if not value or rule.door not in ("", door):
        return False
    return not rule.pattern or fnmatchcase(value, rule.pattern.replace("[", "[[]").replace("?", "[?]"))
