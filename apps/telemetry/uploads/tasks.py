"""Celery tasks: a message only wakes a worker; what is to be read stands in the table."""

from __future__ import annotations

from celery import shared_task

from apps.telemetry.uploads import services


@shared_task(name="telemetry.read_upload")
def read_upload(upload_id: int) -> None:
    """Work off an uploaded file, unless another worker has it or it is done."""
    services.work(upload_id)


@shared_task(name="telemetry.sweep_uploads")
def sweep() -> None:
    """Queue what waits, whatever became of the messages about it and of the worker that had it."""
    for upload_id in services.sweep():
        read_upload.delay(upload_id)
