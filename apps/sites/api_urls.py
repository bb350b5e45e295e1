"""API of this room, below ``/api/v1/``."""

from django.urls import re_path

from apps.sites import api
from apps.sites.measurements.api import MeasurementList

urlpatterns = [
    re_path(r"^sites/?$", api.SiteList.as_view(), name="api-sites"),
    re_path(r"^sites/(?P<code>[-\w]+)/?$", api.SiteDetail.as_view(), name="api-site"),
    re_path(r"^measurements/?$", MeasurementList.as_view(), name="api-measurements"),
]
