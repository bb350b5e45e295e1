"""Writing attribution rules, and what follows from them: every series is attributed anew."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from django.core.exceptions import ValidationError
from django.db import transaction

from apps.audit.services import audited, record, state_of
from apps.core.windows import HOUR_MS, epoch_ms
from apps.organisations.models import Organisation, Team
from apps.sites.models import Site
from apps.telemetry import bulk, names
from apps.telemetry.attribution.models import AttributionRule
from apps.telemetry.attribution.queries import rules_of
from apps.telemetry.intake import touched_hours
from apps.telemetry.meters import interning
from apps.telemetry.models import Series
from apps.telemetry.services import mappings_changed
from apps.workloads.models import Kind

Target = AttributionRule.Target
_CHUNK = 2_000


@transaction.atomic
def add_rule(*, organisation: Organisation, actor: str, **fields: Any) -> AttributionRule:
    """A new rule, tried before all others. Raises ``ValidationError``.

    ``fields``: door, label, pattern, target, value.
    """
    first = min((rule.position for rule in rules_of(organisation.pk)), default=1_000)
    rule = AttributionRule(organisation=organisation, position=first - 1, created_by=actor, **fields)
    _check(rule)
    rule.save()
    record(
        organisation_id=organisation.pk,
        actor=actor,
        action="attribution_rule.created",
        instance=rule,
        after=state_of(rule),
    )
    reapply(organisation.pk)
    return rule


@transaction.atomic
def change_rule(*, rule: AttributionRule, actor: str, **fields: Any) -> bool:
    """Change a rule; whether anything differs. A standard rule that was changed is somebody's own from then on."""

    def change() -> None:
        for name, value in fields.items():
            setattr(rule, name, value)
        rule.is_standard = False
        _check(rule)
        rule.save()

    changed = audited(
        rule, change, organisation_id=rule.organisation_id, actor=actor, action="attribution_rule.changed"
    )
    if changed:
        reapply(rule.organisation_id)
    return changed


@transaction.atomic
def delete_rule(*, rule: AttributionRule, actor: str) -> None:
    before = state_of(rule)
    record(
        organisation_id=rule.organisation_id,
        actor=actor,
        action="attribution_rule.deleted",
        instance=rule,
        before=before,
    )
    rule.delete()
    reapply(rule.organisation_id)


@transaction.atomic
def move_rule(*, rule: AttributionRule, up: bool, actor: str) -> bool:
    """Try a rule one place earlier or later; whether there was a place to move to."""
    rules = rules_of(rule.organisation_id)
    place = next(i for i, one in enumerate(rules) if one.pk == rule.pk)
    other = place - 1 if up else place + 1
    if not 0 <= other < len(rules):
        return False
    rules[place], rules[other] = rules[other], rules[place]
    for position, one in enumerate(rules):
        one.position = position
    AttributionRule.unscoped.bulk_update(rules, ["position"])
    record(
        organisation_id=rule.organisation_id,
        actor=actor,
        action="attribution_rule.moved",
        instance=rule,
        before={"place": place + 1},
        after={"place": other + 1},
    )
    reapply(rule.organisation_id)
    return True


def _check(rule: AttributionRule) -> None:
    rule.label, rule.pattern, rule.value = rule.label.strip(), rule.pattern.strip(), rule.value.strip()
    rule.full_clean(exclude=["organisation"])
    organisation_id = rule.organisation_id
    sites = Site.objects.of(organisation_id).filter(code=rule.value)
    if rule.target == Target.SITE and rule.value and not sites.exists():
        raise ValidationError({"value": "Expected the code of a site, or nothing to take the label's value."})
    if rule.target == Target.KIND and rule.value not in {kind.label for kind in Kind} | {""}:
        raise ValidationError({"value": f"Expected one of {', '.join(kind.label for kind in Kind)}."})
    if rule.target == Target.TEAM and rule.value:
        known = Team.objects.of(organisation_id)
        if not known.filter(slug=rule.value).exists() and not known.filter(name=rule.value).exists():
            raise ValidationError({"value": "Expected the name of a team of the organisation."})


def reapply(organisation_id: int) -> int:
    """Attribute every series anew by the rules as they are; how many changed. Their hours are derived again.

    Inside a transaction; safe to run twice.
    """
    groups: dict[tuple[str, str, str], list[Series]] = defaultdict(list)
    for series in Series.objects.of(organisation_id).select_related("meter__source").order_by("pk").iterator(_CHUNK):
        groups[series.door, series.team_slug, series.site_code].append(series)
    changed: list[Series] = []
    for (door, team_slug, site_code), members in groups.items():
        team = Team.objects.of(organisation_id).filter(slug=team_slug).first() if team_slug else None
        defaults = names.Defaults(organisation_id, team.pk if team else None, team_slug or None, site_code)
        for first in range(0, len(members), _CHUNK):
            chunk = members[first : first + _CHUNK]
            said = [(one.meter.source.name, tuple(one.labels.items()), interning.naming_of(one.said)) for one in chunk]
            for one, attribution in zip(chunk, interning.attribute(defaults, door, said), strict=True):
                if one.attribution_id != attribution:
                    one.attribution_id = attribution
                    changed.append(one)
    by_attribution: dict[int, list[int]] = defaultdict(list)
    for one in changed:
        by_attribution[one.attribution_id].append(one.pk)
    for attribution, ids in by_attribution.items():
        for first in range(0, len(ids), _CHUNK):
            of_one = Series.objects.of(organisation_id).filter(pk__in=ids[first : first + _CHUNK])
            of_one.update(attribution=attribution)
    heard = [(epoch_ms(one.first_at), epoch_ms(one.last_at)) for one in changed if one.first_at and one.last_at]
    if heard:
        spans = np.array(heard, dtype=np.int64)
        # An hour more on either side: the last reading is known to five minutes, and a first value counts from before.
        hours = touched_hours(spans[:, 0] - HOUR_MS, spans[:, 1] + HOUR_MS + 1)
        bulk.writer().mark_dirty(organisation_id, hours)
    mappings_changed(organisation_id)
    return len(changed)
