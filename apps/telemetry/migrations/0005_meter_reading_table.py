"""Meter readings: monthly range partitions in PostgreSQL, a table WITHOUT ROWID in SQLite, as for the readings.

Time leads the key, so that an hour lies together; the second index finds a series' neighbours across hours.
"""

import django.db.models.deletion
from django.db import migrations, models

COLUMNS = """
    at_ms bigint NOT NULL,
    start_ms bigint NOT NULL DEFAULT 0,
    value double precision,
    receipt_id bigint NOT NULL,
    organisation_id integer NOT NULL,
    series_id integer NOT NULL,
    PRIMARY KEY (organisation_id, at_ms, series_id)
"""


def create(apps, schema_editor):
    table_kind = {"postgresql": "PARTITION BY RANGE (at_ms)", "sqlite": "WITHOUT ROWID"}
    kind = table_kind[schema_editor.connection.vendor]
    schema_editor.execute(f"CREATE TABLE telemetry_meterreading ({COLUMNS}) {kind}")
    schema_editor.execute("CREATE INDEX meter_reading_series ON telemetry_meterreading (series_id, at_ms)")


def drop(apps, schema_editor):
    schema_editor.execute("DROP TABLE telemetry_meterreading")  # in PostgreSQL with its partitions


class Migration(migrations.Migration):

    dependencies = [("telemetry", "0004_meters_doors_and_uploads")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(create, drop)],
            state_operations=[
                migrations.CreateModel(
                    name='MeterReading',
                    fields=[
                        ('at_ms', models.BigIntegerField()),
                        ('value', models.FloatField(null=True)),
                        ('start_ms', models.BigIntegerField(default=0)),
                        ('pk', models.CompositePrimaryKey('organisation', 'at_ms', 'series', blank=True, editable=False, primary_key=True, serialize=False)),
                        ('organisation', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='organisations.organisation')),
                        ('receipt', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='telemetry.receipt')),
                        ('series', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='telemetry.series')),
                    ],
                ),
                migrations.AddIndex(
                    model_name='meterreading',
                    index=models.Index(fields=['series', 'at_ms'], name='meter_reading_series'),
                ),
            ],
        ),
    ]
