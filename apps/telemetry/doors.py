"""What the doors of other people's protocols share: the key, the body with its limits, refusals, receipts.

A door is a :class:`DoorView` with a ``post``. It calls :meth:`DoorView.receive` for the body and the context of the
intake, and raises the errors of :mod:`apps.telemetry.protocols.errors` (or a ``Problem``) to refuse the request as a
whole. What clients in the field do with an answer decides its status: a fault that will pass is 503 with
``Retry-After``, because 500 makes OTLP exporters and 429 makes Prometheus throw the batch away.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import logging
from typing import Any, ClassVar

from django.conf import settings
from django.db import DataError, InterfaceError, NotSupportedError, OperationalError, ProgrammingError
from django.db import Error as DatabaseFault
from django.http import HttpResponse
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.views import APIView

from apps.core.problems import Problem, problem_response
from apps.organisations.authentication import ApiKeyAuthentication, KeyPrincipal, KeyUser, principal_for, principal_of
from apps.organisations.models import Scope
from apps.telemetry import intake
from apps.telemetry.intake import IntakeContext
from apps.telemetry.protocols.body import read_body, unpack
from apps.telemetry.protocols.errors import TooLargeError, UnreadableError, UnsupportedError

RETRY_AFTER_S = 5
_WILL_NOT_PASS = (DataError, NotSupportedError, ProgrammingError)  # the same bytes would meet them again

logger = logging.getLogger(__name__)


class DoorAuthentication(ApiKeyAuthentication):
    """The key as ``Authorization: Bearer KEY``, or as the password of Basic authentication with any user name."""

    def authenticate(self, request: Request) -> tuple[KeyUser, KeyPrincipal]:
        return KeyUser(), principal_for(self.key_of(request))

    def key_of(self, request: Request) -> str:
        """The key that a request carries. Raises ``AuthenticationFailed`` when it carries none."""
        scheme, _, credentials = request.META.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
        if scheme.lower() == "bearer" and credentials.strip():
            return str(credentials.strip())
        if scheme.lower() == "basic":
            try:
                user_and_password = base64.b64decode(credentials, validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                user_and_password = ""
            password = user_and_password.partition(":")[2]
            if password:
                return password
        raise AuthenticationFailed(
            "Send the key as the header `Authorization: Bearer KEY`, or as the password of Basic authentication."
        )


class DoorView(APIView):
    """One path of a protocol. Takes POST with a key of scope ``ingest``; answers in the protocol's own way.

    ``protocol``: the name on receipts and sources. ``encodings``: values of ``Content-Encoding`` understood besides
    none. A subclass that answers refusals with something else than a problem document overrides :meth:`refused`.
    """

    protocol: ClassVar[str]
    encodings: ClassVar[tuple[str, ...]] = ("gzip", "deflate")
    scope = {"POST": Scope.INGEST}
    authentication_classes = [DoorAuthentication]

    def receive(self, request: Request) -> tuple[bytes, IntakeContext]:
        """The unpacked body, and who sends it.

        Raises :class:`UnreadableError` for an empty body (a chunked one that a proxy lost looks like it, and as
        protobuf it would be a valid message without content), :class:`TooLargeError` for one of more than
        ``INGEST_MAX_BODY_BYTES`` packed or unpacked, :class:`UnsupportedError` for an unknown encoding.
        """
        http = request._request
        encoding = http.META.get("HTTP_CONTENT_ENCODING", "")
        packed = read_body(http, settings.INGEST_MAX_BODY_BYTES)
        if not packed:
            raise UnreadableError("The body is empty. If it was sent chunked, something on the way lost it.")
        context = dataclasses.replace(self.context(request), body_digest=hashlib.sha256(packed).hexdigest())
        return unpack(packed, encoding, settings.INGEST_MAX_BODY_BYTES, self.encodings), context

    def context(self, request: Request) -> IntakeContext:
        """Who sends: the organisation of the key, with its team and site as defaults."""
        principal = principal_of(request)
        return IntakeContext(
            organisation_id=principal.organisation_id,
            key_id=principal.key_id,
            team_id=principal.team_id,
            team_slug=principal.team_slug,
            site_code=principal.site_code,
        )

    def refused(self, problem: Problem) -> HttpResponse:
        """The answer to a request that is refused as a whole: a problem document, unless the protocol has its own.

        It has to carry ``problem.headers``: ``Retry-After`` stands there.
        """
        return problem_response(problem)

    def handle_exception(self, exc: Exception) -> Any:
        """Answer a fault as the protocol does, and leave a receipt where the organisation is known.

        Faults that nobody foresaw are raised: they are bugs, and are answered with 500.
        """
        if isinstance(exc, DatabaseFault) and not isinstance(exc, (InterfaceError, OperationalError, *_WILL_NOT_PASS)):
            # Such as a database that is read only while another takes over, or a race lost twice.
            exc = OperationalError(str(exc))
        if isinstance(exc, UnreadableError | TooLargeError | UnsupportedError):
            exc = self._problem(exc)
        if isinstance(exc, OperationalError | InterfaceError):
            logger.warning("%s: the database is not available: %s", self.protocol, exc)
        answer = super().handle_exception(exc)  # a problem document; raises what it does not know
        problem = exc if isinstance(exc, Problem) else _problem_of(answer)
        if problem.status_code not in (401, 405, 503):
            self._note(problem)
        return self.refused(problem)

    def _problem(self, fault: UnreadableError | TooLargeError | UnsupportedError) -> Problem:
        if isinstance(fault, UnreadableError):
            return Problem(400, "The body cannot be read", str(fault))
        if isinstance(fault, TooLargeError):
            return Problem(413, "The request is too large", str(fault))
        headers = {"Accept-Encoding": ", ".join(self.encodings)}
        return Problem(415, "Content type not supported", str(fault), headers=headers)

    def _note(self, problem: Problem) -> None:
        """Leave a receipt of the refusal. That it cannot be written must not change the answer."""
        principal = getattr(self.request, "auth", None)
        if not isinstance(principal, KeyPrincipal):
            return
        try:
            intake.note_refusal(
                self.context(self.request),
                protocol=self.protocol,
                status=problem.status_code,
                got=problem.title,
                expected=problem.text,
            )
        except DatabaseFault as fault:
            logger.warning("%s: a refusal left no receipt: %s", self.protocol, fault)

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """What was stored must not end in 406, whatever ``Accept`` says."""
        renderer = self.get_renderers()[0]
        return renderer, renderer.media_type


def _problem_of(answer: Any) -> Problem:
    """The problem that a problem document tells."""
    headers = {name: value for name, value in answer.headers.items() if name != "Content-Type"}
    return Problem(answer.status_code, answer.data["title"], answer.data.get("detail", ""), headers=headers)
