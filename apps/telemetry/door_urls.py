"""Other people's protocols, below ``/api/``: the exact path, with and without a slash, and never a redirect."""

from django.urls import re_path

from apps.telemetry.codecarbon.api import EmissionsView, OtherView, RunsView, TotalsView
from apps.telemetry.otlp.api import MetricsView
from apps.telemetry.prometheus.api import RemoteWriteView

urlpatterns = [
    re_path(r"^codecarbon/runs/?$", RunsView.as_view(), name="api-codecarbon-runs"),
    re_path(r"^codecarbon/emissions/?$", EmissionsView.as_view(), name="api-codecarbon-emissions"),
    re_path(r"^codecarbon/http/?$", TotalsView.as_view(), name="api-codecarbon-http"),
    re_path(r"^codecarbon/", OtherView.as_view(), name="api-codecarbon-other"),
    re_path(r"^otlp/v1/metrics/?$", MetricsView.as_view(), name="api-otlp-metrics"),
    re_path(r"^prometheus/write/?$", RemoteWriteView.as_view(), name="api-prometheus-write"),
]
