"""Reads of the reference data, for the accounts, pages and API."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import numpy.typing as npt
from django.db.models import Count, F, Max, Min, Q, QuerySet

from apps.core.windows import from_epoch_hour
from apps.factors.models import CloudRegion, Equivalence, Factor, FactorDataset, GridZone, GwpValue, HourlyFactor

MAX_ZONE_DEPTH = 5
_HEADLINE = ("co2e_kg_per_mwh", "co2_kg_per_mwh")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A published factor as the engine wants it (``engine.factor_choice.FactorCandidate``).

    Masses in kg of the gas per MWh; all of them ``None`` is the publisher's statement that there is no factor, and
    ``factor_id`` is ``None`` then.
    """

    factor_id: int | None
    dataset_id: int
    zone: str
    zone_type: str
    data_year: int
    boundary: str
    rank: int
    generation: int
    label: str
    gwp_set: str
    co2e_kg_per_mwh: Decimal | None
    co2_kg_per_mwh: Decimal | None
    ch4_kg_per_mwh: Decimal | None
    n2o_kg_per_mwh: Decimal | None


@dataclass(frozen=True, slots=True)
class Gwp:
    """GWP100 of one assessment report [kg CO2e per kg]."""

    name: str
    ch4: Decimal
    n2o: Decimal


def zone_parents(zone: str) -> list[str]:
    """The zones that contain a zone, near to far: ``ERCT`` is in ``US``. Empty for a country or an unknown code."""
    parents: list[str] = []
    code: str | None = zone
    for _ in range(MAX_ZONE_DEPTH):
        code = GridZone.objects.filter(pk=code).values_list("parent_id", flat=True).first()
        if code is None:
            break
        parents.append(code)
    return parents


def location_candidates(zone: str, datasets: Collection[int] | None = None) -> list[Candidate]:
    """The location-based factors of a zone and of the zones that contain it, for ``choose_location_factor``.

    ``datasets``: those that an organisation adopted; without it, every dataset that is shipped.
    """
    return _candidates(FactorDataset.Kind.LOCATION, [zone, *zone_parents(zone)], datasets)


def residual_candidates(market: str, datasets: Collection[int] | None = None) -> list[Candidate]:
    """The residual mixes of a market and of the zones that contain it, with the publishers' statements of absence."""
    return _candidates(FactorDataset.Kind.RESIDUAL, [market, *zone_parents(market)], datasets)


def fossil_candidates(market: str, datasets: Collection[int] | None = None) -> list[Candidate]:
    """The fossil-only averages of a market and of the zones that contain it: the hourly draft's last fallback."""
    return _candidates(FactorDataset.Kind.FOSSIL_DEFAULT, [market, *zone_parents(market)], datasets)


def gwp_set(name: str) -> Gwp:
    """The GWP set ``AR4``, ``AR5`` or ``AR6``. Raises ``LookupError`` when the reference data are not loaded."""
    values = dict(GwpValue.objects.filter(gwp_set=name).values_list("gas", "value"))
    try:
        return Gwp(name, values["CH4"], values["N2O"])
    except KeyError:
        raise LookupError(f"no GWP set {name}; run `manage.py load_reference_data`") from None


def _candidates(kind: str, zones: list[str], adopted: Collection[int] | None) -> list[Candidate]:
    # Nobody's decision to go by: what an organisation brought in itself is then nobody's candidate.
    of_kind = (visible_datasets(None) if adopted is None else FactorDataset.objects).filter(kind=kind).order_by("pk")
    datasets = {dataset.pk: dataset for dataset in of_kind if adopted is None or dataset.pk in adopted}
    generations = _generations(datasets.values())
    zone_types = dict(GridZone.objects.filter(pk__in=zones).values_list("code", "type"))
    found = [
        Candidate(
            factor_id=factor.pk,
            dataset_id=factor.dataset_id,
            zone=factor.zone_id,
            zone_type=zone_types[factor.zone_id],
            data_year=factor.data_year,
            boundary=datasets[factor.dataset_id].boundary,
            rank=datasets[factor.dataset_id].rank,
            generation=generations[factor.dataset_id],
            label=dataset_label(datasets[factor.dataset_id]),
            gwp_set=datasets[factor.dataset_id].gwp_set,
            co2e_kg_per_mwh=factor.co2e_kg_per_mwh,
            co2_kg_per_mwh=factor.co2_kg_per_mwh,
            ch4_kg_per_mwh=factor.ch4_kg_per_mwh,
            n2o_kg_per_mwh=factor.n2o_kg_per_mwh,
        )
        for factor in Factor.objects.filter(zone__in=zones, dataset__in=list(datasets))
    ]
    for dataset in datasets.values():
        for zone, year in dataset.none_published:
            if zone in zone_types:
                found.append(
                    Candidate(
                        factor_id=None,
                        dataset_id=dataset.pk,
                        zone=zone,
                        zone_type=zone_types[zone],
                        data_year=year,
                        boundary=dataset.boundary,
                        rank=dataset.rank,
                        generation=generations[dataset.pk],
                        label=dataset_label(dataset),
                        gwp_set=dataset.gwp_set,
                        co2e_kg_per_mwh=None,
                        co2_kg_per_mwh=None,
                        ch4_kg_per_mwh=None,
                        n2o_kg_per_mwh=None,
                    )
                )
    return found


def dataset_label(dataset: FactorDataset) -> str:
    """How a dataset is named in reasons and footnotes: publisher and edition."""
    return f"{dataset.publisher} ({dataset.edition})"


def _generations(datasets: Iterable[FactorDataset]) -> dict[int, int]:
    """For each dataset the number of editions of the same slug that were imported before it."""
    seen: dict[str, int] = {}
    generations: dict[int, int] = {}
    for dataset in datasets:
        generations[dataset.pk] = seen.get(dataset.slug, 0)
        seen[dataset.slug] = generations[dataset.pk] + 1
    return generations


def visible_datasets(organisation_id: int | None) -> QuerySet[FactorDataset]:
    """The datasets that an organisation may see: shipped with the portal, and brought in by itself.

    None is the installation: only what is shipped.
    """
    shipped = Q(organisation=None)
    return FactorDataset.objects.filter(
        shipped if organisation_id is None else shipped | Q(organisation=organisation_id)
    )


@dataclass(frozen=True, slots=True)
class Extent:
    """What a dataset holds: number of factors (or hours), the years they describe, the days they may be used for."""

    count: int = 0
    first_year: int | None = None
    last_year: int | None = None
    valid_from: date | None = None
    valid_to: date | None = None  # first day after

    @property
    def last_day(self) -> date | None:
        return self.valid_to - timedelta(1) if self.valid_to else None


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """A dataset by its newest edition, with the editions before it, newest first."""

    dataset: FactorDataset
    extent: Extent
    older: list[FactorDataset]


def dataset_rows(organisation_id: int) -> list[DatasetRow]:
    """The datasets that an organisation may see: location-based before residual mixes, direct before life cycle."""
    editions: dict[tuple[str, bool], list[FactorDataset]] = {}
    visible = visible_datasets(organisation_id).select_related("supersedes")
    for row in visible.order_by("kind", "boundary", "publisher", "-pk"):
        editions.setdefault((row.slug, row.organisation_id is None), []).append(row)
    extents = _extents([newest for newest, *_ in editions.values()])
    return [DatasetRow(newest, extents.get(newest.pk, Extent()), older) for newest, *older in editions.values()]


def extent_of(dataset: FactorDataset) -> Extent:
    """What one dataset holds."""
    return _extents([dataset]).get(dataset.pk, Extent())


def _extents(datasets: Collection[FactorDataset]) -> dict[int, Extent]:
    keys = [dataset.pk for dataset in datasets]
    annual = Factor.objects.order_by().filter(dataset__in=keys).values_list("dataset")
    rows = annual.annotate(Count("pk"), Min("data_year"), Max("data_year"), Min("valid_from"), Max("valid_to"))
    extents = {pk: Extent(*rest) for pk, *rest in rows}
    hours = HourlyFactor.objects.order_by().filter(dataset__in=keys).values_list("dataset")
    for pk, count, first, last in hours.annotate(Count("hour"), Min("hour"), Max("hour")):
        start, end = from_epoch_hour(first).date(), from_epoch_hour(last).date()
        extents[pk] = Extent(count, start.year, end.year, start, end + timedelta(1))
    return extents


def dataset(slug: str, edition: str, organisation_id: int | None) -> FactorDataset | None:
    """One edition of a dataset, if the organisation may see it; its own before one that is shipped."""
    found = visible_datasets(organisation_id).select_related("supersedes").filter(slug=slug, edition=edition)
    return found.order_by(F("organisation").asc(nulls_last=True)).first()


def latest_edition(slug: str, organisation_id: int | None) -> FactorDataset | None:
    """The edition of a slug that was imported last: the one that the next supersedes."""
    return visible_datasets(organisation_id).filter(slug=slug).order_by("-pk").first()


def superseded_by(dataset: FactorDataset, organisation_id: int) -> FactorDataset | None:
    """The newer edition that names this one, if there is one that the organisation may see."""
    return visible_datasets(organisation_id).filter(supersedes=dataset).order_by("-pk").first()


def headline_values(dataset: FactorDataset) -> dict[tuple[str, int], Decimal | None]:
    """CO2e, else CO2 [kg/MWh] of a dataset by zone and data year; None where the publisher states there is none."""
    rows = Factor.objects.filter(dataset=dataset).values_list("zone", "data_year", "co2e_kg_per_mwh", "co2_kg_per_mwh")
    values: dict[tuple[str, int], Decimal | None] = {
        (zone, year): co2 if co2e is None else co2e for zone, year, co2e, co2 in rows
    }
    return values | dict.fromkeys((zone, year) for zone, year in dataset.none_published)


def known_location_values(organisation_id: int | None) -> dict[str, Decimal]:
    """For each zone its latest location-based factor that is held [kg/MWh], to judge the unit of another one by."""
    visible = visible_datasets(organisation_id).filter(kind=FactorDataset.Kind.LOCATION)
    rows = Factor.objects.filter(dataset__in=visible).order_by("data_year", "pk")
    return {zone: co2 if co2e is None else co2e for zone, co2e, co2 in rows.values_list("zone", *_HEADLINE)}


@dataclass(frozen=True, slots=True)
class HourlySeries:
    """The hours known of a zone, each once and in order; hours that no dataset holds are absent.

    ``value``: ug CO2e per kWh, or parts per million of a carbon-free share. ``dataset`` names each hour's source.
    """

    hour: npt.NDArray[np.int64]
    value: npt.NDArray[np.int64]
    is_estimated: npt.NDArray[np.bool_]
    dataset: npt.NDArray[np.int64]


def hourly_series(
    kind: str, zone: str, first_hour: int, end_hour: int, organisation_id: int | None, slug: str = ""
) -> HourlySeries:
    """The hours ``[first_hour, end_hour)`` of a zone from the datasets of an hourly kind that the organisation may see.

    Where several hold an hour, direct emissions stand before life cycle, then the lower rank, then the later import:
    providers revise. ``slug``: only of that dataset.
    """
    visible = visible_datasets(organisation_id).filter(kind=kind)
    if slug:
        visible = visible.filter(slug=slug)
    # The best last, so that it overwrites the others.
    ordered = sorted(visible, key=lambda one: (one.boundary == FactorDataset.Boundary.DIRECT, -one.rank, one.pk))
    size = max(end_hour - first_hour, 0)
    value, source = np.zeros(size, np.int64), np.zeros(size, np.int64)
    estimated = np.zeros(size, np.bool_)
    for dataset in ordered:
        rows = HourlyFactor.objects.filter(dataset=dataset, zone=zone, hour__gte=first_hour, hour__lt=end_hour)
        found = np.array(list(rows.values_list("hour", "value", "is_estimated")), dtype=np.int64).reshape(-1, 3)
        at = found[:, 0] - first_hour
        value[at], estimated[at], source[at] = found[:, 1], found[:, 2] != 0, dataset.pk
    known = np.flatnonzero(source)
    return HourlySeries(known + first_hour, value[known], estimated[known], source[known])


def factors_of(
    organisation_id: int, *, zones: Sequence[str] = (), kinds: Sequence[str] = (), year: int | None = None
) -> QuerySet[Factor]:
    """The factors that an organisation may see, with dataset and zone, by zone, year and dataset.

    Empty arguments do not filter.
    """
    rows = Factor.objects.select_related("dataset", "zone").order_by("zone", "data_year", "pk")
    rows = rows.filter(Q(dataset__organisation=None) | Q(dataset__organisation=organisation_id))
    if zones:
        rows = rows.filter(zone__in=zones)
    if kinds:
        rows = rows.filter(dataset__kind__in=kinds)
    return rows.filter(data_year=year) if year is not None else rows


def find_zones(text: str, limit: int = 40) -> list[GridZone]:
    """Zones with a code equal to ``text``, else with a code or name that contains it, large zones first."""
    text = text.strip()
    exact = list(GridZone.objects.filter(pk=text.upper()))
    if exact or not text:
        return exact
    return list(
        GridZone.objects.filter(Q(name__icontains=text) | Q(pk__icontains=text)).order_by("type", "name")[:limit]
    )


def grid_zones() -> QuerySet[GridZone]:
    """Every zone, for pickers."""
    return GridZone.objects.all()


def equivalences() -> QuerySet[Equivalence]:
    """Published equivalences, tonnes CO2e per unit."""
    return Equivalence.objects.order_by("code")


def cloud_regions() -> QuerySet[CloudRegion]:
    """Cloud regions with the grid zone whose factor they take."""
    return CloudRegion.objects.select_related("grid_zone")


def factor_validity(data_year: int) -> tuple[date, date]:
    """The days for which a factor of a data year stands, half-open: that calendar year."""
    return date(data_year, 1, 1), date(data_year + 1, 1, 1)
