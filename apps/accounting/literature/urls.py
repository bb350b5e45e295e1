"""Pages of the literature check, below ``/o/<organisation>/``."""

from django.urls import path

from apps.accounting.literature import views

urlpatterns = [path("literature/", views.literature, name="literature")]
