"""What ships with the portal: complete, loaded once, true to its sources."""

from __future__ import annotations

import time
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command

from apps.accounting.engine.gases import GWP_SETS
from apps.audit.models import AuditEvent
from apps.audit.services import verify_chain
from apps.factors import queries
from apps.factors.models import CloudRegion, Equivalence, Factor, FactorDataset, GridZone
from apps.workloads.models import HardwareProfile


@pytest.mark.django_db
def test_loading_is_fast_and_the_second_time_changes_nothing() -> None:
    started = time.perf_counter()
    call_command("load_reference_data", stdout=StringIO())
    assert time.perf_counter() - started < 10
    before = (Factor.objects.count(), FactorDataset.objects.count(), AuditEvent.objects.count())
    out = StringIO()
    call_command("load_reference_data", stdout=out)
    assert "0 of them new" in out.getvalue()
    assert before == (Factor.objects.count(), FactorDataset.objects.count(), AuditEvent.objects.count())
    assert verify_chain(0) == []
    assert HardwareProfile.objects.get(pk="nvidia-h100-sxm5-80gb").tdp_w == 700
    assert HardwareProfile.objects.get(pk="aws-trainium1").tdp_w is None  # not published: unknown, never zero


@pytest.mark.usefixtures("shared_reference_data")
def test_namibia_is_a_country() -> None:
    assert GridZone.objects.get(pk="NA").name == "Namibia"
    assert Factor.objects.filter(zone="NA").exists()


@pytest.mark.usefixtures("shared_reference_data")
def test_the_life_cycle_fallback_covers_the_world() -> None:
    ember = FactorDataset.objects.get(slug="ember-carbon-intensity")
    assert ember.boundary == FactorDataset.Boundary.LIFE_CYCLE
    assert ember.rank > max(FactorDataset.objects.filter(boundary="direct").values_list("rank", flat=True))
    assert ember.factors.filter(zone__type="country").values("zone").distinct().count() == 213


@pytest.mark.usefixtures("shared_reference_data")
def test_published_gas_rates_reproduce_the_published_co2e() -> None:
    """EPA prints CO2e as CO2 + 28 CH4 + 265 N2O; its own rounding is 0.5 lb in the third decimal of each gas."""
    rows = Factor.objects.filter(dataset__slug="epa-egrid", data_year=2023)
    assert rows.count() == 28
    for row in rows:
        co2e = row.co2_kg_per_mwh + 28 * row.ch4_kg_per_mwh + 265 * row.n2o_kg_per_mwh
        assert abs(co2e - row.co2e_kg_per_mwh) < Decimal("0.08"), row.zone_id


@pytest.mark.usefixtures("shared_reference_data")
def test_gwp_sets_of_the_data_and_of_the_engine_are_the_same() -> None:
    for name, gwp in GWP_SETS.items():
        loaded = queries.gwp_set(name)
        assert (loaded.ch4, loaded.n2o) == (gwp.ch4, gwp.n2o)
    with pytest.raises(LookupError, match="load_reference_data"):
        queries.gwp_set("AR1")


@pytest.mark.usefixtures("shared_reference_data")
def test_only_single_residual_figures_are_shipped_and_absences_are_no_figures() -> None:
    residual = FactorDataset.objects.filter(kind="residual")
    assert Factor.objects.filter(dataset__in=residual).count() <= 5
    assert ["AT", 2025] in residual.get(slug="aib-residual-mix").none_published
    assert not Factor.objects.filter(dataset__in=residual, zone="AT").exists()


@pytest.mark.usefixtures("shared_reference_data")
def test_every_dataset_says_where_it_comes_from() -> None:
    for dataset in FactorDataset.objects.all():
        assert dataset.publisher
        assert dataset.title
        assert dataset.licence
        assert dataset.source_url.startswith("https://")
        assert dataset.retrieved_via
        assert "lectricity" not in dataset.publisher or "Maps" not in dataset.publisher  # ODbL: left out


@pytest.mark.usefixtures("shared_reference_data")
def test_cloud_regions_point_to_the_finest_zone() -> None:
    assert CloudRegion.objects.get(provider="aws", region="us-east-1").grid_zone_id == "SRVC"
    assert CloudRegion.objects.get(provider="aws", region="ca-central-1").grid_zone_id == "CA-QC"
    assert CloudRegion.objects.get(provider="aws", region="eu-central-1").grid_zone_id == "DE"
    assert not CloudRegion.objects.filter(grid_zone=None).exists()


@pytest.mark.usefixtures("shared_reference_data")
def test_equivalences_reproduce_their_published_use() -> None:
    """11,390 t are 2,373.9 home-years and 2,655 car-years; trees are left out (their public readings conflict)."""
    tonnes = {row.code: row.tonnes_per_unit for row in Equivalence.objects.all()}
    assert round(Decimal(11390) / tonnes["home-electricity-year"], 1) == Decimal("2373.9")
    assert round(Decimal(11390) / tonnes["vehicle-year"]) == 2655
    assert not any("tree" in code for code in tonnes)
