"""Series to ids: what reports a meter is interned once, with its meter and source, and found again in memory.

The cache is that of :mod:`apps.telemetry.names`, so that a change of a mapping drops both. What is seen for the first
time is made in the transaction of the intake: the source (a name that is another thing's already gets a suffix), the
meter, the attribution by the organisation's rules, the series.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef

from apps.sites.models import Site
from apps.telemetry import names
from apps.telemetry.attribution import queries as attribution_queries
from apps.telemetry.attribution import rules as attribution_rules
from apps.telemetry.batch import Naming, Place
from apps.telemetry.meters.batch import MeterSaid, SeriesSaid
from apps.telemetry.models import Attribution, Boundary, Meter, Method, Quantity, Series, Source
from apps.telemetry.rules import is_reserved
from apps.workloads.models import HardwareProfile, Kind

METER_NAME, METRIC_NAME = 300, 200  # characters that fit
LABEL_CHARACTERS = 1_000
_LONGEST = {"team": 120, "model": 200, "workload": 200, "study": 200}

Labels = tuple[tuple[str, str], ...]


class SeriesIds(NamedTuple):
    """Primary keys of a series and of what it belongs to; the meter's kind, and whether it counts work (0 or 1)."""

    series: int
    meter: int
    source: int
    kind: int
    is_work: int


def key_of(said: SeriesSaid) -> tuple[Any, ...]:
    """What tells a series from the others of a key."""
    meter = said.meter
    return meter.name, meter.kind, meter.unit, said.labels


@dataclass(slots=True)
class SeriesResolution:
    """Ids of a batch's series as far as they are known; the others are made by :meth:`create_missing`."""

    defaults: names.Defaults
    door: str
    series: Sequence[SeriesSaid]
    cache: names.Cache
    ids: list[SeriesIds | None]

    @property
    def is_complete(self) -> bool:
        return None not in self.ids

    def create_missing(self, wanted: Sequence[int]) -> None:
        """Create what these series (places in the batch) need. Inside the transaction of the intake."""
        missing = [i for i in wanted if self.ids[i] is None]
        if not missing:
            return
        fresh = _Making(self.defaults, self.door).make([self.series[i] for i in missing])
        for i, ids in zip(missing, fresh, strict=True):
            self.ids[i] = ids
        keys = [key_of(self.series[i]) for i in missing]
        known = self.cache.series[self.defaults.of_key]
        transaction.on_commit(lambda: known.update(zip(keys, fresh, strict=True)))


def resolve(defaults: names.Defaults, door: str, series: Sequence[SeriesSaid]) -> SeriesResolution:
    """Look a batch's series up in memory. Reads nothing but the version of the mappings, every few seconds."""
    cache = names.cache_of(defaults.organisation_id)
    known = cache.series[defaults.of_key]
    ids: list[SeriesIds | None] = [known.get(key_of(said)) for said in series]
    return SeriesResolution(defaults, door, series, cache, ids)


def clean(text: str, longest: int) -> str:
    """A client's word as both databases keep it; one that is too long keeps its difference from others as a digest."""
    text = text.encode("utf-8", "replace").decode().replace("\0", "␀").strip()
    if len(text) <= longest:
        return text
    return f"{text[: longest - 10]}… {hashlib.sha256(text.encode()).hexdigest()[:8]}"


@dataclass(slots=True)
class _Standing:
    """What is known of a source, to tell whether a meter that wants its name is one of its own."""

    door: str
    device: str
    is_sent: bool  # clients send intervals of it
    energy_metrics: set[str] = field(default_factory=set)
    has_meters: bool = False

    def takes(self, meter: MeterSaid, door: str) -> bool:
        if self.is_sent:
            return False
        if not self.has_meters:
            return True
        if self.door != door or (self.device and meter.place.device and self.device != meter.place.device):
            return False
        return meter.quantity != Quantity.ENERGY or self.energy_metrics <= {meter.metric}

    def take(self, meter: MeterSaid, door: str) -> None:
        self.door, self.has_meters = door, True
        self.device = self.device or meter.place.device
        if meter.quantity == Quantity.ENERGY:
            self.energy_metrics.add(meter.metric)


class _Making:
    """One transaction's new series with everything they need."""

    def __init__(self, defaults: names.Defaults, door: str) -> None:
        self.defaults, self.door = defaults, door
        self.organisation_id = defaults.organisation_id

    def make(self, series: Sequence[SeriesSaid]) -> list[SeriesIds]:
        said = [_cleaned(one) for one in series]
        meters = self._meters(said)
        of_series = [meters[_stored_name(one.meter, meters)] for one in said]
        digests = [
            series_digest(meter.pk, one.labels, self.defaults) for meter, one in zip(of_series, said, strict=True)
        ]
        known = self._known_series(digests)
        missing = {
            digest: (meter, one)
            for digest, meter, one in zip(digests, of_series, said, strict=True)
            if digest not in known
        }
        if missing:
            self._create_series(missing)
            known |= self._known_series(list(missing))
        return [
            SeriesIds(known[digest], meter.pk, meter.source_id, meter.kind, int(meter.quantity != Quantity.ENERGY))
            for digest, meter in zip(digests, of_series, strict=True)
        ]

    def _known_series(self, digests: Sequence[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for chunk in names.in_chunks(set(digests)):
            rows = Series.objects.of(self.organisation_id).filter(digest__in=chunk)
            found.update(rows.values_list("digest", "pk"))
        return found

    def _create_series(self, missing: Mapping[str, tuple[Meter, SeriesSaid]]) -> None:
        attributions = attribute(
            self.defaults, self.door, [(meter.source.name, one.labels, one.naming) for meter, one in missing.values()]
        )
        rows = [
            Series(
                organisation_id=self.organisation_id,
                meter=meter,
                digest=digest,
                labels={name: value[:LABEL_CHARACTERS] for name, value in one.labels},
                door=self.door[:20],
                team_slug=self.defaults.team_slug or "",
                site_code=self.defaults.site_code,
                attribution_id=attribution,
                said=said_of(one.naming),
            )
            for (digest, (meter, one)), attribution in zip(missing.items(), attributions, strict=True)
        ]
        rows.sort(key=lambda row: row.digest)
        Series.unscoped.bulk_create(rows, ignore_conflicts=True)

    def _known_meters(self, wanted: set[str]) -> dict[str, Meter]:
        found: dict[str, Meter] = {}
        for chunk in names.in_chunks(wanted):
            rows = Meter.objects.of(self.organisation_id).filter(name__in=chunk).select_related("source")
            found.update((meter.name, meter) for meter in rows)
        return found

    def _meters(self, series: Sequence[SeriesSaid]) -> dict[str, Meter]:
        """The meters by name, made where they are missing."""
        wanted = {name for one in series for name in (one.meter.name, _name_as_other_kind(one.meter))}
        known = self._known_meters(wanted)
        missing: dict[str, SeriesSaid] = {}
        for one in series:
            name = _stored_name(one.meter, known)
            planned = missing.get(name)
            if planned is not None and not _is_same(planned.meter, one.meter):
                name = _name_as_other_kind(one.meter)
            if name not in known:
                missing.setdefault(name, one)
        if not missing:
            return known
        # What measures best has the plain name where several want it.
        ordered = sorted(missing.items(), key=lambda item: (item[1].meter.place.precedence, item[0]))
        sources = self._sources([one for _, one in ordered])
        rows = [
            self._meter(name, one.meter, source_id) for (name, one), source_id in zip(ordered, sources, strict=True)
        ]
        Meter.unscoped.bulk_create(sorted(rows, key=lambda row: row.name), ignore_conflicts=True)
        return known | self._known_meters(set(missing))

    def _meter(self, name: str, said: MeterSaid, source_id: int) -> Meter:
        return Meter(
            organisation_id=self.organisation_id,
            name=name,
            source_id=source_id,
            metric=said.metric,
            kind=said.kind,
            quantity=said.quantity,
            unit=said.unit,
            start_policy=said.start_policy,
            power_cap_w=said.power_cap_w,
            interval_s=said.interval_s,
            longest_gap_s=said.longest_gap_s,
            wraps_at=said.wraps_at,
            start_tolerance_ms=said.start_tolerance_ms,
            pue_included_ppm=said.pue_included_ppm,
        )

    def _sources(self, series: Sequence[SeriesSaid]) -> list[int]:
        """Source ids for new meters: the name wanted, or that with a suffix where the name is another thing's."""
        candidates = [self._names_for(one) for one in series]
        standing = self._standing({name for wanted in candidates for name in wanted})
        chosen: list[str] = []
        fresh: dict[str, tuple[Place, str | None]] = {}
        for one, wanted in zip(series, candidates, strict=True):
            for name in wanted:
                there = standing.get(name)
                if there is None:
                    there = standing[name] = _Standing(self.door, one.meter.place.device, is_sent=False)
                    fresh[name] = one.meter.place, one.naming.site
                if there.takes(one.meter, self.door):
                    there.take(one.meter, self.door)
                    chosen.append(name)
                    break
        sites = dict(Site.objects.of(self.organisation_id).values_list("code", "pk"))
        ids = names.ids_by_name(
            Source,
            self.organisation_id,
            set(chosen),
            lambda missing: [
                names.new_source(
                    self.organisation_id,
                    name,
                    sites.get(fresh[name][1] or "") or sites.get(self.defaults.site_code),
                    self.door,
                    fresh[name][0],
                )
                for name in missing
            ],
        )
        made = [ids[name] for name in set(chosen) if name in fresh]
        if Source.objects.of(self.organisation_id).filter(pk__in=made).exclude(door=self.door[:20]).exists():
            raise IntegrityError("another door took the name of a source meanwhile")
        adopted = [ids[name] for name in set(chosen) if name not in fresh]
        Source.objects.of(self.organisation_id).filter(pk__in=sorted(adopted), door="").update(door=self.door[:20])
        return [ids[name] for name in chosen]

    def _names_for(self, one: SeriesSaid) -> list[str]:
        wanted = one.naming.source
        suffixed = names.suffixed(wanted, f"{self.door} {one.meter.metric}")
        digest = hashlib.sha256(json.dumps([one.meter.name, one.meter.place.device]).encode()).hexdigest()[:8]
        return [wanted, suffixed, f"{suffixed[: names.SOURCE_NAME - 9]} {digest}"]

    def _standing(self, wanted: set[str]) -> dict[str, _Standing]:
        found: dict[str, _Standing] = {}
        for chunk in names.in_chunks(wanted):
            rows = Source.objects.of(self.organisation_id).filter(name__in=chunk)
            is_used = Exists(Attribution.unscoped.filter(source=OuterRef("pk")))
            for name, door, device, used, first in rows.values_list(
                "name", "door", "device", is_used, "first_reading_at"
            ):
                found[name] = _Standing(door, device, is_sent=used or first is not None)
            read = rows.filter(meters__isnull=False).values_list("name", "meters__metric", "meters__quantity")
            for name, metric, quantity in read:
                found[name].is_sent, found[name].has_meters = False, True
                if quantity == Quantity.ENERGY:
                    found[name].energy_metrics.add(metric)
        return found


def _is_same(one: MeterSaid | Meter, other: MeterSaid) -> bool:
    return (one.kind, one.unit, one.quantity) == (other.kind, other.unit, other.quantity)


def _name_as_other_kind(said: MeterSaid) -> str:
    """The name of a meter whose own name belongs to one of another kind or unit, as after a change of temporality."""
    return clean(f"{said.name} ({said.kind.label}, {said.unit})", METER_NAME)


def _stored_name(said: MeterSaid, meters: Mapping[str, Meter]) -> str:
    there = meters.get(said.name)
    return said.name if there is None or _is_same(there, said) else _name_as_other_kind(said)


def _cleaned(said: SeriesSaid) -> SeriesSaid:
    meter = said.meter._replace(name=clean(said.meter.name, METER_NAME), metric=clean(said.meter.metric, METRIC_NAME))
    place = meter.place._replace(device=clean(meter.place.device, 200), within=clean(meter.place.within, 200))
    words: dict[str, Any] = {
        word: clean(value, _LONGEST.get(word, names.SOURCE_NAME))
        for word, value in said.naming._asdict().items()
        if isinstance(value, str)
    }
    naming = said.naming._replace(**words)
    source = naming.source or meter.name[: names.SOURCE_NAME]
    if is_reserved(source):  # what the portal books itself is never mixed with what a client reads
        source = f"[{source[: names.SOURCE_NAME - 2]}]"
    naming = naming._replace(source=source)
    whole = 1_000_000  # a label may be long; its digest is of all of it
    labels = tuple((clean(name, 200), clean(value, whole)) for name, value in said.labels)
    return SeriesSaid(meter._replace(place=place), naming, labels)


def series_digest(meter_id: int, labels: Labels, defaults: names.Defaults) -> str:
    """The identity of a series: its meter, its labels, and what the key says besides."""
    identity = [meter_id, labels, defaults.team_slug or "", defaults.site_code]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def said_of(naming: Naming) -> dict[str, Any]:
    """What the protocol itself said, as a series keeps it; :func:`naming_of` reads it back."""
    return {name: value for name, value in naming._asdict().items() if value is not None and name != "shares"}


def naming_of(said: Mapping[str, Any]) -> Naming:
    """A series' kept words as a naming."""
    return Naming(**{"source": "", **said})


def attribute(defaults: names.Defaults, door: str, series: Sequence[tuple[str, Labels, Naming]]) -> list[int]:
    """Attribution ids of series, given as their source's name, labels and what the protocol itself says.

    By the organisation's rules as they are now. The team of a key wins over any label; a site, a hardware profile or
    a kind that nobody knows is left out. Inside a transaction.
    """
    organisation_id = defaults.organisation_id
    rules = attribution_queries.rules_of(organisation_id)
    sites = dict(Site.objects.of(organisation_id).values_list("code", "pk"))
    said_hardware = {naming.hardware for _, _, naming in series if naming.hardware}
    profiles = set(HardwareProfile.objects.filter(pk__in=said_hardware).values_list("pk", flat=True))
    kinds, boundaries, methods = ({one.label for one in choices} for choices in (Kind, Boundary, Method))
    namings = []
    for source, labels, said in series:
        naming = attribution_rules.apply(rules, door, labels, said)
        words: dict[str, Any] = {}
        for word, longest in _LONGEST.items():
            value = getattr(naming, word)
            words[word] = clean(value, longest) or None if value else None
        if defaults.team_slug:
            words["team"] = defaults.team_slug
        namings.append(
            naming._replace(
                source=source,
                site=naming.site if naming.site in sites else None,
                hardware=naming.hardware if naming.hardware in profiles else None,
                kind=naming.kind if naming.kind in kinds else None,
                boundary=naming.boundary if naming.boundary in boundaries else None,
                method=naming.method if naming.method in methods else None,
                shares=None,
                **words,
            )
        )
    return [attribution for attribution, _ in names.intern(defaults, namings, sites, door=door)]
