"""Pages of bringing factors in, below ``/o/<organisation>/``."""

from django.urls import path

from apps.accounting.imports import views

urlpatterns = [
    path("factors/import/", views.page, name="factor-import"),
    path("factors/import/fetch/", views.fetch, name="factor-import-fetch"),
    path("factors/import/<uuid:import_id>/", views.review, name="factor-import-review"),
    path("factors/import/<uuid:import_id>/status/", views.status, name="factor-import-status"),
    path("factors/import/<uuid:import_id>/faults.csv", views.faults, name="factor-import-faults"),
    path("factors/import/<uuid:import_id>/changes.csv", views.changes, name="factor-import-changes"),
    path("factors/import/<uuid:import_id>/confirm/", views.confirm, name="factor-import-confirm"),
    path("factors/import/<uuid:import_id>/cancel/", views.cancel, name="factor-import-cancel"),
]
