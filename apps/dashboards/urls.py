"""Pages of this room, below ``/o/<organisation>/``."""

from django.urls import path

from apps.dashboards import calculations, connect, declared, recipes, source_pages, views

urlpatterns = [
    path("", views.overview, name="overview"),
    path("teams/", views.teams, name="teams"),
    path("teams/<slug:team_slug>/", views.team, name="team"),
    path("models/", views.models, name="models"),
    path("models/<slug:model_slug>/", views.model, name="model"),
    path("sites/", views.sites, name="sites"),
    path("sites/<slug:site_code>/", views.site, name="site"),
    path("workloads/", views.workloads, name="workloads"),
    path("workloads/<int:workload_id>/", views.workload, name="workload"),
    path("calculations/", calculations.calculations, name="calculations"),
    path("calculations/download/", calculations.download, name="calculation-file"),
    path("calculations/line/", calculations.line, name="calculation-line"),
    path("sources/health/", source_pages.health, name="source-health"),
    path("sources/<int:source_id>/", source_pages.source, name="source"),
    path("sources/<int:source_id>/interval/", source_pages.set_interval, name="source-interval"),
    path("sources/meters/<int:meter_id>/", source_pages.change_meter, name="meter-change"),
    path("codecarbon/", declared.codecarbon, name="codecarbon"),
    path("connect/", connect.connect, name="connect"),
    path("connect/recipes/", recipes.recipe, name="recipes"),
    path("connect/recipes/<slug:name>/", recipes.recipe, name="recipe"),
    path("connect/<int:key_id>/", connect.connect_key, name="connect-key"),
    path("connect/<int:key_id>/status/", connect.connect_status, name="connect-status"),
]
