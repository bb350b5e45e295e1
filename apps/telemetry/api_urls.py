"""API of this room, below ``/api/v1/``."""

from django.urls import re_path

from apps.telemetry import api

urlpatterns = [
    re_path(r"^samples/?$", api.SamplesView.as_view(), name="api-samples"),
]
