"""Settings pages: people, teams, keys, the organisation itself. No rules."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from apps.organisations import queries, services
from apps.organisations.forms import InviteForm, KeyForm, RenameTeamForm, RoleForm, SettingsForm, TeamForm
from apps.organisations.models import ApiKey, Membership, Role, Team
from apps.organisations.pages import PageRequest, actor_of, base_url_of, first_error, report_errors, requires
from apps.organisations.roles import CAPABILITIES, Capability, may


@requires(Capability.ADMINISTER)
@require_http_methods(["GET", "POST"])
def settings_page(request: PageRequest) -> HttpResponse:
    organisation = request.organisation
    form = SettingsForm(
        request.POST or None, initial={field: getattr(organisation, field) for field in services.SETTINGS}
    )
    if request.method == "POST" and form.is_valid():
        try:
            services.update_organisation(organisation=organisation, actor=actor_of(request), **form.cleaned_data)
        except ValidationError as error:
            report_errors(form, error)
        else:
            messages.success(request, "Settings saved.")
            return redirect("settings-organisation", organisation.slug)
    return render(request, "organisations/settings.html", {"form": form})


# --- People -------------------------------------------------------------------------------------------------------


@requires(Capability.ADMINISTER)
@require_http_methods(["GET", "POST"])
def people(request: PageRequest) -> HttpResponse:
    """The list of people and the form that invites one."""
    form = InviteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            membership = services.invite_person(
                organisation=request.organisation,
                actor=actor_of(request),
                base_url=base_url_of(request),
                **form.cleaned_data,
            )
        except ValidationError as error:
            report_errors(form, error)
        else:
            messages.success(request, f"{membership.person.email} is now a member; an e-mail is on its way.")
            return redirect("people", request.organisation.slug)
    context = {
        "members": queries.members(request.organisation),
        "roles": Role.choices,
        "capabilities": [
            (role.label, [capability.value for capability in Capability if capability in CAPABILITIES[role]])
            for role in Role
        ],
        "form": form,
    }
    return render(request, "organisations/people.html", context)


def _member(request: PageRequest, membership_id: int) -> Membership:
    membership = queries.member(request.organisation, membership_id)
    if membership is None:
        raise Http404("No such member.")
    return membership


@requires(Capability.ADMINISTER)
@require_POST
def person_role(request: PageRequest, membership_id: int) -> HttpResponse:
    membership = _member(request, membership_id)
    form = RoleForm(request.POST)
    if form.is_valid():
        try:
            services.change_role(membership=membership, role=form.cleaned_data["role"], actor=actor_of(request))
        except ValidationError as error:
            messages.error(request, first_error(error))
        else:
            messages.success(request, f"Role of {membership.person} changed.")
    else:
        messages.error(request, "Expected one of the roles in the list.")
    return redirect("people", request.organisation.slug)


@requires(Capability.ADMINISTER)
@require_POST
def person_remove(request: PageRequest, membership_id: int) -> HttpResponse:
    membership = _member(request, membership_id)
    try:
        services.remove_member(membership=membership, actor=actor_of(request))
    except ValidationError as error:
        messages.error(request, first_error(error))
    else:
        messages.success(request, f"{membership.person} is no longer a member.")
    return redirect("people", request.organisation.slug)


@requires(Capability.ADMINISTER)
@require_POST
def person_invite_again(request: PageRequest, membership_id: int) -> HttpResponse:
    membership = _member(request, membership_id)
    services.resend_invitation(membership=membership, actor=actor_of(request), base_url=base_url_of(request))
    messages.success(request, f"The invitation to {membership.person.email} was sent again.")
    return redirect("people", request.organisation.slug)


# --- Teams --------------------------------------------------------------------------------------------------------


@requires(Capability.MANAGE_INVENTORY)
@require_http_methods(["GET", "POST"])
def teams(request: PageRequest) -> HttpResponse:
    """The list of teams and the form that adds one."""
    form = TeamForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            team = services.create_team(organisation=request.organisation, actor=actor_of(request), **form.cleaned_data)
        except ValidationError as error:
            report_errors(form, error)
        else:
            messages.success(request, f"Team {team.name} added.")
            return redirect("settings-teams", request.organisation.slug)
    context = {"teams": queries.teams(request.organisation), "form": form}
    return render(request, "organisations/teams.html", context)


def _team(request: PageRequest, slug: str) -> Team:
    team = queries.team(request.organisation, slug)
    if team is None:
        raise Http404("No such team.")
    return team


@requires(Capability.MANAGE_INVENTORY)
@require_http_methods(["GET", "POST"])
def team_edit(request: PageRequest, team_slug: str) -> HttpResponse:
    team = _team(request, team_slug)
    form = RenameTeamForm(request.POST or None, initial={"name": team.name})
    if request.method == "POST" and form.is_valid():
        try:
            services.rename_team(team=team, name=form.cleaned_data["name"], actor=actor_of(request))
        except ValidationError as error:
            report_errors(form, error)
        else:
            messages.success(request, "Team renamed.")
            return redirect("settings-teams", request.organisation.slug)
    return render(request, "organisations/team_edit.html", {"team": team, "form": form})


# --- Keys ---------------------------------------------------------------------------------------------------------


@requires(Capability.CONNECT)
@require_http_methods(["GET", "POST"])
@never_cache
def keys(request: PageRequest) -> HttpResponse:
    """The list of keys and the form that makes one. The new key stands in this one answer and nowhere else."""
    form = KeyForm(request.POST or None, organisation=request.organisation)
    new: tuple[ApiKey, str] | None = None
    if request.method == "POST" and form.is_valid():
        slug = form.cleaned_data["team"]
        try:
            new = services.create_api_key(
                organisation=request.organisation,
                name=form.cleaned_data["name"],
                scopes=form.cleaned_data["scopes"],
                team=_team(request, slug) if slug else None,
                site_code=form.cleaned_data["site_code"],
                expires_at=form.expires_at(),
                created_by=request.membership.person,
                actor=actor_of(request),
            )
        except ValidationError as error:
            report_errors(form, error, {"expires_at": "expires_on"})
        else:
            form = KeyForm(organisation=request.organisation)
    administers = may(request.membership.role, Capability.ADMINISTER)
    rows = queries.keys(request.organisation)
    context = {
        "rows": [
            (row, queries.person_may_revoke(request.membership.person, row.key, administers=administers))
            for row in rows
        ],
        "form": form,
        "new_row": new[0] if new else None,
        "new_key": new[1] if new else "",
    }
    return render(request, "organisations/keys.html", context)


@requires(Capability.CONNECT)
@require_POST
def key_revoke(request: PageRequest, key_id: int) -> HttpResponse:
    api_key = queries.key(request.organisation, key_id)
    if api_key is None:
        raise Http404("No such key.")
    administers = may(request.membership.role, Capability.ADMINISTER)
    if not queries.person_may_revoke(request.membership.person, api_key, administers=administers):
        raise PermissionDenied("Somebody else made this key; an administrator can revoke it.")
    services.revoke_api_key(api_key=api_key, actor=actor_of(request))
    messages.success(request, f"Key {api_key.prefix}… is revoked; nothing can be sent with it any more.")
    return redirect("settings-keys", request.organisation.slug)
