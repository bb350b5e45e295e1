"""``/api/codecarbon/``: the paths that CodeCarbon's API output and http output post to. No rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse, JsonResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request

from apps.core.problems import Problem
from apps.telemetry.codecarbon import services
from apps.telemetry.doors import DoorAuthentication, DoorView
from apps.telemetry.meters.intake import MeterAnswer
from apps.telemetry.protocols import codecarbon
from apps.telemetry.protocols.codecarbon import FaultyFieldError


class TokenAuthentication(DoorAuthentication):
    """The key in the header ``x-api-token``, as CodeCarbon sends it; or as every door takes it."""

    def key_of(self, request: Request) -> str:
        return str(request.META.get("HTTP_X_API_TOKEN") or super().key_of(request))


class AddressAuthentication(DoorAuthentication):
    """The key as password of Basic authentication, or as ``?token=``: a client that sends no headers of its own."""

    def key_of(self, request: Request) -> str:
        return str(request.GET.get("token") or super().key_of(request))


class CodeCarbonView(DoorView):
    protocol = codecarbon.DOOR
    authentication_classes = [TokenAuthentication]

    def take(self, request: Request, store: Callable[..., Any]) -> Any:
        """Read the payload and hand it to a service. Raises a problem where a field cannot be counted."""
        body, context = self.receive(request)
        content = codecarbon.parse(body)
        try:
            return store(content=content, context=context)
        except FaultyFieldError as fault:
            raise Problem(
                422,
                "The payload is not valid",
                str(fault),
                errors=[{"pointer": f"/{fault.field}", "got": fault.got, "expected": fault.expected}],
            ) from None

    def created(self, answer: MeterAnswer) -> HttpResponse:
        """201, which is the only answer that the client takes for a success."""
        if answer.rejected > answer.conflicts:
            first = answer.errors[0]
            raise Problem(422, "The payload is not valid", f"{first.field}: expected {first.expected}.")
        return JsonResponse(str(answer.receipt), safe=False, status=201)


class RunsView(CodeCarbonView):
    @extend_schema(
        operation_id="codecarbon_runs",
        request=dict[str, Any],
        responses={201: dict[str, Any]},
        summary="CodeCarbon: runs",
    )
    def post(self, request: Request) -> HttpResponse:
        """Announce a run of CodeCarbon's API output; its id."""
        run = self.take(request, services.announce_run)
        return JsonResponse(
            {"id": str(run.run_id), "experiment_id": run.experiment.experiment_id, **run.said}, status=201
        )


class EmissionsView(CodeCarbonView):
    @extend_schema(
        operation_id="codecarbon_emissions",
        request=dict[str, Any],
        responses={201: str},
        summary="CodeCarbon: emissions",
    )
    def post(self, request: Request) -> HttpResponse:
        """Store the energy that a run used since the post before. Its CO2 is kept as declared and used for nothing."""
        return self.created(self.take(request, services.take_emission))


class TotalsView(CodeCarbonView):
    authentication_classes = [AddressAuthentication]

    @extend_schema(
        operation_id="codecarbon_http",
        parameters=[OpenApiParameter("token", str, description="the key, where no password can be given")],
        request=dict[str, Any],
        responses={201: str},
        summary="CodeCarbon: http output",
    )
    def post(self, request: Request) -> HttpResponse:
        """Store the running total of a run of CodeCarbon's http output."""
        return self.created(self.take(request, services.take_total))


class OtherView(DoorView):
    """What the client's set-up wizard calls besides. Nobody needs it: an experiment is made on a page here."""

    protocol = codecarbon.DOOR
    authentication_classes = []
    permission_classes = []

    def post(self, request: Request) -> HttpResponse:
        raise Problem(
            404,
            "Nothing is here",
            "Set api_endpoint to the address that ends in /api/codecarbon, with the api_key and the experiment_id that"
            " the portal's CodeCarbon page shows. `codecarbon config` is not needed.",
        )

    get = post
    schema = None
