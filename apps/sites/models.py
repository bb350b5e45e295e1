"""Sites: where electricity is used, under whose control, on which grid, with which PUE."""

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from apps.core.tenancy import OrganisationOwned


class ControlClass(models.TextChoices):
    """Who controls the site; decides the scope (Scope 2 Guidance 2015, ch. 5; ESRS E1 AR 24(g) for cloud)."""

    OWNED = "owned", "Owned"
    LEASED = "leased", "Leased, operational control"
    COLOCATION = "colocation", "Colocation"
    CLOUD = "cloud", "Public cloud (Scope 3, category 1)"


SCOPE_2_CONTROL_CLASSES = (
    ControlClass.OWNED,
    ControlClass.LEASED,
    ControlClass.COLOCATION,
)


class Site(OrganisationOwned):
    code = models.SlugField(max_length=40)
    name = models.CharField(max_length=120)
    control = models.CharField(max_length=10, choices=ControlClass)
    country = models.CharField(max_length=2, help_text="ISO 3166-1 alpha-2; NA is Namibia")
    grid_zone = models.CharField(max_length=20, help_text="code of the zone whose average factor applies")
    market = models.CharField(
        max_length=20,
        help_text="market of certificates and residual mix, such as DE or US-TX",
    )
    time_zone = models.CharField(max_length=40, default="UTC")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["organisation", "code"], name="site_code_once")]

    def __str__(self) -> str:
        return self.name


class PuePeriod(OrganisationOwned):
    """Power usage effectiveness of a site, valid for a period: facility energy / IT energy (ISO/IEC 30134-2)."""

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="pue_periods")
    start = models.DateField()
    end = models.DateField(
        null=True,
        blank=True,
        help_text="first day on which it no longer holds; open if empty",
    )
    pue_ppm = models.BigIntegerField(help_text="parts per million: 1.25 is 1,250,000")
    source = models.CharField(
        max_length=200,
        help_text="where the value comes from, such as a meter or a contract",
    )

    class Meta:
        ordering = ["start"]
        constraints = [
            models.CheckConstraint(
                condition=Q(pue_ppm__gte=1_000_000, pue_ppm__lte=5_000_000),
                name="pue_1_to_5",
            ),
            models.CheckConstraint(
                condition=Q(end__isnull=True) | Q(end__gt=F("start")),
                name="pue_end_after_start",
            ),
            models.UniqueConstraint(fields=["site", "start"], name="pue_start_once"),
        ]

    def __str__(self) -> str:
        return f"{self.site} PUE {self.pue_ppm / 1_000_000:.3f} from {self.start}"


class SiteMeasurement(OrganisationOwned):
    """What a meter or an invoice says of a site over whole days, UTC, half-open.

    The utility meter is the Scope 2 activity figure that telemetry is reconciled to; water, reused heat and renewable
    energy are the terms of the data-centre indicators (EN 50600-4, ISO/IEC 30134).
    """

    class Quantity(models.TextChoices):
        FACILITY_ENERGY = "facility_energy", "Electricity of the facility"
        IT_ENERGY = "it_energy", "Electricity of the IT equipment"
        RENEWABLE_ENERGY = "renewable_energy", "Renewable electricity used"
        REUSED_ENERGY = "reused_energy", "Heat given away for reuse"
        WATER_INTAKE = "water_intake", "Water taken in"

    class Evidence(models.TextChoices):
        METER = "meter", "Meter reading"
        INVOICE = "invoice", "Invoice"

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="measurements")
    quantity = models.CharField(max_length=20, choices=Quantity)
    meter = models.CharField(max_length=80, blank=True, help_text="number of the meter or connection, where several")
    start = models.DateField()
    end = models.DateField(help_text="first day after")
    amount = models.BigIntegerField(help_text="milliwatt-hours; water: millilitres")
    evidence = models.CharField(max_length=10, choices=Evidence)
    reference = models.CharField(max_length=120, help_text="number of the invoice, or where the reading was taken")
    note = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["site", "quantity", "start"]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gte=0), name="site_measurement_not_negative"),
            models.CheckConstraint(condition=Q(end__gt=F("start")), name="site_measurement_end_after_start"),
            models.UniqueConstraint(fields=["site", "quantity", "meter", "start"], name="site_measurement_once"),
        ]

    def __str__(self) -> str:
        return f"{self.site} {self.quantity} from {self.start}"
