"""Energy in: sources, what their readings are attributed to, the readings, the receipts, and what is to be rebuilt.

A reading is a narrow row of integers. Everything said about it in words (team, model, workload, boundary ...) is
interned once as an :class:`Attribution`, so that a million readings of one job share one row of words.
"""

from django.db import models
from django.utils import timezone

from apps.core.tenancy import OrganisationOwned
from apps.organisations.models import ApiKey, Organisation, Team
from apps.sites.models import Site
from apps.telemetry.attribution.models import AttributionRule as AttributionRule
from apps.telemetry.codecarbon.models import Experiment as Experiment
from apps.telemetry.codecarbon.models import Run as Run
from apps.telemetry.meters.models import DeclaredEmissions as DeclaredEmissions
from apps.telemetry.meters.models import Meter as Meter
from apps.telemetry.meters.models import MeterFinding as MeterFinding
from apps.telemetry.meters.models import MeterKind as MeterKind
from apps.telemetry.meters.models import MeterReading as MeterReading
from apps.telemetry.meters.models import Quantity as Quantity
from apps.telemetry.meters.models import Series as Series
from apps.telemetry.meters.models import StartPolicy as StartPolicy
from apps.telemetry.uploads.models import Upload as Upload
from apps.workloads.models import AIModel, HardwareProfile, Kind, Study, Workload

DERIVED = 0  # ``receipt_id`` of a reading that was derived from meter readings: each of those has its own receipt


class Boundary(models.IntegerChoices):
    """What was measured (standards: energy boundary levels). PUE applies to all but FACILITY."""

    ACCELERATOR = 1, "accelerator"
    HOST = 2, "host"
    NODE = 3, "node"
    FACILITY = 4, "facility"


class Method(models.IntegerChoices):
    """How the energy is known; the order is that of the quality tiers A to D."""

    METERED = 1, "metered"
    MEASURED = 2, "measured"
    MODELLED = 3, "modelled"
    ESTIMATED = 4, "estimated"


class Source(OrganisationOwned):
    """The measured thing, by the stable name its client gives it (``node-17/gpu0``)."""

    name = models.CharField(max_length=200)
    site = models.ForeignKey(Site, null=True, blank=True, on_delete=models.PROTECT, related_name="sources")
    device = models.CharField(
        max_length=200,
        blank=True,
        help_text="the physical thing measured, where several sources measure it; empty: this source alone does",
    )
    precedence = models.SmallIntegerField(
        default=100, help_text="of the sources of one device the lowest number is counted, the others set aside"
    )
    within = models.CharField(
        max_length=200,
        blank=True,
        help_text="the device that contains this one (a host its GPUs): only what exceeds this is counted of it",
    )
    door = models.CharField(max_length=20, blank=True, help_text="protocol that named the source first")
    duplicates = models.BigIntegerField(default=0, help_text="readings that came again")
    conflicts = models.BigIntegerField(default=0, help_text="readings that came again with another value: rejected")
    reporting_interval_s = models.IntegerField(
        null=True, blank=True, help_text="how often it should report [s]; silent for five times as long, it is flagged"
    )
    first_reading_at = models.DateTimeField(null=True)
    last_reading_at = models.DateTimeField(null=True, help_text="end of the latest interval received, to five minutes")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["organisation", "name"], name="source_name_once")]

    def __str__(self) -> str:
        return self.name


class TeamName(OrganisationOwned):
    """A team as a client spelled it. Without a team its energy counts as *unassigned* until somebody maps it."""

    name = models.CharField(max_length=120)
    team = models.ForeignKey(Team, null=True, blank=True, on_delete=models.PROTECT, related_name="names")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["organisation", "name"], name="team_name_once")]


class Attribution(OrganisationOwned):
    """One combination of everything a reading says besides time, energy and work."""

    source = models.ForeignKey(Source, on_delete=models.PROTECT, related_name="attributions")
    # Resolved at intake (the reading's, the source's, the key's); empty: the source's, once somebody assigns one.
    site = models.ForeignKey(Site, null=True, on_delete=models.PROTECT, related_name="+")
    team_name = models.ForeignKey(TeamName, null=True, on_delete=models.PROTECT, related_name="+")
    model = models.ForeignKey(AIModel, null=True, on_delete=models.PROTECT, related_name="+")
    workload = models.ForeignKey(Workload, null=True, on_delete=models.PROTECT, related_name="+")
    study = models.ForeignKey(Study, null=True, on_delete=models.PROTECT, related_name="+")
    kind = models.SmallIntegerField(choices=Kind, default=Kind.OTHER)
    boundary = models.SmallIntegerField(choices=Boundary, default=Boundary.ACCELERATOR)
    method = models.SmallIntegerField(choices=Method, default=Method.MEASURED)
    hardware = models.ForeignKey(HardwareProfile, null=True, on_delete=models.PROTECT, related_name="+")
    accelerators = models.IntegerField(null=True)
    has_shares = models.BooleanField(default=False)
    digest = models.CharField(max_length=64, help_text="SHA-256 over all of the above and the shares")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organisation", "digest"], name="attribution_once")]


class AttributionShare(models.Model):
    """One device serving several: a part of the attribution's energy, by weight."""

    attribution = models.ForeignKey(Attribution, on_delete=models.CASCADE, related_name="shares")
    position = models.SmallIntegerField()
    team_name = models.ForeignKey(TeamName, null=True, on_delete=models.PROTECT, related_name="+")
    model = models.ForeignKey(AIModel, null=True, on_delete=models.PROTECT, related_name="+")
    workload = models.ForeignKey(Workload, null=True, on_delete=models.PROTECT, related_name="+")
    weight_ppm = models.BigIntegerField(help_text="normalised: the weights of one attribution add up to 1,000,000")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["attribution", "position"], name="share_position_once")]


class Receipt(OrganisationOwned):
    """What became of one request. Written in the transaction that stored its readings."""

    public_id = models.UUIDField(unique=True)
    api_key = models.ForeignKey(ApiKey, null=True, on_delete=models.PROTECT, related_name="+")
    protocol = models.CharField(max_length=20)
    received_at = models.DateTimeField()
    accepted = models.IntegerField()
    duplicates = models.IntegerField()
    rejected = models.IntegerField()
    replaced = models.IntegerField(default=0)
    ignored = models.IntegerField(default=0, help_text="recognised as no energy and no work, and left alone")
    is_pending = models.BooleanField(default=False, help_text="a file that waits for a worker")
    replay_of = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="replays")
    errors = models.JSONField(default=list)
    body_digest = models.CharField(max_length=64)
    idempotency_key = models.CharField(max_length=255, null=True)
    answer_status = models.SmallIntegerField(default=200)
    answer = models.TextField(blank=True, help_text="the body answered, kept to be given again byte for byte")

    @property
    def is_refused(self) -> bool:
        """Whether the request was refused as a whole, before its rows were looked at; ``errors`` says why."""
        return self.answer_status >= 400 and not self.rejected

    class Meta:
        ordering = ["-received_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "idempotency_key"],
                condition=models.Q(idempotency_key__isnull=False),
                name="receipt_idempotency_key_once",
            )
        ]
        indexes = [models.Index(fields=["organisation", "-received_at"], name="receipt_recent")]


class KeptBody(models.Model):
    """The body of a request of which something was refused, kept for a while so that it can be mended and replayed."""

    receipt = models.OneToOneField(Receipt, primary_key=True, on_delete=models.CASCADE, related_name="kept_body")
    content_type = models.CharField(max_length=120)
    content_encoding = models.CharField(max_length=40, blank=True)
    query = models.CharField(max_length=500, blank=True)
    body = models.BinaryField()
    kept_until = models.DateTimeField()


class GapDecision(OrganisationOwned):
    """An officer's recorded decision on time without readings: filled with an estimate, or left empty with a reason.

    The estimate is a reading like any other, of method *estimated*, of a source beside the one that was silent and of
    the same device: when the true reading arrives late it takes precedence and the estimate is set aside.
    """

    class Basis(models.TextChoices):
        MEAN_POWER = "mean_power", "Mean power of the source around the gap"
        STATED = "stated", "Energy stated by the officer"
        LEFT_EMPTY = "left_empty", "Left empty: nothing was running"

    source = models.ForeignKey(Source, on_delete=models.PROTECT, related_name="gap_decisions")
    start = models.DateTimeField()
    end = models.DateTimeField()
    basis = models.CharField(max_length=12, choices=Basis)
    energy_microwatt_hours = models.BigIntegerField(default=0)
    reason = models.CharField(max_length=300)
    working = models.TextField(blank=True, help_text="how the estimate was worked out, with its numbers")
    receipt = models.ForeignKey(Receipt, null=True, on_delete=models.PROTECT, related_name="+")
    decided_by = models.CharField(max_length=254)
    decided_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-decided_at"]
        constraints = [
            models.UniqueConstraint(fields=["source", "start", "end"], name="gap_decided_once"),
            models.CheckConstraint(condition=models.Q(end__gt=models.F("start")), name="gap_end_after_start"),
        ]


class Estimate(OrganisationOwned):
    """Energy worked out where nothing is measured, from accelerator-hours or tokens and a published profile.

    Stored as readings of method *modelled* under ``source``; this row keeps what they were made from.
    """

    class Basis(models.TextChoices):
        ACCELERATOR_HOURS = "accelerator_hours", "Accelerator-hours x power profile"
        TOKENS = "tokens", "Tokens x published energy per token"

    source = models.ForeignKey(Source, on_delete=models.PROTECT, related_name="estimates")
    basis = models.CharField(max_length=20, choices=Basis)
    start = models.DateTimeField()
    end = models.DateTimeField()
    inputs = models.JSONField(help_text="everything that entered, by name and with its unit")
    profile_source = models.CharField(max_length=300, help_text="publication that the profile is taken from")
    working = models.TextField(help_text="the formula with the numbers put in")
    energy_microwatt_hours = models.BigIntegerField()
    receipt = models.ForeignKey(Receipt, on_delete=models.PROTECT, related_name="+")
    created_by = models.CharField(max_length=254)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-created_at"]


class NamingVersion(models.Model):
    """Counts the changes of a mapping (source to site, name to team), so that every process drops what it cached."""

    organisation = models.OneToOneField(Organisation, on_delete=models.CASCADE, primary_key=True, related_name="+")
    version = models.BigIntegerField(default=0)


class AbstractReading(models.Model):
    """Energy over one interval. Times in milliseconds since the epoch, UTC, half-open."""

    organisation = models.ForeignKey(
        Organisation, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    start_ms = models.BigIntegerField()
    source = models.ForeignKey(
        Source, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    end_ms = models.BigIntegerField()
    attribution = models.ForeignKey(
        Attribution, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    energy_microwatt_hours = models.BigIntegerField()
    tokens = models.BigIntegerField(null=True)
    requests = models.BigIntegerField(null=True)
    samples = models.BigIntegerField(null=True)
    milli_epochs = models.BigIntegerField(null=True)
    receipt = models.ForeignKey(
        Receipt, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )

    class Meta:
        abstract = True


class Reading(AbstractReading):
    """The raw row, natural key leading with time. Only ``telemetry.intake`` writes here.

    PostgreSQL: partitioned by month of ``start_ms``; SQLite: a table WITHOUT ROWID, so that the row lies in its key's
    index. Both are made by the migration ``0002_reading_table``. Foreign keys are not enforced by the database: the
    intake has just resolved every id in the same transaction, and a check per row would cost more than the row.
    """

    pk = models.CompositePrimaryKey("organisation", "start_ms", "source", "end_ms")

    class Meta:
        indexes = [
            # The few readings that cross an hour, for the rebuild of the hours they reach into.
            models.Index(
                fields=["organisation", "start_ms"],
                condition=models.Q(end_ms__gt=(models.F("start_ms") / 3_600_000) * 3_600_000 + 3_600_000),
                name="reading_spanning",
            ),
        ]


class SupersededReading(AbstractReading):
    """A reading that ``?replace=true`` took out of the accounts: what it said, and which receipt replaced it."""

    replaced_at = models.DateTimeField(default=timezone.now)
    replaced_by = models.ForeignKey(Receipt, on_delete=models.PROTECT, related_name="+")

    class Meta:
        indexes = [
            models.Index(
                fields=["organisation", "source", "start_ms"],
                name="superseded_reading_key",
            )
        ]


class ReadingNote(models.Model):
    """``external_id`` and ``tags`` of a reading, kept apart because most readings have none."""

    organisation = models.ForeignKey(
        Organisation, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    start_ms = models.BigIntegerField()
    source = models.ForeignKey(
        Source, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    end_ms = models.BigIntegerField()
    external_id = models.CharField(max_length=200, blank=True)
    tags = models.JSONField(default=dict)
    pk = models.CompositePrimaryKey("organisation", "start_ms", "source", "end_ms")


class DirtyHour(models.Model):
    """An hour whose ledger rows no longer follow from the readings.

    Append-only: every batch adds its own marks and waits for nobody. A rebuild removes exactly the marks it had seen
    before it read the readings, so a mark that arrives meanwhile survives it.
    """

    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="+"
    )
    hour = models.IntegerField(help_text="hours since the epoch")
    marked_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["organisation", "hour"], name="dirty_hour")]
