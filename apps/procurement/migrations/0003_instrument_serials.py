from django.db import migrations, models
from django.db.models.functions import Lower

from apps.procurement.serials import serial_range


def fill(apps, schema_editor):
    """Work out the comparable serial range of the lots that are there; a range that is none is kept as one text."""
    Instrument = apps.get_model("procurement", "Instrument")
    for row in Instrument.unscoped.exclude(serial_start="").iterator():
        try:
            found = serial_range(row.serial_start, row.serial_end)
            row.serial_prefix, row.serial_first, row.serial_last = found.prefix, found.first, found.last
        except ValueError:
            row.serial_prefix, row.serial_first, row.serial_last = row.serial_start.casefold()[:80], "", ""
        row.save(update_fields=["serial_prefix", "serial_first", "serial_last"])


class Migration(migrations.Migration):

    dependencies = [
        ("procurement", "0002_engine_procurement"),
    ]

    operations = [
        migrations.AddField(
            model_name="instrument",
            name="certificate",
            field=models.JSONField(blank=True, default=dict, help_text="what granular certificates state besides: issuer, energy carrier, source, capacity, configuration"),
        ),
        migrations.AddField(
            model_name="instrument",
            name="device",
            field=models.CharField(blank=True, help_text="the plant or meter of granular certificates", max_length=120),
        ),
        migrations.AddIndex(
            model_name="instrument",
            index=models.Index(Lower("tracking_system"), models.F("serial_prefix"), name="instrument_serials"),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
