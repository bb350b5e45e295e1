"""Pages of attribution rules, below ``/o/<organisation>/``."""

from django.urls import path

from apps.telemetry.attribution import views

urlpatterns = [
    path("attribution/", views.attribution, name="attribution"),
    path("attribution/add/", views.add_rule, name="attribution-add"),
    path("attribution/<int:rule_id>/", views.edit_rule, name="attribution-edit"),
    path("attribution/<int:rule_id>/move/", views.move_rule, name="attribution-move"),
    path("attribution/<int:rule_id>/delete/", views.delete_rule, name="attribution-delete"),
]
