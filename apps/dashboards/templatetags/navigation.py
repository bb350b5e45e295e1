"""The rail, for ``base.html``."""

from typing import Any

from django import template

from apps.dashboards import navigation as pages

register = template.Library()


@register.simple_tag(takes_context=True)
def navigation(context: dict[str, Any]) -> list[pages.Group]:
    """The groups of the rail: ``{% navigation as groups %}``."""
    request = context.get("request")
    return pages.navigation(request) if request is not None else []
