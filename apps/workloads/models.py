"""What uses the electricity: AI models, the workloads that train or serve them, the hardware they run on."""

from django.db import models
from django.utils import timezone

from apps.core.tenancy import OrganisationOwned


class Provenance(models.TextChoices):
    REPORTED = "reported", "Reported by the organisation's own telemetry"
    PUBLISHED = (
        "published",
        "Published figures of somebody else's run, shown as an example",
    )
    SIMULATED = "simulated", "Simulated load, not a measurement"


class Kind(models.IntegerChoices):
    """Phase of an AI workload; the integer is what the telemetry row holds, the name what the API says."""

    OTHER = 0, "other"
    TRAINING = 1, "training"
    FINE_TUNING = 2, "fine_tuning"
    INFERENCE = 3, "inference"
    EVALUATION = 4, "evaluation"
    DATA = 5, "data"
    IDLE = 6, "idle"


class AIModel(OrganisationOwned):
    slug = models.SlugField(max_length=120)
    name = models.CharField(max_length=200)
    provenance = models.CharField(max_length=10, choices=Provenance, default=Provenance.REPORTED)
    citation = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]
        verbose_name = "AI model"
        constraints = [
            models.UniqueConstraint(fields=["organisation", "name"], name="ai_model_name_once"),
            models.UniqueConstraint(fields=["organisation", "slug"], name="ai_model_slug_once"),
        ]

    def __str__(self) -> str:
        return self.name


class Study(OrganisationOwned):
    """Many runs with one purpose: a hyper-parameter search, an ablation, a development line."""

    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "studies"
        constraints = [models.UniqueConstraint(fields=["organisation", "name"], name="study_name_once")]

    def __str__(self) -> str:
        return self.name


class Workload(OrganisationOwned):
    """A training run, an inference service or another job with a name of its own."""

    class Outcome(models.TextChoices):
        """How a run ended. A failed or early-stopped run belongs to the model's development line all the same."""

        UNKNOWN = "unknown", "Not stated"
        RUNNING = "running", "Running"
        FINISHED = "finished", "Finished"
        EARLY_STOPPED = "early_stopped", "Stopped early"
        FAILED = "failed", "Failed"

    name = models.CharField(max_length=200)
    provenance = models.CharField(max_length=10, choices=Provenance, default=Provenance.REPORTED)
    citation = models.CharField(max_length=300, blank=True)
    outcome = models.CharField(max_length=14, choices=Outcome, default=Outcome.UNKNOWN)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["organisation", "name"], name="workload_name_once")]

    def __str__(self) -> str:
        return self.name


class HardwareProfile(models.Model):
    """Published facts about a device type; reference data, the same for every organisation."""

    code = models.SlugField(max_length=80, primary_key=True)
    name = models.CharField(max_length=120)
    vendor = models.CharField(max_length=60)
    kind = models.CharField(max_length=20, help_text="GPU, TPU, CPU, ...")
    scope = models.CharField(
        max_length=120,
        help_text="what the watts are of: one device, one CPU package, ...",
    )
    release_year = models.PositiveSmallIntegerField(null=True)
    memory_gb = models.DecimalField(max_digits=8, decimal_places=1, null=True)
    tdp_w = models.DecimalField(max_digits=8, decimal_places=2, null=True)
    idle_w = models.DecimalField(max_digits=8, decimal_places=2, null=True)
    max_w = models.DecimalField(max_digits=8, decimal_places=2, null=True)
    source_title = models.CharField(max_length=300)
    source_url = models.CharField(max_length=300, blank=True)
    licence = models.CharField(max_length=200)
    note = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["vendor", "name"]

    def __str__(self) -> str:
        return self.name


class EmbodiedFigure(models.Model):
    """Published emissions of making a device, cradle to gate [g CO2e]. Rows of different boundary are never added."""

    hardware_code = models.SlugField(max_length=80)
    name = models.CharField(max_length=160)
    embodied_g = models.BigIntegerField()
    boundary = models.CharField(max_length=120)
    year = models.PositiveSmallIntegerField()
    # Which of several figures of one device is used: the lowest.
    rank = models.PositiveSmallIntegerField(default=0)
    source_title = models.CharField(max_length=300)
    source_url = models.CharField(max_length=300, blank=True)
    licence = models.CharField(max_length=200)
    note = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["hardware_code", "rank"]
        constraints = [models.UniqueConstraint(fields=["hardware_code", "rank"], name="embodied_figure_once")]

    def __str__(self) -> str:
        return self.name


class InferenceProfile(models.Model):
    """Published energy of serving a model on a device, per output token; the accelerators alone."""

    model_name = models.CharField(max_length=200)
    hardware = models.CharField(max_length=60, help_text="as published, such as H100")
    accelerators = models.PositiveSmallIntegerField()
    task = models.CharField(max_length=60)
    microjoules_per_token = models.BigIntegerField()
    configurations = models.PositiveSmallIntegerField(help_text="published configurations that it is the median of")
    year = models.PositiveSmallIntegerField()
    source_title = models.CharField(max_length=300)
    source_url = models.CharField(max_length=300, blank=True)
    licence = models.CharField(max_length=200)

    class Meta:
        ordering = ["model_name", "hardware", "accelerators"]
        constraints = [
            models.UniqueConstraint(
                fields=["model_name", "hardware", "accelerators", "task"], name="inference_profile_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.model_name} on {self.accelerators} x {self.hardware}"
