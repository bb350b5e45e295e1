"""Pages of this room, below ``/o/<organisation>/``."""

from django.urls import include, path

from apps.accounting import views

urlpatterns = [
    path("", include("apps.accounting.reconciliation.urls")),
    path("", include("apps.accounting.indicators.urls")),
    path("", include("apps.accounting.instruments.urls")),
    path("", include("apps.accounting.hourly.urls")),
    path("factors/", views.factors, name="factors"),
    path("", include("apps.accounting.imports.urls")),
    path("", include("apps.accounting.adoption.urls")),
    path("", include("apps.accounting.literature.urls")),
    path("", include("apps.accounting.methodology.urls")),
    path("", include("apps.accounting.estimates.urls")),
    path("", include("apps.accounting.work.urls")),
    path("", include("apps.accounting.memo.urls")),
    path("", include("apps.accounting.overlap.urls")),
    path("", include("apps.accounting.quality.urls")),
    path("factors/<slug:slug>/<str:edition>/", views.factor_dataset, name="factor-dataset"),
]
