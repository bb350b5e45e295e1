"""Everything that writes organisations, people, teams and keys.

Each function is one transaction with its audit event inside. What a user can mend is raised as Django's
``ValidationError`` by field. ``actor`` is an e-mail address, ``key:PREFIX`` or ``system``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from allauth.account.models import EmailAddress
from django.apps import apps
from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.utils import timezone

from apps.audit.services import record, state_of
from apps.core.signals import announce_inputs_changed
from apps.organisations.authentication import new_key
from apps.organisations.mail import send_invitation
from apps.organisations.models import ApiKey, Membership, Organisation, Person, Role, Scope, Team

SETTINGS = (
    "name",
    "claim_period",
    "vintage_window_months",
    "market_allocation",
    "idle_policy",
    "difference_policy",
)


def save_valid(instance: models.Model) -> None:
    """Validate and save. Raises ``ValidationError``, also when a concurrent writer has just taken the same name."""
    instance.full_clean()
    try:
        with transaction.atomic():
            instance.save()
    except IntegrityError as error:
        raise ValidationError(f"Somebody else has just saved the same {instance._meta.verbose_name}.") from error


# --- Organisations ------------------------------------------------------------------------------------------------


@transaction.atomic
def create_organisation(
    *,
    slug: str,
    name: str,
    actor: str,
    admin_email: str = "",
    admin_name: str = "",
    admin_password: str | None = None,
    is_demo: bool = False,
    base_url: str = "",
) -> Organisation:
    """A new organisation and, with ``admin_email``, its first administrator.

    A new person gets ``admin_password`` or, without one, a mail with a link to set it; somebody who has an account
    already keeps the password they have. Raises ``ValidationError``.
    """
    organisation = Organisation(slug=slug, name=name.strip(), is_demo=is_demo)
    save_valid(organisation)
    record(
        organisation_id=organisation.pk,
        actor=actor,
        action="organisation.created",
        instance=organisation,
        after=state_of(organisation),
    )
    if admin_email:
        invite_person(
            organisation=organisation,
            email=admin_email,
            name=admin_name,
            role=Role.ADMIN,
            password=admin_password,
            actor=actor,
            base_url=base_url,
        )
    return organisation


@transaction.atomic
def update_organisation(
    *,
    organisation: Organisation,
    actor: str,
    name: str,
    claim_period: str,
    vintage_window_months: int,
    market_allocation: str,
    idle_policy: str,
    difference_policy: str,
) -> Organisation:
    """Change the settings. What decides market-based figures makes the accounts look again.

    The allocation policies say who bears what inside the organisation and change no total. Raises ``ValidationError``.
    """
    organisation = Organisation.objects.select_for_update().get(pk=organisation.pk)
    before = {field: getattr(organisation, field) for field in SETTINGS}
    organisation.name = name.strip()
    organisation.claim_period = claim_period
    organisation.vintage_window_months = vintage_window_months
    organisation.market_allocation = market_allocation
    organisation.idle_policy = idle_policy
    organisation.difference_policy = difference_policy
    if not 0 < vintage_window_months <= 60:
        raise ValidationError({"vintage_window_months": "Expected 1 to 60 months."})
    save_valid(organisation)
    after = {field: getattr(organisation, field) for field in SETTINGS}
    if after != before:
        record(
            organisation_id=organisation.pk,
            actor=actor,
            action="organisation.updated",
            instance=organisation,
            before=before,
            after=after,
        )
        announce_inputs_changed(organisation.pk)
    return organisation


@transaction.atomic
def set_uncertainties(
    *, organisation: Organisation, values: Mapping[str, Mapping[str, Any]], actor: str
) -> Organisation:
    """Put the organisation's own relative uncertainties in place of the defaults; the others keep these.

    ``values``: ``{"ppm": whole number, "basis": what it rests on}`` by name. The accounts know the names and check
    them. Figures do not change, their intervals do. Raises ``ValidationError`` for a value without a basis.
    """
    organisation = Organisation.objects.select_for_update().get(pk=organisation.pk)
    before = organisation.uncertainty_ppm
    own = {name: {"ppm": int(each["ppm"]), "basis": str(each["basis"]).strip()} for name, each in values.items()}
    if bare := [name for name, each in own.items() if not each["basis"]]:
        raise ValidationError(dict.fromkeys(bare, "Expected what the value rests on."))
    if own == before:
        return organisation
    organisation.uncertainty_ppm = own
    organisation.save(update_fields=["uncertainty_ppm"])
    record(
        organisation_id=organisation.pk,
        actor=actor,
        action="organisation.uncertainties_set",
        instance=organisation,
        before={"uncertainty_ppm": before},
        after={"uncertainty_ppm": own},
    )
    return organisation


# --- People -------------------------------------------------------------------------------------------------------


@transaction.atomic
def invite_person(
    *,
    organisation: Organisation,
    email: str,
    role: str,
    actor: str,
    name: str = "",
    password: str | None = None,
    base_url: str = "",
) -> Membership:
    """Make somebody a member, and a person of somebody who has no account yet.

    They are told by mail; without a password yet, with a link to set one (``base_url``, default ``PUBLIC_URL``, is
    where the link leads). ``password`` sets that of a new person and sends no mail. Raises ``ValidationError``.
    """
    email = Person.objects.normalize_email(email.strip()).lower()
    person = Person.objects.filter(email=email).first()
    if person is None:
        person = Person(email=email, name=name.strip())
        if password is None:
            person.set_unusable_password()
        else:
            try:
                validate_password(password, person)
            except ValidationError as error:
                raise ValidationError({"password": error.messages}) from error
            person.set_password(password)
        save_valid(person)
    elif Membership.objects.of(organisation).filter(person=person).exists():
        raise ValidationError({"email": f"{email} is a member already. Change the role in the list of people."})
    membership = Membership(organisation=organisation, person=person, role=role)
    save_valid(membership)
    record(
        organisation_id=organisation.pk,
        actor=actor,
        action="membership.created",
        instance=membership,
        after={"email": email, "role": role},
    )
    if password is None:
        _invite_by_mail(membership, actor, base_url)
    return membership


def _invite_by_mail(membership: Membership, actor: str, base_url: str) -> None:
    def send() -> None:
        send_invitation(
            organisation=membership.organisation,
            person=membership.person,
            role=membership.get_role_display(),
            invited_by=actor,
            base_url=base_url or settings.PUBLIC_URL,
        )

    # A mail server that is away is no reason to lose the membership: it is logged, and the mail can be sent again.
    transaction.on_commit(send, robust=True)


@transaction.atomic
def resend_invitation(*, membership: Membership, actor: str, base_url: str = "") -> None:
    """Mail the invitation again, with a fresh link for a person who has set no password yet."""
    record(
        organisation_id=membership.organisation_id,
        actor=actor,
        action="membership.invited_again",
        instance=membership,
        after={"email": membership.person.email},
    )
    _invite_by_mail(membership, actor, base_url)


def _locked_membership(membership: Membership) -> Membership:
    """The membership as it is now, with the organisation's people held until commit.

    Without the lock two administrators could each remove the other at the same moment and leave none.
    """
    Organisation.objects.select_for_update().get(pk=membership.organisation_id)
    return (
        Membership.objects.of(membership.organisation_id).select_related("organisation", "person").get(pk=membership.pk)
    )


def _keep_an_administrator(membership: Membership) -> None:
    others = Membership.objects.of(membership.organisation_id).filter(role=Role.ADMIN, person__is_active=True)
    if membership.role == Role.ADMIN and not others.exclude(pk=membership.pk).exists():
        raise ValidationError(
            {"role": f"{membership.person} is the last administrator. Make somebody else administrator first."}
        )


@transaction.atomic
def change_role(*, membership: Membership, role: str, actor: str) -> Membership:
    """Give a member another role. Raises ``ValidationError`` when no administrator would be left."""
    membership = _locked_membership(membership)
    if membership.role == role:
        return membership
    _keep_an_administrator(membership)
    before, membership.role = membership.role, role
    save_valid(membership)
    record(
        organisation_id=membership.organisation_id,
        actor=actor,
        action="membership.role_changed",
        instance=membership,
        before={"email": membership.person.email, "role": before},
        after={"email": membership.person.email, "role": role},
    )
    return membership


@transaction.atomic
def remove_member(*, membership: Membership, actor: str) -> None:
    """End a membership; the person and what they did stay. Raises ``ValidationError`` for the last administrator."""
    membership = _locked_membership(membership)
    _keep_an_administrator(membership)
    record(
        organisation_id=membership.organisation_id,
        actor=actor,
        action="membership.removed",
        instance=membership,
        before={"email": membership.person.email, "role": membership.role},
    )
    membership.delete()


@transaction.atomic
def update_person(*, person: Person, actor: str) -> Person:
    """Save what an operator changed of somebody's account, in the log of the installation (organisation 0).

    Raises ``ValidationError``.
    """
    hidden = ("password", "last_login")
    before = state_of(Person.objects.select_for_update().get(pk=person.pk), exclude=hidden)
    person.email = person.email.lower()
    save_valid(person)
    # allauth remembers every address somebody has signed in with; the old one would go on opening the account.
    EmailAddress.objects.filter(user=person).exclude(email=person.email).delete()
    after = state_of(person, exclude=hidden)
    if after != before:
        record(organisation_id=0, actor=actor, action="person.updated", instance=person, before=before, after=after)
    return person


# --- Teams --------------------------------------------------------------------------------------------------------


@transaction.atomic
def create_team(*, organisation: Organisation, slug: str, name: str, actor: str) -> Team:
    """A new team. The slug is what telemetry names it by and never changes. Raises ``ValidationError``."""
    team = Team(organisation=organisation, slug=slug, name=name.strip())
    save_valid(team)
    record(organisation_id=organisation.pk, actor=actor, action="team.created", instance=team, after=state_of(team))
    return team


@transaction.atomic
def rename_team(*, team: Team, name: str, actor: str) -> Team:
    """Change the name shown; the slug stays. Raises ``ValidationError``."""
    before, team.name = team.name, name.strip()
    if team.name == before:
        return team
    save_valid(team)
    record(
        organisation_id=team.organisation_id,
        actor=actor,
        action="team.renamed",
        instance=team,
        before={"name": before},
        after={"name": team.name},
    )
    return team


# --- Keys ---------------------------------------------------------------------------------------------------------


@transaction.atomic
def create_api_key(
    *,
    organisation: Organisation,
    name: str,
    scopes: Iterable[str],
    actor: str,
    team: Team | None = None,
    site_code: str = "",
    expires_at: datetime | None = None,
    created_by: Person | None = None,
) -> tuple[ApiKey, str]:
    """A new key as its row and the key itself, which is stored nowhere and cannot be shown again.

    Raises ``ValidationError`` for unknown scopes, a team or site of another organisation, an expiry in the past.
    """
    wanted = sorted(set(scopes))
    if not wanted or not set(wanted) <= set(Scope.values):
        raise ValidationError({"scopes": f"Expected one or more of {', '.join(Scope.values)}."})
    if team is not None and team.organisation_id != organisation.pk:
        raise ValidationError({"team": "Expected a team of the same organisation."})
    if site_code and not site_exists(organisation, site_code):
        raise ValidationError({"site_code": f"{organisation.name} has no site with the code {site_code}."})
    if expires_at is not None and expires_at <= timezone.now():
        raise ValidationError({"expires_at": "Expected a time in the future."})
    key, prefix, digest = new_key()
    row = ApiKey(
        organisation=organisation,
        name=name.strip(),
        prefix=prefix,
        digest=digest,
        scopes=wanted,
        team=team,
        site_code=site_code,
        expires_at=expires_at,
        created_by=created_by,
    )
    save_valid(row)
    record(
        organisation_id=organisation.pk,
        actor=actor,
        action="api_key.created",
        instance=row,
        after=state_of(row, exclude=("digest", "last_used_at")),
    )
    return row, key


def site_exists(organisation: Organisation, code: str) -> bool:
    # By name and not by import: sites stand above organisations, as in the foreign keys of `core.tenancy`.
    return apps.get_model("sites", "Site").objects.of(organisation).filter(code=code).exists()  # type: ignore[attr-defined]


@transaction.atomic
def revoke_api_key(*, api_key: ApiKey, actor: str) -> ApiKey:
    """Refuse a key from now on. Revoking it again changes nothing."""
    api_key = ApiKey.objects.of(api_key.organisation_id).select_for_update().get(pk=api_key.pk)
    if api_key.revoked_at is None:
        api_key.revoked_at = timezone.now()
        api_key.save(update_fields=["revoked_at"])
        record(
            organisation_id=api_key.organisation_id,
            actor=actor,
            action="api_key.revoked",
            instance=api_key,
            before={"revoked_at": None},
            after={"revoked_at": api_key.revoked_at},
        )
    return api_key
