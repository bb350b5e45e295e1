"""What is read of the attribution rules, and what they would do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from apps.core.units import MICROWATT_HOURS_PER_MILLIWATT_HOUR
from apps.core.windows import epoch_ms
from apps.organisations.models import Organisation, Team
from apps.sites.models import Site
from apps.telemetry.attribution import rules as pure
from apps.telemetry.attribution.models import AttributionRule
from apps.telemetry.attribution.rules import STANDARD
from apps.telemetry.batch import Naming
from apps.telemetry.models import Series, TeamName

PREVIEWS = (
    (timedelta(hours=1), "the last hour"),
    (timedelta(days=1), "the last day"),
    (timedelta(days=31), "the last 31 days"),
)
MOST_SHOWN = 200
MOST_VALUES = 50


def rules_of(organisation_id: int) -> list[AttributionRule]:
    """An organisation's rules in the order in which they are tried.

    Before anything has come by a door that needs them the standard rules are made, as rows to be changed or removed.
    """
    found = list(AttributionRule.objects.of(organisation_id))
    if found or Series.objects.of(organisation_id).exists():
        return found
    AttributionRule.unscoped.bulk_create(
        AttributionRule(
            organisation_id=organisation_id,
            position=1_000 + place,
            door=rule.door,
            label=rule.label,
            target=rule.target,
            is_standard=True,
        )
        for place, rule in enumerate(STANDARD)
    )
    return list(AttributionRule.objects.of(organisation_id))


def rule(organisation: Organisation, pk: int) -> AttributionRule | None:
    return AttributionRule.objects.of(organisation).filter(pk=pk).first()


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """One label set's energy [mWh] in the window, whose it is now and whose it would be."""

    labels: dict[str, str]
    source: str
    energy_milliwatt_hours: int
    now: dict[str, str]
    then: dict[str, str]

    @property
    def gets_team(self) -> bool:
        return bool(self.then["team"]) and not self.now["team"]

    @property
    def gets_site(self) -> bool:
        return bool(self.then["site"]) and not self.now["site"]


@dataclass(frozen=True, slots=True)
class Preview:
    """What rules would do with the energy of a window that has no team or no site [mWh]."""

    window: str
    no_team_milliwatt_hours: int
    no_site_milliwatt_hours: int
    gets_team_milliwatt_hours: int
    gets_site_milliwatt_hours: int
    rows: list[PreviewRow]
    more: int = 0
    labels_seen: dict[str, list[str]] = field(default_factory=dict)


# The energy that derived readings hold, by source and attribution; its label sets come from the series.
_ENERGY = """
SELECT reading.source_id, reading.attribution_id, CAST(SUM(reading.energy_microwatt_hours) AS bigint)
FROM telemetry_reading reading
WHERE reading.organisation_id = %s AND reading.start_ms >= %s AND reading.receipt_id = 0
GROUP BY reading.source_id, reading.attribution_id
"""


def preview(organisation: Organisation, rules: Sequence[AttributionRule]) -> Preview:
    """What ``rules`` would make of the energy that has no team or no site: of the last hour, or further back where that
    holds none."""
    for length, words in PREVIEWS:
        found = _preview(organisation, rules, length, words)
        if found.rows:
            break
    return found


def _preview(organisation: Organisation, rules: Sequence[AttributionRule], length: timedelta, words: str) -> Preview:
    with connection.cursor() as cursor:
        cursor.execute(_ENERGY, [organisation.pk, epoch_ms(timezone.now() - length)])
        energy = {(int(source), int(said)): int(total) for source, said, total in cursor.fetchall()}
    sources = {source for source, _ in energy}
    series = (
        Series.objects.of(organisation)
        .filter(meter__source_id__in=sources)
        .select_related(
            "meter__source__site", "attribution__team_name__team", "attribution__model", "attribution__site"
        )
        .order_by("pk")
    )
    teams = _team_spellings(organisation)
    sites = set(Site.objects.of(organisation).values_list("code", flat=True))
    seen: dict[str, set[str]] = {}
    rows: list[PreviewRow] = []
    taken: set[tuple[int, int]] = set()
    for one in series:
        for name, value in one.labels.items():
            values = seen.setdefault(name, set())
            if len(values) < MOST_VALUES:
                values.add(value)
        key = (one.meter.source_id, one.attribution_id)
        if key in taken or key not in energy:
            continue  # a slice of a shared device is attributed in parts: its energy stands under another attribution
        taken.add(key)
        rows.append(_row(one, energy[key], rules, teams, sites))
    unassigned = [row for row in rows if not (row.now["team"] and row.now["site"])]
    unassigned.sort(key=lambda row: -row.energy_milliwatt_hours)

    def energy_of(chosen: Iterable[PreviewRow]) -> int:
        return sum(row.energy_milliwatt_hours for row in chosen)

    return Preview(
        window=words,
        no_team_milliwatt_hours=energy_of(row for row in unassigned if not row.now["team"]),
        no_site_milliwatt_hours=energy_of(row for row in unassigned if not row.now["site"]),
        gets_team_milliwatt_hours=energy_of(row for row in unassigned if row.gets_team),
        gets_site_milliwatt_hours=energy_of(row for row in unassigned if row.gets_site),
        rows=unassigned[:MOST_SHOWN],
        more=max(0, len(unassigned) - MOST_SHOWN),
        labels_seen={name: sorted(values) for name, values in sorted(seen.items())},
    )


def _row(
    series: Series, energy: int, rules: Sequence[AttributionRule], teams: dict[str, str], sites: set[str]
) -> PreviewRow:
    said = series.attribution
    naming = Naming(**{"source": "", **series.said})
    then = pure.apply(rules, series.door, list(series.labels.items()), naming)
    team = series.team_slug or then.team or ""
    site = said.site or series.meter.source.site
    # What no rule decides falls back to the key's site, and to that which somebody gave the source.
    source_site = series.meter.source.site.code if series.meter.source.site else ""
    fallback = series.site_code or source_site
    ruled = {rule.label for rule in rules}
    return PreviewRow(
        # What rules go by first, so that a list that shows one label of each shows that.
        labels=dict(sorted(series.labels.items(), key=lambda label: (label[0] not in ruled, label[0]))),
        source=series.meter.source.name,
        energy_milliwatt_hours=(energy + MICROWATT_HOURS_PER_MILLIWATT_HOUR // 2) // MICROWATT_HOURS_PER_MILLIWATT_HOUR,
        now={
            "team": said.team_name.team.name if said.team_name and said.team_name.team else "",
            "model": said.model.name if said.model else "",
            "site": site.code if site else "",
        },
        then={
            "team": teams.get(team.casefold(), ""),
            "model": then.model or "",
            "site": then.site if then.site in sites else fallback,
        },
    )


def _team_spellings(organisation: Organisation) -> dict[str, str]:
    """The team's name by every spelling that means it."""
    spellings: dict[str, str] = {}
    for team in Team.objects.of(organisation):
        spellings[team.slug.casefold()] = spellings[team.name.casefold()] = team.name
    named: Any = TeamName.objects.of(organisation).exclude(team=None).select_related("team")
    spellings.update({row.name.casefold(): row.team.name for row in named})
    return spellings
