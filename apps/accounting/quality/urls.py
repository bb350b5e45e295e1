"""Pages of data quality, below ``/o/<organisation>/``."""

from django.urls import path

from apps.accounting.quality import views

urlpatterns = [
    path("quality/", views.quality, name="quality"),
    path("quality/uncertainty/", views.uncertainties, name="uncertainties"),
    path("quality/gaps/decide/", views.decide, name="gap-decide"),
    path("quality/gaps/<int:gap_decision_id>/withdraw/", views.withdraw, name="gap-withdraw"),
]
