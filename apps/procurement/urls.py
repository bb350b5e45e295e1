"""Pages of this room, below ``/o/<organisation>/``."""

from django.urls import path

from apps.procurement import views

urlpatterns = [
    path("instruments/add/", views.add, name="instrument-add"),
    path("instruments/<int:instrument_id>/", views.edit, name="instrument-edit"),
    path("instruments/<int:instrument_id>/delete/", views.delete, name="instrument-delete"),
    path("instruments/<int:instrument_id>/evidence/", views.evidence, name="instrument-evidence"),
    path("instruments/<int:instrument_id>/evidence/upload/", views.upload_evidence, name="instrument-evidence-upload"),
]
