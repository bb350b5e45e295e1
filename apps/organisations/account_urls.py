"""Signing in and out and setting a password: the part of allauth that this portal uses, below ``/accounts/``.

Not its page for changing e-mail addresses: the address is what the audit log knows a person by, and an operator
changes it in the admin site.
"""

from allauth.account import urls as allauth_urls

CLOSED = {
    "account_email",
    "account_confirm_email",
    "account_email_verification_sent",
    "account_confirm_login_code",
    "account_request_login_code",
}

urlpatterns = [pattern for pattern in allauth_urls.urlpatterns if pattern.name not in CLOSED]
