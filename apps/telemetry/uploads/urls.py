"""Pages of files recorded offline, below ``/o/<organisation>/``."""

from django.urls import path

from apps.telemetry.uploads import views

urlpatterns = [
    path("uploads/", views.page, name="uploads"),
    path("uploads/<uuid:upload_id>/", views.upload, name="upload"),
    path("uploads/<uuid:upload_id>/status/", views.status, name="upload-status"),
    path("uploads/<uuid:upload_id>/errors.csv", views.errors, name="upload-errors"),
]
