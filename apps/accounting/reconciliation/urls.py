"""Pages of the reconciliation, below ``/o/<organisation>/``."""

from django.urls import path

from apps.accounting.reconciliation import views

_MONTH = "reconciliation/<slug:site_code>/<str:month>/"

urlpatterns = [
    path("reconciliation/", views.reconciliation, name="reconciliation"),
    path(_MONTH, views.month, name="reconciliation-month"),
    path(f"{_MONTH}book/", views.book, name="reconciliation-book"),
    path(f"{_MONTH}withdraw/", views.withdraw, name="reconciliation-withdraw"),
]
