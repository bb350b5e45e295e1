"""Pages of units of AI work, below ``/o/<organisation>/``."""

from django.urls import path

from apps.accounting.work import views

urlpatterns = [path("work/", views.work, name="work")]
