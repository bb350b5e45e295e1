"""The append-only event log: who changed what, when, from which value to which, each event sealed to the one before."""

from django.db import models


class AuditEvent(models.Model):
    """One write by a person or of configuration.

    ``digest`` is the SHA-256 over the event's canonical JSON and the digest of the organisation's event before it, so
    that an event cannot be altered, removed or inserted without every later digest changing.
    """

    # A plain number: the audit room stands below organisations, and a log outlives what it speaks of.
    organisation_id = models.BigIntegerField(help_text="0: the installation itself")
    sequence = models.BigIntegerField()
    at = models.DateTimeField()
    actor = models.CharField(max_length=254, help_text="e-mail address, `key:PREFIX` or `system`")
    action = models.CharField(max_length=80, help_text="object.verb, such as `site.created`")
    object_type = models.CharField(max_length=80)
    object_id = models.CharField(max_length=80)
    object_label = models.CharField(max_length=200)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    reason = models.TextField(blank=True)
    previous_digest = models.CharField(max_length=64, blank=True)
    digest = models.CharField(max_length=64)

    class Meta:
        ordering = ["sequence"]
        constraints = [
            models.UniqueConstraint(
                fields=["organisation_id", "sequence"],
                name="audit_event_sequence",
            )
        ]

    def __str__(self) -> str:
        return f"{self.sequence} {self.action} {self.object_label}"
