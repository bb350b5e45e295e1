"""What CodeCarbon's API calls experiments and runs: the only thing its payload says about who and where."""

from uuid import uuid4

from django.db import models
from django.utils import timezone

from apps.core.tenancy import OrganisationOwned
from apps.workloads.models import Kind


class Experiment(OrganisationOwned):
    """An ``experiment_id``: seen first with a run, given its team, model and site on the Connect page."""

    experiment_id = models.CharField(max_length=64)
    name = models.CharField(max_length=200, blank=True)
    team = models.ForeignKey("organisations.Team", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    model = models.CharField(max_length=200, blank=True, help_text="name of the AI model")
    site = models.ForeignKey("sites.Site", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    kind = models.SmallIntegerField(choices=Kind, default=Kind.TRAINING)
    device = models.CharField(max_length=200, blank=True, help_text="host it runs on, if others measure that too")
    pue_ppm = models.BigIntegerField(
        null=True, blank=True, help_text="the client's own pue setting; empty: nobody has said, taken as 1 and flagged"
    )
    is_registered = models.BooleanField(default=False, help_text="somebody has said what it is")
    first_seen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["name", "experiment_id"]
        constraints = [models.UniqueConstraint(fields=["organisation", "experiment_id"], name="experiment_once")]

    def __str__(self) -> str:
        return self.name or self.experiment_id


class Run(OrganisationOwned):
    """A run as ``POST /runs`` announced it; emissions are posted against its id."""

    run_id = models.UUIDField(default=uuid4, unique=True)
    experiment = models.ForeignKey(Experiment, on_delete=models.PROTECT, related_name="runs")
    api_key = models.ForeignKey("organisations.ApiKey", null=True, on_delete=models.PROTECT, related_name="+")
    team_slug = models.CharField(max_length=120, blank=True)
    site_code = models.CharField(max_length=60, blank=True)
    started_at = models.DateTimeField()
    said = models.JSONField(default=dict, help_text="the announcement as it came")

    class Meta:
        ordering = ["-started_at"]
