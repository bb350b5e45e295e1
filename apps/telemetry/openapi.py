"""How the schema describes where the doors of other protocols look for the key."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema


class DoorScheme(OpenApiAuthenticationExtension):
    target_class = "apps.telemetry.doors.DoorAuthentication"
    name = "doorKey"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A key made on the Connect page; or as the password of Basic authentication.",
        }


class TokenScheme(OpenApiAuthenticationExtension):
    target_class = "apps.telemetry.codecarbon.api.TokenAuthentication"
    name = "codecarbonToken"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {"type": "apiKey", "in": "header", "name": "x-api-token"}


class AddressScheme(OpenApiAuthenticationExtension):
    target_class = "apps.telemetry.codecarbon.api.AddressAuthentication"
    name = "codecarbonAddress"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {"type": "apiKey", "in": "query", "name": "token"}
