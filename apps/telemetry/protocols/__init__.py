"""One module per protocol: bytes to a :class:`apps.telemetry.batch.SampleBatch`. Knows the wire, not the database."""
