"""What the frame of every page knows about the person in front of it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from apps.organisations import queries
from apps.organisations.models import Organisation
from apps.organisations.roles import Capability, may


def person(request: HttpRequest) -> dict[str, Any]:
    """``person_organisations``: the person's own, for the switcher, fetched only where a template asks for them.

    ``may``: a name per capability (``may.administer``, ``may.manage_inventory`` ...) for the organisation of the page,
    so that a page offers only what its reader may do.
    """

    def organisations() -> list[Organisation]:
        user = getattr(request, "user", None)
        return queries.organisations_of(user.pk) if user is not None and user.is_authenticated else []

    membership = getattr(request, "membership", None)
    return {
        "person_organisations": SimpleLazyObject(organisations),
        "may": {
            capability.name.lower(): membership is not None and may(membership.role, capability)
            for capability in Capability
        },
    }
