"""API of organisations: their teams. No rules.

Keys are a machine's credentials with the scopes ``ingest`` and ``read``; changing people, teams and keys is a
person's work, done on the settings pages.
"""

from __future__ import annotations

from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core.api import LIST_PARAMETERS, keyset_page, list_schema, refuse_unknown
from apps.organisations import queries
from apps.organisations.authentication import principal_of
from apps.organisations.models import Scope, Team


class TeamSerializer(serializers.Serializer[Team]):
    """A team as the API shows it."""

    slug = serializers.CharField()
    name = serializers.CharField()
    created_at = serializers.DateTimeField()


def _team(team: Team) -> dict[str, Any]:
    return dict(TeamSerializer(team).data)


class TeamList(APIView):
    scope = {"GET": Scope.READ}

    @extend_schema(operation_id="teams_list", parameters=LIST_PARAMETERS, responses=list_schema(TeamSerializer))
    def get(self, request: Request) -> Response:
        """The organisation's teams, by slug."""
        refuse_unknown(request, ())
        rows = queries.teams(principal_of(request).organisation_id)
        return Response(keyset_page(request, rows, ["slug"], _team))


class TeamDetail(APIView):
    scope = {"GET": Scope.READ}

    @extend_schema(operation_id="teams_read", responses=TeamSerializer)
    def get(self, request: Request, slug: str) -> Response:
        """One team."""
        team = queries.team(principal_of(request).organisation_id, slug)
        if team is None:
            raise Http404(f"No team {slug}.")
        return Response(_team(team))
