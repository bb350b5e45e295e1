"""API of periods and disclosures. Reading only: a document is asked for by a person, on the page of its quarter."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import FileResponse, Http404, HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core.api import LIST_PARAMETERS, AnyAccept, keyset_page, kg, kwh, list_schema, refuse_unknown, rows_page
from apps.disclosures import queries
from apps.disclosures.models import Disclosure
from apps.disclosures.queries import PeriodSummary
from apps.disclosures.views import WORKBOOK_TYPE, evidence_answer, file_answer, workbook_answer
from apps.organisations.authentication import principal_of
from apps.organisations.models import Organisation, Scope


class PeriodSerializer(serializers.Serializer[Any]):
    """A quarter. Figures are Scope 2 and null while no reading lies in it."""

    label = serializers.CharField()  # type: ignore[assignment]
    start = serializers.DateField()
    end = serializers.DateField(help_text="first day after")
    ended = serializers.BooleanField()
    it_energy_kwh = serializers.FloatField(allow_null=True)
    facility_energy_kwh = serializers.FloatField(allow_null=True)
    location_kg = serializers.FloatField(allow_null=True)
    market_kg = serializers.FloatField(allow_null=True)
    coverage = serializers.FloatField(allow_null=True, help_text="mean over the sources, 0 to 1")
    silent_sources = serializers.IntegerField()
    latest_disclosure = serializers.UUIDField(allow_null=True, help_text="the newest that is ready")


class DisclosureSerializer(serializers.Serializer[Any]):
    """A document of a quarter; its digests are SHA-256, empty until it is ready."""

    id = serializers.UUIDField()
    period = serializers.CharField()
    version = serializers.IntegerField()
    state = serializers.ChoiceField(choices=Disclosure.State.choices)
    step = serializers.CharField()
    progress_percent = serializers.IntegerField()
    error = serializers.CharField()
    snapshot_sha256 = serializers.CharField()
    pdf_sha256 = serializers.CharField()
    requested_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    pdf = serializers.URLField(allow_null=True)
    xlsx = serializers.URLField(allow_null=True)
    evidence = serializers.URLField(allow_null=True)


def _period(row: PeriodSummary) -> dict[str, Any]:
    figures = row.figures or {}
    return {
        "label": row.label,
        "start": row.quarter.first_day.isoformat(),
        "end": row.quarter.next().first_day.isoformat(),
        "ended": row.ended,
        "it_energy_kwh": kwh(figures.get("it_energy_milliwatt_hours")),
        "facility_energy_kwh": kwh(figures.get("facility_energy_milliwatt_hours")),
        "location_kg": kg(figures.get("location_mg")),
        "market_kg": kg(figures.get("market_mg")),
        "coverage": None if row.coverage is None else round(row.coverage, 6),
        "silent_sources": row.silent,
        "latest_disclosure": str(row.latest.public_id) if row.latest else None,
    }


def _disclosure(request: Request, row: Disclosure) -> dict[str, Any]:
    ready = row.state == Disclosure.State.READY
    address = request.build_absolute_uri(f"/api/v1/disclosures/{row.public_id}/")
    return dict(
        DisclosureSerializer(
            {
                "id": row.public_id,
                "period": row.period.label,
                "version": row.version,
                "state": row.state,
                "step": row.step,
                "progress_percent": row.progress_percent,
                "error": row.error,
                "snapshot_sha256": row.snapshot_digest,
                "pdf_sha256": row.pdf_digest,
                "requested_at": row.requested_at,
                "finished_at": row.finished_at,
                "pdf": f"{address}pdf" if ready else None,
                "xlsx": f"{address}xlsx" if ready else None,
                "evidence": f"{address}evidence.json" if ready else None,
            }
        ).data
    )


def _found(request: Request, public_id: UUID) -> Disclosure:
    row = queries.disclosure(principal_of(request).organisation_id, public_id)
    if row is None:
        raise Http404("No such disclosure.")
    return row


class PeriodList(APIView):
    scope = {"GET": Scope.READ}

    @extend_schema(operation_id="periods_list", parameters=LIST_PARAMETERS, responses=list_schema(PeriodSerializer))
    def get(self, request: Request) -> Response:
        """Quarters from the first reading to the present one, oldest first."""
        refuse_unknown(request, ())
        organisation = Organisation.objects.get(pk=principal_of(request).organisation_id)
        rows = [_period(row) for row in queries.period_summaries(organisation)]
        return Response(rows_page(request, rows, ("label",)))


class DisclosureList(APIView):
    scope = {"GET": Scope.READ}

    @extend_schema(
        operation_id="disclosures_list", parameters=LIST_PARAMETERS, responses=list_schema(DisclosureSerializer)
    )
    def get(self, request: Request) -> Response:
        """Documents, the one asked for last first."""
        refuse_unknown(request, ())
        rows = queries.disclosures(principal_of(request).organisation_id)
        return Response(keyset_page(request, rows, ["-pk"], lambda row: _disclosure(request, row)))


class DisclosureDetail(APIView):
    scope = {"GET": Scope.READ}

    @extend_schema(operation_id="disclosures_read", responses=DisclosureSerializer)
    def get(self, request: Request, public_id: UUID) -> Response:
        """One document: its state, how far it is, its digests."""
        return Response(_disclosure(request, _found(request, public_id)))


class DisclosurePdf(APIView):
    content_negotiation_class = AnyAccept
    scope = {"GET": Scope.READ}

    @extend_schema(operation_id="disclosures_pdf", responses={(200, "application/pdf"): OpenApiTypes.BINARY})
    def get(self, request: Request, public_id: UUID) -> FileResponse:
        """The PDF. 404 until it is ready."""
        return file_answer(_found(request, public_id))


class DisclosureWorkbook(APIView):
    content_negotiation_class = AnyAccept
    scope = {"GET": Scope.READ}

    @extend_schema(operation_id="disclosures_xlsx", responses={(200, WORKBOOK_TYPE): OpenApiTypes.BINARY})
    def get(self, request: Request, public_id: UUID) -> HttpResponse:
        """Every figure of the document as a workbook, in MWh and t CO₂e. 404 until it is ready."""
        return workbook_answer(_found(request, public_id))


class DisclosureEvidence(APIView):
    scope = {"GET": Scope.READ}

    @extend_schema(
        operation_id="disclosures_evidence",
        responses={200: OpenApiResponse(OpenApiTypes.OBJECT, "the bytes whose SHA-256 is `snapshot_sha256`")},
    )
    def get(self, request: Request, public_id: UUID) -> HttpResponse:
        """Every figure, factor and text of the document, as embedded in its PDF. 404 until they are frozen."""
        _found(request, public_id)
        return evidence_answer(queries.evidence(principal_of(request).organisation_id, public_id))
