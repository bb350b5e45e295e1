"""The page of the indicators, below ``/o/<organisation>/``."""

from django.urls import path

from apps.accounting.indicators import views

urlpatterns = [path("indicators/", views.indicators, name="indicators")]
