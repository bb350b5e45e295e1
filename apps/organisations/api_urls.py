"""API of this room, below ``/api/v1/``."""

from django.urls import re_path

from apps.organisations import api

urlpatterns = [
    re_path(r"^teams/?$", api.TeamList.as_view(), name="api-teams"),
    re_path(r"^teams/(?P<slug>[-\w]+)/?$", api.TeamDetail.as_view(), name="api-team"),
]
