"""Pages of this room, below ``/o/<organisation>/``."""

from django.urls import include, path

from apps.telemetry import views
from apps.telemetry.replay.views import replay

urlpatterns = [
    path("", include("apps.telemetry.uploads.urls")),
    path("", include("apps.telemetry.attribution.urls")),
    path("", include("apps.telemetry.codecarbon.urls")),
    path("ingest/", views.ingest_log, name="ingest-log"),
    path("ingest/<uuid:receipt_id>/", views.receipt, name="receipt"),
    path("ingest/<uuid:receipt_id>/replay/", replay, name="receipt-replay"),
    path("sources/", views.sources, name="sources"),
    path("sources/<int:source_id>/site/", views.assign_site, name="source-site"),
    path("sources/<int:source_id>/device/", views.assign_device, name="source-device"),
    path("sources/names/<int:team_name_id>/", views.map_team_name, name="team-name"),
]
