"""Pages of what was set aside, below ``/o/<organisation>/``."""

from django.urls import path

from apps.accounting.overlap import views

urlpatterns = [
    path("sources/set-aside/", views.set_aside, name="set-aside"),
    path("sources/set-aside.csv", views.set_aside_csv, name="set-aside-csv"),
]
