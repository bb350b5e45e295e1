"""The API of telemetry: samples in and out, receipts. No rules."""

from __future__ import annotations

import hashlib
import time
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.views import APIView

from apps.core.problems import CONTENT_TYPE as PROBLEM
from apps.core.problems import Problem
from apps.organisations.authentication import principal_of
from apps.organisations.models import Scope
from apps.telemetry import intake
from apps.telemetry.protocols import samples
from apps.telemetry.protocols.body import read_body, unpack
from apps.telemetry.protocols.errors import TooLargeError, UnreadableError, UnsupportedError

MEDIA_TYPES = {
    "application/json": samples.JSON,
    "application/x-ndjson": samples.NDJSON,
    "application/ndjson": samples.NDJSON,
    "text/csv": samples.CSV,
}


def media_type_of(header: str) -> str:
    """The media type of a ``Content-Type`` header. Raises :class:`UnsupportedError` for one not understood."""
    name, *parameters = header.split(";")
    media_type = MEDIA_TYPES.get(name.strip().lower())
    if media_type is None:
        raise UnsupportedError(
            f"Content-Type {name.strip() or '(none)'!r} is not understood; send application/json, application/x-ndjson"
            " or text/csv."
        )
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        charset = value.strip().strip('"').lower()
        if key.strip().lower() == "charset" and charset not in ("utf-8", "utf8", "us-ascii", "ascii"):
            raise UnsupportedError(f"The character set {charset!r} is not understood; send UTF-8.")
    return media_type


def flag(request: Request, name: str) -> bool:
    """A yes/no query parameter. Raises a problem for anything else."""
    value = request.query_params.get(name, "false").lower()
    if value not in ("true", "false", "1", "0"):
        raise Problem(400, "The request is not valid", f"?{name}= takes true or false, got {value!r}.")
    return value in ("true", "1")


class SamplesView(APIView):
    scope = {"GET": Scope.READ, "POST": Scope.INGEST}

    def post(self, request: Request) -> HttpResponse:
        principal = principal_of(request)
        http = request._request
        limit = settings.INGEST_MAX_BODY_BYTES
        replace, dry_run = flag(request, "replace"), flag(request, "dry_run")
        try:
            media_type = media_type_of(http.META.get("CONTENT_TYPE", ""))
            packed = read_body(http, limit)
            encoding = http.META.get("HTTP_CONTENT_ENCODING", "")
            digest = hashlib.sha256(packed)
            digest.update(f"\0{media_type}\0{encoding}\0{replace}".encode())
            context = intake.IntakeContext(
                organisation_id=principal.organisation_id,
                key_id=principal.key_id,
                team_id=principal.team_id,
                team_slug=principal.team_slug,
                site_code=principal.site_code,
                body_digest=digest.hexdigest(),
                idempotency_key=idempotency_key_of(http.META.get("HTTP_IDEMPOTENCY_KEY")),
                replace=replace,
                dry_run=dry_run,
            )
            answer = None if dry_run else intake.remembered(context)
            if answer is None:
                batch = samples.decode(
                    unpack(packed, encoding, limit),
                    media_type,
                    now_ms=int(time.time() * 1000),
                    max_rows=settings.INGEST_MAX_SAMPLES,
                )
                del packed
                answer = intake.store(batch, context)
        except UnreadableError as fault:
            raise Problem(400, "The body cannot be read", str(fault)) from None
        except TooLargeError as fault:
            raise Problem(413, "The request is too large", str(fault)) from None
        except UnsupportedError as fault:
            raise Problem(415, "Content type not supported", str(fault), headers={"Accept-Encoding": "gzip"}) from None
        except intake.OtherBodyError:
            raise Problem(
                422,
                "The idempotency key was used before",
                "An earlier request with this Idempotency-Key had another body. Use a new key for a new request.",
            ) from None
        return HttpResponse(
            answer.body,
            status=answer.status,
            content_type="application/json" if answer.status == 200 else PROBLEM,
        )

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """Answers are JSON whatever a client's ``Accept`` says: a stored batch must not end in 406."""
        renderer = self.get_renderers()[0]
        return renderer, renderer.media_type


def idempotency_key_of(header: str | None) -> str | None:
    """The key of a request, or none. Raises a problem if it cannot be kept."""
    key = (header or "").strip()
    if len(key) > 255 or not key.isprintable():
        raise Problem(400, "The request is not valid", "Idempotency-Key takes 1 to 255 printable characters.")
    return key or None
