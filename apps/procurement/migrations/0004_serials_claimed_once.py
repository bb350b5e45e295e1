"""A serial range is claimed once in the whole installation: the database refuses the second claim, whoever writes it.

Two rows that overlap are nothing a unique index can see, and an exclusion constraint is not known to SQLite: both
databases get triggers. PostgreSQL's takes a lock for the tracking system first, so that of two transactions that
claim the same serials at once the second one waits and then sees the first; SQLite has one writer.

A later migration that rebuilds the table on SQLite (a new constraint, a changed column) drops its triggers there, and
has to create them again: ``migrations.RunPython(create, drop)`` with the functions of this module.
"""

from django.db import migrations, models

TABLE = "procurement_instrument"
NAME = "instrument_serials_claimed_once"

OVERLAP = f"""
    SELECT 1 FROM {TABLE} other
    WHERE lower(other.tracking_system) = lower(NEW.tracking_system) AND other.serial_prefix = NEW.serial_prefix
    AND other.serial_start <> '' AND other.serial_first <= NEW.serial_last AND NEW.serial_first <= other.serial_last
"""
COMPARED = ("tracking_system", "serial_start", "serial_prefix", "serial_first", "serial_last")
CHANGED = " OR ".join(f"OLD.{name} <> NEW.{name}" for name in COMPARED)

POSTGRESQL = [
    f"""
CREATE OR REPLACE FUNCTION {NAME}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.serial_start = '' THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'UPDATE' AND NOT ({CHANGED}) THEN
        RETURN NEW;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext(lower(NEW.tracking_system)));
    IF EXISTS ({OVERLAP} AND other.id <> NEW.id) THEN
        RAISE EXCEPTION 'these serial numbers are already claimed'
            USING ERRCODE = 'exclusion_violation', TABLE = '{TABLE}', CONSTRAINT = '{NAME}';
    END IF;
    RETURN NEW;
END;
$$
""",
    f"CREATE TRIGGER {NAME} BEFORE INSERT OR UPDATE ON {TABLE} FOR EACH ROW EXECUTE FUNCTION {NAME}()",
]
POSTGRESQL_DROP = [f"DROP TRIGGER IF EXISTS {NAME} ON {TABLE}", f"DROP FUNCTION IF EXISTS {NAME}()"]

SQLITE = [
    f"""
CREATE TRIGGER {NAME}_insert BEFORE INSERT ON {TABLE} WHEN NEW.serial_start <> '' BEGIN
    SELECT RAISE(ABORT, '{NAME}') WHERE EXISTS ({OVERLAP});
END
""",
    f"""
CREATE TRIGGER {NAME}_update BEFORE UPDATE ON {TABLE} WHEN NEW.serial_start <> '' AND ({CHANGED}) BEGIN
    SELECT RAISE(ABORT, '{NAME}') WHERE EXISTS ({OVERLAP} AND other.id <> NEW.id);
END
""",
]
SQLITE_DROP = [f"DROP TRIGGER IF EXISTS {NAME}_insert", f"DROP TRIGGER IF EXISTS {NAME}_update"]


def create(apps, schema_editor):
    for statement in POSTGRESQL if schema_editor.connection.vendor == "postgresql" else SQLITE:
        schema_editor.execute(statement, params=None)


def drop(apps, schema_editor):
    for statement in POSTGRESQL_DROP if schema_editor.connection.vendor == "postgresql" else SQLITE_DROP:
        schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):

    dependencies = [
        ("procurement", "0003_instrument_serials"),
    ]

    operations = [
        migrations.AddConstraint(
            model_name="instrument",
            constraint=models.CheckConstraint(
                condition=models.Q(serial_start="", serial_prefix="", serial_first="", serial_last="")
                | (~models.Q(serial_start="") & (~models.Q(serial_prefix="") | ~models.Q(serial_first=""))),
                name="instrument_serials_comparable",
            ),
        ),
        migrations.RunPython(create, drop),
    ]
