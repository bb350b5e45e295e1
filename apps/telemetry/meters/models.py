"""Meters, the series that report them, and what they read.

Three levels, because the field mixes them up: a *source* is the physical thing in the accounts, a *meter* one quantity
that is measured of it, a *series* one label set under which somebody reports that meter. A pod that moves, or a GPU
cut into MIG slices, gives new series of the same meter, never a second meter.
"""

from django.db import models
from django.utils import timezone

from apps.core.tenancy import OrganisationOwned


class MeterKind(models.IntegerChoices):
    """What a reading of the meter says."""

    COUNTER = 1, "counter"  # the total since it began to count
    DELTA = 2, "delta"  # what came since the reading before, or since the start stated with it
    GAUGE = 3, "gauge"  # a power at this instant


class Quantity(models.IntegerChoices):
    """What is measured: energy, or a unit of work."""

    ENERGY = 1, "energy"
    TOKENS = 2, "tokens"
    REQUESTS = 3, "requests"
    SAMPLES = 4, "samples"


class StartPolicy(models.IntegerChoices):
    """What the first value of a counter is worth, and a value after a reset."""

    AUTOMATIC = 1, "counted if a device of this kind can have used it in one reporting interval, else held back"
    FROM_ZERO = 2, "counted: the counter starts at zero with the process"
    BASELINE = 3, "not counted: the counter belongs to the device and runs on"


class Meter(OrganisationOwned):
    """One quantity of one source. Its identity is the device and the metric, never the label set."""

    name = models.CharField(max_length=300, help_text="metric and device, unique in the organisation")
    source = models.ForeignKey("telemetry.Source", on_delete=models.PROTECT, related_name="meters")
    metric = models.CharField(max_length=200, help_text="as the client calls it")
    kind = models.SmallIntegerField(choices=MeterKind)
    quantity = models.SmallIntegerField(choices=Quantity, default=Quantity.ENERGY)
    unit = models.CharField(max_length=8, help_text="J, mJ, uJ, Wh, kWh, W, mW, uW; 1 for units of work")
    start_policy = models.SmallIntegerField(choices=StartPolicy, default=StartPolicy.AUTOMATIC)
    power_cap_w = models.IntegerField(help_text="the most the device can draw [W]; beyond, a first value is held back")
    interval_s = models.IntegerField(default=60, help_text="time between readings that is usual for the client [s]")
    longest_gap_s = models.IntegerField(default=300, help_text="a gauge is not carried over a longer silence [s]")
    wraps_at = models.FloatField(null=True, blank=True, help_text="the value at which the counter goes back to 0")
    start_tolerance_ms = models.IntegerField(default=0, help_text="stated starts this close together are the same")
    pue_included_ppm = models.BigIntegerField(
        default=1_000_000, help_text="the PUE that the client has multiplied the energy with already; divided out again"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["organisation", "name"], name="meter_name_once")]

    def __str__(self) -> str:
        return self.name


class Series(OrganisationOwned):
    """A label set that reports a meter, with what its readings are attributed to at present.

    A change of the attribution rules changes ``attribution`` and has the hours of the series derived anew.
    """

    meter = models.ForeignKey(Meter, on_delete=models.PROTECT, related_name="series")
    digest = models.CharField(max_length=64, help_text="SHA-256 over meter, labels, and team and site of the key")
    labels = models.JSONField(default=dict, help_text="label or attribute names to values, as they came")
    door = models.CharField(max_length=20)
    team_slug = models.CharField(max_length=120, blank=True, help_text="the team of the key")
    site_code = models.CharField(max_length=60, blank=True, help_text="the site of the key")
    attribution = models.ForeignKey("telemetry.Attribution", on_delete=models.PROTECT, related_name="series")
    said = models.JSONField(default=dict, help_text="what the protocol itself says, before any rule: members of Naming")
    first_at = models.DateTimeField(null=True)
    last_at = models.DateTimeField(null=True, help_text="latest reading, to five minutes")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organisation", "digest"], name="series_once")]
        indexes = [models.Index(fields=["meter"], name="series_of_meter")]


class MeterReading(models.Model):
    """A value at an instant, stored as it came, in the meter's unit. Only ``meters.intake`` writes here.

    ``value`` is null where the client said that the series ends here (Prometheus' staleness marker). ``start_ms`` is
    the stated start of what the value counts, 0 where nothing was stated. The migration ``0005_meter_reading_table``
    makes it: in PostgreSQL partitioned by month of ``at_ms``, in SQLite WITHOUT ROWID.
    """

    organisation = models.ForeignKey(
        "organisations.Organisation", on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    at_ms = models.BigIntegerField()
    series = models.ForeignKey(
        Series, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    value = models.FloatField(null=True)
    start_ms = models.BigIntegerField(default=0)
    receipt = models.ForeignKey(
        "telemetry.Receipt", on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    pk = models.CompositePrimaryKey("organisation", "at_ms", "series")

    class Meta:
        indexes = [models.Index(fields=["series", "at_ms"], name="meter_reading_series")]


class MeterFinding(OrganisationOwned):
    """Something about a meter that a person should look at. Written when an hour is derived, and again each time."""

    class Finding(models.TextChoices):
        HELD_BACK = "held_back", "First value held back: more than the device can have used"
        RESET = "reset", "Counter began again"
        WRAP = "wrap", "Counter went past its largest value"
        SILENT = "silent", "Silent for longer than a gauge is carried over"
        IMPLAUSIBLE = "implausible", "More energy than the device can have used: held back"

    meter = models.ForeignKey(Meter, on_delete=models.CASCADE, related_name="findings")
    at_ms = models.BigIntegerField()
    finding = models.CharField(max_length=12, choices=Finding)
    energy_microwatt_hours = models.BigIntegerField(default=0, help_text="held back or concerned [uWh]")

    class Meta:
        ordering = ["-at_ms"]
        constraints = [models.UniqueConstraint(fields=["meter", "at_ms", "finding"], name="meter_finding_once")]
        indexes = [models.Index(fields=["organisation", "at_ms"], name="meter_finding_time")]


class DeclaredEmissions(OrganisationOwned):
    """CO2 as a client worked it out itself: kept as declared and compared, never used for a figure."""

    source = models.ForeignKey("telemetry.Source", on_delete=models.PROTECT, related_name="declared")
    run = models.CharField(max_length=200, blank=True, help_text="run or start that the figure belongs to")
    at_ms = models.BigIntegerField()
    start_ms = models.BigIntegerField(default=0, help_text="0: since the figure before")
    is_running_total = models.BooleanField(default=False)
    emissions_mg = models.BigIntegerField()
    energy_microwatt_hours = models.BigIntegerField()
    said = models.JSONField(default=dict, help_text="what the client said besides: country, region, provider, version")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "run", "at_ms"], name="declared_emissions_once")]
