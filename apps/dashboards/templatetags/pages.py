"""Links to pages that a role may not open, or that this installation does not have, are not shown."""

from typing import Any

from django import template
from django.urls import NoReverseMatch, reverse

from apps.dashboards.navigation import is_open_to

register = template.Library()


@register.simple_tag(takes_context=True)
def page_url(context: dict[str, Any], route: str, *arguments: Any) -> str:
    """The address of a page of the organisation if the person may open it, else an empty text."""
    request = context["request"]
    try:
        url = reverse(route, args=[request.organisation.slug, *arguments])
    except NoReverseMatch:
        return ""
    return url if is_open_to(url, request.membership) else ""
