"""API of the calculation receipts, below ``/api/v1/``."""

from django.urls import re_path

from apps.accounting.calculations import api

urlpatterns = [
    re_path(r"^calculations/?$", api.CalculationsView.as_view(), name="api-calculations"),
    re_path(r"^calculations/download/?$", api.CalculationFileView.as_view(), name="api-calculation-file"),
    re_path(r"^calculations/readings/?$", api.CalculationReadingsView.as_view(), name="api-calculation-readings"),
]
