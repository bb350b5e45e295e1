"""Template filters for figures. Built in: no ``{% load %}`` needed."""

from django import template

register = template.Library()
