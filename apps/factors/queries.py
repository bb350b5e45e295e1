"""Reads of the reference data, for the accounts, pages and API."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db.models import Count, Q, QuerySet

from apps.factors.models import CloudRegion, Equivalence, Factor, FactorDataset, GridZone, GwpValue

MAX_ZONE_DEPTH = 5


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

    ``datasets``: those that an organisation adopted; without it, every dataset.
    """
    return _candidates(FactorDataset.Kind.LOCATION, [zone, *zone_parents(zone)], datasets)


def residual_candidates(market: str, datasets: Collection[int] | None = None) -> list[Candidate]:
    """The residual mixes of a market and of the zones that contain it, with the publishers' statements of absence."""
    return _candidates(FactorDataset.Kind.RESIDUAL, [market, *zone_parents(market)], datasets)


def gwp_set(name: str) -> Gwp:
    """The GWP set ``AR4``, ``AR5`` or ``AR6``. Raises ``LookupError`` when the reference data are not loaded."""
    values = dict(GwpValue.objects.filter(gwp_set=name).values_list("gas", "value"))
    try:
        return Gwp(name, values["CH4"], values["N2O"])
    except KeyError:
        raise LookupError(f"no GWP set {name}; run `manage.py load_reference_data`") from None


def _candidates(kind: str, zones: list[str], adopted: Collection[int] | None) -> list[Candidate]:
    of_kind = FactorDataset.objects.filter(kind=kind).order_by("pk")
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


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """A dataset by its newest edition, with the editions before it, newest first."""

    dataset: FactorDataset
    factor_count: int
    older: list[FactorDataset]


def dataset_rows() -> list[DatasetRow]:
    """All datasets: location-based before residual mixes, direct before life cycle."""
    editions: dict[str, list[FactorDataset]] = {}
    for row in FactorDataset.objects.order_by("kind", "boundary", "publisher", "-pk"):
        editions.setdefault(row.slug, []).append(row)
    counts = dict(Factor.objects.order_by().values_list("dataset").annotate(Count("pk")))
    return [DatasetRow(newest, counts.get(newest.pk, 0), older) for newest, *older in editions.values()]


def dataset(slug: str, edition: str) -> FactorDataset | None:
    """One edition of a dataset."""
    return FactorDataset.objects.select_related("supersedes").filter(slug=slug, edition=edition).first()


def superseded_by(dataset: FactorDataset) -> FactorDataset | None:
    """The newer edition that names this one, if there is one."""
    return FactorDataset.objects.filter(supersedes=dataset).order_by("-pk").first()


def factors_of(*, zones: Sequence[str] = (), kinds: Sequence[str] = (), year: int | None = None) -> QuerySet[Factor]:
    """Factors with dataset and zone, by zone, year and dataset; empty arguments do not filter."""
    rows = Factor.objects.select_related("dataset", "zone").order_by("zone", "data_year", "pk")
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
