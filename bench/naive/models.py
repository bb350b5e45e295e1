"""What one writes first: a wide row with a random key."""

import uuid

from django.db import models


class NaiveSample(models.Model):
    idem = models.UUIDField(default=uuid.uuid4, unique=True)
    source = models.CharField(max_length=200)
    start = models.DateTimeField(db_index=True)
    end = models.DateTimeField()
    energy_wh = models.FloatField()
    team = models.CharField(max_length=120)
    model = models.CharField(max_length=120)
    kind = models.CharField(max_length=20)
    site = models.CharField(max_length=40)
    tokens = models.BigIntegerField(null=True)
    requests = models.BigIntegerField(null=True)
