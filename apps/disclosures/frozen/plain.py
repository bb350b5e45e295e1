"""The plain values of which evidence is made: whole numbers, texts, ISO dates and times."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Any

from apps.core.units import PPM, round_half_up
from apps.factors.models import Factor

Json = dict[str, Any]
NANO = 10**9


def time_text(moment: datetime | None) -> str | None:
    """``2026-07-01T05:00:00+00:00``."""
    return None if moment is None else moment.astimezone(UTC).replace(microsecond=0).isoformat()


def day_text(day: date | None) -> str | None:
    """``2026-07-01``."""
    return None if day is None else day.isoformat()


def ppm(value: Fraction | float | None) -> int | None:
    """A ratio in parts per million, rounded half up."""
    return None if value is None else round_half_up(value * PPM)


def nano(value: Fraction | None) -> int | None:
    """A ratio in thousand-millionths of its unit, rounded half up."""
    return None if value is None else round_half_up(value * NANO)


def texts(values: Iterable[Any]) -> list[str]:
    return [str(value) for value in values]


def factor_json(factor: Factor | None) -> Json | None:
    """A published factor with its dataset, edition, perimeter and licence."""
    if factor is None:
        return None
    dataset = factor.dataset
    return {
        "dataset": dataset.slug,
        "edition": dataset.edition,
        "publisher": dataset.publisher,
        "title": dataset.title,
        "boundary": dataset.boundary,
        "perimeter": dataset.perimeter,
        "basis": dataset.basis,
        "gwp_set": dataset.gwp_set,
        "source_url": dataset.source_url,
        "licence": dataset.licence,
        "dataset_digest": dataset.digest,
        "zone": factor.zone_id,
        "zone_name": factor.zone.name,
        "data_year": factor.data_year,
        "quality": factor.quality,
        "note": factor.note,
    }
