"""What the organisation bought: certificates, power purchase agreements, supplier rates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils import timezone

from apps.core.tenancy import OrganisationOwned
from apps.procurement.serials import serial_range


class Instrument(OrganisationOwned):
    """One lot of a contractual instrument (Scope 2 Guidance 2015, table 6.3)."""

    class Type(models.TextChoices):
        EAC = "eac", "Energy attribute certificate"
        PPA = "ppa", "Power purchase agreement"
        SUPPLIER = "supplier", "Supplier or utility rate"

    reference = models.CharField(max_length=80, help_text="the organisation's own name for the lot")
    type = models.CharField(max_length=10, choices=Type)
    market = models.CharField(max_length=20)
    technology = models.CharField(max_length=60, blank=True)
    vintage_start = models.DateField()
    vintage_end = models.DateField(help_text="first day after the vintage")
    volume_milliwatt_hours = models.BigIntegerField()
    # kg per MWh; either CO2e or the gases
    co2e_kg_per_mwh = models.DecimalField(max_digits=14, decimal_places=6, null=True, blank=True)
    co2_kg_per_mwh = models.DecimalField(max_digits=14, decimal_places=6, null=True, blank=True)
    ch4_kg_per_mwh = models.DecimalField(max_digits=14, decimal_places=9, null=True, blank=True)
    n2o_kg_per_mwh = models.DecimalField(max_digits=14, decimal_places=9, null=True, blank=True)
    biogenic_co2_kg_per_mwh = models.DecimalField(max_digits=14, decimal_places=6, null=True, blank=True)
    tracking_system = models.CharField(max_length=60, blank=True)
    serial_start = models.CharField(max_length=80, blank=True)
    serial_end = models.CharField(max_length=80, blank=True)
    # The serial range as the database compares it, worked out from the two texts above when the lot is saved: equal
    # prefixes and overlapping numbers are one claim made twice, and triggers refuse it. See ``serials``.
    serial_prefix = models.CharField(max_length=80, blank=True, editable=False)
    serial_first = models.CharField(max_length=40, blank=True, editable=False)
    serial_last = models.CharField(max_length=40, blank=True, editable=False)
    issued_on = models.DateField(null=True, blank=True)
    retired_on = models.DateField(null=True, blank=True)
    beneficiary = models.CharField(
        max_length=120,
        blank=True,
        help_text="for whom it was retired, where that is not the organisation itself",
    )
    deliverable = models.BooleanField(
        default=True, help_text="whether the electricity could be delivered to the market; asked by the hourly draft"
    )
    supplier_attested = models.BooleanField(
        null=True,
        blank=True,
        help_text="criterion 6: the supplier attests a delivered mix from which sold attributes are left out",
    )
    exclusive_claim = models.BooleanField(
        null=True,
        blank=True,
        help_text="criterion 7: every instrument that carries the claim comes to the organisation alone",
    )
    earmark_team = models.ForeignKey(
        "organisations.Team", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    earmark_model = models.ForeignKey(
        "workloads.AIModel", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    evidence = models.FileField(upload_to="instruments/", blank=True, max_length=300)
    evidence_name = models.CharField(max_length=200, blank=True, help_text="what the file was called")
    evidence_digest = models.CharField(max_length=64, blank=True, help_text="SHA-256 of the file")
    device = models.CharField(max_length=120, blank=True, help_text="the plant or meter of granular certificates")
    certificate = models.JSONField(
        default=dict,
        blank=True,
        help_text="what granular certificates state besides: issuer, energy carrier, source, capacity, configuration",
    )
    claim_start = models.DateField(
        null=True,
        blank=True,
        help_text="first day of the consumption that the retirement names; empty: the vintage",
    )
    claim_end = models.DateField(null=True, blank=True, help_text="first day after it")
    simulated = models.BooleanField(default=False, help_text="an example of the demo, no real purchase")
    note = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["vintage_start", "reference"]
        indexes = [models.Index(Lower("tracking_system"), "serial_prefix", name="instrument_serials")]
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "reference"],
                name="instrument_reference_once",
                violation_error_message="Another instrument has this reference.",
            ),
            models.CheckConstraint(
                condition=Q(volume_milliwatt_hours__gt=0),
                name="instrument_volume_positive",
            ),
            models.CheckConstraint(
                condition=Q(vintage_end__gt=F("vintage_start")),
                name="instrument_vintage_order",
            ),
            models.CheckConstraint(
                condition=Q(claim_start__isnull=True, claim_end__isnull=True) | Q(claim_end__gt=F("claim_start")),
                name="instrument_claim_order",
            ),
            models.CheckConstraint(
                condition=Q(earmark_team__isnull=True) | Q(earmark_model__isnull=True),
                name="instrument_one_earmark",
            ),
            models.CheckConstraint(
                condition=Q(co2e_kg_per_mwh__gte=0) | Q(co2_kg_per_mwh__gte=0),
                name="instrument_has_a_factor",
            ),
            models.CheckConstraint(
                condition=Q(serial_start="", serial_prefix="", serial_first="", serial_last="")
                | (~Q(serial_start="") & (~Q(serial_prefix="") | ~Q(serial_first=""))),
                name="instrument_serials_comparable",
            ),
        ]

    def __str__(self) -> str:
        return self.reference

    def work_out_serials(self) -> None:
        """Fill the serial range as the database compares it. Raises ``ValueError`` where there is none."""
        found = serial_range(self.serial_start, self.serial_end)
        self.serial_prefix, self.serial_first, self.serial_last = found.prefix, found.first, found.last

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **options: Any) -> None:
        self.work_out_serials()
        if update_fields is not None and {"serial_start", "serial_end"} & set(update_fields):
            update_fields = {*update_fields, "serial_prefix", "serial_first", "serial_last"}
        super().save(*args, update_fields=update_fields, **options)


class InstrumentHour(OrganisationOwned):
    """Production of one hour in a lot of granular certificates (EnergyTag): whole watt-hours, rounded down."""

    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="hours")
    hour = models.IntegerField(help_text="hours since the epoch, UTC")
    energy_milliwatt_hours = models.BigIntegerField()

    class Meta:
        ordering = ["hour"]
        constraints = [
            models.UniqueConstraint(fields=["instrument", "hour"], name="instrument_hour_once"),
            models.CheckConstraint(condition=Q(energy_milliwatt_hours__gte=0), name="instrument_hour_not_negative"),
        ]


class StandardSupply(OrganisationOwned):
    """The organisation's share of regulated or mandated clean supply in a market (draft of October 2025, SSS)."""

    market = models.CharField(max_length=20)
    start = models.DateField()
    end = models.DateField(help_text="first day after")
    share_ppm = models.BigIntegerField(help_text="of the consumption, parts per million")
    co2e_kg_per_mwh = models.DecimalField(max_digits=14, decimal_places=6)
    source = models.CharField(max_length=200, help_text="supplier statement or registry")

    class Meta:
        ordering = ["market", "start"]
        verbose_name_plural = "standard supplies"
        constraints = [
            models.UniqueConstraint(fields=["organisation", "market", "start"], name="standard_supply_once"),
            models.CheckConstraint(
                condition=Q(share_ppm__gte=0, share_ppm__lte=1_000_000), name="standard_supply_0_to_1"
            ),
            models.CheckConstraint(condition=Q(end__gt=F("start")), name="standard_supply_end_after_start"),
        ]

    def __str__(self) -> str:
        return f"{self.market} from {self.start}"

    @property
    def share(self) -> float:
        """As a fraction of the consumption."""
        return self.share_ppm / 1_000_000
