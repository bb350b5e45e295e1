"""Celery tasks: a message only wakes a worker; what is to be read stands in the table."""

from __future__ import annotations

from celery import shared_task

from apps.accounting.imports import services


@shared_task(name="accounting.read_factor_file")
def read_factor_file(import_id: int) -> None:
    """Read or import an uploaded factor file, unless another worker has it or it is done."""
    services.work(import_id)


@shared_task(name="accounting.sweep_factor_imports")
def sweep() -> None:
    """Queue what waits, whatever became of the messages about it and of the worker that had it."""
    for import_id in services.sweep():
        read_factor_file.delay(import_id)
