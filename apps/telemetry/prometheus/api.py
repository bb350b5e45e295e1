"""``POST /api/prometheus/write``: Prometheus remote write 1.0. No rules."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from apps.core.problems import Problem
from apps.telemetry.doors import DoorView
from apps.telemetry.intake import IntakeContext
from apps.telemetry.meters import intake
from apps.telemetry.protocols import remote_write
from apps.telemetry.protocols.body import read_body
from apps.telemetry.protocols.errors import UnreadableError, UnsupportedError

PROTOBUF = "application/x-protobuf"
VERSION_2 = "io.prometheus.write.v2.Request"


class RemoteWriteView(DoorView):
    """Samples of Prometheus, stored as readings of the meters that the metric table knows."""

    protocol = remote_write.DOOR
    encodings = ("snappy",)

    @extend_schema(
        operation_id="prometheus_remote_write",
        request={PROTOBUF: bytes},
        responses={204: None},
        summary="Prometheus remote write 1.0",
    )
    def post(self, request: Request) -> HttpResponse:
        """Store the samples of a ``prometheus.WriteRequest`` (snappy block, protobuf). Series that are no energy and no
        work are accepted and ignored. 204 means stored; remote write 2.0 is answered 415."""
        self._expect_version_1(request)
        packed = read_body(request._request, settings.INGEST_MAX_BODY_BYTES)
        if not packed:
            raise UnreadableError("The body is empty. If it was sent chunked, something on the way lost it.")
        context: IntakeContext = dataclasses.replace(
            self.context(request), body_digest=hashlib.sha256(packed).hexdigest()
        )
        batch = remote_write.decode(remote_write.unpack_snappy(packed, settings.INGEST_MAX_BODY_BYTES))
        if not len(batch) and not batch.errors and not batch.ignored:
            return HttpResponse(status=204)  # metadata only: nothing to keep a receipt of
        answer = intake.store(batch, context)
        if answer.rejected > answer.conflicts:
            first = next(error for error in answer.errors if error.field)
            raise Problem(
                400,
                "Some samples are not valid",
                f"{answer.accepted} samples were stored and {answer.rejected} were not. The first: got {first.got!r},"
                f" expected {first.expected}.",
            )
        return HttpResponse(status=204)

    def _expect_version_1(self, request: Request) -> None:
        """Raises :class:`UnsupportedError` for another content type or encoding than those of version 1.0."""
        name, *parameters = request.META.get("CONTENT_TYPE", "").split(";")
        version = request.META.get("HTTP_X_PROMETHEUS_REMOTE_WRITE_VERSION", "")
        if any(VERSION_2 in parameter for parameter in parameters) or version.startswith("2."):
            raise UnsupportedError(
                "Remote write 2.0 is not understood yet. Send 1.0: protobuf_message prometheus.WriteRequest."
            )
        if name.strip().lower() != PROTOBUF:
            raise UnsupportedError(f"Content-Type {name.strip() or '(none)'!r} is not understood; send {PROTOBUF}.")
        encoding = request.META.get("HTTP_CONTENT_ENCODING", "").strip().lower()
        if encoding != "snappy":
            raise UnsupportedError(f"Content-Encoding {encoding or '(none)'!r} is not understood; send snappy.")

    def refused(self, problem: Problem) -> Any:
        """The reason as plain text: Prometheus repeats the body in its log."""
        text = f"{problem.title}: {problem.text}" if problem.text else problem.title
        return HttpResponse(text, status=problem.status_code, content_type="text/plain", headers=problem.headers)
