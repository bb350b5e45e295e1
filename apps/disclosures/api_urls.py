"""API of this room, below ``/api/v1/``."""

from django.urls import re_path

from apps.disclosures import api

_ID = r"(?P<public_id>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"

urlpatterns = [
    re_path(r"^periods/?$", api.PeriodList.as_view(), name="api-periods"),
    re_path(r"^disclosures/?$", api.DisclosureList.as_view(), name="api-disclosures"),
    re_path(rf"^disclosures/{_ID}/?$", api.DisclosureDetail.as_view(), name="api-disclosure"),
    re_path(rf"^disclosures/{_ID}/pdf/?$", api.DisclosurePdf.as_view(), name="api-disclosure-pdf"),
    re_path(rf"^disclosures/{_ID}/xlsx/?$", api.DisclosureWorkbook.as_view(), name="api-disclosure-xlsx"),
    re_path(rf"^disclosures/{_ID}/evidence\.json/?$", api.DisclosureEvidence.as_view(), name="api-disclosure-evidence"),
]
