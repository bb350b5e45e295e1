"""API of hourly matching, below ``/api/v1/``."""

from django.urls import re_path

from apps.accounting.hourly import api

urlpatterns = [re_path(r"^hourly/?$", api.HourlyView.as_view(), name="api-hourly")]
