"""API of this room, below ``/api/v1/``."""

from django.urls import include, path, re_path

from apps.accounting import api
from apps.accounting.indicators.api import IndicatorsView
from apps.accounting.reconciliation.api import ReconciliationView

urlpatterns = [
    re_path(r"^energy/?$", api.EnergyView.as_view(), name="api-energy"),
    re_path(r"^emissions/?$", api.EmissionsView.as_view(), name="api-emissions"),
    re_path(r"^status/?$", api.StatusView.as_view(), name="api-status"),
    re_path(r"^indicators/?$", IndicatorsView.as_view(), name="api-indicators"),
    re_path(r"^reconciliation/?$", ReconciliationView.as_view(), name="api-reconciliation"),
    path("", include("apps.accounting.hourly.api_urls")),
    path("", include("apps.accounting.calculations.api_urls")),
    path("", include("apps.accounting.estimates.api_urls")),
    path("", include("apps.accounting.work.api_urls")),
    path("", include("apps.accounting.memo.api_urls")),
]
