"""The API of files recorded offline, ``/api/v1/uploads``. No rules."""

from __future__ import annotations

from io import BytesIO
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.uploadhandler import MemoryFileUploadHandler
from django.http import Http404
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.api import LIST_PARAMETERS, keyset_page, list_schema, refuse_unknown
from apps.core.problems import Problem
from apps.organisations.authentication import principal_of
from apps.organisations.models import Scope
from apps.telemetry.doors import DoorView
from apps.telemetry.models import Upload
from apps.telemetry.protocols.body import read_body, unpack
from apps.telemetry.protocols.errors import UnreadableError
from apps.telemetry.uploads import queries, services

_FORM_BYTES = 64 * 1024  # what a multipart body has around its file


class TakenInSerializer(serializers.Serializer[Any]):
    """A file was taken in and waits for a worker."""

    receipt = serializers.UUIDField(help_text="of GET /api/v1/receipts/{id}; pending until the file is worked off")
    upload = serializers.UUIDField()
    status_url = serializers.CharField()


class UploadSerializer(serializers.Serializer[Any]):
    """A file, how far it is, and what was found in it, line by line where lines are faulty."""

    upload = serializers.UUIDField()
    receipt = serializers.UUIDField()
    file = serializers.CharField()
    sha256 = serializers.CharField()
    bytes = serializers.IntegerField()
    format = serializers.ChoiceField(choices=Upload.Format.values)  # type: ignore[assignment]
    state = serializers.ChoiceField(choices=Upload.State.values)
    step = serializers.CharField()
    progress_percent = serializers.IntegerField()
    requested_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    error = serializers.CharField()
    report = serializers.DictField()


PARAMETERS = [
    OpenApiParameter("format", str, enum=Upload.Format.values, description="default: told from the header"),
    OpenApiParameter("site", str, description="code of a site"),
    OpenApiParameter("team", str, description="slug of a team; a key's own team wins"),
    OpenApiParameter("timezone", str, description="of times without an offset: Europe/Berlin or +02:00"),
    OpenApiParameter("pue", float, description="PUE that the energies include already; divided out"),
    OpenApiParameter("model", str, description="AI model"),
    OpenApiParameter("kind", str, description="kind of work, such as training"),
    OpenApiParameter("overlap", str, enum=["refuse", "keep"], description="of windows within one another (zeus)"),
    OpenApiParameter("source", str, description="name of the source, or of the host of numbered GPUs"),
    OpenApiParameter("reading", str, enum=["interval", "power", "counter"], description="generic: what a row is"),
    OpenApiParameter("unit", str, description="generic: Wh, kWh, MWh, mWh, J, kJ, mJ; W, kW, mW"),
    OpenApiParameter("value", str, description="generic: column of the energy or power"),
    OpenApiParameter("time", str, description="generic: column of the time"),
    OpenApiParameter("start", str, description="generic: column of the start of an interval"),
    OpenApiParameter("end", str, description="generic: column of the end of an interval"),
    OpenApiParameter("duration", str, description="generic: column of the duration in seconds"),
    OpenApiParameter("source_column", str, description="generic: column of the name of the source"),
]
NAMES = [parameter.name for parameter in PARAMETERS]


class UploadsView(DoorView):
    """Files in, and the list of them."""

    protocol = "upload"
    encodings = ("gzip", "deflate")
    scope = {"GET": Scope.READ, "POST": Scope.INGEST}

    @extend_schema(operation_id="uploads_list", parameters=LIST_PARAMETERS, responses=list_schema(UploadSerializer))
    def get(self, request: Request) -> Response:
        """Files taken in, oldest first."""
        refuse_unknown(request, ())
        rows = queries.uploads(principal_of(request).organisation_id).order_by("pk")
        return Response(keyset_page(request, rows, ["pk"], queries.as_answer))

    @extend_schema(
        operation_id="uploads_send",
        parameters=PARAMETERS,
        request={"text/csv": bytes, "application/json": bytes, "multipart/form-data": bytes},
        responses={202: TakenInSerializer},
    )
    def post(self, request: Request) -> Response:
        """Take in a file recorded offline, as the body or as `file` of a form; gzip and chunked too, at most 64 MiB
        unpacked. It is worked off by a worker; the same file again counts nothing twice."""
        refuse_unknown(request, NAMES)
        principal = principal_of(request)
        content, name, form = self._file(request)
        given = {key: value for key, value in (form | request.query_params.dict()).items() if key in NAMES}
        layout = given.pop("format", "")
        if layout and layout not in Upload.Format.values:
            raise _problem({"format": [f"Got {layout!r}, expected one of {', '.join(Upload.Format.values)}."]})
        try:
            taken = services.take_in(
                organisation_id=principal.organisation_id,
                actor=principal.actor,
                content=content,
                file_name=name,
                layout=layout,
                given=given,
                key_id=principal.key_id,
                team_slug=principal.team_slug,
            )
        except ValidationError as fault:
            codes = {one.code for many in fault.error_dict.values() for one in many}
            if "too_large" in codes:
                raise Problem(413, "The request is too large", fault.messages[0]) from None
            raise _problem(fault.message_dict) from None
        status_url = request.build_absolute_uri(f"/api/v1/uploads/{taken.public_id}")
        content_of = {
            "receipt": str(taken.receipt.public_id),
            "upload": str(taken.public_id),
            "status_url": status_url,
        }
        return Response(content_of, status=202, headers={"Location": status_url})

    def _file(self, request: Request) -> tuple[bytes, str, dict[str, str]]:
        """The file, its name, and the other fields of a form."""
        http = request._request
        limit = settings.INGEST_MAX_BODY_BYTES
        packed = read_body(http, limit + _FORM_BYTES)
        if not packed:
            raise UnreadableError("The body is empty. If it was sent chunked, something on the way lost it.")
        body = unpack(packed, http.META.get("HTTP_CONTENT_ENCODING", ""), limit + _FORM_BYTES, self.encodings)
        if not http.META.get("CONTENT_TYPE", "").lower().startswith("multipart/form-data"):
            return body, request.query_params.get("source") or "upload", {}
        meta = {**http.META, "CONTENT_LENGTH": str(len(body))}
        try:
            fields, files = MultiPartParser(meta, BytesIO(body), [_InMemory(http)]).parse()
        except MultiPartParserError as fault:
            raise UnreadableError(f"The form cannot be read: {fault}") from None
        sent = files.get("file")
        if sent is None:
            raise UnreadableError("The form has no file in the field `file`.")
        return sent.read(), sent.name or "upload", {key: str(value) for key, value in fields.items()}

    def _note(self, problem: Problem) -> None:
        if self.request.method == "POST":
            super()._note(problem)


class _InMemory(MemoryFileUploadHandler):
    """Keeps a file in memory, whose size is limited before."""

    def handle_raw_input(self, *args: Any, **options: Any) -> None:
        self.activated = True


def _problem(faults: dict[str, list[str]]) -> Problem:
    errors = [{"pointer": f"/query/{name}", "expected": text} for name, texts in faults.items() for text in texts]
    status = 403 if set(faults) == {"team"} else 400
    detail = " ".join(text for texts in faults.values() for text in texts)
    return Problem(status, "The file was not taken in", detail, errors=errors)


class UploadView(DoorView):
    """One file."""

    protocol = "upload"
    scope = {"GET": Scope.READ}

    @extend_schema(operation_id="uploads_read", responses=UploadSerializer)
    def get(self, request: Request, upload_id: UUID) -> Response:
        """How far a file is and what was found in it."""
        found = queries.upload(principal_of(request).organisation_id, upload_id)
        if found is None:
            raise Http404(f"No upload {upload_id}.")
        return Response(queries.as_answer(found))

    def _note(self, problem: Problem) -> None:
        """Reading leaves no receipt."""
