"""Words to ids: what a reading says in words is interned once as an :class:`Attribution` and found again in memory.

A process keeps, per organisation, the ids of every combination of words it has seen. Only what is committed gets in;
a change of a mapping (source to site, name to team) raises :class:`NamingVersion`, and processes that cached the old
one drop it within :data:`CHECK_EVERY_S`.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from django.db import IntegrityError, connection, transaction
from django.db.models import Model, Q
from django.db.models.signals import post_migrate
from django.utils.text import slugify

from apps.core.units import PPM, largest_remainder
from apps.organisations.models import Team
from apps.sites.models import Site
from apps.telemetry.batch import Int64Array, Naming, Place, shown
from apps.telemetry.models import (
    Attribution,
    AttributionShare,
    Boundary,
    Method,
    NamingVersion,
    Source,
    TeamName,
)
from apps.workloads.models import AIModel, HardwareProfile, Kind, Study, Workload

CHECK_EVERY_S = 2.0
MOST_CACHED = 200_000  # combinations an organisation may hold in one process, about 100 MB; beyond, it starts anew
SOURCE_NAME = 200  # characters of a source's name
SERIES_WEIGHT = 5  # a series of a meter with its labels takes as much memory as so many combinations
MOST_HINTS = 100  # misspelt hardware profiles of one request for which similar ones are looked for
_CHUNK = 500  # names a query

Fault = tuple[str, Any, str]  # field, got, expected
Ids = tuple[int, int]  # attribution, source


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the key says for readings that do not say it themselves."""

    organisation_id: int
    team_id: int | None = None
    team_slug: str | None = None
    site_code: str = ""

    @property
    def of_key(self) -> tuple[str | None, str]:
        """What tells one key's cached ids from another's."""
        return self.team_slug, self.site_code


@dataclass(slots=True)
class Cache:
    """What one process remembers of an organisation's names. Only what is committed gets in."""

    version: int
    checked_at: float
    # By what the key says for those who do not say it themselves, then by everything said.
    ids: dict[tuple[str | None, str], dict[tuple[Any, ...], Ids]] = field(default_factory=lambda: defaultdict(dict))
    ranges: dict[int, tuple[int, int]] = field(default_factory=dict)  # source: first and last reading [ms]
    # Of meters, likewise by the key: what identifies a series to its ids (meters.interning.SeriesIds).
    series: dict[tuple[str | None, str], dict[tuple[Any, ...], Any]] = field(default_factory=lambda: defaultdict(dict))
    series_ranges: dict[int, tuple[int, int]] = field(default_factory=dict)
    # Of meters, and of series by -id: a value early in the latest hour seen [ms] (meters.marks).
    meter_hours: dict[int, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return sum(map(len, self.ids.values())) + SERIES_WEIGHT * sum(map(len, self.series.values()))


_caches: dict[tuple[str, int], Cache] = {}


def forget(**_: Any) -> None:
    """Drop everything cached in this process, as after a migration or a flush."""
    _caches.clear()


post_migrate.connect(forget, dispatch_uid="telemetry.names.forget")


def cache_of(organisation_id: int) -> Cache:
    key = (str(connection.settings_dict["NAME"]), organisation_id)
    cache = _caches.get(key)
    now = time.monotonic()
    if cache is None or now - cache.checked_at > CHECK_EVERY_S or cache.size > MOST_CACHED:
        version = NamingVersion.objects.filter(organisation=organisation_id).values_list("version", flat=True).first()
        if cache is None or cache.version != (version or 0) or cache.size > MOST_CACHED:
            cache = _caches[key] = Cache(version=version or 0, checked_at=now)
        cache.checked_at = now
    return cache


def drop_cache(organisation_id: int) -> None:
    _caches.pop((str(connection.settings_dict["NAME"]), organisation_id), None)


@dataclass(slots=True)
class Resolution:
    """Ids for each of a batch's namings, as far as they are known, and what is wrong with the others."""

    defaults: Defaults
    namings: Sequence[tuple[Any, ...]]
    cache: Cache
    ids: list[Ids | None]
    faults: dict[int, list[Fault]]
    door: str
    places: Mapping[str, Place]
    sites: dict[str, int] = field(default_factory=dict)

    def create_missing(self, naming_codes: Int64Array) -> None:
        """Create what the namings of these rows name. Inside the transaction of the intake; safe beside others."""
        if None not in self.ids:
            return
        missing = [i for i in np.unique(naming_codes).tolist() if self.ids[i] is None]
        if not missing:
            return
        namings = [self.namings[i] for i in missing]
        words = [Naming._make(naming) for naming in namings]
        fresh = intern(self.defaults, words, self.sites, door=self.door, places=self.places)
        if metered_sources(self.defaults.organisation_id, {naming.source for naming in words}):
            raise IntegrityError("a meter took the name of a source meanwhile")
        for i, ids in zip(missing, fresh, strict=True):
            self.ids[i] = ids
        known = self.cache.ids[self.defaults.of_key]
        transaction.on_commit(lambda: known.update(zip(namings, fresh, strict=True)))


def resolve(
    defaults: Defaults,
    namings: Sequence[tuple[Any, ...]],
    door: str = "samples",
    places: Mapping[str, Place] | None = None,
) -> Resolution:
    """Look the namings up and check those not seen before. Reads only.

    ``door`` and ``places`` (by the source's name) are noted of sources that are new.
    """
    cache = cache_of(defaults.organisation_id)
    ids = list(map(cache.ids[defaults.of_key].get, namings))
    resolution = Resolution(
        defaults=defaults, namings=namings, cache=cache, ids=ids, faults={}, door=door, places=places or {}
    )
    if None in ids:
        _check(resolution, [i for i, found in enumerate(ids) if found is None])
    return resolution


def _check(resolution: Resolution, unknown: list[int]) -> None:
    defaults = resolution.defaults
    namings = [Naming._make(resolution.namings[i]) for i in unknown]
    resolution.sites = dict(Site.objects.of(defaults.organisation_id).values_list("code", "pk"))
    profiles = list(HardwareProfile.objects.order_by("code").values_list("code", flat=True))
    is_own_team = _own_team_test(defaults)
    expected = _Expected(resolution.sites, profiles)
    metered = metered_sources(defaults.organisation_id, {naming.source for naming in namings})
    for i, naming in zip(unknown, namings, strict=True):
        faults = _faults_of(naming, defaults, expected, is_own_team)
        if naming.source in metered:
            taken = f"another name: {shown(naming.source)} is read from its meter"
            faults.append(("source", shown(naming.source), taken))
        if faults:
            resolution.faults[i] = faults


def metered_sources(organisation_id: int, names: set[str]) -> set[str]:
    """Of these names those of sources whose energy is derived from a meter. Nobody may send intervals of them too."""
    found: set[str] = set()
    for chunk in in_chunks(names):
        read = Source.objects.of(organisation_id).filter(name__in=chunk, meters__isnull=False)
        found.update(read.values_list("name", flat=True))
    return found


def taken_by_others(organisation_id: int, door: str, names: set[str]) -> set[str]:
    """Of these names those of sources that another door named, or that are read from a meter."""
    found: set[str] = set()
    for chunk in in_chunks(names):
        sources = Source.objects.of(organisation_id).filter(name__in=chunk)
        others = sources.filter(~Q(door=door) | Q(meters__isnull=False))
        found.update(others.values_list("name", flat=True))
    return found


def suffixed(name: str, suffix: str) -> str:
    """A source's name with what tells it from another of the same name, as short as a name has to be."""
    text = f"{name} ({suffix})"
    if len(text) <= SOURCE_NAME:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{text[: SOURCE_NAME - 10]}… {digest}"


class _Expected:
    """What one request's errors about sites and hardware say; similar names are looked for a few times only."""

    def __init__(self, sites: dict[str, int], profiles: list[str]) -> None:
        self.sites, self.profiles = sites, set(profiles)
        self._profiles = profiles
        self._near: dict[str, list[str]] = {}
        known = ", ".join(sorted(sites)[:10]) + (", …" if len(sites) > 10 else "")
        self.site = f"the code of a site: {known}" if sites else "no site: none has been set up yet"

    def hardware(self, said: str) -> str:
        near = self._near.get(said, [])
        if said not in self._near and len(self._near) < MOST_HINTS:
            near = self._near[said] = difflib.get_close_matches(said.lower()[:40], self._profiles, 3, 0.3)
        hint = f", such as {', '.join(near or self._profiles[:3])}" if self._profiles else "; none is loaded"
        return f"the id of a hardware profile{hint}; or leave it out"


def _faults_of(
    naming: Naming, defaults: Defaults, expected: _Expected, is_own_team: Callable[[str | None], bool]
) -> list[Fault]:
    faults: list[Fault] = []
    if naming.site is not None and naming.site not in expected.sites:
        faults.append(("site", shown(naming.site), expected.site))
    if naming.hardware is not None and naming.hardware not in expected.profiles:
        faults.append(("hardware", shown(naming.hardware), expected.hardware(naming.hardware)))
    own = f"{defaults.team_slug}, the team of this key, or no team"
    if not is_own_team(naming.team):
        faults.append(("team", shown(naming.team), own))
    for place, share in enumerate(naming.shares or ()):
        if not is_own_team(share.team):
            faults.append((f"shares[{place}].team", shown(share.team), own))
    return faults


def _own_team_test(defaults: Defaults) -> Callable[[str | None], bool]:
    """Whether a spelling names the key's team; everything does when the key has none."""
    if defaults.team_id is None:
        return lambda spelling: True
    spellings = set(
        TeamName.objects.of(defaults.organisation_id).filter(team=defaults.team_id).values_list("name", flat=True)
    )
    names = Team.objects.of(defaults.organisation_id).filter(pk=defaults.team_id).values_list("slug", "name")
    folded = {name.casefold() for pair in names for name in pair}
    return lambda spelling: spelling is None or spelling in spellings or spelling.strip().casefold() in folded


def in_chunks(values: Iterable[str]) -> Iterable[list[str]]:
    ordered = sorted(values)  # every transaction takes its rows in the same order, so that none waits in a circle
    return (ordered[i : i + _CHUNK] for i in range(0, len(ordered), _CHUNK))


def ids_by_name(
    model: type[Any], organisation_id: int, names: set[str], make: Callable[[list[str]], list[Any]]
) -> dict[str, int]:
    """The ids of names, creating what is missing. Another transaction that creates the same is waited for."""
    found: dict[str, int] = {}
    for chunk in in_chunks(names):
        rows = model.objects.of(organisation_id).filter(name__in=chunk)
        found.update(rows.values_list("name", "pk"))
        missing = [name for name in chunk if name not in found]
        if missing:
            model.unscoped.bulk_create(make(missing), ignore_conflicts=True)
            found.update(rows.filter(name__in=missing).values_list("name", "pk"))
    return found


def _models(organisation_id: int, names: set[str]) -> dict[str, int]:
    def with_slugs(missing: list[str]) -> list[AIModel]:
        wanted = {name: slugify(name)[:110] or "model" for name in missing}
        taken = set(AIModel.objects.of(organisation_id).filter(slug__in=wanted.values()).values_list("slug", flat=True))
        rows = []
        for name, slug in wanted.items():
            if slug in taken:
                slug = f"{slug}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
            taken.add(slug)
            rows.append(AIModel(organisation_id=organisation_id, name=name, slug=slug))
        return rows

    found = ids_by_name(AIModel, organisation_id, names, with_slugs)
    if len(found) < len(names):  # another transaction took the slug for another name meanwhile: now it is seen as taken
        found = ids_by_name(AIModel, organisation_id, names, with_slugs)
    return found


def _team_names(organisation_id: int, names: set[str]) -> dict[str, int]:
    def mapped(missing: list[str]) -> list[TeamName]:
        teams = {}
        for pk, slug, name in Team.objects.of(organisation_id).order_by("-pk").values_list("pk", "slug", "name"):
            teams[name.casefold()] = teams[slug.casefold()] = pk
        return [
            TeamName(organisation_id=organisation_id, name=name, team_id=teams.get(name.strip().casefold()))
            for name in missing
        ]

    return ids_by_name(TeamName, organisation_id, names, mapped)


def _simply(model: type[Model], organisation_id: int, names: set[str]) -> dict[str, int]:
    return ids_by_name(
        model, organisation_id, names, lambda missing: [model(organisation_id=organisation_id, name=n) for n in missing]
    )


def _sources(
    defaults: Defaults, namings: Sequence[Naming], sites: dict[str, int], door: str, places: Mapping[str, Place]
) -> dict[str, tuple[int, int | None]]:
    """Source ids with the site each is assigned to; a new source belongs where its first reading says."""
    first_site: dict[str, int | None] = {}
    for naming in namings:
        site = sites.get(naming.site or defaults.site_code)
        if first_site.get(naming.source) is None:
            first_site[naming.source] = site
    ids = ids_by_name(
        Source,
        defaults.organisation_id,
        set(first_site),
        lambda missing: [
            new_source(defaults.organisation_id, name, first_site[name], door, places.get(name)) for name in missing
        ],
    )
    site_of: dict[int, int | None] = {}
    for chunk in in_chunks(first_site):
        site_of.update(Source.objects.of(defaults.organisation_id).filter(name__in=chunk).values_list("pk", "site_id"))
    return {name: (pk, site_of[pk]) for name, pk in ids.items()}


def new_source(organisation_id: int, name: str, site_id: int | None, door: str, place: Place | None) -> Source:
    """A source that is not stored yet, standing where its door says."""
    source = Source(organisation_id=organisation_id, name=name, site_id=site_id, door=door[:20])
    if place is not None:
        source.device, source.precedence, source.within = place
    return source


def intern(
    defaults: Defaults,
    namings: Sequence[Naming],
    sites: dict[str, int],
    *,
    door: str,
    places: Mapping[str, Place] | None = None,
) -> list[Ids]:
    """The ids of namings that are free of faults, creating what is missing. Inside a transaction."""
    organisation_id = defaults.organisation_id

    def words(*members: str) -> set[str]:
        own = {getattr(naming, member) for naming in namings for member in members}
        shared = {
            getattr(share, member)
            for naming in namings
            for share in naming.shares or ()
            for member in members
            if hasattr(share, member)
        }
        return {word for word in own | shared if word is not None}

    teams = words("team") | ({defaults.team_slug} if defaults.team_slug else set())
    team_ids = _team_names(organisation_id, teams)
    model_ids = _models(organisation_id, words("model"))
    workload_ids = _simply(Workload, organisation_id, words("workload"))
    study_ids = _simply(Study, organisation_id, words("study"))
    sources = _sources(defaults, namings, sites, door, places or {})
    rows: list[Attribution] = []
    shares_by_digest: dict[str, list[AttributionShare]] = {}
    for naming in namings:
        source_id, source_site = sources[naming.source]
        team = naming.team or defaults.team_slug
        row = Attribution(
            organisation_id=organisation_id,
            source_id=source_id,
            site_id=sites[naming.site] if naming.site else source_site or sites.get(defaults.site_code),
            team_name_id=team_ids[team] if team else None,
            model_id=model_ids[naming.model] if naming.model else None,
            workload_id=workload_ids[naming.workload] if naming.workload else None,
            study_id=study_ids[naming.study] if naming.study else None,
            kind=Kind[(naming.kind or "other").upper()],
            boundary=Boundary[(naming.boundary or "accelerator").upper()],
            method=Method[(naming.method or "measured").upper()],
            hardware_id=naming.hardware,
            accelerators=naming.accelerators,
            has_shares=naming.shares is not None,
        )
        shares = _shares(naming, team, team_ids, model_ids, workload_ids)
        row.digest = digest_of(row, shares)
        rows.append(row)
        shares_by_digest[row.digest] = shares
    ids = attributions(organisation_id, {row.digest: row for row in rows}, shares_by_digest)
    return [(ids[row.digest], row.source_id) for row in rows]


def _shares(
    naming: Naming,
    team: str | None,
    team_ids: dict[str, int],
    model_ids: dict[str, int],
    workload_ids: dict[str, int],
) -> list[AttributionShare]:
    """The parts of a reading; what a part does not say is the reading's own."""
    if not naming.shares:
        return []
    weights = [Fraction(repr(share.weight)) for share in naming.shares]
    common = 1
    for weight in weights:
        common = math.lcm(common, weight.denominator)
    parts = largest_remainder(
        PPM,
        [int(weight * common) for weight in weights],
        [f"{share.team} {share.model} {share.workload} {i:04}" for i, share in enumerate(naming.shares)],
    )
    shares = []
    for position, (share, part) in enumerate(zip(naming.shares, parts, strict=True)):
        share_team = share.team or team
        model, workload = share.model or naming.model, share.workload or naming.workload
        shares.append(
            AttributionShare(
                position=position,
                team_name_id=team_ids[share_team] if share_team else None,
                model_id=model_ids[model] if model else None,
                workload_id=workload_ids[workload] if workload else None,
                weight_ppm=part,
            )
        )
    return shares


def digest_of(row: Attribution, shares: list[AttributionShare]) -> str:
    said = [
        row.source_id,
        row.site_id,
        row.team_name_id,
        row.model_id,
        row.workload_id,
        row.study_id,
        int(row.kind),
        int(row.boundary),
        int(row.method),
        row.hardware_id,
        row.accelerators,
        [[share.team_name_id, share.model_id, share.workload_id, share.weight_ppm] for share in shares],
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def attributions(
    organisation_id: int, rows: dict[str, Attribution], shares: dict[str, list[AttributionShare]]
) -> dict[str, int]:
    found: dict[str, int] = {}
    for chunk in in_chunks(rows):
        known = Attribution.objects.of(organisation_id).filter(digest__in=chunk)
        found.update(known.values_list("digest", "pk"))
        missing = [digest for digest in chunk if digest not in found]
        if not missing:
            continue
        Attribution.unscoped.bulk_create([rows[digest] for digest in missing], ignore_conflicts=True)
        found.update(known.filter(digest__in=missing).values_list("digest", "pk"))
        parts = []
        for digest in missing:
            for share in shares[digest]:
                share.attribution_id = found[digest]
                parts.append(share)
        AttributionShare.objects.bulk_create(parts, ignore_conflicts=True)
    return found
