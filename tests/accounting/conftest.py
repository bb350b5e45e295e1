"""Factors for the accounts' tests: one zone with a location factor, one without, one with a residual mix."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pytest

from apps.accounting.models import FactorAdoption
from apps.factors.models import Factor, FactorDataset, GridZone


def publish_factor(zone: str, kg_per_mwh: str, kind: str = "location", year: int = 2026) -> Factor:
    """Publish the factor of a zone and year [kg/MWh]; ``kind`` location or residual."""
    place, _ = GridZone.objects.get_or_create(
        code=zone, defaults={"name": zone, "type": GridZone.Type.COUNTRY, "country": zone[:2]}
    )
    dataset, is_new = FactorDataset.objects.get_or_create(
        slug=f"test-{kind}",
        edition="1",
        defaults={
            "kind": kind,
            "publisher": "Test",
            "title": "Test factors",
            "boundary": FactorDataset.Boundary.DIRECT,
            "basis": "consumption",
            "licence": "none",
            "digest": "0" * 64,
        },
    )
    factor = Factor.objects.create(
        dataset=dataset,
        zone=place,
        data_year=year,
        valid_from=date(year, 1, 1),
        valid_to=date(year + 1, 1, 1),
        co2e_kg_per_mwh=Decimal(kg_per_mwh),
    )
    # A dataset's digest covers its rows: the next one is another dataset to whoever compares.
    FactorDataset.objects.filter(pk=dataset.pk).update(digest=f"{factor.pk:064d}")
    if is_new:  # whoever has decided on datasets already decides for this one too
        for organisation_id in FactorAdoption.unscoped.order_by().values_list("organisation_id", flat=True).distinct():
            FactorAdoption.unscoped.create(organisation_id=organisation_id, dataset=dataset, adopted_by="test")
    return factor


@pytest.fixture
def publish(db: None) -> Callable[..., Factor]:
    """``publish_factor``, for a test with a database of its own."""
    return publish_factor
