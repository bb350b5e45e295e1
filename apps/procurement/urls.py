"""Pages of this room, below ``/o/<organisation>/``."""

from django.urls import path

from apps.procurement import views
from apps.procurement.importing import views as importing

urlpatterns = [
    path("instruments/add/", views.add, name="instrument-add"),
    path("instruments/import/", importing.import_file, name="instrument-import"),
    path("instruments/import/confirm/", importing.confirm, name="instrument-import-confirm"),
    path("instruments/import/lots.csv", importing.lots_template, name="instrument-import-lots-template"),
    path("instruments/import/hourly.csv", importing.hourly_template, name="instrument-import-hourly-template"),
    path("instruments/standard-supply/", views.standard_supply, name="standard-supply"),
    path(
        "instruments/standard-supply/<int:supply_id>/remove/",
        views.remove_standard_supply,
        name="standard-supply-remove",
    ),
    path("instruments/<int:instrument_id>/", views.edit, name="instrument-edit"),
    path("instruments/<int:instrument_id>/delete/", views.delete, name="instrument-delete"),
    path("instruments/<int:instrument_id>/evidence/", views.evidence, name="instrument-evidence"),
    path("instruments/<int:instrument_id>/evidence/upload/", views.upload_evidence, name="instrument-evidence-upload"),
]
