"""``POST /api/otlp/v1/metrics``: OTLP/HTTP. No rules."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from apps.core.problems import Problem
from apps.telemetry.doors import DoorView
from apps.telemetry.meters import intake
from apps.telemetry.protocols import otlp
from apps.telemetry.protocols.errors import UnsupportedError


class MetricsView(DoorView):
    """Metrics of OpenTelemetry, stored as readings of the meters that its names and the metric table know."""

    protocol = otlp.DOOR

    @extend_schema(
        operation_id="otlp_metrics",
        request={otlp.PROTOBUF: bytes, otlp.JSON: dict[str, Any]},
        responses={(200, otlp.JSON): dict[str, Any]},
        summary="OTLP/HTTP metrics",
    )
    def post(self, request: Request) -> HttpResponse:
        """Store the points of an ``ExportMetricsServiceRequest``. 200 means stored; what was not is told in
        ``partial_success``, and must not be sent again."""
        media_type = self._media_type(request)
        if media_type not in (otlp.PROTOBUF, otlp.JSON):
            raise UnsupportedError(
                f"Content-Type {media_type or '(none)'!r} is not understood; send {otlp.PROTOBUF} or {otlp.JSON}."
            )
        body, context = self.receive(request)
        batch = otlp.decode(otlp.parse(body, media_type))
        if not len(batch) and not batch.errors and not batch.ignored:
            return self._answer(otlp.success(0, ""), media_type)  # nothing in it: nothing to keep a receipt of
        answer = intake.store(batch, context)
        return self._answer(otlp.success(answer.rejected, otlp.reasons(answer.errors)), media_type)

    def _media_type(self, request: Request) -> str:
        return str(request.META.get("CONTENT_TYPE", "")).split(";")[0].strip().lower()

    def _answer(self, message: Any, media_type: str, status: int = 200) -> HttpResponse:
        return HttpResponse(otlp.packed(message, media_type), status=status, content_type=media_type)

    def refused(self, problem: Problem) -> HttpResponse:
        """A ``google.rpc.Status`` in the type of the request."""
        media_type = self._media_type(self.request)
        media_type = media_type if media_type in (otlp.PROTOBUF, otlp.JSON) else otlp.JSON
        reason = f"{problem.title}: {problem.text}" if problem.text else problem.title
        answer = self._answer(otlp.failure(problem.status_code, reason), media_type, problem.status_code)
        for name, value in (problem.headers or {}).items():
            answer.headers[name] = value
        return answer
