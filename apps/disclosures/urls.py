"""Pages of this room, below ``/o/<organisation>/``."""

from django.urls import path

from apps.disclosures import views

urlpatterns = [
    path("periods/", views.periods, name="periods"),
    path("periods/<str:label>/", views.period, name="period"),
    path("periods/<str:label>/disclosures/", views.create, name="disclosure-create"),
    path("disclosures/<uuid:public_id>/status/", views.status, name="disclosure-status"),
    path("disclosures/<uuid:public_id>/pdf/", views.pdf, name="disclosure-pdf"),
    path("disclosures/<uuid:public_id>/xlsx/", views.xlsx, name="disclosure-xlsx"),
    path("disclosures/<uuid:public_id>/evidence.json", views.evidence, name="disclosure-evidence"),
]
