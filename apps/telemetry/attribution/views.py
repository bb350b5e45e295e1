"""The page of attribution rules, with a preview against energy that nobody is charged with. No rules of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.organisations.pages import PageRequest, actor_of, report_errors, requires
from apps.organisations.roles import Capability
from apps.telemetry import queries as telemetry
from apps.telemetry.attribution import queries, services
from apps.telemetry.attribution.forms import RuleForm
from apps.telemetry.attribution.models import AttributionRule


@requires(Capability.READ)
@require_GET
def attribution(request: PageRequest) -> HttpResponse:
    return _page(request, RuleForm())


@requires(Capability.CONNECT)
@require_POST
def add_rule(request: PageRequest) -> HttpResponse:
    """Add a rule before all others; with ``preview``, only show what it would do."""
    form = RuleForm(request.POST)
    if not form.is_valid():
        return _page(request, form, status=422)
    if "preview" in request.POST:
        return _page(request, form, tried=form.rule())
    try:
        services.add_rule(organisation=request.organisation, actor=actor_of(request), **_given(form))
    except ValidationError as error:
        report_errors(form, error)
        return _page(request, form, status=422)
    messages.success(request, "The rule is tried first from now on, for what has arrived already too.")
    return redirect("attribution", request.organisation.slug)


@requires(Capability.CONNECT)
@require_http_methods(["GET", "POST"])
def edit_rule(request: PageRequest, rule_id: int) -> HttpResponse:
    rule = _rule(request, rule_id)
    form = RuleForm(request.POST or None, instance=rule)
    if request.method == "GET":
        return _page(request, form, editing=rule)
    if not form.is_valid():
        return _page(request, form, editing=rule, status=422)
    if "preview" in request.POST:
        return _page(request, form, tried=form.rule(), editing=rule)
    try:
        # Read anew: the form has put its values into the instance already, and the audit log wants the ones before.
        services.change_rule(rule=_rule(request, rule_id), actor=actor_of(request), **_given(form))
    except ValidationError as error:
        report_errors(form, error)
        return _page(request, form, editing=rule, status=422)
    messages.success(request, "The rule was changed. Figures follow within a minute.")
    return redirect("attribution", request.organisation.slug)


@requires(Capability.CONNECT)
@require_POST
def delete_rule(request: PageRequest, rule_id: int) -> HttpResponse:
    services.delete_rule(rule=_rule(request, rule_id), actor=actor_of(request))
    messages.success(request, "The rule was removed. Figures follow within a minute.")
    return redirect("attribution", request.organisation.slug)


@requires(Capability.CONNECT)
@require_POST
def move_rule(request: PageRequest, rule_id: int) -> HttpResponse:
    services.move_rule(rule=_rule(request, rule_id), up=request.POST.get("to") == "up", actor=actor_of(request))
    return redirect("attribution", request.organisation.slug)


def _rule(request: PageRequest, rule_id: int) -> AttributionRule:
    rule = queries.rule(request.organisation, rule_id)
    if rule is None:
        raise Http404("No such rule.")
    return rule


def _given(form: RuleForm) -> dict[str, Any]:
    return {name: form.cleaned_data[name] for name in form.Meta.fields}


def _page(
    request: PageRequest,
    form: RuleForm,
    *,
    tried: AttributionRule | None = None,
    editing: AttributionRule | None = None,
    status: int = 200,
) -> HttpResponse:
    rules = queries.rules_of(request.organisation.pk)
    preview = queries.preview(request.organisation, _with(rules, tried, editing))
    context = {
        "rules": rules,
        "form": form,
        "preview": preview,
        "tried": tried,
        "editing": editing,
        "teams": telemetry.teams(request.organisation),
        "sites": telemetry.sites(request.organisation),
    }
    return render(request, "telemetry/attribution/rules.html", context, status=status)


def _with(
    rules: Sequence[AttributionRule], tried: AttributionRule | None, editing: AttributionRule | None
) -> list[AttributionRule]:
    """The rules with the one that is being tried: in the place of the one it changes, or before all others."""
    if tried is None:
        return list(rules)
    if editing is None:
        return [tried, *rules]
    return [tried if rule.pk == editing.pk else rule for rule in rules]
