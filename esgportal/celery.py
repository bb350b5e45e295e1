"""The Celery application. Broker and beat schedule come from the Django settings."""

import os

from celery import Celery

from esgportal import broker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "esgportal.settings")

broker.register()
app = Celery("esgportal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
