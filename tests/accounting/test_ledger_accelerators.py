"""Accelerator-hours: covered time times the devices behind a reading."""

from __future__ import annotations

import pytest

from apps.accounting import inputs, services
from apps.accounting.models import Account
from apps.accounting.queries import LedgerQuery, ledger_frame, ledger_total
from apps.core.windows import HOUR_MS
from apps.organisations.models import Team
from apps.telemetry.models import Attribution
from tests.accounting.readings import KWH, Q3, add, at, attribution_of

pytestmark = pytest.mark.django_db


def test_a_reading_of_eight_accelerators_counts_eight_hours_an_hour(organisation, site):
    for name in ("a", "b"):
        Team.unscoped.create(organisation=organisation, slug=name, name=name)
    add(attribution_of(organisation, "node-1", team="a", site=site, accelerators=8), at(5), at(6.5), KWH)
    add(attribution_of(organisation, "gpu", team="b", site=site), at(5), at(6), KWH)
    services.settle(organisation.pk)
    frame = ledger_frame(LedgerQuery(organisation.pk, Q3, ("team",)))
    assert frame["accelerator_ms"].tolist() == [12 * HOUR_MS, HOUR_MS]
    assert ledger_total(LedgerQuery(organisation.pk, Q3))["accelerator_ms"] == 13 * HOUR_MS
    assert "accelerator_ms" not in ledger_frame(LedgerQuery(organisation.pk, Q3, ("team",), work=False))


def test_shares_of_one_device_add_up_to_its_accelerator_hours(organisation, site):
    for name in ("a", "b"):
        Team.unscoped.create(organisation=organisation, slug=name, name=name)
    row = attribution_of(organisation, site=site, accelerators=3, shares=(("a", 666_667), ("b", 333_333)))
    add(row, at(5), at(6), KWH)
    services.settle(organisation.pk)
    frame = ledger_frame(LedgerQuery(organisation.pk, Q3, ("team",)))
    assert frame["accelerator_ms"].sum() == 3 * HOUR_MS


def test_accounts_made_before_accelerators_were_kept_are_made_anew(organisation, site, monkeypatch):
    row = attribution_of(organisation, site=site)
    add(row, at(5), at(6), KWH)
    services.settle(organisation.pk)
    Attribution.objects.of(organisation).update(accelerators=4)
    monkeypatch.setattr(inputs.accounts, "LAYOUT", "the next one")
    services.settle(organisation.pk)
    assert ledger_total(LedgerQuery(organisation.pk, Q3))["accelerator_ms"] == 4 * HOUR_MS
    assert Account.objects.of(organisation).filter(accelerators=4).count() == 1
