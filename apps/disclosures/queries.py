"""What pages and API read: periods with their figures, what a quarter lacks, the documents made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from django.db.models import QuerySet

from apps.accounting import queries as ledger
from apps.accounting.models import LocationRate, MarketRate
from apps.accounting.queries import LedgerQuery
from apps.core.windows import Quarter
from apps.disclosures.models import Disclosure, ReportingPeriod
from apps.organisations.models import Organisation

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PeriodSummary:
    """One quarter in the list. ``figures``: Scope 2, None when no reading lies in it; ``coverage`` 0 to 1."""

    quarter: Quarter
    ended: bool
    figures: Figures | None
    coverage: float | None
    silent: int
    documents: Sequence[Disclosure]

    @property
    def label(self) -> str:
        return str(self.quarter)

    @property
    def latest(self) -> Disclosure | None:
        """The newest document that is ready."""
        return next((one for one in self.documents if one.state == Disclosure.State.READY), None)

    @property
    def state(self) -> str:
        if not self.ended:
            return "In progress"
        return "Disclosed" if self.latest else "Ended"


@dataclass(frozen=True, slots=True)
class PeriodDetail:
    """A quarter with everything an officer looks at before making a document of it."""

    summary: PeriodSummary
    previous: Figures | None
    unassigned: Figures | None
    scope_3: Figures | None
    pending_hours: int
    last_settled_at: datetime | None
    sources: Sequence[dict[str, Any]]
    sites: Sequence[dict[str, Any]]
    location_rates: Sequence[LocationRate]
    market_rates: Sequence[MarketRate]
    missing: Sequence[Missing] = field(default=())


@dataclass(frozen=True, slots=True)
class Missing:
    """Something a document of this quarter would lack: a sentence, how grave (``warn`` or ``info``), where to go."""

    text: str
    level: str
    link: str = ""  # name of a page of the organisation
    link_text: str = ""


def _plain(row: Any) -> Figures:
    return {name: None if not isinstance(value, str) and pd.isna(value) else value for name, value in row.items()}


def _total(organisation: Organisation, quarter: Quarter, scope: str = "2") -> Figures | None:
    row = ledger.ledger_total(LedgerQuery(organisation.pk, quarter.window, scope=scope))
    return _plain(row) if int(row["readings"]) else None


def has_figures(organisation: Organisation, quarter: Quarter) -> bool:
    """Whether Scope 2 energy is in the ledger for the quarter."""
    return _total(organisation, quarter) is not None


def offered_quarters(organisation: Organisation, now: datetime | None = None) -> list[Quarter]:
    """The quarters from the first with data to the current one, and any with a document; newest first."""
    current = Quarter.of((now or datetime.now(UTC)).date())
    quarters = {current}
    extent = ledger.ledger_extent(organisation.pk)
    if extent is not None:
        quarter = Quarter.of(extent.start.date())
        while quarter <= current:
            quarters.add(quarter)
            quarter = quarter.next()
    labels = ReportingPeriod.objects.of(organisation).values_list("label", flat=True)
    return sorted(quarters | {Quarter.parse(label) for label in labels}, reverse=True)


def disclosures(organisation: Organisation | int) -> QuerySet[Disclosure]:
    """All documents without their snapshots (which are large), newest first."""
    return (
        Disclosure.objects.of(organisation)
        .select_related("period", "requested_by", "organisation")
        .defer("snapshot")
        .order_by("-period__start", "-version")
    )


def _coverage(organisation: Organisation, quarter: Quarter) -> tuple[list[dict[str, Any]], float | None, int]:
    """Sources that report by the end of the quarter, their mean coverage, and how many are silent."""
    frame = ledger.source_coverage(organisation.pk, quarter.window)
    rows = [
        {str(name): value for name, value in row.items()}
        for row in frame.to_dict("records")
        if not pd.isna(row["first_reading_at"]) and row["first_reading_at"] < quarter.window.end
    ]
    mean = float(sum(row["coverage"] for row in rows)) / len(rows) if rows else None
    return rows, mean, sum(bool(row["silent"]) for row in rows)


def period_summary(organisation: Organisation, quarter: Quarter, now: datetime | None = None) -> PeriodSummary:
    _, coverage, silent = _coverage(organisation, quarter)
    return PeriodSummary(
        quarter=quarter,
        ended=(now or datetime.now(UTC)) >= quarter.window.end,
        figures=_total(organisation, quarter),
        coverage=coverage,
        silent=silent,
        documents=list(disclosures(organisation).filter(period__label=str(quarter))),
    )


def period_summaries(organisation: Organisation, now: datetime | None = None) -> list[PeriodSummary]:
    """Every quarter on offer, newest first."""
    return [period_summary(organisation, quarter, now) for quarter in offered_quarters(organisation, now)]


def period_detail(organisation: Organisation, quarter: Quarter, now: datetime | None = None) -> PeriodDetail:
    """One quarter in full."""
    summary = period_summary(organisation, quarter, now)
    rows, _, _ = _coverage(organisation, quarter)
    status = ledger.ledger_status(organisation.pk)
    frame = ledger.ledger_frame(LedgerQuery(organisation.pk, quarter.window, ("site",)))
    detail = PeriodDetail(
        summary=summary,
        previous=_total(organisation, quarter.previous()),
        unassigned=_total(organisation, quarter, "unassigned"),
        scope_3=_total(organisation, quarter, "3"),
        pending_hours=status.pending_hours,
        last_settled_at=status.last_settled_at,
        sources=sorted(rows, key=lambda row: (not row["silent"], row["coverage"], row["source"])),
        sites=[_plain(row) for _, row in frame.iterrows()],
        location_rates=ledger.location_rates(organisation.pk, quarter.window),
        market_rates=ledger.market_rates(organisation.pk, quarter.window),
    )
    object.__setattr__(detail, "missing", _missing(detail))
    return detail


def _missing(detail: PeriodDetail) -> list[Missing]:
    from apps.core.figures import energy

    found = []
    summary = detail.summary
    if detail.pending_hours:
        hours = f"{detail.pending_hours:,} hour{'s' if detail.pending_hours != 1 else ''}"
        found.append(Missing(f"{hours} with new readings are not settled yet; a document made now lacks them.", "warn"))
    if detail.unassigned:
        amount = energy(detail.unassigned["it_energy_milliwatt_hours"])
        found.append(
            Missing(
                f"{amount} came from sources without a site and is in no total.", "warn", "sources", "Assign sources"
            )
        )
    if summary.figures and summary.figures["without_factor_milliwatt_hours"]:
        amount = energy(summary.figures["without_factor_milliwatt_hours"])
        found.append(
            Missing(
                f"{amount} was used in zones for which no factor is known; its emissions are absent, not zero.",
                "warn",
                "factors",
                "Look at the factors",
            )
        )
    if summary.silent:
        are = "source is" if summary.silent == 1 else "sources are"
        found.append(
            Missing(
                f"{summary.silent} {are} silent; what they used since is not known.",
                "warn",
                "sources",
                "Look at the sources",
            )
        )
    overlaps = sum(bool(row["overlap_ms"]) for row in detail.sources)
    if overlaps:
        sent = "source sent" if overlaps == 1 else "sources sent"
        found.append(Missing(f"{overlaps} {sent} readings that overlap in time; both are counted.", "warn"))
    if any(
        rate.fallback == MarketRate.Fallback.LOCATION and rate.uncovered_milliwatt_hours for rate in detail.market_rates
    ):
        markets = ", ".join(
            rate.market
            for rate in detail.market_rates
            if rate.fallback == MarketRate.Fallback.LOCATION and rate.uncovered_milliwatt_hours
        )
        found.append(
            Missing(
                f"No residual mix is known for {markets}; the grid average stands in, and the document says so.",
                "info",
                "factors",
                "Look at the factors",
            )
        )
    if not summary.ended:
        found.append(Missing("The quarter has not ended; a document made now says so.", "info"))
    return found


def disclosure(organisation: Organisation | int, public_id: Any) -> Disclosure | None:
    """One document of the organisation, or None."""
    return disclosures(organisation).filter(public_id=public_id).first()


def evidence(organisation: Organisation | int, public_id: Any) -> dict[str, Any] | None:
    """The frozen snapshot of a document; None when there is none."""
    return Disclosure.objects.of(organisation).filter(public_id=public_id).values_list("snapshot", flat=True).first()
