"""DRF as most would write it: as generated (a unique check per row), and with bulk_create."""

from __future__ import annotations

from typing import Any

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from bench.naive.models import NaiveSample


class GeneratedSerializer(serializers.ModelSerializer[NaiveSample]):
    class Meta:
        model = NaiveSample
        exclude = ["id"]


class BulkList(serializers.ListSerializer[NaiveSample]):
    def create(self, validated_data: list[dict[str, Any]]) -> list[NaiveSample]:
        return NaiveSample.objects.bulk_create([NaiveSample(**row) for row in validated_data], ignore_conflicts=True)


class BulkSerializer(serializers.ModelSerializer[NaiveSample]):
    idem = serializers.UUIDField()  # no unique validator: the database decides

    class Meta:
        model = NaiveSample
        exclude = ["id"]
        list_serializer_class = BulkList


class GeneratedView(APIView):
    serializer_class: Any = GeneratedSerializer
    permission_classes = ()
    authentication_classes = ()

    def post(self, request: Request) -> Response:
        serializer = self.serializer_class(data=request.data, many=True)
        serializer.is_valid(raise_exception=True)
        serializer.save()
        return Response({"accepted": len(request.data)})


class BulkView(GeneratedView):
    serializer_class = BulkSerializer


urlpatterns = [path("generated", GeneratedView.as_view()), path("bulk", BulkView.as_view())]
