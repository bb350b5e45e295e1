"""Pages of this room, below ``/o/<organisation>/``."""

from django.urls import path

from apps.workloads import views

urlpatterns = [path("workloads/<int:workload_id>/outcome/", views.set_outcome, name="workload-outcome")]
