"""The operator's view of organisations, people and keys; memberships and keys are made by the organisations' own
administrators, through services that leave an audit event.
"""

from __future__ import annotations

from typing import Any

from allauth.account.decorators import secure_admin_login
from allauth.account.models import EmailAddress
from django.contrib import admin
from django.contrib.auth.models import Group
from django.forms import ModelForm
from django.http import HttpRequest

from apps.core.admin import ReadOnlyAdmin
from apps.organisations import services
from apps.organisations.models import ApiKey, Membership, Organisation, Person, Team

# Operators sign in where everybody does, so that the rate limits of sign-in hold for them too.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
# Rights come from roles in organisations, and addresses from people: neither is kept in these tables.
admin.site.unregister(Group)
admin.site.unregister(EmailAddress)
admin.site.site_header = "esgportal, operator's view"
admin.site.site_title = "esgportal"


@admin.register(Person)
class PersonAdmin(admin.ModelAdmin):
    """People can be closed, renamed and given a new address here, which nobody can do for themselves."""

    list_display = ["email", "name", "is_active", "is_staff", "last_login"]
    list_filter = ["is_active", "is_staff"]
    search_fields = ["email", "name"]
    fields = ["email", "name", "is_active", "is_staff", "is_superuser", "last_login", "date_joined"]
    readonly_fields = ["last_login", "date_joined"]

    def save_model(self, request: HttpRequest, obj: Person, form: ModelForm, change: bool) -> None:
        operator = request.user
        assert isinstance(operator, Person)  # noqa: S101 - the admin site lets nobody else in
        services.update_person(person=obj, actor=operator.email)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # people are invited

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # the log speaks of them; closing the account is enough


@admin.register(Organisation)
class OrganisationAdmin(ReadOnlyAdmin):
    list_display = ["name", "slug", "claim_period", "is_demo", "created_at"]


@admin.register(Membership)
class MembershipAdmin(ReadOnlyAdmin):
    list_display = ["person", "organisation", "role", "created_at"]
    list_filter = ["organisation", "role"]
    list_select_related = ["person", "organisation"]


@admin.register(Team)
class TeamAdmin(ReadOnlyAdmin):
    list_display = ["name", "slug", "organisation"]
    list_filter = ["organisation"]
    list_select_related = ["organisation"]


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    list_display = ["name", "prefix", "organisation", "scopes", "expires_at", "last_used_at", "revoked_at"]
    list_filter = ["organisation"]
    list_select_related = ["organisation"]
    exclude = ["digest"]
