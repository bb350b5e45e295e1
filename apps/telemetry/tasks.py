"""Celery tasks of telemetry."""

from celery import shared_task

from apps.telemetry import services


@shared_task(name="telemetry.expire")
def expire() -> int:
    return services.expire()
