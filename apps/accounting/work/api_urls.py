"""API of units of AI work, below ``/api/v1/``."""

from django.urls import re_path

from apps.accounting.work import api

urlpatterns = [re_path(r"^intensities/?$", api.IntensityList.as_view(), name="api-intensities")]
