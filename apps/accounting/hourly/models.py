"""What the stored hours of a claim period were worked out from."""

from django.db import models
from django.utils import timezone

from apps.core.tenancy import OrganisationOwned


class HourlyRun(OrganisationOwned):
    """The last working out of a claim period's hours (``MarketHour``); the same digest, nothing to do."""

    period_start = models.DateField()
    period_end = models.DateField(help_text="first day after")
    first_hour = models.IntegerField(help_text="hours since the epoch, UTC")
    end_hour = models.IntegerField(help_text="the hour after the last one in the ledger, at most the period's end")
    digest = models.CharField(max_length=64, help_text="SHA-256 over what the hours follow from, see hourly.inputs")
    outcome = models.JSONField(
        default=dict, help_text="each instrument by market: accepted, applied, surplus, criteria; flags"
    )
    ruleset = models.CharField(max_length=40)
    engine_version = models.CharField(max_length=20)
    calculated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        app_label = "accounting"
        constraints = [models.UniqueConstraint(fields=["organisation", "period_start"], name="hourly_run_once")]
