"""What a page view is given, and the one decorator that guards it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from apps.organisations.models import Membership, Organisation
from apps.organisations.roles import Capability, may


class PageRequest(HttpRequest):
    """A request below ``/o/<organisation>/``, for type checkers; set up by ``OrganisationMiddleware``."""

    organisation: Organisation
    membership: Membership


View = Callable[..., HttpResponse]


def requires(capability: Capability) -> Callable[[View], View]:
    """Let a page view be used only by members whose role has the capability; others get 403 with the reason.

    The capability is kept on the view (``view.capability``) so that the access matrix test can check every route.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: PageRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not may(request.membership.role, capability):
                raise PermissionDenied(
                    f"Your role ({request.membership.get_role_display()}) may not {capability.value}."
                    " An administrator of the organisation can change it."
                )
            return view(request, *args, **kwargs)

        guarded.capability = capability  # type: ignore[attr-defined]
        return guarded

    return decorate
