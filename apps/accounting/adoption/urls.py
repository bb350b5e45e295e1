"""Pages of adopting factor datasets, below ``/o/<organisation>/``."""

from django.urls import path

from apps.accounting.adoption import views

urlpatterns = [
    path("factors/adoption/", views.adoptions, name="factor-adoption"),
    path("factors/adoption/dataset/<int:dataset_id>/", views.adopt, name="factor-adopt"),
    path("factors/adoption/<int:adoption_id>/", views.ask_end, name="factor-adoption-ask-end"),
    path("factors/adoption/<int:adoption_id>/end/", views.end_adoption, name="factor-adoption-end"),
]
