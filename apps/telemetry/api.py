"""The API of telemetry: samples in and out, receipts. No rules."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import time
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core.api import (
    LIST_PARAMETERS,
    CsvRenderer,
    keyset_page,
    list_schema,
    parse_flag,
    parse_list,
    parse_window,
    refuse_unknown,
)
from apps.core.problems import CONTENT_TYPE as PROBLEM
from apps.core.problems import Problem
from apps.core.windows import EPOCH, Window, from_epoch_ms
from apps.organisations.authentication import principal_of
from apps.organisations.models import Scope
from apps.telemetry import intake, queries
from apps.telemetry.protocols import samples
from apps.telemetry.protocols.body import read_body, unpack
from apps.telemetry.protocols.errors import TooLargeError, UnreadableError, UnsupportedError
from apps.telemetry.replay import services as replay
from apps.telemetry.schema import (
    EXAMPLES,
    INGEST_PARAMETERS,
    IngestAnswerSerializer,
    ReceiptSerializer,
    SampleSerializer,
    StoredSampleSerializer,
)

MEDIA_TYPES = {
    "application/json": samples.JSON,
    "application/x-ndjson": samples.NDJSON,
    "application/ndjson": samples.NDJSON,
    "text/csv": samples.CSV,
}

NO_ERRORS = b'"errors":[]'

logger = logging.getLogger(__name__)


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


def refusal(fault: UnreadableError | TooLargeError | UnsupportedError) -> Problem:
    """The answer to a request that is refused as a whole."""
    if isinstance(fault, UnreadableError):
        return Problem(400, "The body cannot be read", str(fault))
    if isinstance(fault, TooLargeError):
        return Problem(413, "The request is too large", str(fault))
    return Problem(415, "Content type not supported", str(fault), headers={"Accept-Encoding": "gzip"})


class SamplesView(APIView):
    scope = {"GET": Scope.READ, "POST": Scope.INGEST}
    renderer_classes = [JSONRenderer, CsvRenderer]
    csv_columns = tuple(StoredSampleSerializer().fields)

    @extend_schema(
        operation_id="samples_list",
        parameters=[
            OpenApiParameter("from", str, description="date or RFC 3339 time; readings that begin then or later"),
            OpenApiParameter("to", str, description="date or RFC 3339 time, excluded"),
            OpenApiParameter("source", str, description="one or more names, separated by commas"),
            *LIST_PARAMETERS,
        ],
        responses=list_schema(StoredSampleSerializer),
    )
    def get(self, request: Request) -> Response:
        """Stored readings in the order of time."""
        refuse_unknown(request, ("from", "to", "source"))
        ahead = from_epoch_ms(int(time.time() * 1000)) + timedelta(hours=1)
        rows = queries.samples(
            principal_of(request).organisation_id,
            parse_window(request, Window(EPOCH, ahead)),
            parse_list(request, "source"),
        )
        return Response(keyset_page(request, rows, ["start_ms", "source_id", "end_ms"], queries.sample))

    @extend_schema(
        operation_id="samples_send",
        request={media_type: SampleSerializer(many=True) for media_type in (samples.JSON, samples.NDJSON, samples.CSV)},
        responses={200: IngestAnswerSerializer},
        parameters=INGEST_PARAMETERS,
        examples=EXAMPLES,
    )
    def post(self, request: Request) -> HttpResponse:
        """Store energy readings: a JSON array or {"samples": [...]}, NDJSON, or CSV with a header; gzip and chunked
        bodies too. Up to 50,000 rows and 64 MiB unpacked. Valid rows are kept when others fail; answered 200 means
        stored."""
        refuse_unknown(request, ("replace", "dry_run"))
        principal = principal_of(request)
        http = request._request
        limit = settings.INGEST_MAX_BODY_BYTES
        replace, dry_run = parse_flag(request, "replace"), parse_flag(request, "dry_run")
        encoding = http.META.get("HTTP_CONTENT_ENCODING", "")
        context = intake.IntakeContext(
            organisation_id=principal.organisation_id,
            key_id=principal.key_id,
            team_id=principal.team_id,
            team_slug=principal.team_slug,
            site_code=principal.site_code,
            idempotency_key=idempotency_key_of(http.META.get("HTTP_IDEMPOTENCY_KEY")),
            replace=replace,
            dry_run=dry_run,
        )
        media_type, packed = "", b""
        try:
            media_type = media_type_of(http.META.get("CONTENT_TYPE", ""))
            packed = read_body(http, limit)
            digest = hashlib.sha256(packed)
            digest.update(f"\0{media_type}\0{encoding}\0{replace}".encode())
            context = dataclasses.replace(context, body_digest=digest.hexdigest())
            answer = None if dry_run else intake.remembered(context)
            if answer is None:
                batch = samples.decode(
                    unpack(packed, encoding, limit),
                    media_type,
                    now_ms=int(time.time() * 1000),
                    max_rows=settings.INGEST_MAX_SAMPLES,
                )
                answer = intake.store(batch, context)
                if not dry_run and NO_ERRORS not in answer.body:
                    keep_rejected(msgspec.json.decode(answer.body)["receipt"], packed, media_type, encoding, http)
                del packed
        except (UnreadableError, TooLargeError, UnsupportedError) as fault:
            problem = refusal(fault)
            if not dry_run:
                refused = intake.note_refusal(
                    context, protocol="samples", status=problem.status_code, got=problem.title, expected=problem.text
                )
                if isinstance(fault, UnreadableError) and media_type:
                    keep_rejected(refused, packed, media_type, encoding, http)
            raise problem from None
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
        """The answer to a batch is JSON whatever ``Accept`` says: what was stored must not end in 406."""
        if request.method != "POST":
            return super().perform_content_negotiation(request, force)
        renderer = self.get_renderers()[0]
        return renderer, renderer.media_type


def keep_rejected(receipt: str | UUID, body: bytes, media_type: str, encoding: str, request: HttpRequest) -> None:
    """Keep what was rejected for mending. The request is answered already: that this fails must not change it."""
    try:
        replay.keep(
            receipt=UUID(str(receipt)),
            body=body,
            media_type=media_type,
            encoding=encoding,
            query=request.META.get("QUERY_STRING", ""),
        )
    except DatabaseError:
        logger.exception("the rejected rows of receipt %s were not kept for mending", receipt)


def idempotency_key_of(header: str | None) -> str | None:
    """The key of a request, or none. Raises a problem if it cannot be kept."""
    key = (header or "").strip()
    if len(key) > 255 or not key.isprintable():
        raise Problem(400, "The request is not valid", "Idempotency-Key takes 1 to 255 printable characters.")
    return key or None


class ReceiptView(APIView):
    scope = {"GET": Scope.READ}

    @extend_schema(operation_id="receipts_read", responses=ReceiptSerializer)
    def get(self, request: Request, receipt_id: UUID) -> Response:
        """What became of one request."""
        found = queries.receipt(principal_of(request).organisation_id, receipt_id)
        if found is None:
            raise Http404(f"No receipt {receipt_id}.")
        return Response(
            {
                "receipt": str(found.public_id),
                "received_at": found.received_at,
                "protocol": found.protocol,
                "key": found.api_key.prefix if found.api_key else None,
                "accepted": found.accepted,
                "replaced": found.replaced,
                "duplicates": found.duplicates,
                "rejected": found.rejected,
                "ignored": found.ignored,
                "pending": found.is_pending,
                "errors": found.errors,
            }
        )
