"""How the OpenAPI document describes telemetry. Requests are decoded and checked elsewhere, not by these."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from rest_framework import serializers

from apps.telemetry.models import Boundary, Method
from apps.workloads.models import Kind


class WorkSerializer(serializers.Serializer[Any]):
    """What the energy bought."""

    tokens = serializers.IntegerField(min_value=0, required=False)
    requests = serializers.IntegerField(min_value=0, required=False)
    samples = serializers.IntegerField(min_value=0, required=False)
    epochs = serializers.FloatField(min_value=0, required=False)


class ShareSerializer(serializers.Serializer[Any]):
    """One of several that a device served; what it leaves out is the reading's own."""

    team = serializers.CharField(required=False)
    model = serializers.CharField(required=False)
    workload = serializers.CharField(required=False)
    weight = serializers.FloatField(min_value=0, default=1, help_text="weights are normalised")


class SampleSerializer(serializers.Serializer[Any]):
    """Energy of one source over one interval."""

    source = serializers.CharField(max_length=200, help_text="stable name of the measured thing")  # type: ignore[assignment]
    start = serializers.DateTimeField(help_text="RFC 3339 with offset, to the millisecond")
    end = serializers.DateTimeField(help_text="after start, at most 31 days, not more than 10 minutes in the future")
    energy_wh = serializers.FloatField(min_value=0, required=False, help_text="this or power_w")
    power_w = serializers.FloatField(min_value=0, required=False, help_text="mean power over the interval")
    site = serializers.CharField(required=False, help_text="code; default: the source's, else the key's")
    team = serializers.CharField(required=False, max_length=120, help_text="slug; unknown names are kept for mapping")
    model = serializers.CharField(required=False, max_length=200)
    workload = serializers.CharField(required=False, max_length=200)
    study = serializers.CharField(required=False, max_length=200)
    kind = serializers.ChoiceField(choices=[kind.label for kind in Kind], default="other")
    boundary = serializers.ChoiceField(choices=[b.label for b in Boundary], default="accelerator")
    method = serializers.ChoiceField(choices=[m.label for m in Method], default="measured")
    hardware = serializers.CharField(required=False, help_text="id of a hardware profile")
    accelerators = serializers.IntegerField(min_value=1, required=False)
    work = WorkSerializer(required=False)
    shares = ShareSerializer(many=True, required=False)
    external_id = serializers.CharField(required=False, max_length=200)
    tags = serializers.DictField(required=False)


class StoredSampleSerializer(SampleSerializer):
    """A stored reading."""

    team_name = serializers.CharField(allow_null=True, help_text="the team as the client spelled it")
    receipt = serializers.UUIDField(allow_null=True, help_text="null for what was derived from a meter")


class RowErrorSerializer(serializers.Serializer[Any]):
    index = serializers.IntegerField(help_text="row in the request, from 0")
    field = serializers.CharField()
    got = serializers.JSONField()
    expected = serializers.CharField()


class IngestAnswerSerializer(serializers.Serializer[Any]):
    """What became of the rows. ``errors`` names at most 1,000 faults; ``errors_not_shown`` counts the rest."""

    receipt = serializers.UUIDField(allow_null=True, help_text="null after a dry run")
    accepted = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    rejected = serializers.IntegerField()
    errors = RowErrorSerializer(many=True)  # type: ignore[assignment]
    errors_not_shown = serializers.IntegerField(required=False)


class ReceiptSerializer(serializers.Serializer[Any]):
    """What became of one request."""

    receipt = serializers.UUIDField()
    received_at = serializers.DateTimeField()
    protocol = serializers.CharField()
    key = serializers.CharField(allow_null=True, help_text="prefix of the API key")
    accepted = serializers.IntegerField()
    replaced = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    rejected = serializers.IntegerField()
    ignored = serializers.IntegerField(help_text="recognised as no energy and no work, and left alone")
    pending = serializers.BooleanField(help_text="an uploaded file that is not worked off yet")
    errors = RowErrorSerializer(many=True)  # type: ignore[assignment]


INGEST_PARAMETERS = [
    OpenApiParameter("replace", bool, description="supersede stored rows that say something else"),
    OpenApiParameter("dry_run", bool, description="check everything, store nothing"),
    OpenApiParameter(
        "Idempotency-Key", str, OpenApiParameter.HEADER, description="the same key returns the first answer again"
    ),
]
EXAMPLES = [
    OpenApiExample(
        "One reading",
        value=[
            {
                "source": "node-17/gpu0",
                "start": "2026-07-01T09:00:00Z",
                "end": "2026-07-01T09:01:00Z",
                "energy_wh": 5.25,
                "site": "fra1",
                "team": "vision",
                "model": "ResNet-50",
                "kind": "training",
            }
        ],
        request_only=True,
    ),
    OpenApiExample(
        "Mean power, shared by two teams",
        value={
            "samples": [
                {
                    "source": "node-17/gpu1",
                    "start": "2026-07-01T11:00:00+02:00",
                    "end": "2026-07-01T11:05:00+02:00",
                    "power_w": 312.5,
                    "kind": "inference",
                    "work": {"tokens": 182000, "requests": 410},
                    "shares": [{"team": "search", "weight": 3}, {"team": "vision", "weight": 1}],
                }
            ]
        },
        request_only=True,
    ),
]
