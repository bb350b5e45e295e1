"""Pages of this room, below ``/o/<organisation>/``."""

from django.urls import include, path

from apps.sites import views

urlpatterns = [
    path("", include("apps.sites.measurements.urls")),
    path("sites/manage/", views.manage, name="sites-manage"),
    path("sites/manage/add/", views.add, name="site-add"),
    path("sites/manage/site/<slug:site_code>/", views.edit, name="site-edit"),
    path("sites/manage/site/<slug:site_code>/pue/", views.pue_set, name="pue-set"),
    path("sites/manage/site/<slug:site_code>/pue/<int:period_id>/withdraw/", views.pue_withdraw, name="pue-withdraw"),
]
