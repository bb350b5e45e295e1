"""Template filters for figures. Built in: no ``{% load %}`` needed.

Energy comes in milliwatt-hours and emissions in milligrams, integers as stored. ``energy`` and ``mass`` choose the unit
of a single figure; in a table the unit is chosen per column and ``energy_in`` and ``mass_in`` print digits only. Absent
(``None``) is a dash, never 0; what is too small to show is "< 0.01", never 0.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from django import template

from apps.core import figures

register = template.Library()

for _filter in (
    figures.energy,
    figures.energy_number,
    figures.energy_unit,
    figures.energy_in,
    figures.energy_exact,
    figures.mass,
    figures.mass_number,
    figures.mass_unit,
    figures.signed_mass,
    figures.signed_percent,
    figures.literature_number,
    figures.mass_in,
    figures.mass_exact,
    figures.percent,
    figures.count,
    figures.or_dash,
    figures.grams_per_kwh,
    figures.pue,
):
    register.filter(_filter.__name__, _filter)


@register.filter
def utc(moment: Any) -> str:
    """A time as ``2026-07-01 05:00 UTC``, a day as ``2026-07-01``, none as a dash."""
    if moment is None or moment == "":
        return figures.DASH
    if isinstance(moment, datetime):
        return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if isinstance(moment, date):
        return moment.isoformat()
    return str(moment)


QUALITY_NAMES = {
    "A": "metered",
    "B": "measured by the device",
    "C": "modelled",
    "D": "estimated",
}


@register.filter
def quality_name(letter: str | None) -> str:
    """What a quality letter means."""
    return QUALITY_NAMES.get(letter or "", "no data")
