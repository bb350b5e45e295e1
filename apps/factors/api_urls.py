"""API of this room, below ``/api/v1/``."""

from django.urls import re_path

from apps.factors import api

urlpatterns = [
    re_path(r"^factors/?$", api.FactorList.as_view(), name="api-factors"),
    re_path(r"^factors/(?P<key>\d{1,18})/?$", api.FactorDetail.as_view(), name="api-factor"),
]
