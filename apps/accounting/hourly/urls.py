"""Pages of hourly matching, below ``/o/<organisation>/``."""

from django.urls import path

from apps.accounting.hourly import views

urlpatterns = [path("hourly/", views.hourly_matching, name="hourly-matching")]
