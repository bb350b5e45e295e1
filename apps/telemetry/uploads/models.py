"""Files recorded offline, taken in at once and worked off by a worker."""

from uuid import uuid4

from django.db import models
from django.utils import timezone

from apps.core.tenancy import OrganisationOwned


class Upload(OrganisationOwned):
    """A file of telemetry. It stays in the store: its readings' receipt names its SHA-256."""

    class Format(models.TextChoices):
        CODECARBON = "codecarbon", "CodeCarbon emissions.csv"
        ECO2AI = "eco2ai", "Eco2AI emission.csv"
        ZEUS = "zeus", "Zeus log file"
        SLURM = "slurm", "Slurm sacct"
        NVIDIA_SMI = "nvidia-smi", "nvidia-smi or DCGM CSV"
        GENERIC = "generic", "Any CSV, columns chosen"

    class State(models.TextChoices):
        ASKED = "asked", "Waits for an answer"
        QUEUED = "queued", "Queued"
        WORKING = "working", "Being read"
        DONE = "done", "Stored"
        REFUSED = "refused", "Refused"
        FAILED = "failed", "Failed"

    public_id = models.UUIDField(default=uuid4, unique=True, editable=False)
    receipt = models.OneToOneField("telemetry.Receipt", on_delete=models.PROTECT, related_name="upload")
    api_key = models.ForeignKey("organisations.ApiKey", null=True, on_delete=models.PROTECT, related_name="+")
    team_slug = models.CharField(max_length=120, blank=True, help_text="the team of the key")
    file = models.FileField(upload_to="telemetry-uploads/", max_length=300)
    file_name = models.CharField(max_length=200)
    file_digest = models.CharField(max_length=64, help_text="SHA-256 of the file")
    file_bytes = models.BigIntegerField()
    format = models.CharField(max_length=12, choices=Format)
    given = models.JSONField(default=dict, help_text="site, team, timezone, PUE, overlap choice, column mapping")
    state = models.CharField(max_length=8, choices=State, default=State.QUEUED)
    step = models.CharField(max_length=120, blank=True, help_text="what is being done, for the progress line")
    progress_percent = models.PositiveSmallIntegerField(default=0)
    report = models.JSONField(default=dict, help_text="what was found in the file, line by line where lines are faulty")
    error = models.TextField(blank=True)
    requested_by = models.CharField(max_length=254)
    requested_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    heard_at = models.DateTimeField(null=True, help_text="last sign of life of the worker that has it")
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-requested_at"]
        indexes = [models.Index(fields=["organisation", "state"], name="upload_waiting")]

    def __str__(self) -> str:
        return self.file_name
