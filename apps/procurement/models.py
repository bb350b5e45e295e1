"""What the organisation bought: certificates, power purchase agreements, supplier rates."""

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from apps.core.tenancy import OrganisationOwned


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
    tracking_system = models.CharField(max_length=60, blank=True)
    serial_start = models.CharField(max_length=80, blank=True)
    serial_end = models.CharField(max_length=80, blank=True)
    retired_on = models.DateField(null=True, blank=True)
    beneficiary = models.CharField(
        max_length=120,
        blank=True,
        help_text="for whom it was retired, where that is not the organisation itself",
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
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "reference"],
                name="instrument_reference_once",
                violation_error_message="Another instrument has this reference.",
            ),
            # Quality criterion 2: a claim is made once, in the whole installation.
            models.UniqueConstraint(
                fields=["tracking_system", "serial_start"],
                condition=~Q(serial_start=""),
                name="instrument_serial_claimed_once",
                violation_error_message="These serial numbers are already claimed in this tracking system.",
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
                condition=Q(co2e_kg_per_mwh__gte=0) | Q(co2_kg_per_mwh__gte=0),
                name="instrument_has_a_factor",
            ),
        ]

    def __str__(self) -> str:
        return self.reference
