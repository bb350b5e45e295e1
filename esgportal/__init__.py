"""The Django project: settings, URLs, Celery and the server entry point. The rooms are in ``apps``."""

from esgportal.celery import app as celery_app

__all__ = ["celery_app"]
