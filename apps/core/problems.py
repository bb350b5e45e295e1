"""Errors of the API as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework import exceptions, status
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import set_rollback

CONTENT_TYPE = "application/problem+json"


class ProblemRenderer(JSONRenderer):
    media_type = CONTENT_TYPE
    charset = None


class Problem(exceptions.APIException):
    """An error with an HTTP status, a title, a detail that says what to do, and what was wrong where.

    ``errors``: ``[{"pointer": JSON pointer into the request, "got": ..., "expected": ...}]``.
    """

    def __init__(
        self,
        status_code: int,
        title: str,
        detail: str = "",
        *,
        errors: Sequence[dict[str, Any]] = (),
        headers: dict[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail or title)
        self.status_code = status_code
        self.title = title
        self.text = detail
        self.errors = list(errors)
        self.headers = headers or {}
        self.members = members


def problem_response(problem: Problem) -> Response:
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": problem.title,
        "status": problem.status_code,
    }
    if problem.text:
        body["detail"] = problem.text
    if problem.errors:
        body["errors"] = problem.errors
    body.update(problem.members)
    return Response(
        body,
        status=problem.status_code,
        content_type=CONTENT_TYPE,
        headers=problem.headers,
    )


def _field_errors(detail: Any, pointer: str = "") -> list[dict[str, Any]]:
    """Flatten DRF's nested validation errors into a list with JSON pointers."""
    if isinstance(detail, dict):
        return [error for key, value in detail.items() for error in _field_errors(value, f"{pointer}/{key}")]
    if isinstance(detail, list):
        if all(not isinstance(item, dict | list) for item in detail):
            return [{"pointer": pointer, "expected": str(item)} for item in detail]
        return [error for i, value in enumerate(detail) for error in _field_errors(value, f"{pointer}/{i}")]
    return [{"pointer": pointer, "expected": str(detail)}]


def problem_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: every error that leaves the API is a problem document."""
    set_rollback()
    if isinstance(exc, Problem):
        return problem_response(exc)
    if isinstance(exc, Http404):
        return problem_response(Problem(404, "Not found", str(exc)))
    if isinstance(exc, PermissionDenied):
        return problem_response(Problem(403, "Not allowed", str(exc)))
    if isinstance(exc, OperationalError | InterfaceError):
        # Every client in the field keeps its data on 503 and tries again; on 500 some drop it.
        return problem_response(
            Problem(
                503,
                "The database is not available",
                "Send it again later.",
                headers={"Retry-After": "5"},
            )
        )
    if isinstance(exc, exceptions.ValidationError):
        return problem_response(Problem(400, "The request is not valid", errors=_field_errors(exc.detail)))
    if isinstance(exc, exceptions.APIException):
        headers = {}
        if header := getattr(exc, "auth_header", None):
            headers["WWW-Authenticate"] = header
        if wait := getattr(exc, "wait", None):
            headers["Retry-After"] = str(int(wait))
        titles = {
            status.HTTP_401_UNAUTHORIZED: "No valid API key",
            status.HTTP_403_FORBIDDEN: "Not allowed",
            status.HTTP_405_METHOD_NOT_ALLOWED: "Method not allowed",
            status.HTTP_406_NOT_ACCEPTABLE: "Not acceptable",
            status.HTTP_415_UNSUPPORTED_MEDIA_TYPE: "Content type not supported",
        }
        return problem_response(
            Problem(
                exc.status_code,
                titles.get(exc.status_code, "Request refused"),
                str(exc.detail),
                headers=headers,
            )
        )
    return None
