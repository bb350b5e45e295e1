"""How figures go over time: which buckets, and what stands in each.

As in :mod:`apps.dashboards.queries`, energies are milliwatt-hours and emissions milligrams; ``None`` is no figure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from apps.core.palette import KIND_GROUP
from apps.core.windows import Window
from apps.dashboards.queries import Selection, breakdown, energies, records, whole
from apps.organisations.models import Organisation


@dataclass(frozen=True, slots=True)
class OverTime:
    """Values per bucket of time; ``keys`` are what the file says, ``labels`` what the axis says."""

    step: str  # hour, day, week or month
    keys: list[str]
    labels: list[str]
    values: dict[str, list[int | None]]


def step_of(window: Window, coarse: bool = False) -> str:
    """The bucket that makes a window readable: at most some fifteen to fifty bars."""
    days = (window.end - window.start).total_seconds() / 86_400
    if days <= 3:
        return "hour"
    if days <= 21:
        return "day"
    return "month" if days > 190 or (coarse and days > 62) else "week"


def _bucket(key: str, step: str, window: Window) -> str:
    if step != "week":
        return key
    day = date.fromisoformat(key)
    return max(day - timedelta(days=day.weekday()), window.start.date()).isoformat()


def _buckets(window: Window, step: str, until: datetime | None) -> list[str]:
    """Every bucket of the window up to now (or to the latest reading), so that a gap is seen as a gap."""
    now = datetime.now(UTC)
    end = min(window.end, max(until or now, now)) if window.start < now else window.end
    found: dict[str, None] = {}
    moment = window.start
    while moment < end:
        key = {"hour": f"{moment:%Y-%m-%dT%H:00:00Z}", "month": f"{moment:%Y-%m}"}.get(step, f"{moment:%Y-%m-%d}")
        found[_bucket(key, step, window)] = None
        moment += timedelta(hours=1) if step == "hour" else timedelta(days=1)
    return list(found)


def _label(key: str, step: str) -> str:
    if step == "hour":
        moment = datetime.fromisoformat(key)
        return f"{moment.day} {moment:%b %H:00}"
    if step == "month":
        return f"{date.fromisoformat(key + '-01'):%b %Y}"
    day = date.fromisoformat(key)
    return f"{day.day} {day:%b}"


def energy_over_time(
    organisation: Organisation, window: Window, selection: Selection, scope: str, last: datetime | None = None
) -> OverTime:
    """IT energy by group of kinds, and the overhead that PUE adds, per bucket. Together they are facility energy."""
    step = step_of(window)
    frame = energies(organisation, window, selection, scope, ("day" if step == "week" else step, "kind"))
    keys = _buckets(window, step, last)
    values: dict[str, dict[str, int]] = {name: {} for name in ("training", "inference", "idle", "other", "overhead")}
    for row in records(frame):
        key = _bucket(str(row["day" if step == "week" else step]), step, window)
        group = values[KIND_GROUP.get(str(row["kind"]), "other")]
        it_energy = int(row["it_energy_milliwatt_hours"])
        group[key] = group.get(key, 0) + it_energy
        overhead = int(row["facility_energy_milliwatt_hours"]) - it_energy
        values["overhead"][key] = values["overhead"].get(key, 0) + overhead
    return OverTime(
        step,
        keys,
        [_label(key, step) for key in keys],
        {name: [group.get(key, 0) for key in keys] for name, group in values.items()},
    )


def methods_over_time(
    organisation: Organisation, window: Window, selection: Selection, scope: str, last: datetime | None = None
) -> OverTime:
    """Location-based and market-based emissions per month (or a smaller step in a short window)."""
    step = step_of(window, coarse=True)
    frame = energies(organisation, window, selection, scope, ("day" if step == "week" else step,))
    keys = _buckets(window, step, last)
    values: dict[str, dict[str, int]] = {"location": {}, "market": {}}
    for row in records(frame):
        key = _bucket(str(row["day" if step == "week" else step]), step, window)
        for name, column in (("location", "location_mg"), ("market", "market_mg")):
            mg = whole(row[column])
            if mg is not None:
                values[name][key] = values[name].get(key, 0) + mg
    return OverTime(
        step,
        keys,
        [_label(key, step) for key in keys],
        {name: [found.get(key) for key in keys] for name, found in values.items()},
    )


def tokens_over_time(
    organisation: Organisation, window: Window, selection: Selection, scope: str, last: datetime | None = None
) -> OverTime:
    """Tokens, and the location-based emissions [mg] of the inference that reported them, per bucket."""
    step = step_of(window)
    dimension = "day" if step == "week" else step
    frame = breakdown(
        organisation, window, {**selection, "kind": ("inference",)}, scope, (dimension, "workload", "model")
    )
    keys = _buckets(window, step, last)
    values: dict[str, dict[str, int]] = {"tokens": {}, "mg": {}}
    for row in records(frame):
        tokens, mg = whole(row["tokens"]), whole(row["location_mg"])
        if tokens and mg is not None:
            key = _bucket(str(row[dimension]), step, window)
            values["tokens"][key] = values["tokens"].get(key, 0) + tokens
            values["mg"][key] = values["mg"].get(key, 0) + mg
    return OverTime(
        step,
        keys,
        [_label(key, step) for key in keys],
        {name: [found.get(key) for key in keys] for name, found in values.items()},
    )


@dataclass(frozen=True, slots=True)
class MeanPower:
    """Mean IT power [W] per bucket; ``None`` where there are no readings."""

    step: str  # hour, day or month
    labels: list[str]
    watts: list[float | None]


def mean_power(
    organisation: Organisation, window: Window, selection: Selection, scope: str, last: datetime | None = None
) -> MeanPower:
    """Energy divided by the whole length of each hour, day or month, by the length of the window."""
    days = (window.end - window.start).days
    step = "hour" if days <= 7 else "day" if days <= 400 else "month"
    frame = energies(organisation, window, selection, scope, (step,))
    energy = {str(row[step]): int(row["it_energy_milliwatt_hours"]) for row in records(frame)}
    keys = _buckets(window, step, last)
    hours = {"hour": 1.0, "day": 24.0, "month": 730.5}[step]
    return MeanPower(
        step,
        [_label(key, step) for key in keys],
        [energy[key] / 1000 / hours if key in energy else None for key in keys],
    )
