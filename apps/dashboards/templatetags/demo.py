"""The demo's logins, for the login page."""

from django import template

from apps.dashboards.demo.people import DemoLogin
from apps.dashboards.demo.people import demo_logins as logins

register = template.Library()


@register.simple_tag
def demo_logins() -> tuple[DemoLogin, ...]:
    """The logins to show, none outside a demonstration: ``{% demo_logins as logins %}``."""
    return logins()
