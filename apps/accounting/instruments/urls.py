"""Pages of the instruments' ledger, below ``/o/<organisation>/``."""

from django.urls import path

from apps.accounting.instruments import views

urlpatterns = [
    path("instruments/", views.instruments, name="instruments"),
    path("instruments/csv/", views.instruments_csv, name="instruments-csv"),
]
