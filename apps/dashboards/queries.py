"""What the pages show, one function per panel. Figures come from ``accounting.queries`` alone.

Energies are facility energies in milliwatt-hours unless a name says IT energy, emissions are milligrams, and ``None``
is a figure that does not exist, never zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import pandas as pd
from django.core.cache import cache
from django.db.models import Max, Min

from apps.accounting import queries as ledger
from apps.accounting.models import LedgerDay, LocationRate, MarketRate
from apps.core.figures import is_absent
from apps.core.filters import present_quarter
from apps.core.palette import KIND_GROUP
from apps.core.windows import Quarter, Window, epoch_day, from_epoch_day, from_epoch_hour, midnight
from apps.organisations.models import Organisation, Team
from apps.sites.models import PuePeriod, Site
from apps.telemetry.models import Attribution, Boundary, Source, TeamName
from apps.workloads.models import AIModel, Provenance, Workload

BY_KIND = ("training", "inference", "idle")  # groups of kinds that a model's energy is told apart by
SUMS = (*ledger.ENERGIES, *ledger.NULLABLE, *ledger.COUNTS, *ledger.TIERS, *ledger.MARKED)
ATTENTION_KEPT_S = 300
Selection = Mapping[str, tuple[str, ...]]


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame, each by its column names."""
    return cast(list[dict[str, Any]], frame.to_dict("records"))


def whole(value: Any) -> int | None:
    """An integer of a frame as Python's, absent as ``None``."""
    return None if is_absent(value) else int(value)


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one group of ledger rows, all of one scope."""

    it_energy: int = 0
    energy: int = 0
    location: int | None = None
    market: int | None = None
    tokens: int | None = None
    requests: int | None = None
    readings: int = 0
    quality: str = ""
    simulated: int = 0
    published: int = 0
    without_factor: int = 0

    @property
    def overhead(self) -> int:
        return self.energy - self.it_energy

    @property
    def location_ug_per_kwh(self) -> int | None:
        """Location-based intensity of the energy that has a factor."""
        return intensity(self.location, self.energy - self.without_factor)

    @property
    def market_ug_per_kwh(self) -> int | None:
        return intensity(self.market, self.energy - self.without_factor)


def intensity(mg: int | None, milliwatt_hours: int) -> int | None:
    """Emissions per energy [ug/kWh]."""
    return None if mg is None or milliwatt_hours <= 0 else round(mg * 1_000_000_000 / milliwatt_hours)


def figures_of(row: Any) -> Figures:
    """The figures of one row of a ledger frame."""
    return Figures(
        it_energy=int(row["it_energy_milliwatt_hours"]),
        energy=int(row["facility_energy_milliwatt_hours"]),
        location=whole(row["location_mg"]),
        market=whole(row["market_mg"]),
        tokens=whole(row["tokens"]),
        requests=whole(row["requests"]),
        readings=int(row["readings"]),
        quality="" if is_absent(row["quality"]) else str(row["quality"]),
        simulated=int(row["simulated_milliwatt_hours"]),
        published=int(row["published_milliwatt_hours"]),
        without_factor=int(row["without_factor_milliwatt_hours"]),
    )


# --- What can be asked for ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Span:
    """``last_ended``: the end of the last reading, or of the last day with readings, of the quarters that are over."""

    first: datetime | None
    last: datetime | None
    last_ended: datetime | None


def reading_span(organisation: Organisation) -> Span:
    """From when to when there are readings."""
    found = Source.objects.of(organisation).aggregate(first=Min("first_reading_at"), last=Max("last_reading_at"))
    first, last = found["first"], found["last"]
    running = present_quarter().window.start
    last_ended = last
    if last and last > running:
        last_ended = _end_of_last_day(organisation, running) if first < running else None
    return Span(first, last, last_ended)


def _end_of_last_day(organisation: Organisation, before: datetime) -> datetime | None:
    days = LedgerDay.objects.filter(organisation_id=organisation.pk, day__lt=epoch_day(before.date()))
    last = days.aggregate(last=Max("day"))["last"]
    return None if last is None else midnight(from_epoch_day(last + 1))


def team_names(organisation: Organisation) -> list[tuple[str, str]]:
    return list(Team.objects.of(organisation).values_list("slug", "name"))


def model_names(organisation: Organisation, limit: int = 500) -> list[tuple[str, str]]:
    return list(AIModel.objects.of(organisation).values_list("slug", "name")[:limit])


def site_names(organisation: Organisation) -> list[tuple[str, str]]:
    return list(Site.objects.of(organisation).values_list("code", "name"))


def site_names_by_key(organisation: Organisation) -> dict[int, str]:
    """The names of the sites by their primary keys."""
    return dict(Site.objects.of(organisation).values_list("pk", "name"))


# --- Totals ---------------------------------------------------------------------------------------------------------


def totals(organisation: Organisation, window: Window, selection: Selection) -> dict[str, Figures]:
    """The figures of each scope that has any energy in the window: ``"2"``, ``"3"``, ``"unassigned"``."""
    frame = ledger.ledger_frame(
        ledger.LedgerQuery(organisation_id=organisation.pk, window=window, scope="all", filters=selection)
    )
    return {str(row["scope"]): figures_of(row) for row in records(frame) if int(row["readings"])}


def totals_of(frame: pd.DataFrame) -> dict[str, Figures]:
    """The same from a frame of all scopes in any grouping: its parts add up to the totals exactly."""
    found = {}
    for scope, rows in frame.groupby("scope", sort=False):
        sums: dict[str, Any] = {name: rows[name].sum(min_count=1) for name in SUMS}
        energy = sums["facility_energy_milliwatt_hours"]
        letters = [
            name[len("tier_")].upper() for name in ledger.TIERS if 0 < sums[name] * ledger.TIER_COUNTS_FROM >= energy
        ]
        found[str(scope)] = figures_of({**sums, "quality": letters[-1] if letters else None})
    return found


def token_intensity(organisation: Organisation, window: Window, selection: Selection, scope: str) -> TokenIntensity:
    """Emissions of the inference workloads that report tokens, and their tokens."""
    frame = ledger.ledger_frame(
        ledger.LedgerQuery(
            organisation_id=organisation.pk,
            window=window,
            group_by=("workload", "model"),
            scope=scope,
            filters={**selection, "kind": ("inference",)},
        )
    )
    with_tokens = frame[(frame["tokens"].fillna(0) > 0) & frame["location_mg"].notna()]
    return TokenIntensity(
        tokens=int(with_tokens["tokens"].sum()),
        location=int(with_tokens["location_mg"].sum()),
        energy=int(with_tokens["facility_energy_milliwatt_hours"].sum()),
    )


@dataclass(frozen=True, slots=True)
class TokenIntensity:
    tokens: int
    location: int
    energy: int

    @property
    def mg_per_1000_tokens(self) -> float | None:
        return self.location * 1000 / self.tokens if self.tokens else None


# --- By dimension ---------------------------------------------------------------------------------------------------


def breakdown(
    organisation: Organisation, window: Window, selection: Selection, scope: str, group_by: Sequence[str]
) -> pd.DataFrame:
    """One row per group, with the ledger's columns; groups without a single reading are left out."""
    frame = ledger.ledger_frame(
        ledger.LedgerQuery(
            organisation_id=organisation.pk, window=window, group_by=tuple(group_by), scope=scope, filters=selection
        )
    )
    return frame[frame["readings"] > 0].reset_index(drop=True)


def energies(
    organisation: Organisation, window: Window, selection: Selection, scope: str, group_by: Sequence[str]
) -> pd.DataFrame:
    """Energies and emissions by group, without tokens, requests and readings: faster where these are not shown."""
    return ledger.ledger_frame(
        ledger.LedgerQuery(
            organisation_id=organisation.pk,
            window=window,
            group_by=tuple(group_by),
            scope=scope,
            filters=selection,
            work=False,
        )
    )


def model_breakdown(organisation: Organisation, window: Window, selection: Selection, scope: str) -> pd.DataFrame:
    """One row per model and scope: the ledger's columns, the energy by kind, and what inference emitted per token.

    Further columns: ``training_milliwatt_hours``, ``inference_milliwatt_hours``, ``idle_milliwatt_hours`` (facility
    energy; evaluation, data preparation and other work make up the rest) and
    ``mg_per_1000_tokens`` (location-based emissions of inference divided by its tokens; absent without tokens).
    """
    frame = breakdown(organisation, window, selection, scope, ("model",))
    by_kind = breakdown(organisation, window, selection, scope, ("model", "kind"))
    group = by_kind["kind"].map(lambda kind: KIND_GROUP.get(str(kind), "other"))
    parts: dict[tuple[Any, str], dict[str, Any]] = {}
    for row, name in zip(records(by_kind), group, strict=True):
        part = parts.setdefault((row["model"], row["scope"]), dict.fromkeys((*BY_KIND, "tokens", "mg"), 0))
        if name in BY_KIND:
            part[name] += int(row["facility_energy_milliwatt_hours"])
        tokens, mg = whole(row["tokens"]), whole(row["location_mg"])
        if name == "inference" and tokens and mg is not None:
            part["tokens"] += tokens
            part["mg"] += mg
    found = [parts[row["model"], row["scope"]] for row in records(frame)]
    for name in BY_KIND:
        frame[f"{name}_milliwatt_hours"] = [part[name] for part in found]
    frame["mg_per_1000_tokens"] = [part["mg"] * 1000 / part["tokens"] if part["tokens"] else None for part in found]
    return frame


# --- Facts beside the figures ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the figures of a model or workload come from, when not from the organisation's own telemetry."""

    provenance: str
    citation: str


def foreign_origins(organisation: Organisation, dimension: str) -> dict[str, Origin]:
    """Slug of a model (name of a workload) to its origin, for those that are published or simulated."""
    if dimension == "model":
        models = AIModel.objects.of(organisation).exclude(provenance=Provenance.REPORTED)
        rows = list(models.values_list("slug", "provenance", "citation"))
    else:
        workloads = Workload.objects.of(organisation).exclude(provenance=Provenance.REPORTED)
        rows = list(workloads.values_list("name", "provenance", "citation"))
    return {name: Origin(provenance, citation) for name, provenance, citation in rows}


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """A site with the rates that were in force in a window, latest first."""

    site: Site
    rates: list[LocationRate]

    @property
    def rate(self) -> LocationRate | None:
        return self.rates[0] if self.rates else None


def sites_with_rates(organisation: Organisation, window: Window) -> dict[str, SiteFacts]:
    """Every site by its code."""
    facts = {site.code: SiteFacts(site, []) for site in Site.objects.of(organisation)}
    for rate in sorted(ledger.location_rates(organisation.pk, window), key=lambda rate: -rate.first_hour):
        if rate.site.code in facts:
            facts[rate.site.code].rates.append(rate)
    return facts


def rate_days(rate: LocationRate) -> tuple[date, date]:
    """The first day of a rate and the first day after it."""
    return from_epoch_hour(rate.first_hour).date(), from_epoch_hour(rate.end_hour).date()


def pue_history(organisation: Organisation, site: Site) -> list[PuePeriod]:
    return list(PuePeriod.objects.of(organisation).filter(site=site).order_by("-start"))


def sources_of(organisation: Organisation, window: Window) -> pd.DataFrame:
    """Coverage of every source in the window, as ``accounting.queries.source_coverage`` gives it."""
    return ledger.source_coverage(organisation.pk, window)


@dataclass(frozen=True, slots=True)
class Attention:
    """What somebody has to look at."""

    sources: int
    coverage: float | None
    silent: list[str]
    overlapping: list[str]
    names_to_map: int = 0


def attention(organisation: Organisation, window: Window, settled_at: datetime | None) -> Attention:
    """Mean coverage of the sources that report by the end of the window, and which are silent or overlap.

    Coverage is told from every hour of the ledger. It is kept until the ledger changes, for five minutes at most.
    """
    found = None
    if settled_at is not None:
        key = f"attention:{organisation.pk}:{window.first_hour}:{window.end_hour}:{settled_at.timestamp()}"
        found = cache.get(key)
    if found is None:
        found = _attention(ledger.source_coverage(organisation.pk, window), window)
        if settled_at is not None:
            cache.set(key, found, ATTENTION_KEPT_S)
    names = TeamName.objects.of(organisation).filter(team__isnull=True).exclude(name="").count()
    return replace(found, names_to_map=names)


def _attention(frame: pd.DataFrame, window: Window) -> Attention:
    started = [row["first_reading_at"] is not None and row["first_reading_at"] < window.end for row in records(frame)]
    frame = frame[pd.Series(started, index=frame.index, dtype=bool)]
    return Attention(
        sources=len(frame),
        coverage=float(frame["coverage"].mean()) if len(frame) else None,
        silent=[str(name) for name in frame.loc[frame["silent"].astype(bool), "source"]] if len(frame) else [],
        overlapping=[str(name) for name in frame.loc[frame["overlap_ms"] > 0, "source"]] if len(frame) else [],
    )


def status(organisation: Organisation) -> ledger.LedgerStatus:
    """How many hours wait for their figures, and when the ledger was last true."""
    return ledger.ledger_status(organisation.pk)


# --- One thing ------------------------------------------------------------------------------------------------------


def find_team(organisation: Organisation, slug: str) -> Team | None:
    return Team.objects.of(organisation).filter(slug=slug).first()


def find_model(organisation: Organisation, slug: str) -> AIModel | None:
    return AIModel.objects.of(organisation).filter(slug=slug).first()


def find_site(organisation: Organisation, code: str) -> Site | None:
    return Site.objects.of(organisation).filter(code=code).first()


def find_workload(organisation: Organisation, pk: int) -> Workload | None:
    return Workload.objects.of(organisation).filter(pk=pk).first()


def workload_ids(organisation: Organisation, names: Sequence[str]) -> dict[str, int]:
    """Primary keys by name, for links."""
    return dict(Workload.objects.of(organisation).filter(name__in=names).values_list("name", "pk"))


def model_boundaries(organisation: Organisation, model: AIModel) -> list[str]:
    """What the readings of a model measured: accelerator, host, node or facility."""
    found = Attribution.objects.of(organisation).filter(model=model).values_list("boundary", flat=True).distinct()
    return [Boundary(value).label for value in sorted(found)]


def workload_days(organisation: Organisation, workload: Workload, span: Span) -> tuple[date, date] | None:
    """The first and the last day with readings of a workload."""
    window = life_window(span)
    if window is None:
        return None
    frame = breakdown(organisation, window, {"workload": (workload.name,)}, "all", ("day",))
    days = [date.fromisoformat(str(day)) for day in frame["day"]]
    return (min(days), max(days)) if days else None


def market_rates(organisation: Organisation, window: Window) -> list[MarketRate]:
    """The market-based results of the claim periods that the window touches."""
    return ledger.market_rates(organisation.pk, window)


def life_window(span: Span) -> Window | None:
    """From the first to the last quarter with readings."""
    if span.first is None or span.last is None:
        return None
    start = Quarter.of(span.first.astimezone(UTC).date()).first_day
    last = (span.last.astimezone(UTC) - timedelta(microseconds=1)).date()
    return Window(midnight(start), Quarter.of(last).window.end)


def life_query(span: Span) -> str:
    """The query string of that time; empty without readings."""
    life = life_window(span)
    return f"from={life.start:%Y-%m-%d}&to={life.end:%Y-%m-%d}" if life else ""
