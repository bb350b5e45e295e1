"""Published reference data: grid zones, versioned emission-factor datasets, GWP sets, equivalences, cloud regions.

A dataset never changes once imported: a new edition is a new dataset that names the one it supersedes. What ships
with the portal is everybody's; what an organisation brought in under its own licence carries it, and nobody else sees
it (``queries.visible_datasets``).
"""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone


class GridZone(models.Model):
    class Type(models.TextChoices):
        COUNTRY = "country", "Country"
        SUBDIVISION = "subdivision", "State or province"
        SUBREGION = "subregion", "Grid subregion"
        AGGREGATE = "aggregate", "Group of countries"

    code = models.CharField(max_length=20, primary_key=True, help_text="ISO 3166-1/-2 code or eGRID acronym")
    name = models.CharField(max_length=120)
    type = models.CharField(max_length=12, choices=Type)
    country = models.CharField(max_length=2, blank=True, help_text="ISO 3166-1 alpha-2; empty for aggregates")
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="children")

    class Meta:
        ordering = ["code"]

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


class FactorDataset(models.Model):
    """One edition of one publisher's factors."""

    class Kind(models.TextChoices):
        LOCATION = "location", "Location-based grid average"
        RESIDUAL = "residual", "Residual mix"
        SUPPLIER = "supplier", "Supplier or utility rate"
        INSTRUMENT = "instrument", "Factor of an instrument"
        FOSSIL_DEFAULT = "fossil_default", "Fossil-only average or default"
        UPSTREAM = "upstream", "Upstream of fuels (Scope 3, category 3)"
        LOSSES = "losses", "Transmission and distribution losses (Scope 3, category 3)"
        HOURLY = "hourly", "Hourly location-based grid average"
        HOURLY_RESIDUAL = "hourly_residual", "Hourly residual mix"
        HOURLY_CFE = "hourly_cfe", "Hourly carbon-free share of the grid"

    class Boundary(models.TextChoices):
        DIRECT = "direct", "Direct emissions of generation"
        LIFE_CYCLE = "life_cycle", "Life cycle (upstream and construction included)"

    class Perimeter(models.TextChoices):
        GENERATION = "generation", "Generation in the zone"
        CONSUMPTION = "consumption", "Consumption in the zone (imports and exports accounted for)"
        UNSTATED = "unstated", "Not stated by the publisher"

    # Set for what one organisation brought in itself, under its own licence: nobody else sees it.
    organisation = models.ForeignKey(
        "organisations.Organisation", null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    slug = models.SlugField(max_length=80)
    edition = models.CharField(max_length=40)
    kind = models.CharField(max_length=16, choices=Kind)
    publisher = models.CharField(max_length=120)
    title = models.CharField(max_length=300)
    boundary = models.CharField(max_length=10, choices=Boundary)
    perimeter = models.CharField(max_length=12, choices=Perimeter, default=Perimeter.UNSTATED)
    basis = models.CharField(
        max_length=200,
        help_text="generation or consumption, losses, what the publisher says",
    )
    gwp_set = models.CharField(
        max_length=4,
        blank=True,
        help_text="GWP set of the CO2e column, if the source says",
    )
    source_url = models.CharField(max_length=300, blank=True)
    licence = models.CharField(max_length=200)
    retrieved_via = models.CharField(max_length=300, blank=True)
    # Reference rank inside the location-based hierarchy: lower is more authoritative for the same zone and year.
    rank = models.PositiveSmallIntegerField(default=50)
    none_published = models.JSONField(
        default=list,
        blank=True,
        help_text="[zone, year] for which the publisher states that there is no factor: absent, never zero",
    )
    supersedes = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the imported rows in canonical form")
    imported_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["slug", "edition"]
        constraints = [
            models.UniqueConstraint("slug", "edition", Coalesce("organisation", 0), name="factor_dataset_edition_once")
        ]

    def __str__(self) -> str:
        return f"{self.publisher}, {self.title} ({self.edition})"


HOURLY_KINDS = (FactorDataset.Kind.HOURLY, FactorDataset.Kind.HOURLY_RESIDUAL, FactorDataset.Kind.HOURLY_CFE)


class Factor(models.Model):
    """The factor of one zone for one data year. Gas masses where the source has them, CO2e always where printed.

    ``*_kg_per_mwh`` is kilograms of the named gas (CO2e: of CO2 equivalent) per megawatt-hour, equal to g/kWh. Eleven
    decimals hold three decimals of lb/MWh converted exactly.
    """

    dataset = models.ForeignKey(FactorDataset, on_delete=models.PROTECT, related_name="factors")
    zone = models.ForeignKey(GridZone, on_delete=models.PROTECT, related_name="factors")
    data_year = models.PositiveSmallIntegerField(help_text="year the data describes")
    valid_from = models.DateField(help_text="first day for which it may be used as the factor of that year")
    valid_to = models.DateField(help_text="first day after")
    co2e_kg_per_mwh = models.DecimalField(max_digits=16, decimal_places=11, null=True)
    co2_kg_per_mwh = models.DecimalField(max_digits=16, decimal_places=11, null=True)
    ch4_kg_per_mwh = models.DecimalField(max_digits=16, decimal_places=11, null=True)
    n2o_kg_per_mwh = models.DecimalField(max_digits=16, decimal_places=11, null=True)
    biogenic_co2_kg_per_mwh = models.DecimalField(
        max_digits=16, decimal_places=11, null=True, help_text="outside the scopes, never part of CO2e"
    )
    quality = models.CharField(max_length=80, blank=True)
    note = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["dataset", "zone", "data_year"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "zone", "data_year"], name="factor_zone_year_once"),
            models.CheckConstraint(
                condition=Q(valid_to__gt=F("valid_from")),
                name="factor_valid_to_after_from",
            ),
            models.CheckConstraint(
                condition=Q(co2e_kg_per_mwh__gte=0) | Q(co2_kg_per_mwh__gte=0),
                name="factor_has_a_value",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.zone_id} {self.data_year}: {self.co2e_kg_per_mwh} kg/MWh"


class HourlyFactor(models.Model):
    """One hour of a zone in a dataset of an hourly kind."""

    dataset = models.ForeignKey(FactorDataset, on_delete=models.CASCADE, related_name="+")
    zone = models.ForeignKey(GridZone, on_delete=models.PROTECT, related_name="+")
    hour = models.IntegerField(help_text="hours since the epoch, UTC")
    value = models.BigIntegerField(help_text="ug CO2e per kWh; carbon-free share: parts per million")
    is_estimated = models.BooleanField(default=False, help_text="the provider calls it an estimate")
    pk = models.CompositePrimaryKey("dataset", "zone", "hour")


class GwpValue(models.Model):
    """Global warming potential over 100 years [kg CO2e per kg of gas]."""

    gwp_set = models.CharField(max_length=4, help_text="AR4, AR5 or AR6")
    gas = models.CharField(max_length=12)
    value = models.DecimalField(max_digits=10, decimal_places=3)
    source_title = models.CharField(max_length=200)
    source_url = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["gwp_set", "gas"], name="gwp_gas_once")]


class Equivalence(models.Model):
    code = models.SlugField(primary_key=True)
    name = models.CharField(max_length=200)
    tonnes_per_unit = models.DecimalField(max_digits=20, decimal_places=12)
    unit = models.CharField(max_length=60)
    year = models.PositiveSmallIntegerField()
    source_title = models.CharField(max_length=300)
    source_url = models.CharField(max_length=300, blank=True)
    licence = models.CharField(max_length=200)
    note = models.CharField(max_length=300, blank=True)


class CloudRegion(models.Model):
    provider = models.CharField(max_length=20)
    region = models.CharField(max_length=60)
    location = models.CharField(max_length=120)
    country = models.CharField(max_length=2)
    grid_zone = models.ForeignKey(GridZone, null=True, on_delete=models.PROTECT, related_name="+")
    mapping_basis = models.CharField(max_length=200, blank=True)
    source_title = models.CharField(max_length=300)
    source_url = models.CharField(max_length=300, blank=True)
    licence = models.CharField(max_length=200)

    class Meta:
        ordering = ["provider", "region"]
        constraints = [models.UniqueConstraint(fields=["provider", "region"], name="cloud_region_once")]
