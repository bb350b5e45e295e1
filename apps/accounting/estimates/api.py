"""API of estimates. No rules."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounting.estimates import queries, services
from apps.core.api import (
    LIST_PARAMETERS,
    keyset_page,
    list_schema,
    parse_flag,
    parse_moment,
    refuse_unknown,
)
from apps.core.problems import Problem
from apps.organisations.authentication import principal_of
from apps.organisations.models import Scope
from apps.telemetry.models import Estimate

WH = 1_000_000  # microwatt-hours


@extend_schema_field(OpenApiTypes.DATETIME)
class MomentField(serializers.Field[Any, Any, Any, Any]):
    """A date (its 00:00 UTC) or an RFC 3339 time with offset."""

    def to_internal_value(self, data: Any) -> Any:
        moment = parse_moment(data) if isinstance(data, str) else None
        if moment is None:
            raise serializers.ValidationError("Expected a date such as 2026-07-01 or an RFC 3339 time with offset.")
        return moment

    def to_representation(self, value: Any) -> Any:
        return value


class EstimateRequestSerializer(serializers.Serializer[Any]):
    """What is to be estimated: by accelerator-hours and a power profile, or by tokens and a published energy."""

    basis = serializers.ChoiceField(choices=Estimate.Basis.choices)
    source = serializers.CharField(max_length=200, help_text="a name for what is estimated")  # type: ignore[assignment]
    start = MomentField(help_text="date or RFC 3339 time")
    end = MomentField(help_text="date or RFC 3339 time, excluded")
    hardware = serializers.CharField(required=False, max_length=80, help_text="code of a profile with a TDP")
    utilisation = serializers.DecimalField(
        max_digits=9, decimal_places=6, required=False, help_text="0 to 1: share of the range between idle and TDP"
    )
    accelerators = serializers.IntegerField(required=False, help_text="how many ran the whole time")
    accelerator_hours = serializers.DecimalField(
        max_digits=18, decimal_places=6, required=False, help_text="in place of the number"
    )
    profile = serializers.IntegerField(required=False, help_text="id of a published energy per token")
    tokens = serializers.IntegerField(required=False)
    requests = serializers.IntegerField(required=False)
    site = serializers.CharField(required=False, max_length=40)
    team = serializers.CharField(required=False, max_length=120)
    model = serializers.CharField(required=False, max_length=200)
    workload = serializers.CharField(required=False, max_length=200)
    study = serializers.CharField(required=False, max_length=200)
    kind = serializers.CharField(required=False, max_length=20)


class EstimateSerializer(serializers.Serializer[Any]):
    """An estimate with everything it was made from. A dry run has neither id nor receipt."""

    id = serializers.IntegerField(allow_null=True)
    source = serializers.CharField()  # type: ignore[assignment]
    basis = serializers.ChoiceField(choices=Estimate.Basis.choices)
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    energy_wh = serializers.FloatField()
    working = serializers.CharField(help_text="the formula with the numbers put in")
    profile_source = serializers.CharField(help_text="publication that the profile is taken from")
    inputs = serializers.DictField()
    receipt = serializers.UUIDField(allow_null=True)
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField(allow_null=True)


def _estimate(row: Estimate) -> dict[str, Any]:
    return {
        "id": row.pk,
        "source": row.source.name,
        "basis": row.basis,
        "start": row.start,
        "end": row.end,
        "energy_wh": row.energy_microwatt_hours / WH,
        "working": row.working,
        "profile_source": row.profile_source,
        "inputs": row.inputs,
        "receipt": str(row.receipt.public_id),
        "created_by": row.created_by,
        "created_at": row.created_at,
    }


class EstimateList(APIView):
    scope = {"GET": Scope.READ, "POST": Scope.INGEST}

    @extend_schema(operation_id="estimates_list", parameters=LIST_PARAMETERS, responses=list_schema(EstimateSerializer))
    def get(self, request: Request) -> Response:
        """The organisation's estimates, latest first."""
        refuse_unknown(request, ())
        rows = queries.estimates(principal_of(request).organisation_id)
        return Response(keyset_page(request, rows, ["-id"], _estimate))

    @extend_schema(
        operation_id="estimates_record",
        request=EstimateRequestSerializer,
        parameters=[OpenApiParameter("dry_run", bool, description="work it out and store nothing")],
        responses={201: EstimateSerializer, 200: EstimateSerializer},
    )
    def post(self, request: Request) -> Response:
        """Work out energy where nothing is measured and store it as readings of method `modelled`."""
        refuse_unknown(request, ("dry_run",))
        dry_run = parse_flag(request, "dry_run")
        principal = principal_of(request)
        read = EstimateRequestSerializer(data=request.data)
        read.is_valid(raise_exception=True)
        body: dict[str, Any] = dict(request.data)
        if unknown := sorted(set(body) - set(read.fields)):
            known = ", ".join(read.fields)
            raise _invalid([{"pointer": f"/{name}", "got": name, "expected": f"one of {known}"} for name in unknown])
        said = services.Request(**read.validated_data)
        try:
            if dry_run:
                outcome = services.work_out(said)
                services.check_place(principal.organisation_id, said)
                return Response(_worked(said, outcome, principal.actor))
            made = services.record_estimate(
                organisation=principal.organisation_id, said=said, actor=principal.actor, key=principal
            )
        except ValidationError as error:
            raise _invalid(
                [
                    {"pointer": f"/{name}", "got": body.get(name), "expected": text}
                    for name, texts in error.message_dict.items()
                    for text in texts
                ]
            ) from None
        return Response(_estimate(made), status=201)


def _worked(said: services.Request, outcome: services.Outcome, actor: str) -> dict[str, Any]:
    return {
        "id": None,
        "source": said.source,
        "basis": said.basis,
        "start": said.start,
        "end": said.end,
        "energy_wh": outcome.worked.energy_microwatt_hours / WH,
        "working": outcome.worked.working,
        "profile_source": outcome.profile_source,
        "inputs": outcome.inputs,
        "receipt": None,
        "created_by": actor,
        "created_at": None,
    }


def _invalid(errors: list[dict[str, Any]]) -> Problem:
    return Problem(422, "The estimate is not valid", "Nothing was stored.", errors=errors)
