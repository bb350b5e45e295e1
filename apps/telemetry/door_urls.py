"""Other people's protocols, below ``/api/``: the exact path, with and without a slash, and never a redirect."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
