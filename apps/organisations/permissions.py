"""What a key may do on an API view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from apps.organisations.authentication import principal_of
from apps.organisations.models import Scope

if TYPE_CHECKING:
    from rest_framework.views import APIView  # at run time a circle: its defaults name this module


class HasScope(BasePermission):
    """A view names its scopes as ``scope = {"GET": Scope.READ, "POST": Scope.INGEST}``; reading is the default."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        needed = getattr(view, "scope", {}).get(request.method, Scope.READ)
        principal = principal_of(request)
        if needed not in principal.scopes:
            raise PermissionDenied(f"The key {principal.prefix}… lacks the scope `{needed}`.")
        return True
