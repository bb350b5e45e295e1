"""Rules that say whose energy a series is: label or attribute to team, model, workload, site."""

from django.db import models
from django.utils import timezone

from apps.core.tenancy import OrganisationOwned


class AttributionRule(OrganisationOwned):
    """One rule. They are tried in their order; for each target the first that matches decides."""

    class Target(models.TextChoices):
        TEAM = "team", "Team"
        MODEL = "model", "Model"
        WORKLOAD = "workload", "Workload"
        STUDY = "study", "Study"
        SITE = "site", "Site"
        KIND = "kind", "Kind"

    position = models.IntegerField()
    door = models.CharField(max_length=20, blank=True, help_text="otlp, prometheus, codecarbon, upload; empty: any")
    label = models.CharField(max_length=200, help_text="name of the label or resource attribute")
    pattern = models.CharField(max_length=300, blank=True, help_text="* stands for anything; empty: any value")
    target = models.CharField(max_length=10, choices=Target)
    value = models.CharField(max_length=200, blank=True, help_text="empty: the label's own value")
    is_standard = models.BooleanField(default=False, help_text="came with the portal; may be changed or removed")
    created_by = models.CharField(max_length=254, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["position", "pk"]
