"""Sources that measure the same energy as others: the same device, or one that lies within another."""

from __future__ import annotations

import numpy as np
from django.db import connection

from apps.telemetry.batch import Int64Array

_NAMES_ANY = "SELECT 1 FROM telemetry_source WHERE organisation_id = %s AND (device <> '' OR within <> '') LIMIT 1"
# A source without a device is its own: another one may name it as its device, or as what it lies within.
_COMPARED = """
WITH place AS (
    SELECT id, CASE WHEN device = '' THEN name ELSE device END AS device, within
    FROM telemetry_source WHERE organisation_id = %s
)
SELECT id FROM place
WHERE device IN (SELECT device FROM place GROUP BY device HAVING COUNT(*) > 1)
   OR device IN (SELECT within FROM place WHERE within <> '')
   OR within IN (SELECT device FROM place)
ORDER BY id
"""


def compared_sources(organisation_id: int) -> Int64Array:
    """Ids of the sources whose readings are held against those of others, moment by moment, in order."""
    with connection.cursor() as cursor:
        cursor.execute(_NAMES_ANY, [organisation_id])
        if cursor.fetchone() is None:
            return np.empty(0, np.int64)
        cursor.execute(_COMPARED, [organisation_id])
        return np.array([pk for (pk,) in cursor.fetchall()], dtype=np.int64)
