"""API of estimates, below ``/api/v1/``."""

from django.urls import re_path

from apps.accounting.estimates import api

urlpatterns = [re_path(r"^estimates/?$", api.EstimateList.as_view(), name="api-estimates")]
