"""API of this room, below ``/api/v1/``."""

from django.urls import re_path

from apps.procurement import api

urlpatterns = [
    re_path(r"^instruments/?$", api.InstrumentList.as_view(), name="api-instruments"),
    re_path(r"^instruments/(?P<key>\d{1,18})/?$", api.InstrumentDetail.as_view(), name="api-instrument"),
]
