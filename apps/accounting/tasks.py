"""Celery tasks: a message only wakes a worker; what is to be done stands in tables."""

from __future__ import annotations

from celery import shared_task

from apps.accounting import services
from apps.accounting.hourly.tasks import hourly as hourly
from apps.accounting.imports import tasks as imports  # noqa: F401  Celery looks for tasks in this module alone


@shared_task(name="accounting.settle")
def settle(organisation_id: int) -> None:
    """Rebuild an organisation's dirty hours. What another worker holds is left to that one and to the sweep."""
    services.settle(organisation_id, wait=False)


@shared_task(name="accounting.sweep")
def sweep() -> None:
    """Queue every organisation that has something pending, whatever became of the messages about it."""
    for organisation_id in services.organisations_to_settle():
        settle.delay(organisation_id)
