"""Calculation receipts over the API. No rules."""

from __future__ import annotations

import re
from dataclasses import asdict

from django.http import Http404, HttpResponseBase, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounting.api import PARAMETERS, query_of
from apps.accounting.calculations import evidence, files
from apps.accounting.calculations.queries import Calculation, TooManyLinesError, receipt_query
from apps.core.api import (
    AnyAccept,
    CsvRenderer,
    bad_parameter,
    decode_cursor,
    list_answer,
    page_limit,
    parse_choice,
    parse_int,
    parse_moment,
    refuse_unknown,
)
from apps.core.problems import Problem
from apps.core.windows import epoch_hour
from apps.organisations.authentication import principal_of
from apps.organisations.models import Organisation, Scope

MOST_ACCOUNT = 2**63 - 1
_OBJECT = {"type": "object", "additionalProperties": True}
_ANSWER = {
    "type": "object",
    "properties": {
        "head": {
            **_OBJECT,
            "description": "the figures and what they follow from: rates with factor, edition and licence, markets"
            " with instruments, policies, engine version, and `digest`, SHA-256 over all of it. On the first page.",
        },
        "results": {"type": "array", "items": _OBJECT, "description": "one line per hour and account of the ledger"},
        "next": {"type": "string", "format": "uri", "nullable": True},
        "download": {"type": "string", "format": "uri", "description": "the whole receipt as one file"},
    },
}
_BAD = {400: OpenApiResponse(description="a problem document")}


class CalculationsView(APIView):
    """``Accept: text/csv`` gives the lines of the page as a table."""

    scope = {"GET": Scope.READ}
    renderer_classes = [JSONRenderer, CsvRenderer]

    @extend_schema(
        summary="How figures came about: rates, markets, lines, formula inputs and a digest",
        operation_id="calculations_list",
        parameters=PARAMETERS,
        responses={(200, "application/json"): _ANSWER, **_BAD},
    )
    def get(self, request: Request) -> Response:
        """The receipt of the figures that `emissions` gives for the same filters."""
        query = query_of(request)
        calculation = Calculation(query)
        after = _after(request)
        rows, following = calculation.page(after, page_limit(request))
        answer = list_answer(request, rows, following)
        if after is None:
            answer = {"head": calculation.head(), **answer}
        address = request.build_absolute_uri(f"/api/v1/calculations/download?{receipt_query(query)}")
        return Response({**answer, "download": address})


def _after(request: Request) -> tuple[int, int] | None:
    key = decode_cursor(request, 2)
    if key is None:
        return None
    hour, account = key
    if not all(type(part) is int and 0 <= part <= MOST_ACCOUNT for part in key) or hour >= 2**31:
        raise bad_parameter("cursor", request.query_params["cursor"], "the cursor of a `next` link, unchanged")
    return hour, account


class CalculationFileView(APIView):
    scope = {"GET": Scope.READ}
    content_negotiation_class = AnyAccept

    @extend_schema(
        summary="A whole receipt as one file, for verify_calculation",
        operation_id="calculations_download",
        parameters=[*PARAMETERS, OpenApiParameter("format", OpenApiTypes.STR, enum=["json", "csv"], default="json")],
        responses={(200, "application/json"): _OBJECT, **_BAD},
    )
    def get(self, request: Request) -> HttpResponseBase:
        """Head, all lines and the digests; at most 2,000,000 lines. `format=csv` gives the lines alone."""
        kind = parse_choice(request, "format", ("json", "csv"), "json")
        query = query_of(request)
        organisation = Organisation.objects.get(pk=query.organisation_id)
        try:
            return file_answer(Calculation(query), kind, organisation)
        except TooManyLinesError as error:
            raise Problem(400, "The receipt is too large for one file", str(error)) from None


def file_answer(calculation: Calculation, kind: str, organisation: Organisation) -> StreamingHttpResponse:
    """A receipt as a download, written as it is sent. Raises :class:`TooManyLinesError`."""
    files.check_size(calculation)
    window = calculation.query.window
    name = f"{organisation.slug}-calculation-{window.start:%Y%m%d}-{window.end:%Y%m%d}.{kind}"
    if kind == "csv":
        answer = StreamingHttpResponse(files.csv_file(calculation), content_type="text/csv; charset=utf-8")
    else:
        answer = StreamingHttpResponse(files.json_file(calculation), content_type="application/json")
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


class CalculationReadingsView(APIView):
    scope = {"GET": Scope.READ}
    renderer_classes = [JSONRenderer]

    @extend_schema(
        summary="The readings behind one line of a receipt",
        operation_id="calculations_readings",
        parameters=[
            OpenApiParameter("hour", OpenApiTypes.STR, required=True, description="as in the line"),
            OpenApiParameter("account", OpenApiTypes.INT, required=True, description="as in the line"),
        ],
        responses={(200, "application/json"): _OBJECT, **_BAD, 404: OpenApiResponse(description="no such line")},
    )
    def get(self, request: Request) -> Response:
        """Each reading's part of the hour, the shares of the account, and the energy that they give."""
        refuse_unknown(request, ("hour", "account"))
        text = request.query_params.get("hour", "")
        moment = parse_moment(text) if re.search(r"[Tt]", text) else None
        if moment is None or moment.minute or moment.second or moment.microsecond:
            raise bad_parameter("hour", text or None, "an hour such as 2026-07-01T05:00:00Z")
        account = parse_int(request, "account", 0, 1, 10**18 - 1)
        hour = epoch_hour(moment)
        found = evidence.line_evidence(principal_of(request).organisation_id, hour, account) if hour >= 0 else None
        if found is None:
            raise Http404("The ledger has no line of this hour and account.")
        samples = request.build_absolute_uri(evidence.samples_path(found.line))
        return Response({**asdict(found), "samples": samples})
