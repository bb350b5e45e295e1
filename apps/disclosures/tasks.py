"""Celery tasks: a message only wakes a worker; what is to be made stands in the table."""

from __future__ import annotations

from celery import shared_task

from apps.disclosures import services


@shared_task(name="disclosures.render")
def render(disclosure_id: int) -> None:
    """Make a disclosure, unless another worker has it or it is made."""
    services.render(disclosure_id)


@shared_task(name="disclosures.sweep")
def sweep() -> None:
    """Queue what waits, whatever became of the messages about it and of the worker that had it."""
    for disclosure_id in services.sweep():
        render.delay(disclosure_id)
