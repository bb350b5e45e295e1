"""The Celery task of this room: asked for by a reader whose hours are too many to wait for."""

from __future__ import annotations

from datetime import date

from celery import shared_task

from apps.accounting.hourly import services


@shared_task(name=services.TASK)
def hourly(organisation_id: int, start: str) -> None:
    """Work out the hours of the claim period of a day, if they are out of date."""
    services.refresh_hours(organisation_id, date.fromisoformat(start))
