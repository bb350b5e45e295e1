"""Letters to people: the link with which an invited person sets a password."""

from __future__ import annotations

from urllib.parse import urljoin

from allauth.account import app_settings
from allauth.account.utils import user_pk_to_url_str
from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.urls import reverse

from apps.organisations.models import Organisation, Person


def set_password_link(person: Person, base_url: str) -> str:
    """An absolute link, good for one use and for ``PASSWORD_RESET_TIMEOUT`` seconds, to set the person's password."""
    token = app_settings.PASSWORD_RESET_TOKEN_GENERATOR().make_token(person)
    path = reverse("account_reset_password_from_key", kwargs={"uidb36": user_pk_to_url_str(person), "key": token})
    return urljoin(base_url, path)


def send_invitation(*, organisation: Organisation, person: Person, role: str, invited_by: str, base_url: str) -> None:
    """Tell a person of their membership; somebody who has no password yet gets the link to set one."""
    context = {
        "organisation": organisation,
        "person": person,
        "role": role,
        "invited_by": invited_by,
        "set_password_link": "" if person.has_usable_password() else set_password_link(person, base_url),
        "sign_in_link": urljoin(base_url, reverse("account_login")),
        "days": settings.PASSWORD_RESET_TIMEOUT // 86_400,
    }
    send_mail(
        subject=f"{organisation.name} on esgportal",
        message=render_to_string("organisations/mail/invitation.txt", context),
        from_email=None,
        recipient_list=[person.email],
    )
