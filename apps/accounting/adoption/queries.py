"""Which factor datasets an organisation uses for which days, and what adopting another one would change.

[1] GHG Protocol Scope 2 Guidance (2015), p. 36: the year of the factor; ch. 7.1: sources and years are disclosed.
[2] GHG Protocol Corporate Standard, ch. 5: figures of past periods change by a recalculation policy, not by accident.

A dataset that is loaded and not adopted changes no figure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from django.db.models import Q

from apps.accounting.models import FactorAdoption
from apps.core.windows import Quarter
from apps.factors.models import FactorDataset
from apps.organisations.models import Organisation

# What a figure can follow from. Hourly series only serve the informative hourly page, and the newest one is used.
ADOPTED_KINDS = (
    FactorDataset.Kind.LOCATION,
    FactorDataset.Kind.RESIDUAL,
    FactorDataset.Kind.SUPPLIER,
    FactorDataset.Kind.FOSSIL_DEFAULT,
    FactorDataset.Kind.UPSTREAM,
    FactorDataset.Kind.LOSSES,
)


@dataclass(frozen=True)
class Adoptions:
    """An organisation's decisions: ``(dataset, start, end)``, half-open, empty ends meaning without one."""

    rows: tuple[tuple[int, date | None, date | None], ...]

    def on(self, day: date) -> frozenset[int]:
        """The datasets in use on a day."""
        return frozenset(
            dataset
            for dataset, start, end in self.rows
            if (start is None or start <= day) and (end is None or day < end)
        )

    @cached_property
    def cuts(self) -> frozenset[date]:
        """The days on which the set of datasets in use changes."""
        return frozenset(day for _, start, end in self.rows for day in (start, end) if day is not None)

    def with_row(self, dataset_id: int, start: date | None, end: date | None) -> Adoptions:
        """These decisions and one more, for a preview."""
        return Adoptions((*self.rows, (dataset_id, start, end)))


def adoptions_of(organisation_id: int) -> Adoptions:
    """The decisions of an organisation, by dataset and start."""
    rows = FactorAdoption.objects.of(organisation_id).order_by("dataset_id", "start", "pk")
    return Adoptions(tuple(rows.values_list("dataset_id", "start", "end")))


def adopted_on(organisation_id: int, day: date) -> frozenset[int]:
    """The datasets that an organisation uses on a day."""
    return adoptions_of(organisation_id).on(day)


@dataclass(frozen=True, slots=True)
class AdoptionRow:
    """One edition of a dataset and the decisions about it; without one it changes no figure."""

    dataset: FactorDataset
    adoptions: list[FactorAdoption]

    @property
    def waits(self) -> bool:
        return not self.adoptions

    @property
    def is_unlimited(self) -> bool:
        """Whether it is in use for all days, so that there are no others to adopt it for."""
        return any(row.start is None and row.end is None for row in self.adoptions)


def adoption_rows(organisation: Organisation) -> list[AdoptionRow]:
    """Every dataset that the organisation may adopt, those that wait for a decision first, then by kind and name."""
    decisions: dict[int, list[FactorAdoption]] = {}
    for row in FactorAdoption.objects.of(organisation).order_by("start", "pk"):
        decisions.setdefault(row.dataset_id, []).append(row)
    rows = [AdoptionRow(dataset, decisions.get(dataset.pk, [])) for dataset in adoptable(organisation.pk)]
    return sorted(rows, key=lambda row: not row.waits)


def adoptable(organisation_id: int) -> list[FactorDataset]:
    """The datasets that an organisation may adopt: shipped with the portal, or brought in by itself."""
    visible = FactorDataset.objects.filter(Q(organisation=None) | Q(organisation=organisation_id))
    return list(
        visible.filter(kind__in=ADOPTED_KINDS)
        .select_related("supersedes")
        .order_by("kind", "boundary", "publisher", "slug", "-pk")
    )


def quarter_starts(organisation: Organisation, extent: Iterable[date]) -> list[date]:
    """The days on which an adoption may begin or end: the first days of claim periods, newest first.

    A claim period has one residual mix; to change it half-way would put two into one certificate's period.
    ``extent``: the first and last day with ledger rows.
    """
    first, last = min(extent), max(extent)
    quarter, days = Quarter.of(first), []
    while quarter.first_day <= last:
        days.append(quarter.first_day)
        quarter = quarter.next()
    days.append(quarter.first_day)
    if organisation.claim_period == Organisation.ClaimPeriod.YEAR:
        days = sorted({date(day.year, 1, 1) for day in days})
    return days[::-1]
