"""API of the factors that an organisation may see: shipped with the portal, or brought in by itself. No rules."""

from __future__ import annotations

from typing import Any, cast

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core.api import LIST_PARAMETERS, keyset_page, list_schema, parse_int, parse_list, refuse_unknown
from apps.factors import queries
from apps.factors.models import Factor, FactorDataset


class FactorSerializer(serializers.Serializer[Any]):
    """One published factor with its source; a value that the publisher does not give is null."""

    id = serializers.IntegerField()
    zone = serializers.CharField()
    zone_name = serializers.CharField()
    data_year = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=FactorDataset.Kind.choices)
    boundary = serializers.ChoiceField(choices=FactorDataset.Boundary.choices)
    perimeter = serializers.ChoiceField(choices=FactorDataset.Perimeter.choices)
    valid_from = serializers.DateField(help_text="first day for which it may be used as the factor of its year")
    valid_to = serializers.DateField(help_text="first day after")
    co2e_kg_per_mwh = serializers.FloatField(allow_null=True)
    co2_kg_per_mwh = serializers.FloatField(allow_null=True)
    ch4_kg_per_mwh = serializers.FloatField(allow_null=True)
    n2o_kg_per_mwh = serializers.FloatField(allow_null=True)
    quality = serializers.CharField()
    note = serializers.CharField()
    dataset = serializers.CharField()
    edition = serializers.CharField()
    publisher = serializers.CharField()
    title = serializers.CharField()
    source_url = serializers.CharField()
    licence = serializers.CharField()


def _factor(row: Factor) -> dict[str, Any]:
    of_factor = (
        "id",
        "data_year",
        "valid_from",
        "valid_to",
        "quality",
        "note",
        *(f"{gas}_kg_per_mwh" for gas in ("co2e", "co2", "ch4", "n2o")),
    )
    of_dataset = ("kind", "boundary", "perimeter", "edition", "publisher", "title", "source_url", "licence")
    return dict(
        FactorSerializer(
            {
                **{name: getattr(row, name) for name in of_factor},
                **{name: getattr(row.dataset, name) for name in of_dataset},
                "zone": row.zone_id,
                "zone_name": row.zone.name,
                "dataset": row.dataset.slug,
            }
        ).data
    )


def _organisation_id(request: Request) -> int:
    """Whose key the request carries; the room knows organisations by their number alone."""
    return int(cast(Any, request.auth).organisation_id)


class FactorList(APIView):
    @extend_schema(
        operation_id="factors_list",
        parameters=[
            OpenApiParameter("zone", str, description="codes of grid zones, as a,b"),
            OpenApiParameter("kind", str, enum=FactorDataset.Kind.values),
            OpenApiParameter("year", int, description="year that the data describe"),
            *LIST_PARAMETERS,
        ],
        responses=list_schema(FactorSerializer),
    )
    def get(self, request: Request) -> Response:
        """Factors, by zone and year: published ones and those that the organisation brought in itself."""
        refuse_unknown(request, ("zone", "kind", "year"))
        rows = queries.factors_of(
            _organisation_id(request),
            zones=parse_list(request, "zone"),
            kinds=parse_list(request, "kind", FactorDataset.Kind.values),
            year=parse_int(request, "year", 0, 1900, 2100) or None,
        )
        return Response(keyset_page(request, rows, ["zone", "data_year", "id"], _factor))


class FactorDetail(APIView):
    @extend_schema(operation_id="factors_read", responses=FactorSerializer)
    def get(self, request: Request, key: str) -> Response:
        """One factor."""
        row = queries.factors_of(_organisation_id(request)).filter(pk=int(key)).first()
        if row is None:
            raise Http404(f"No factor {key}.")
        return Response(_factor(row))
