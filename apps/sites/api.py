"""API of sites. No rules. Sites are changed by people, on the pages that keep them."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core.api import LIST_PARAMETERS, keyset_page, list_schema, refuse_unknown
from apps.organisations.authentication import principal_of
from apps.organisations.models import Scope
from apps.sites import queries
from apps.sites.models import ControlClass, Site


class PueSerializer(serializers.Serializer[Any]):
    """PUE valid from ``start`` until the day before ``end``."""

    start = serializers.DateField()
    end = serializers.DateField(allow_null=True)
    pue = serializers.FloatField()
    source = serializers.CharField()  # type: ignore[assignment]


class SiteSerializer(serializers.Serializer[Any]):
    """A site as the API shows it."""

    code = serializers.CharField()
    name = serializers.CharField()
    control = serializers.ChoiceField(choices=ControlClass.choices)
    scope = serializers.IntegerField(help_text="2, or 3 for a public cloud")
    country = serializers.CharField()
    grid_zone = serializers.CharField()
    market = serializers.CharField()
    time_zone = serializers.CharField()
    pue_periods = PueSerializer(many=True, source="pue")


def _site(site: Site) -> dict[str, Any]:
    row = queries.site_row(site)
    fields = ("code", "name", "control", "country", "grid_zone", "market", "time_zone")
    return dict(
        SiteSerializer({**{field: getattr(site, field) for field in fields}, "scope": row.scope, "pue": row.pue}).data
    )


class SiteList(APIView):
    scope = {"GET": Scope.READ}

    @extend_schema(operation_id="sites_list", parameters=LIST_PARAMETERS, responses=list_schema(SiteSerializer))
    def get(self, request: Request) -> Response:
        """The organisation's sites, by code."""
        refuse_unknown(request, ())
        return Response(keyset_page(request, queries.sites(principal_of(request).organisation_id), ["code"], _site))


class SiteDetail(APIView):
    scope = {"GET": Scope.READ}

    @extend_schema(operation_id="sites_read", responses=SiteSerializer)
    def get(self, request: Request, code: str) -> Response:
        """One site."""
        site = queries.site(principal_of(request).organisation_id, code)
        if site is None:
            raise Http404(f"No site {code}.")
        return Response(_site(site))
