"""Reporting periods and the documents made of them."""

import uuid

from django.db import models
from django.utils import timezone

from apps.core.tenancy import OrganisationOwned
from apps.organisations.models import Person


class ReportingPeriod(OrganisationOwned):
    label = models.CharField(max_length=10, help_text="such as 2026-Q3")
    start = models.DateField()
    end = models.DateField(help_text="first day after the period")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["-start"]
        constraints = [models.UniqueConstraint(fields=["organisation", "label"], name="reporting_period_once")]

    def __str__(self) -> str:
        return self.label


class Disclosure(OrganisationOwned):
    """One rendering of a period: its frozen figures, and the PDF made from nothing but them."""

    class State(models.TextChoices):
        QUEUED = "queued", "Waiting for a worker"
        WORKING = "working", "Being made"
        READY = "ready", "Ready"
        FAILED = "failed", "Failed"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    period = models.ForeignKey(ReportingPeriod, on_delete=models.PROTECT, related_name="disclosures")
    version = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    step = models.CharField(max_length=80, blank=True, help_text="what is being done, for the progress line")
    progress_percent = models.PositiveSmallIntegerField(default=0)
    error = models.TextField(blank=True)
    snapshot = models.JSONField(null=True, help_text="every figure, factor and text of the document")
    snapshot_digest = models.CharField(max_length=64, blank=True)
    pdf = models.FileField(upload_to="disclosures", blank=True)
    pdf_digest = models.CharField(max_length=64, blank=True)
    requested_by = models.ForeignKey(Person, null=True, on_delete=models.SET_NULL, related_name="+")
    requested_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-version"]
        constraints = [models.UniqueConstraint(fields=["period", "version"], name="disclosure_version_once")]

    def __str__(self) -> str:
        return f"{self.period} v{self.version}"
