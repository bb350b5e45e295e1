"""The ledger kept true by real Celery workers: woken by a message, killed, and waking the next."""

from __future__ import annotations

import pytest

from apps.accounting import tasks
from apps.accounting.queries import LedgerQuery, ledger_status, ledger_total
from apps.core.signals import announce_inputs_changed
from apps.sites.models import PuePeriod
from tests.accounting.readings import JULY, KWH, Q3, add, at, attribution_of

pytestmark = pytest.mark.worker


def facility_energy(organisation):
    return ledger_total(LedgerQuery(organisation.pk, Q3))["facility_energy_milliwatt_hours"]


def test_a_worker_settles_what_a_message_names_and_what_changes_later(
    transactional_db, organisation, site, celery_worker, until
):
    add(attribution_of(organisation, site=site), at(5), at(6), KWH)
    for _ in range(2):  # a repeated message does no harm
        tasks.settle.delay(organisation.pk)
    until(lambda: facility_energy(organisation) == 1_000_000, why="the worker did not settle")

    PuePeriod.unscoped.create(
        organisation=organisation, site=site, start=JULY.date(), pue_ppm=1_300_000, source="meter"
    )
    announce_inputs_changed(organisation.pk)
    until(lambda: facility_energy(organisation) == 1_300_000, why="the announced PUE was not applied")


def test_the_next_worker_finishes_what_a_killed_one_left(transactional_db, organisation, site, start_worker, until):
    row = attribution_of(organisation, site=site)
    for day in range(20):
        add(row, at(24 * day), at(24 * day + 24), 24 * KWH)
    first = start_worker()
    tasks.settle.delay(organisation.pk)
    until(lambda: ledger_status(organisation.pk).pending_hours < 20 * 24, why="the worker did not begin")
    first.kill()
    start_worker()
    tasks.sweep.delay()
    until(lambda: ledger_status(organisation.pk).pending_hours == 0, why="nobody went on")
    until(lambda: facility_energy(organisation) == 480_000_000, why="the figures are not whole")
