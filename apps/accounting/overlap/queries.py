"""Reading what was set aside because two sources measured one device, or one that lies within another."""

from __future__ import annotations

from fractions import Fraction

import pandas as pd
from django.db import connection

from apps.core.units import MICROWATT_HOURS_PER_MILLIWATT_HOUR, round_half_up
from apps.core.windows import Window

_SET_ASIDE = """
SELECT source.name, counted.name, CAST(SUM(energy) AS bigint), CAST(SUM(covered) AS bigint),
       CASE WHEN source.device = '' THEN source.name ELSE source.device END
       = CASE WHEN counted.device = '' THEN counted.name ELSE counted.device END
FROM (
    SELECT attribution_id, counted_source_id, SUM(energy_microwatt_hours) AS energy, SUM(covered_ms) AS covered
    FROM accounting_setaside WHERE organisation_id = %s AND hour >= %s AND hour < %s
    GROUP BY attribution_id, counted_source_id
) aside
JOIN telemetry_attribution attribution ON attribution.id = aside.attribution_id
JOIN telemetry_source source ON source.id = attribution.source_id
JOIN telemetry_source counted ON counted.id = aside.counted_source_id
GROUP BY source.name, counted.name, source.device, counted.device ORDER BY source.name, counted.name
"""
SAME_DEVICE, PART_OF_IT = "same device", "part of it"


def set_aside_frame(organisation_id: int, window: Window) -> pd.DataFrame:
    """What of each source was not counted in the window, and the source that was counted instead, by names.

    Columns: ``source``, ``counted_source``, ``energy_milliwatt_hours`` (IT energy as measured, rounded once, half
    up), ``covered_ms``, ``kind``: the counted source measured the same device, or parts of it (the one with the
    largest part is named, and the time stays the source's own).
    """
    with connection.cursor() as cursor:
        cursor.execute(_SET_ASIDE, [organisation_id, window.first_hour, window.end_hour])
        rows = [
            (
                source,
                counted,
                round_half_up(Fraction(energy, MICROWATT_HOURS_PER_MILLIWATT_HOUR)),
                covered,
                SAME_DEVICE if is_same else PART_OF_IT,
            )
            for source, counted, energy, covered, is_same in cursor.fetchall()
        ]
    return pd.DataFrame(rows, columns=["source", "counted_source", "energy_milliwatt_hours", "covered_ms", "kind"])
