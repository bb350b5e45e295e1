"""Pages of this room, below ``/o/<organisation>/``."""

from django.urls import include, path

from apps.accounting import views

urlpatterns = [
    path("instruments/", views.instruments, name="instruments"),
    path("factors/", views.factors, name="factors"),
    path("", include("apps.accounting.adoption.urls")),
    path("", include("apps.accounting.literature.urls")),
    path("factors/<slug:slug>/<str:edition>/", views.factor_dataset, name="factor-dataset"),
]
