"""The raw readings: monthly range partitions in PostgreSQL, a table WITHOUT ROWID in SQLite.

Django can make neither, so the table is made here and only its state is Django's.
"""

import django.db.models.deletion
import django.db.models.expressions
from django.db import migrations, models

# Wide columns first and ids of four bytes, so that PostgreSQL pads as little as it can: 8 bytes a row. Receipts, one
# a request, may pass two thousand million; organisations, sources and attributions will not.
COLUMNS = """
    start_ms bigint NOT NULL,
    end_ms bigint NOT NULL,
    energy_microwatt_hours bigint NOT NULL,
    receipt_id bigint NOT NULL,
    organisation_id integer NOT NULL,
    source_id integer NOT NULL,
    attribution_id integer NOT NULL,
    tokens bigint,
    requests bigint,
    samples bigint,
    milli_epochs bigint,
    PRIMARY KEY (organisation_id, start_ms, source_id, end_ms)
"""
SPANNING = """
    CREATE INDEX reading_spanning ON telemetry_reading (organisation_id, start_ms)
    WHERE end_ms > start_ms / 3600000 * 3600000 + 3600000
"""


def create(apps, schema_editor):
    table_kind = {"postgresql": "PARTITION BY RANGE (start_ms)", "sqlite": "WITHOUT ROWID"}
    kind = table_kind[schema_editor.connection.vendor]
    schema_editor.execute(f"CREATE TABLE telemetry_reading ({COLUMNS}) {kind}")
    schema_editor.execute(SPANNING)


def drop(apps, schema_editor):
    schema_editor.execute("DROP TABLE telemetry_reading")  # in PostgreSQL with its partitions


class Migration(migrations.Migration):

    dependencies = [("telemetry", "0001_initial")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(create, drop)],
            state_operations=[
                migrations.CreateModel(
                    name='Reading',
                    fields=[
                        ('start_ms', models.BigIntegerField()),
                        ('end_ms', models.BigIntegerField()),
                        ('energy_microwatt_hours', models.BigIntegerField()),
                        ('tokens', models.BigIntegerField(null=True)),
                        ('requests', models.BigIntegerField(null=True)),
                        ('samples', models.BigIntegerField(null=True)),
                        ('milli_epochs', models.BigIntegerField(null=True)),
                        ('pk', models.CompositePrimaryKey('organisation', 'start_ms', 'source', 'end_ms', blank=True, editable=False, primary_key=True, serialize=False)),
                        ('attribution', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='telemetry.attribution')),
                        ('organisation', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='organisations.organisation')),
                        ('receipt', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='telemetry.receipt')),
                        ('source', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='telemetry.source')),
                    ],
                ),
                migrations.AddIndex(
                    model_name='reading',
                    index=models.Index(condition=models.Q(('end_ms__gt', django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(models.F('start_ms'), '/', models.Value(3600000)), '*', models.Value(3600000)), '+', models.Value(3600000)))), fields=['organisation', 'start_ms'], name='reading_spanning'),
                ),
            ],
        ),
    ]
