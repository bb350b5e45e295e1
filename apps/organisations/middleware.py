"""The organisation of a page: taken from its URL, given only to its members."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse

from apps.organisations.models import Membership


class OrganisationMiddleware:
    """Every page below ``/o/<organisation>/`` gets ``request.organisation`` and ``request.membership``.

    A person who is no member gets the same 404 as for an organisation that does not exist. Because the check stands
    here, a new page cannot forget it.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: dict[str, Any]) -> HttpResponse | None:
        slug = kwargs.pop("organisation_slug", None)
        if slug is None:
            return None
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        membership = (
            Membership.unscoped.select_related("organisation", "person")
            .filter(organisation__slug=slug, person=request.user)
            .first()
        )
        if membership is None:
            raise Http404("No such organisation, or you are not a member of it.")
        request.organisation = membership.organisation  # type: ignore[attr-defined]
        request.membership = membership  # type: ignore[attr-defined]
        return None
