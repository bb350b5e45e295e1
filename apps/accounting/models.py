"""The ledger: what every hour used and emitted, by account, and the rates that its figures were made with.

An :class:`Account` is one combination of everything a figure can be grouped by. Ledger rows are integers that point
to an account and, for the location-based figure, to the rate (PUE x factor) that produced it. Market-based results
are rates per market and claim period, applied when read.
"""

from django.db import models
from django.db.models.functions import Coalesce
from django.utils import timezone

from apps.core.tenancy import OrganisationOwned
from apps.factors.models import Factor
from apps.organisations.models import Organisation, Team
from apps.sites.models import Site
from apps.telemetry.models import Attribution, Boundary, Method, Source
from apps.workloads.models import AIModel, HardwareProfile, Kind, Study, Workload


class Account(OrganisationOwned):
    source = models.ForeignKey(Source, on_delete=models.PROTECT, related_name="+")
    site = models.ForeignKey(Site, null=True, on_delete=models.PROTECT, related_name="+")
    team = models.ForeignKey(Team, null=True, on_delete=models.PROTECT, related_name="+")
    model = models.ForeignKey(AIModel, null=True, on_delete=models.PROTECT, related_name="+")
    workload = models.ForeignKey(Workload, null=True, on_delete=models.PROTECT, related_name="+")
    study = models.ForeignKey(Study, null=True, on_delete=models.PROTECT, related_name="+")
    kind = models.SmallIntegerField(choices=Kind)
    boundary = models.SmallIntegerField(choices=Boundary)
    method = models.SmallIntegerField(choices=Method)
    hardware = models.ForeignKey(HardwareProfile, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "organisation",
                "source",
                *(Coalesce(name, 0) for name in ("site", "team", "model", "workload", "study")),
                "kind",
                "boundary",
                "method",
                Coalesce("hardware", models.Value("")),
                name="account_once",
            )
        ]


class Posting(models.Model):
    """Which account an attribution's energy is posted to; several, by weight, where one device served several.

    The resolved form of an attribution: names mapped to teams, site assigned. Rebuilt when a mapping changes.
    """

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="+")
    attribution = models.ForeignKey(Attribution, on_delete=models.CASCADE, related_name="+")
    position = models.SmallIntegerField(default=0)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+")
    weight_ppm = models.BigIntegerField(default=1_000_000)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["attribution", "position"], name="posting_once")]


class LocationRate(OrganisationOwned):
    """What turns a site's IT energy into facility energy and location-based emissions during ``[first, end)`` hours.

    ``factor`` empty: no factor is known for the zone; the energy is shown and its emissions are absent, never zero.
    """

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    first_hour = models.IntegerField()
    end_hour = models.IntegerField()
    pue_ppm = models.BigIntegerField()
    pue_source = models.CharField(max_length=200)
    factor = models.ForeignKey(Factor, null=True, on_delete=models.PROTECT, related_name="+")
    factor_ug_per_kwh = models.BigIntegerField(null=True)
    gwp_set = models.CharField(max_length=4)
    reasons = models.JSONField(default=list, help_text="the levels tried, what was missing, the lag in years")
    engine_version = models.CharField(max_length=20)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["site", "first_hour"], name="location_rate_once")]


class AbstractLedgerRow(models.Model):
    """Only ``accounting.rollup`` writes here, whole days at a time; an index besides the key would cost every write."""

    organisation = models.ForeignKey(
        Organisation, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    account = models.ForeignKey(
        Account, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    it_energy_milliwatt_hours = models.BigIntegerField()
    facility_energy_milliwatt_hours = models.BigIntegerField()
    location_mg = models.BigIntegerField(null=True)
    tokens = models.BigIntegerField(null=True)
    requests = models.BigIntegerField(null=True)
    readings = models.IntegerField(help_text="number of readings with a part in this row")
    covered_ms = models.BigIntegerField(help_text="time the readings cover, overlaps counted twice")

    class Meta:
        abstract = True


class LedgerHour(AbstractLedgerRow):
    hour = models.IntegerField()
    rate = models.ForeignKey(
        LocationRate,
        null=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    pk = models.CompositePrimaryKey("organisation", "hour", "account")


class LedgerDay(AbstractLedgerRow):
    day = models.IntegerField(help_text="days since the epoch")
    month = models.IntegerField(help_text="yyyymm")
    pk = models.CompositePrimaryKey("organisation", "day", "account")


class MarketRate(OrganisationOwned):
    """The market-based result of one market in one claim period (Scope 2 Guidance 2015, table 6.3).

    Read as: of the market's consumption, ``covered`` carries ``instruments_mg``; ``uncovered`` takes the fallback,
    which is the residual mix, or, with none published, each row's own location-based figure.
    """

    class Fallback(models.TextChoices):
        RESIDUAL = "residual", "Residual mix"
        LOCATION = "location", "Grid average (no residual mix published)"

    market = models.CharField(max_length=20)
    period_start = models.DateField()
    period_end = models.DateField()
    facility_energy_milliwatt_hours = models.BigIntegerField()
    location_mg = models.BigIntegerField()
    covered_milliwatt_hours = models.BigIntegerField()
    uncovered_milliwatt_hours = models.BigIntegerField()
    surplus_milliwatt_hours = models.BigIntegerField()
    instruments_mg = models.BigIntegerField()
    fallback = models.CharField(max_length=10, choices=Fallback)
    fallback_factor = models.ForeignKey(Factor, null=True, on_delete=models.PROTECT, related_name="+")
    fallback_ug_per_kwh = models.BigIntegerField(null=True)
    market_mg = models.BigIntegerField()
    outcome = models.JSONField(
        default=dict,
        help_text="each instrument: accepted, applied, surplus, failed criteria",
    )
    engine_version = models.CharField(max_length=20)
    calculated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "market", "period_start"],
                name="market_rate_once",
            )
        ]


class RebuiltDay(models.Model):
    """A day whose ledger was rebuilt since the market rates of its claim period were last worked out.

    Append-only like :class:`apps.telemetry.models.DirtyHour`, and written in the rebuild's transaction: a worker that
    is killed between the two steps leaves the mark, and the next one finds it.
    """

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, db_constraint=False, related_name="+")
    day = models.IntegerField(help_text="days since the epoch")


class LedgerState(models.Model):
    """When an organisation's ledger last became true, and which inputs its rates were made from."""

    organisation = models.OneToOneField(Organisation, on_delete=models.CASCADE, primary_key=True, related_name="+")
    last_settled_at = models.DateTimeField(null=True)
    inputs_digest = models.CharField(max_length=64, blank=True, help_text="SHA-256, see accounting.inputs")
