"""Pages of the Scope 3 memo, below ``/o/<organisation>/``."""

from django.urls import path

from apps.accounting.memo import views

urlpatterns = [path("scope-3/", views.scope3, name="scope3-memo")]
