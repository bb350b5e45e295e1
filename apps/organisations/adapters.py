"""How allauth behaves here."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.exceptions import ImmediateHttpResponse
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from apps.organisations.models import Membership, Person


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """People are invited by an administrator of their organisation; nobody signs up alone."""
        return False

    def pre_login(self, request: HttpRequest, user: Person, **kwargs: Any) -> HttpResponse | None:
        """Refuse the demo's people, whose password everybody knows, where the portal is no demonstration."""
        if not settings.DEMO:
            memberships = Membership.unscoped.filter(person=user)
            if memberships.filter(organisation__is_demo=True).exists():
                messages.error(request, "The logins of the demonstration work only where it was started as one.")
                raise ImmediateHttpResponse(redirect("account_login"))
        response: HttpResponse | None = super().pre_login(request, user, **kwargs)
        return response
