"""The portal's settings plus the naive views that it is measured against."""

from esgportal.settings import *  # noqa: F403
from esgportal.settings import ALLOWED_HOSTS, INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "bench.naive"]
ROOT_URLCONF = "bench.urls"
MIGRATION_MODULES = {"naive": None}
ALLOWED_HOSTS = [*ALLOWED_HOSTS, "*"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
