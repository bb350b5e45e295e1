"""What a page view is given, and the one decorator that guards it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from apps.organisations.models import Membership, Organisation
from apps.organisations.roles import Capability, may


class PageRequest(HttpRequest):
    """A request below ``/o/<organisation>/``, for type checkers; set up by ``OrganisationMiddleware``."""

    organisation: Organisation
    membership: Membership


View = Callable[..., HttpResponseBase]


def requires(capability: Capability) -> Callable[[View], View]:
    """Let a page view be used only by members whose role has the capability; others get 403 with the reason.

    The capability is kept on the view (``view.capability``) so that the access matrix test can check every route.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: PageRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not may(request.membership.role, capability):
                raise PermissionDenied(
                    f"Your role ({request.membership.get_role_display()}) may not {capability.value}."
                    " An administrator of the organisation can change it."
                )
            return view(request, *args, **kwargs)

        guarded.capability = capability  # type: ignore[attr-defined]
        return guarded

    return decorate


def actor_of(request: PageRequest) -> str:
    """Who a page's write is recorded as in the audit log."""
    return request.membership.person.email


def base_url_of(request: HttpRequest) -> str:
    """Where links in a mail lead: the address the page was asked for at."""
    return request.build_absolute_uri("/")


def report_errors(form: forms.BaseForm, error: ValidationError, renamed: Mapping[str, str] | None = None) -> None:
    """Show a service's error at the form's fields; what belongs to none of them stands above the form."""
    by_field = error.message_dict if hasattr(error, "error_dict") else {"": error.messages}
    for name, texts in by_field.items():
        field = (renamed or {}).get(name, name)
        for text in texts:
            form.add_error(field if field in form.fields else None, text)


def first_error(error: ValidationError) -> str:
    """One sentence of a service's error, for a page without a form."""
    return error.messages[0]
