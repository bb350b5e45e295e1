"""Every URL of the portal, put together from the rooms.

Pages of an organisation stand below ``/o/<organisation>/``, so that a link is a view and the membership check has
one place (``OrganisationMiddleware``). API paths take a trailing slash or none and never redirect.
"""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

# Dashboards last: their `sites/<code>/` would else swallow `sites/manage/`.
PAGES = ["disclosures", "telemetry", "accounting", "procurement", "sites", "workloads", "organisations", "dashboards"]
# Telemetry first: it is asked far more often than all others together, and patterns are tried in this order.
API = ["telemetry", "organisations", "sites", "workloads", "factors", "procurement", "accounting", "disclosures"]

urlpatterns = [
    path("", include("apps.dashboards.root_urls")),
    path("o/<slug:organisation_slug>/", include([path("", include(f"apps.{room}.urls")) for room in PAGES])),
    path("api/", include("apps.telemetry.door_urls")),
    path("api/v1/", include([path("", include(f"apps.{room}.api_urls")) for room in API])),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="api-docs"),
    path("accounts/", include("apps.organisations.account_urls")),
    path("admin/", admin.site.urls),
]

handler404 = "apps.core.error_pages.not_found"
handler500 = "apps.core.error_pages.server_error"
