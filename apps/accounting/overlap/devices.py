"""Devices that several sources measure, and the order in which these are counted."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from django.db import connection

_ANY = "SELECT 1 FROM telemetry_source WHERE organisation_id = %s AND device <> '' LIMIT 1"
# A source without a device is its own: another one may name it as its device.
_SOURCES = """
SELECT id, name, precedence, device FROM (
    SELECT id, name, precedence, CASE WHEN device = '' THEN name ELSE device END AS device
    FROM telemetry_source WHERE organisation_id = %s
) named
WHERE device IN (SELECT device FROM telemetry_source WHERE organisation_id = %s AND device <> '')
ORDER BY id
"""


class SharedSource(NamedTuple):
    """A source of a device that other sources measure too; of these the lowest ``precedence`` is counted."""

    id: int
    name: str
    precedence: int
    device: str


def shared_sources(organisation_id: int) -> list[SharedSource]:
    """The sources of every device that has more than one, by id; nearly always none, which one look tells."""
    with connection.cursor() as cursor:
        cursor.execute(_ANY, [organisation_id])
        if cursor.fetchone() is None:
            return []
        cursor.execute(_SOURCES, [organisation_id, organisation_id])
        sources = [SharedSource(*row) for row in cursor.fetchall()]
    by_device: dict[str, int] = defaultdict(int)
    for source in sources:
        by_device[source.device] += 1
    return [source for source in sources if by_device[source.device] > 1]
