"""API of this room, below ``/api/v1/``."""

from django.urls import include, path, re_path

from apps.accounting import api

urlpatterns = [
    re_path(r"^energy/?$", api.EnergyView.as_view(), name="api-energy"),
    re_path(r"^emissions/?$", api.EmissionsView.as_view(), name="api-emissions"),
    re_path(r"^status/?$", api.StatusView.as_view(), name="api-status"),
    path("", include("apps.accounting.calculations.api_urls")),
    path("", include("apps.accounting.estimates.api_urls")),
]
