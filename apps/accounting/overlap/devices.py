"""Devices that several sources measure, devices that contain others, and the order in which sources are counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from django.db import connection

_ANY = "SELECT 1 FROM telemetry_source WHERE organisation_id = %s AND (device <> '' OR within <> '') LIMIT 1"
# A source without a device is its own: another one may name it as its device, or as what contains it.
_SOURCES = """
WITH place AS (
    SELECT id, name, precedence, within, CASE WHEN device = '' THEN name ELSE device END AS device
    FROM telemetry_source WHERE organisation_id = %s
)
SELECT id, name, precedence, device, within FROM place
WHERE device IN (SELECT device FROM place GROUP BY device HAVING COUNT(*) > 1)
   OR device IN (SELECT within FROM place WHERE within <> '') OR within IN (SELECT device FROM place)
ORDER BY id
"""


class SharedSource(NamedTuple):
    """A source whose device others measure too, or that lies within a device, or contains one.

    Of the sources of a ``device`` the lowest ``precedence`` is counted; ``within``: the device that contains this one,
    empty where no source measures that.
    """

    id: int
    name: str
    precedence: int
    device: str
    within: str = ""


def shared_sources(organisation_id: int) -> list[SharedSource]:
    """The sources that are held against others, by id; nearly always none, which one look tells."""
    with connection.cursor() as cursor:
        cursor.execute(_ANY, [organisation_id])
        if cursor.fetchone() is None:
            return []
        cursor.execute(_SOURCES, [organisation_id])
        sources = [SharedSource(*row) for row in cursor.fetchall()]
    measured = {source.device for source in sources}
    sources = [source if source.within in measured else source._replace(within="") for source in sources]
    number: dict[str, int] = defaultdict(int)
    for source in sources:
        number[source.device] += 1
    containers = containers_of(sources)
    kept = set(containers) | set(containers.values())
    return [source for source in sources if number[source.device] > 1 or source.device in kept]


def containers_of(sources: Iterable[SharedSource]) -> dict[str, str]:
    """The device that contains each device, as its first source by precedence and name says.

    Devices that would contain themselves, at once or in a circle, are contained in none.
    """
    found: dict[str, str] = {}
    for source in sorted(sources, key=lambda source: (source.precedence, source.name)):
        if source.within and source.within != source.device:
            found.setdefault(source.device, source.within)
    circular = set()
    for device in found:
        seen, now = {device}, found.get(device)
        while now is not None and now not in seen:
            seen.add(now)
            now = found.get(now)
        if now == device:
            circular.add(device)
    return {device: container for device, container in found.items() if device not in circular}
