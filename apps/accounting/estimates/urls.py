"""Pages of estimates, below ``/o/<organisation>/``."""

from django.urls import path

from apps.accounting.estimates import views

urlpatterns = [
    path("estimates/", views.estimates, name="estimates"),
    path("estimates/<int:estimate_id>/withdraw/", views.withdraw, name="estimate-withdraw"),
]
