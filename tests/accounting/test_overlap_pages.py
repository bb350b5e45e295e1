"""Devices and precedence on the page Sources, and what was set aside."""

from __future__ import annotations

import pytest

from apps.accounting import services
from apps.audit.models import AuditEvent
from apps.core.signals import inputs_changed
from apps.organisations.models import Role
from apps.telemetry.models import Source
from tests.accounting.readings import KWH, add, at, attribution_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def two(organisation, client, make_person):
    client.force_login(make_person(Role.OFFICER))
    for name, kwh in (("bmc", 2), ("nvml", 4)):
        add(attribution_of(organisation, name), at(5), at(6), kwh * KWH)
    services.settle(organisation.pk)
    return {source.name: source for source in Source.objects.of(organisation)}


def assign(client, source, **fields):
    return client.post(f"/o/acme/sources/{source.pk}/device/", fields, follow=True).content.decode()


def test_an_officer_says_which_sources_measure_one_device(two, client, organisation):
    assign(client, two["bmc"], device="node-1", precedence="10")
    answer = assign(client, two["nvml"], device=" node-1 ", precedence="20")
    assert "nvml measures node-1, precedence 20." in answer
    event = AuditEvent.objects.filter(action="source.device_assigned").latest("sequence")
    assert (event.before["device"], event.after["device"], event.after["precedence"]) == ("", "node-1", 20)
    services.settle(organisation.pk)
    page = client.get("/o/acme/sources/set-aside/?period=2026-Q3").content.decode()
    assert ">4.00" in page
    assert page.index("nvml") < page.index("bmc")
    lines = client.get("/o/acme/sources/set-aside.csv?period=2026-Q3").content.decode().splitlines()
    assert lines == ["source,counted_source,energy_kwh,hours,kind", "nvml,bmc,4.000000,1.0,same device"]
    assert "Nothing was set aside" in client.get("/o/acme/sources/set-aside/?period=2026-Q2").content.decode()


@pytest.mark.parametrize("precedence", ["", "-1", "10000", "1.5", "first"])
def test_a_precedence_that_is_none_is_told_and_changes_nothing(two, client, precedence):
    assert "Expected a number from 0 to 9,999." in assign(client, two["bmc"], device="x", precedence=precedence)
    two["bmc"].refresh_from_db()
    assert (two["bmc"].device, two["bmc"].precedence) == ("", 100)
    assert not AuditEvent.objects.exists()


def test_the_accounts_are_told_of_a_change_and_of_nothing_else(two, client, django_capture_on_commit_callbacks):
    heard = []

    def hear(sender, organisation_id, **kwargs):
        heard.append(organisation_id)

    inputs_changed.connect(hear)
    try:
        for _ in range(2):
            with django_capture_on_commit_callbacks(execute=True):
                assign(client, two["bmc"], device="node-1", precedence="10")
    finally:
        inputs_changed.disconnect(hear)
    assert heard == [two["bmc"].organisation_id]


def test_a_viewer_sees_devices_and_changes_none(two, client, make_person):
    client.force_login(make_person(Role.VIEWER))
    Source.objects.of(two["bmc"].organisation_id).filter(pk=two["bmc"].pk).update(device="node-1", precedence=7)
    assert (
        client.post(f"/o/acme/sources/{two['bmc'].pk}/device/", {"device": "y", "precedence": "1"}).status_code == 403
    )
    page = client.get("/o/acme/sources/").content.decode()
    assert "node-1, 7" in page
    assert "/device/" not in page
