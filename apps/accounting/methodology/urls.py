"""Pages of the methodology, below ``/o/<organisation>/``."""

from django.urls import path

from apps.accounting.methodology import views

urlpatterns = [
    path("methodology/", views.methodology, name="methodology"),
    path("methodology/<str:name>/", views.methodology, name="methodology-page"),
]
