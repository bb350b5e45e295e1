"""API of this room, below ``/api/v1/``."""

from django.urls import re_path

from apps.telemetry import api

UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"

urlpatterns = [
    re_path(r"^samples/?$", api.SamplesView.as_view(), name="api-samples"),
    re_path(rf"^receipts/(?P<receipt_id>{UUID})/?$", api.ReceiptView.as_view(), name="api-receipt"),
]
