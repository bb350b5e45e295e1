"""Pages of CodeCarbon's experiments, below ``/o/<organisation>/``."""

from django.urls import path

from apps.telemetry.codecarbon import views

urlpatterns = [
    path("codecarbon/new/", views.experiment, name="codecarbon-new"),
    path("codecarbon/<int:experiment_id>/", views.experiment, name="codecarbon-experiment"),
]
