"""The Connect page: make a key, paste a snippet, watch the first reading arrive."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from apps.dashboards.first_reading import FirstReading, State, first_reading
from apps.dashboards.snippets import KEY_PLACEHOLDER, SourceKind, snippets
from apps.organisations import queries as organisation_queries
from apps.organisations.models import ApiKey, Organisation, Scope
from apps.organisations.pages import PageRequest, actor_of, report_errors, requires
from apps.organisations.roles import Capability
from apps.organisations.services import create_api_key

RECENT_KEYS = 5
MADE_FORMS = "connect_forms"  # session: which form made which key, so that a reload does not make a second one


class ConnectForm(forms.Form):
    name = forms.CharField(
        label="Name",
        max_length=100,
        help_text="What you connect, such as a job, a server or a cluster.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": "trainer-17"}),
    )
    kind = forms.ChoiceField(
        label="Kind", choices=[(kind.value, kind.label) for kind in SourceKind], initial=SourceKind.TRAINING
    )
    team = forms.ChoiceField(
        label="Team", required=False, help_text="The key can then send for this team only, and need not name it."
    )
    site = forms.ChoiceField(
        label="Site",
        required=False,
        help_text="Decides grid factor, market and PUE. Until it is known there are no kg.",
    )
    form_id = forms.CharField(widget=forms.HiddenInput, max_length=40)

    def __init__(self, *args: Any, organisation: Organisation, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        teams = [(team.slug, team.name) for team in organisation_queries.teams(organisation)]
        sites = organisation_queries.site_choices(organisation)
        self.fields["team"].choices = [("", "None, or named in each reading"), *teams]  # type: ignore[attr-defined]
        self.fields["site"].choices = [("", "Add later"), *sites]  # type: ignore[attr-defined]


@requires(Capability.CONNECT)
@require_http_methods(["GET", "POST"])
@never_cache
def connect(request: PageRequest) -> HttpResponse:
    """The form; and, in answer to it, the key, shown this once, with the snippets it stands in."""
    organisation = request.organisation
    form = ConnectForm(request.POST or None, organisation=organisation, initial={"form_id": _new_form_id()})
    if request.method == "POST" and form.is_valid():
        made: dict[str, int] = request.session.get(MADE_FORMS, {})
        given = form.cleaned_data
        kind = SourceKind(given["kind"])
        if given["form_id"] in made:
            return redirect(f"{reverse('connect-key', args=[organisation.slug, made[given['form_id']]])}?kind={kind}")
        try:
            row, key = create_api_key(
                organisation=organisation,
                name=given["name"],
                scopes=[Scope.INGEST],
                team=organisation_queries.team(organisation, given["team"]) if given["team"] else None,
                site_code=given["site"],
                created_by=request.membership.person,
                actor=actor_of(request),
            )
        except ValidationError as error:
            report_errors(form, error, {"site_code": "site"})
        else:
            request.session[MADE_FORMS] = dict([*made.items(), (given["form_id"], row.pk)][-RECENT_KEYS:])
            return render(request, "dashboards/connect_key.html", _key_context(request, row, kind, key))
    usable = [row for row in organisation_queries.keys(organisation) if row.state in {"active", "unused"}]
    recent = [row for row in usable if Scope.INGEST in row.key.scopes]
    context = {"form": form, "recent": recent[:RECENT_KEYS]}
    return render(request, "dashboards/connect.html", context)


@requires(Capability.CONNECT)
@require_safe
@never_cache
def connect_key(request: PageRequest, key_id: int) -> HttpResponse:
    """The same page without the key, which is stored nowhere: to go on waiting after a reload."""
    return render(
        request,
        "dashboards/connect_key.html",
        _key_context(request, _key(request, key_id), _kind(request), ""),
    )


@requires(Capability.CONNECT)
@require_safe
@never_cache
def connect_status(request: PageRequest, key_id: int) -> HttpResponse:
    """What has arrived with the key, as JSON: state, figures, and the panel as the page would show it.

    ``state`` is waiting, pending (a file), rejected, baseline (meters, read once), calculating or settled; energies are
    kWh, emissions kg; null is not known (yet).
    """
    row = _key(request, key_id)
    reading = first_reading(row)
    return JsonResponse(
        {
            "state": reading.state,
            "receipt": str(reading.receipt.public_id) if reading.receipt else None,
            "it_energy_kwh": _millionths(reading.it_energy_milliwatt_hours),
            "facility_energy_kwh": _millionths(reading.facility_energy_milliwatt_hours),
            "location_kg": _millionths(reading.location_mg),
            "market_kg": _millionths(reading.market_mg),
            "quality": reading.quality,
            "html": render_to_string("dashboards/connect_status.html", _status_context(request, row, reading), request),
        }
    )


def _key(request: PageRequest, key_id: int) -> ApiKey:
    row = organisation_queries.key(request.organisation, key_id)
    if row is None:
        raise Http404("No such key.")
    return row


def _kind(request: PageRequest) -> SourceKind:
    try:
        return SourceKind(request.GET.get("kind", ""))
    except ValueError:
        return SourceKind.TRAINING


def _key_context(request: PageRequest, row: ApiKey, kind: SourceKind, key: str) -> dict[str, Any]:
    url = request.build_absolute_uri("/api/v1/samples")
    watch = reverse("connect-key", args=[request.organisation.slug, row.pk])
    return {
        "key": row,
        "plain_key": key,
        "snippets": snippets(url=url, key=key or KEY_PLACEHOLDER, name=row.name, kind=kind),
        "watch_url": f"{watch}?kind={kind}",
        "status_url": reverse("connect-status", args=[request.organisation.slug, row.pk]),
        **_status_context(request, row, first_reading(row)),
    }


def _status_context(request: PageRequest, row: ApiKey, reading: FirstReading) -> dict[str, Any]:
    return {
        "key": row,
        "reading": reading,
        "finished": reading.state == State.SETTLED,
        "organisation": request.organisation,
        "errors": reading.errors,
        "late": reading.is_late,
    }


def _millionths(value: int | None) -> float | None:
    return None if value is None else value / 1_000_000


def _new_form_id() -> str:
    return uuid.uuid4().hex
