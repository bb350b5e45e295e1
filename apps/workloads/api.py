"""API of AI models, workloads, studies and hardware. No rules. Telemetry makes the first three by naming them."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core.api import LIST_PARAMETERS, keyset_page, list_schema, refuse_unknown
from apps.organisations.authentication import principal_of
from apps.organisations.models import Scope
from apps.workloads import queries, services
from apps.workloads.models import AIModel, HardwareProfile, InferenceProfile, Provenance, Study, Workload


class ModelSerializer(serializers.Serializer[AIModel]):
    """An AI model as the API shows it."""

    slug = serializers.CharField()
    name = serializers.CharField()
    provenance = serializers.ChoiceField(choices=Provenance.choices)
    citation = serializers.CharField()
    created_at = serializers.DateTimeField()


class WorkloadSerializer(serializers.Serializer[Workload]):
    """A workload as the API shows it; its name may hold any sign, so it is addressed by ``id``."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    provenance = serializers.ChoiceField(choices=Provenance.choices)
    citation = serializers.CharField()
    outcome = serializers.ChoiceField(choices=Workload.Outcome.choices)
    created_at = serializers.DateTimeField()


class OutcomeSerializer(serializers.Serializer[Any]):
    """How a run ended; the only thing of a workload that a key may change."""

    outcome = serializers.ChoiceField(choices=Workload.Outcome.choices)


class StudySerializer(serializers.Serializer[Study]):
    """A study: many runs with one purpose."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    created_at = serializers.DateTimeField()


class HardwareSerializer(serializers.Serializer[HardwareProfile]):
    """Published facts about a device type; ``code`` is what a reading says in ``hardware``. Watts are of ``scope``."""

    code = serializers.CharField()
    name = serializers.CharField()
    vendor = serializers.CharField()
    kind = serializers.CharField()
    scope = serializers.CharField()
    release_year = serializers.IntegerField(allow_null=True)
    memory_gb = serializers.FloatField(allow_null=True)
    tdp_w = serializers.FloatField(allow_null=True)
    idle_w = serializers.FloatField(allow_null=True)
    max_w = serializers.FloatField(allow_null=True)
    source_title = serializers.CharField()
    source_url = serializers.CharField()
    licence = serializers.CharField()


def _model(model: AIModel) -> dict[str, Any]:
    return dict(ModelSerializer(model).data)


def _workload(workload: Workload) -> dict[str, Any]:
    return dict(WorkloadSerializer(workload).data)


def _study(study: Study) -> dict[str, Any]:
    return dict(StudySerializer(study).data)


class InferenceProfileSerializer(serializers.Serializer[InferenceProfile]):
    """A published energy per output token, of the accelerators alone; ``id`` is what an estimate from tokens names."""

    id = serializers.IntegerField()
    model = serializers.CharField(source="model_name")
    hardware = serializers.CharField()
    accelerators = serializers.IntegerField()
    task = serializers.CharField()
    microjoules_per_token = serializers.IntegerField()
    configurations = serializers.IntegerField()
    year = serializers.IntegerField()
    source_title = serializers.CharField()
    source_url = serializers.CharField()
    licence = serializers.CharField()


def _inference_profile(profile: InferenceProfile) -> dict[str, Any]:
    return dict(InferenceProfileSerializer(profile).data)


def _hardware(profile: HardwareProfile) -> dict[str, Any]:
    return dict(HardwareSerializer(profile).data)


class ModelList(APIView):
    scope = {"GET": Scope.READ}

    @extend_schema(operation_id="models_list", parameters=LIST_PARAMETERS, responses=list_schema(ModelSerializer))
    def get(self, request: Request) -> Response:
        """The organisation's AI models, by slug."""
        refuse_unknown(request, ())
        return Response(keyset_page(request, queries.models(principal_of(request).organisation_id), ["slug"], _model))


class ModelDetail(APIView):
    scope = {"GET": Scope.READ}

    @extend_schema(operation_id="models_read", responses=ModelSerializer)
    def get(self, request: Request, slug: str) -> Response:
        """One AI model."""
        model = queries.model(principal_of(request).organisation_id, slug)
        if model is None:
            raise Http404(f"No model {slug}.")
        return Response(_model(model))


class WorkloadList(APIView):
    scope = {"GET": Scope.READ}

    @extend_schema(operation_id="workloads_list", parameters=LIST_PARAMETERS, responses=list_schema(WorkloadSerializer))
    def get(self, request: Request) -> Response:
        """The organisation's workloads, by name."""
        refuse_unknown(request, ())
        rows = queries.workloads(principal_of(request).organisation_id)
        return Response(keyset_page(request, rows, ["name"], _workload))


class WorkloadDetail(APIView):
    scope = {"GET": Scope.READ, "PATCH": Scope.INGEST}

    @extend_schema(operation_id="workloads_read", responses=WorkloadSerializer)
    def get(self, request: Request, workload_id: int) -> Response:
        """One workload."""
        return Response(_workload(self._found(request, workload_id)))

    @extend_schema(operation_id="workloads_outcome", request=OutcomeSerializer, responses=WorkloadSerializer)
    def patch(self, request: Request, workload_id: int) -> Response:
        """Say how a run ended: running, finished, early_stopped or failed. It stays in the model's development
        line whatever the outcome."""
        refuse_unknown(request, ())
        workload = self._found(request, workload_id)
        said = OutcomeSerializer(data=request.data)
        said.is_valid(raise_exception=True)
        unknown = sorted(set(request.data) - {"outcome"})
        if unknown:
            raise serializers.ValidationError({name: ["Expected nothing but `outcome`."] for name in unknown})
        actor = principal_of(request).actor
        return Response(
            _workload(services.set_outcome(workload=workload, outcome=said.validated_data["outcome"], actor=actor))
        )

    def _found(self, request: Request, workload_id: int) -> Workload:
        workload = queries.workload(principal_of(request).organisation_id, int(workload_id))
        if workload is None:
            raise Http404(f"No workload {workload_id}.")
        return workload


class StudyList(APIView):
    scope = {"GET": Scope.READ}

    @extend_schema(operation_id="studies_list", parameters=LIST_PARAMETERS, responses=list_schema(StudySerializer))
    def get(self, request: Request) -> Response:
        """The organisation's studies, by name."""
        refuse_unknown(request, ())
        return Response(keyset_page(request, queries.studies(principal_of(request).organisation_id), ["name"], _study))


class HardwareList(APIView):
    scope = {"GET": Scope.READ}

    @extend_schema(
        operation_id="hardware_list",
        parameters=[
            *LIST_PARAMETERS,
            OpenApiParameter("vendor", str, description="such as NVIDIA"),
            OpenApiParameter("kind", str, description="such as GPU"),
        ],
        responses=list_schema(HardwareSerializer),
    )
    def get(self, request: Request) -> Response:
        """Published hardware profiles, by code; the same for every organisation."""
        refuse_unknown(request, ("vendor", "kind"))
        chosen = {name: request.query_params.get(name, "") for name in ("vendor", "kind")}
        return Response(keyset_page(request, queries.hardware_profiles(**chosen), ["code"], _hardware))


class InferenceProfileList(APIView):
    scope = {"GET": Scope.READ}

    @extend_schema(
        operation_id="inference_profiles_list",
        parameters=LIST_PARAMETERS,
        responses=list_schema(InferenceProfileSerializer),
    )
    def get(self, request: Request) -> Response:
        """Published energies per output token, by id; the same for every organisation."""
        refuse_unknown(request, ())
        return Response(keyset_page(request, queries.inference_profiles(), ["pk"], _inference_profile))
