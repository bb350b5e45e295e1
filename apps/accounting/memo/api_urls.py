"""API of the Scope 3 memo, below ``/api/v1/``."""

from django.urls import re_path

from apps.accounting.memo import api

urlpatterns = [re_path(r"^scope3/?$", api.Scope3List.as_view(), name="api-scope3")]
