"""Celery tasks of telemetry."""

from celery import shared_task

from apps.telemetry import services
from apps.telemetry.uploads import tasks as uploads  # noqa: F401  Celery looks for tasks in this module alone


@shared_task(name="telemetry.expire")
def expire() -> int:
    return services.expire()
