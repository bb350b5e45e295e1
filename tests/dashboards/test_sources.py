"""The health of sources, one source with its meters, and what a person decides about them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pytest
from django.test import Client
from django.utils import timezone

from apps.audit.models import AuditEvent
from apps.core.windows import epoch_ms
from apps.organisations.models import Organisation, Person, Role, Team
from apps.telemetry import bulk, names
from apps.telemetry.batch import Naming
from apps.telemetry.models import (
    Attribution,
    DirtyHour,
    Meter,
    MeterFinding,
    MeterKind,
    MeterReading,
    Series,
    Source,
    StartPolicy,
)

HOUR_MS = 3_600_000


@pytest.fixture
def gpu(organisation: Organisation, team: Team) -> Source:
    """A GPU read by its counter: silent for an hour, with a first value that was held back."""
    naming = Naming(source="GPU-5f0c", team="vision")
    resolution = names.resolve(names.Defaults(organisation.pk), [naming])
    resolution.create_missing(np.array([0]))
    [ids] = resolution.ids
    assert ids is not None
    source = Source.objects.of(organisation).get()
    now = timezone.now()
    Source.objects.of(organisation).update(
        door="prometheus",
        device="GPU-5f0c",
        within="node-17",
        reporting_interval_s=15,
        duplicates=3,
        conflicts=1,
        first_reading_at=now - timedelta(hours=5),
        last_reading_at=now - timedelta(hours=1, minutes=5),
    )
    meter = Meter.unscoped.create(
        organisation=organisation,
        name="DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION GPU-5f0c",
        source=source,
        metric="DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
        kind=MeterKind.COUNTER,
        unit="mJ",
        power_cap_w=3000,
    )
    series = Series.unscoped.create(
        organisation=organisation,
        meter=meter,
        digest="1" * 64,
        labels={"UUID": "GPU-5f0c", "namespace": "vision"},
        door="prometheus",
        attribution=Attribution.objects.of(organisation).get(pk=ids[0]),
        last_at=now - timedelta(hours=1, minutes=5),
    )
    at = epoch_ms(now - timedelta(hours=3))
    bulk.writer().prepare_meters(np.array([at, at + 2 * HOUR_MS]))
    MeterReading.objects.create(organisation=organisation, at_ms=at, series=series, value=5_000_100, receipt_id=1)
    MeterReading.objects.create(
        organisation=organisation, at_ms=at + 2 * HOUR_MS, series=series, value=6_000_100, receipt_id=1
    )
    MeterFinding.unscoped.create(
        organisation=organisation,
        meter=meter,
        at_ms=at,
        finding=MeterFinding.Finding.HELD_BACK,
        energy_microwatt_hours=1_388_916_667,
    )
    source.refresh_from_db()
    return source


@pytest.fixture
def officer(client: Client, make_person: Callable[..., Person]) -> Client:
    client.force_login(make_person(Role.OFFICER))
    return client


def test_the_health_page_says_since_when_a_source_is_silent_and_what_came_twice(officer: Client, gpu: Source):
    page = officer.get("/o/acme/sources/health/").content.decode()
    assert "GPU-5f0c" in page
    assert '<span class="chip bad">silent</span>' in page
    assert "in node-17" in page
    lines = officer.get("/o/acme/sources/health/?format=csv").content.decode().splitlines()
    row = dict(zip(lines[0].split(","), lines[1].split(","), strict=True))
    assert (row["state"], row["duplicates"], row["conflicts"], row["findings_30d"]) == ("silent", "3", "1", "1")


def test_a_source_without_a_declared_interval_raises_no_alarm(officer: Client, gpu: Source):
    officer.post(f"/o/acme/sources/{gpu.pk}/interval/", {"seconds": ""})
    page = officer.get("/o/acme/sources/health/").content.decode()
    assert '<span class="chip bad">silent</span>' not in page
    assert officer.get("/o/acme/sources/health/?silent=1").content.decode().count("GPU-5f0c") == 0


def test_another_organisation_sees_nothing_of_it(
    client: Client, gpu: Source, make_person: Callable[..., Person], other_organisation: Organisation
):
    client.force_login(make_person(Role.OFFICER, "other@example.org", other_organisation))
    slug = other_organisation.slug
    assert "GPU-5f0c" not in client.get(f"/o/{slug}/sources/health/").content.decode()
    assert client.get(f"/o/{slug}/sources/{gpu.pk}/").status_code == 404


def test_the_page_of_a_source_shows_what_was_held_back_and_what_to_do(officer: Client, gpu: Source):
    page = officer.get(f"/o/acme/sources/{gpu.pk}/").content.decode()
    assert "First value held back" in page
    assert "1.39" in page.replace("\u202f", " ")
    assert "namespace=vision" in page


def test_a_decision_about_the_first_value_is_recorded_and_has_the_hours_derived_anew(officer: Client, gpu: Source):
    meter = Meter.unscoped.get()
    DirtyHour.objects.all().delete()
    form = {
        f"meter-{meter.pk}-start_policy": StartPolicy.FROM_ZERO.value,
        f"meter-{meter.pk}-power_cap_w": "3000",
        f"meter-{meter.pk}-interval_s": "60",
        f"meter-{meter.pk}-pue": "1",
    }
    answer = officer.post(f"/o/acme/sources/meters/{meter.pk}/", form)
    assert answer.status_code == 302
    meter.refresh_from_db()
    assert meter.start_policy == StartPolicy.FROM_ZERO
    event = AuditEvent.objects.get(action="meter.changed")
    assert event.before["start_policy"] == StartPolicy.AUTOMATIC
    assert DirtyHour.objects.filter(organisation=meter.organisation_id).count() == 3


def test_a_power_of_nothing_is_refused_where_it_was_typed(officer: Client, gpu: Source):
    meter = Meter.unscoped.get()
    form = {
        f"meter-{meter.pk}-start_policy": StartPolicy.FROM_ZERO.value,
        f"meter-{meter.pk}-power_cap_w": "many",
        f"meter-{meter.pk}-interval_s": "60",
        f"meter-{meter.pk}-pue": "1",
    }
    answer = officer.post(f"/o/acme/sources/meters/{meter.pk}/", form)
    assert answer.status_code == 422
    assert "Enter a whole number" in answer.content.decode()
    meter.refresh_from_db()
    assert meter.start_policy == StartPolicy.AUTOMATIC
