"""The ledger: what every hour used and emitted, by account, and the rates that its figures were made with.

An :class:`Account` is one combination of everything a figure can be grouped by. Ledger rows are integers that point
to an account and, for the location-based figure, to the rate (PUE x factor) that produced it. Market-based results
are rates per market and claim period, applied when read.
"""

from uuid import uuid4

from django.db import models
from django.db.models.functions import Coalesce
from django.utils import timezone

from apps.accounting.hourly.models import HourlyRun as HourlyRun
from apps.core.tenancy import OrganisationOwned
from apps.factors.models import Factor, FactorDataset
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
    accelerators = models.IntegerField(null=True, help_text="devices behind a reading, for accelerator-hours")

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
                Coalesce("accelerators", 0),
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
    level = models.CharField(max_length=12, blank=True, help_text="of the hierarchy, see engine.factor_choice")
    lag_years = models.SmallIntegerField(default=0, help_text="activity year less data year")
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
    parts = models.JSONField(
        default=list,
        help_text="earmarked allocation: the consumption by team and model that lots were bought for, each with its"
        " energy, what covers it and the instruments' emissions; empty for pro rata",
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


class MarketHour(models.Model):
    """The hourly what-if (``ghgp-scope2-draft-2025-10``) of one market: informative, never the reported figure.

    ``load = standard supply + matched + unmatched``. Energies in mWh, emissions in mg.
    """

    class Fallback(models.IntegerChoices):
        HOURLY_RESIDUAL = 1, "Hourly residual mix"
        RESIDUAL = 2, "Annual residual mix"
        FOSSIL = 3, "Fossil-only average of the market"
        DEFAULT = 4, "Conservative fossil default"

    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="+"
    )
    market = models.CharField(max_length=20)
    hour = models.IntegerField(help_text="hours since the epoch, UTC")
    load_milliwatt_hours = models.BigIntegerField()
    standard_supply_milliwatt_hours = models.BigIntegerField()
    matched_milliwatt_hours = models.BigIntegerField()
    unmatched_milliwatt_hours = models.BigIntegerField()
    surplus_milliwatt_hours = models.BigIntegerField()
    carbon_free_milliwatt_hours = models.BigIntegerField(
        null=True, help_text="24/7 score: numerator; absent without it"
    )
    location_mg = models.BigIntegerField(null=True)
    market_mg = models.BigIntegerField()
    fallback = models.SmallIntegerField(choices=Fallback)
    fallback_ug_per_kwh = models.BigIntegerField()
    pk = models.CompositePrimaryKey("organisation", "market", "hour")


class SetAside(models.Model):
    """Energy of one attribution in one hour that another source of the same device also measured, and is not counted.

    Written by the rebuild of the day, in its transaction; the readings themselves stay as they were received.
    """

    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="+"
    )
    hour = models.IntegerField(help_text="hours since the epoch")
    attribution = models.ForeignKey(
        Attribution, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="+"
    )
    counted_source = models.ForeignKey(
        Source,
        on_delete=models.CASCADE,
        db_constraint=False,
        db_index=False,
        related_name="+",
        help_text="the source that is counted instead",
    )
    energy_microwatt_hours = models.BigIntegerField()
    covered_ms = models.BigIntegerField()
    pk = models.CompositePrimaryKey("organisation", "hour", "attribution", "counted_source")


class FactorAdoption(OrganisationOwned):
    """An organisation's decision to use one edition of a dataset for activities of ``[start, end)``.

    A dataset that is loaded and not adopted changes no figure. Kept when it ends: the audit log and old disclosures
    refer to it.
    """

    dataset = models.ForeignKey(FactorDataset, on_delete=models.PROTECT, related_name="+")
    start = models.DateField(null=True, blank=True, help_text="empty: from the beginning")
    end = models.DateField(null=True, blank=True, help_text="first day after; empty: until further notice")
    adopted_by = models.CharField(max_length=254)
    adopted_at = models.DateTimeField(default=timezone.now)
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["dataset", "start"]
        constraints = [
            models.UniqueConstraint(
                "organisation",
                "dataset",
                Coalesce("start", models.Value("0001-01-01", output_field=models.DateField())),
                name="factor_adoption_once",
            ),
        ]


class Reconciliation(OrganisationOwned):
    """A site's month held against its meter, as an officer booked it.

    ``booked_milliwatt_hours`` is the difference that stands in the accounts as a reading of the site's own source,
    *metered, facility, no team*; a later booking of the same month replaces it.
    """

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    month = models.IntegerField(help_text="yyyymm")
    metered_milliwatt_hours = models.BigIntegerField()
    telemetry_milliwatt_hours = models.BigIntegerField(help_text="facility energy in the ledger before the booking")
    booked_milliwatt_hours = models.BigIntegerField()
    booked_by = models.CharField(max_length=254)
    booked_at = models.DateTimeField(default=timezone.now)
    note = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-month", "site"]
        constraints = [models.UniqueConstraint(fields=["site", "month"], name="reconciliation_once")]


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
    devices = models.JSONField(
        default=dict, help_text="device and precedence, by id, of the sources that share a device, when last looked at"
    )


class FactorImport(OrganisationOwned):
    """A factor file that somebody of the organisation uploaded: read by a worker, reviewed, then imported or dropped.

    The file stays in the store: the datasets made from it name its SHA-256, and an auditor may ask for it.
    """

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        WORKING = "working", "Being read"
        REVIEW = "review", "To be reviewed"
        FAULTY = "faulty", "Refused"
        CONFIRMED = "confirmed", "Queued for import"
        IMPORTING = "importing", "Being imported"
        IMPORTED = "imported", "Imported"
        CANCELLED = "cancelled", "Cancelled"
        FAILED = "failed", "Failed"

    public_id = models.UUIDField(default=uuid4, unique=True, editable=False)
    file = models.FileField(upload_to="factor-imports/", max_length=300)
    file_name = models.CharField(max_length=200)
    file_digest = models.CharField(max_length=64, help_text="SHA-256 of the file")
    format = models.CharField(max_length=20, blank=True, help_text="empty: found out from the content")
    given = models.JSONField(default=dict, help_text="what the form gave instead of the file: edition, licence, ...")
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    step = models.CharField(max_length=120, blank=True, help_text="what is being done, for the progress line")
    progress_percent = models.PositiveSmallIntegerField(default=0)
    rows_read = models.PositiveIntegerField(default=0)
    rows_checked = models.PositiveIntegerField(default=0)
    outcome = models.JSONField(default=list, help_text="each dataset of the file: its facts and what it changes")
    faults = models.JSONField(default=list, help_text="what is wrong with the file, by sheet, row and column")
    error = models.TextField(blank=True)
    requested_by = models.CharField(max_length=254)
    requested_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-requested_at"]

    def __str__(self) -> str:
        return self.file_name
