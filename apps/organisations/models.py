"""Organisations, their teams, the people who work for them and the keys their machines use."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.utils import timezone

from apps.core.tenancy import OrganisationOwned


class Organisation(models.Model):
    class ClaimPeriod(models.TextChoices):
        QUARTER = "quarter", "Quarter"
        YEAR = "year", "Year (interim figures are provisional)"

    class MarketAllocation(models.TextChoices):
        PRO_RATA = "pro_rata", "Pro rata: every megawatt-hour of a market carries the same share of its instruments"
        EARMARKED = "earmarked", "Earmarked: a lot serves the team or model that it was bought for first"

    class PoolPolicy(models.TextChoices):
        """Who bears energy that no team used by name. The pool is shown whatever the policy."""

        UNALLOCATED = "unallocated", "Left in the pool, shown as a row of its own"
        BY_ENERGY = "by_energy", "Shared by the energy of the teams and models at the site in the month"
        BY_ACCELERATOR_HOURS = "by_accelerator_hours", "Shared by their accelerator-hours at the site in the month"

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=120)
    claim_period = models.CharField(max_length=10, choices=ClaimPeriod, default=ClaimPeriod.QUARTER)
    vintage_window_months = models.PositiveSmallIntegerField(default=12)
    market_allocation = models.CharField(max_length=10, choices=MarketAllocation, default=MarketAllocation.PRO_RATA)
    idle_policy = models.CharField(max_length=20, choices=PoolPolicy, default=PoolPolicy.UNALLOCATED)
    difference_policy = models.CharField(
        max_length=20,
        choices=PoolPolicy,
        default=PoolPolicy.UNALLOCATED,
        help_text="what becomes of the difference between a site's meter and the telemetry below it",
    )
    uncertainty_ppm = models.JSONField(
        default=dict,
        blank=True,
        help_text="relative uncertainty by name, in place of the engine's defaults; see accounting.engine.uncertainty",
    )
    is_demo = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class PersonManager(BaseUserManager["Person"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> Person:
        person = self.model(email=self.normalize_email(email).lower(), **fields)
        person.set_password(password)
        person.save()
        return person

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> Person:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class Person(AbstractBaseUser, PermissionsMixin):
    """Somebody who signs in, by e-mail address. What they may do is said by their memberships."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=120, blank=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False, help_text="may use the operator's admin site")
    date_joined = models.DateTimeField(default=timezone.now, editable=False)

    objects = PersonManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"

    class Meta:
        verbose_name_plural = "people"

    def __str__(self) -> str:
        return self.name or self.email


class Role(models.TextChoices):
    VIEWER = "viewer", "Viewer"
    ENGINEER = "engineer", "Engineer"
    OFFICER = "officer", "Officer"
    APPROVER = "approver", "Approver"
    AUDITOR = "auditor", "Auditor"
    ADMIN = "admin", "Administrator"


class Membership(OrganisationOwned):
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organisation", "person"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.person} ({self.role})"


class Team(OrganisationOwned):
    slug = models.SlugField()
    name = models.CharField(max_length=120)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["organisation", "slug"], name="team_slug_once")]

    def __str__(self) -> str:
        return self.name


class Scope(models.TextChoices):
    INGEST = "ingest", "Send telemetry"
    READ = "read", "Read figures"


class ApiKey(OrganisationOwned):
    """A machine's key. The key itself is shown once; what is kept is its SHA-256, which one indexed look-up finds."""

    name = models.CharField(max_length=120)
    prefix = models.CharField(max_length=12, help_text="the key's first characters, to recognise it by")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(default=list)
    team = models.ForeignKey(Team, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    # A code and not a foreign key: sites stand above organisations. Codes do not change.
    site_code = models.CharField(max_length=40, blank=True, help_text="site of readings that name none")
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_by = models.ForeignKey(Person, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
