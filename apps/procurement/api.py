"""API of instruments. No rules. Instruments are changed by people, on the pages that keep them."""

from __future__ import annotations

from typing import Any

from django.forms.models import model_to_dict
from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core.api import LIST_PARAMETERS, keyset_page, kwh, list_schema, parse_list, refuse_unknown
from apps.organisations.authentication import principal_of
from apps.organisations.models import Scope
from apps.procurement import queries
from apps.procurement.models import Instrument


class InstrumentSerializer(serializers.Serializer[Any]):
    """One lot; intervals are half-open, a factor that is not stated is null."""

    id = serializers.IntegerField()
    reference = serializers.CharField()
    type = serializers.ChoiceField(choices=Instrument.Type.choices)
    market = serializers.CharField()
    technology = serializers.CharField()
    energy_kwh = serializers.FloatField()
    vintage_start = serializers.DateField()
    vintage_end = serializers.DateField()
    co2e_kg_per_mwh = serializers.FloatField(allow_null=True)
    co2_kg_per_mwh = serializers.FloatField(allow_null=True)
    ch4_kg_per_mwh = serializers.FloatField(allow_null=True)
    n2o_kg_per_mwh = serializers.FloatField(allow_null=True)
    biogenic_co2_kg_per_mwh = serializers.FloatField(allow_null=True, help_text="outside the scopes")
    tracking_system = serializers.CharField()
    serial_start = serializers.CharField()
    serial_end = serializers.CharField()
    issued_on = serializers.DateField(allow_null=True)
    retired_on = serializers.DateField(allow_null=True)
    beneficiary = serializers.CharField(help_text="for whom it was retired, where not the organisation itself")
    claim_start = serializers.DateField(allow_null=True, help_text="null: the consumption of the vintage")
    claim_end = serializers.DateField(allow_null=True)
    deliverable = serializers.BooleanField(help_text="to the market; asked by the hourly draft")
    supplier_attested = serializers.BooleanField(allow_null=True, help_text="criterion 6; null: not stated")
    exclusive_claim = serializers.BooleanField(allow_null=True, help_text="criterion 7; null: not stated")
    earmark_team = serializers.CharField(allow_null=True, help_text="slug of the team it was bought for")
    earmark_model = serializers.CharField(allow_null=True, help_text="slug of the model it was bought for")
    device = serializers.CharField(help_text="of granular certificates")
    certificate = serializers.DictField(help_text="what granular certificates state besides")
    evidence_name = serializers.CharField(help_text="of the evidence file; empty: none is kept")
    evidence_digest = serializers.CharField(help_text="its SHA-256")
    simulated = serializers.BooleanField()
    note = serializers.CharField()


def _instrument(row: Instrument) -> dict[str, Any]:
    shown = {
        **model_to_dict(row),
        "energy_kwh": kwh(row.volume_milliwatt_hours),
        "earmark_team": row.earmark_team and row.earmark_team.slug,
        "earmark_model": row.earmark_model and row.earmark_model.slug,
    }
    return dict(InstrumentSerializer(shown).data)


class InstrumentList(APIView):
    scope = {"GET": Scope.READ}

    @extend_schema(
        operation_id="instruments_list",
        parameters=[
            OpenApiParameter("market", str, description="codes of markets, as a,b"),
            OpenApiParameter("type", str, enum=Instrument.Type.values),
            *LIST_PARAMETERS,
        ],
        responses=list_schema(InstrumentSerializer),
    )
    def get(self, request: Request) -> Response:
        """The organisation's instruments, oldest vintage first."""
        refuse_unknown(request, ("market", "type"))
        rows = queries.instruments(principal_of(request).organisation_id)
        if markets := parse_list(request, "market"):
            rows = rows.filter(market__in=markets)
        if types := parse_list(request, "type", Instrument.Type.values):
            rows = rows.filter(type__in=types)
        return Response(keyset_page(request, rows, ["vintage_start", "reference"], _instrument))


class InstrumentDetail(APIView):
    scope = {"GET": Scope.READ}

    @extend_schema(operation_id="instruments_read", responses=InstrumentSerializer)
    def get(self, request: Request, key: str) -> Response:
        """One instrument."""
        row = queries.instrument(principal_of(request).organisation_id, int(key))
        if row is None:
            raise Http404(f"No instrument {key}.")
        return Response(_instrument(row))
