"""Pages of this room, below ``/o/<organisation>/``."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
