"""Other people's protocols, below ``/api/``: the exact path, with and without a slash, and never a redirect."""

from django.urls import re_path

from apps.telemetry.otlp.api import MetricsView
from apps.telemetry.prometheus.api import RemoteWriteView

urlpatterns = [
    re_path(r"^otlp/v1/metrics/?$", MetricsView.as_view(), name="api-otlp-metrics"),
    re_path(r"^prometheus/write/?$", RemoteWriteView.as_view(), name="api-prometheus-write"),
]
