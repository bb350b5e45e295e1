"""Pages of meter readings, below ``/o/<organisation>/``."""

from django.urls import path

from apps.sites.measurements import views

urlpatterns = [
    path("meters/", views.meters, name="meters"),
    path("meters/add/", views.add, name="measurement-add"),
    path("meters/import/", views.import_file, name="measurement-import"),
    path("meters/import/template/", views.template, name="measurement-template"),
    path("meters/<int:measurement_id>/", views.correct, name="measurement-correct"),
    path("meters/<int:measurement_id>/withdraw/", views.withdraw, name="measurement-withdraw"),
]
