"""API of this room, below ``/api/v1/``."""

from django.urls import re_path

from apps.telemetry import api
from apps.telemetry.uploads.api import UploadsView, UploadView

UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"

urlpatterns = [
    re_path(r"^samples/?$", api.SamplesView.as_view(), name="api-samples"),
    re_path(rf"^receipts/(?P<receipt_id>{UUID})/?$", api.ReceiptView.as_view(), name="api-receipt"),
    re_path(r"^uploads/?$", UploadsView.as_view(), name="api-uploads"),
    re_path(rf"^uploads/(?P<upload_id>{UUID})/?$", UploadView.as_view(), name="api-upload"),
]
