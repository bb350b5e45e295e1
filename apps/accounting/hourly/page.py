"""The hours of the what-if as a page shows them: the filter bar, tables and charts. No query is written here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict

from apps.accounting.hourly import queries
from apps.accounting.hourly.inputs import markets_of
from apps.accounting.hourly.queries import MarketSums
from apps.accounting.models import MarketHour
from apps.accounting.queries import ledger_extent
from apps.core import figures
from apps.core.charts import Chart, Series, line, stacked_bars
from apps.core.filters import Filters, parse_filters, present_quarter, quarters_between
from apps.core.tables import Cell, Chip, Column, Row, Table
from apps.core.windows import from_epoch_hour
from apps.organisations.models import Organisation

MWH = figures.ENERGY_UNITS["MWh"]
FALLBACKS = {
    MarketHour.Fallback.HOURLY_RESIDUAL: "hourly residual mix",
    MarketHour.Fallback.RESIDUAL: "annual residual mix",
    MarketHour.Fallback.FOSSIL: "fossil average",
    MarketHour.Fallback.DEFAULT: "conservative default (lignite)",
}
# Energy, its name, and the colour it has in every chart of this page.
SPLIT = (
    ("matched", "Matched in the hour", "inference"),
    ("standard_supply", "Standard supply", "other"),
    ("unmatched", "Not matched", "missing"),
)


@dataclass(frozen=True, slots=True)
class Select:
    name: str
    label: str
    all: str
    options: list[tuple[str, str]]
    chosen: str


@dataclass(frozen=True, slots=True)
class Bar:
    """What ``core/filter_bar.html`` wants, and the markets chosen: none means all."""

    filters: Filters
    periods: list[str]
    selects: list[Select]
    markets: tuple[str, ...]

    def query(self, **more: str) -> str:
        """The query string of this view, with more parameters."""
        return self.filters.query(**({"market": self.markets} if self.markets else {}), **more)


def bar_of(organisation: Organisation, parameters: QueryDict) -> Bar:
    """The period and market of a request; without a period the latest quarter that is over and has readings."""
    extent = ledger_extent(organisation.pk)
    first, last = (extent.start, extent.end) if extent else (None, None)
    running = present_quarter().window.start
    ended = last
    if first is not None and last is not None and last > running:
        ended = running if first < running else None
    filters = parse_filters(parameters, ended)
    periods = quarters_between(first, last)
    if filters.period.text and filters.period.text not in periods:
        periods = sorted({*periods, filters.period.text}, reverse=True)
    known = markets_of(organisation)
    chosen = tuple(market for market in parameters.getlist("market") if market in known)[:1]
    select = Select("market", "Market", "All markets", [(each, each) for each in known], chosen[0] if chosen else "")
    return Bar(filters, periods, [select], chosen)


def share(part: Any) -> str:
    """A fraction as per cent with one decimal; a dash where there is none."""
    return figures.DASH if part is None else figures.percent(float(part), 1)


def market_table(rows: Sequence[MarketSums], total: MarketSums, caption: str) -> Table:
    """One row a market: energies, ratios, and the what-if beside the reported figure."""
    energy = figures.column_energy_unit([row.load for row in rows])
    mass = figures.column_mass_unit([mg for row in rows for mg in (row.market_mg, row.reported_mg) if mg is not None])
    columns = [
        Column("market", "Market", numeric=False),
        Column("load", "Load", energy),
        Column(
            "matched", "Matched", energy, hint="Instruments of the same hour, in the load that standard supply leaves"
        ),
        Column("standard", "Standard supply", energy),
        Column("unmatched", "Not matched", energy),
        Column("surplus", "Surplus", energy, hint="Generated in hours with less load; moved to no other hour"),
        Column("match", "Contracted match", hint="Matched / load, sums over all hours"),
        Column("cfe", "24/7 carbon-free", hint="Carbon-free energy / load, where the grid's share is known"),
        Column("reported", "Reported", f"{mass} CO₂e", hint="Market-based by the Scope 2 Guidance of 2015"),
        Column("draft", "What-if", f"{mass} CO₂e", hint="By the draft of October 2025; never reported"),
    ]

    def cells(row: MarketSums, name: str) -> Row:
        fallbacks = ", ".join(FALLBACKS[MarketHour.Fallback(level)] for level in sorted(row.fallbacks))
        known = f"of {share(row.cfe_known)} of the load" if row.cfe_load and row.cfe_known < 1 else ""
        return Row(
            [
                Cell(name, note=f"not matched: {fallbacks}" if fallbacks else ""),
                *(
                    Cell(figures.energy_in(getattr(row, each), energy), figures.energy_exact(getattr(row, each)))
                    for each in ("load", "matched", "standard_supply", "unmatched", "surplus")
                ),
                Cell(share(row.matched_fraction), bar=float(row.matched_fraction or 0)),
                Cell(
                    share(row.cfe_fraction), "" if row.cfe_load else "No hourly carbon-free share is known", note=known
                ),
                Cell(figures.mass_in(row.reported_mg, mass), figures.mass_exact(row.reported_mg)),
                Cell(figures.mass_in(row.market_mg, mass), figures.mass_exact(row.market_mg)),
            ],
            "" if row.market else "total",
        )

    body = [cells(row, row.market) for row in rows]
    return Table(caption, columns, [*body, cells(total, "All markets")] if len(rows) > 1 else body)


def lot_table(outcome: dict[str, Any], markets: Sequence[str]) -> Table | None:
    """What became of each instrument in the hours; None without any."""
    rows = []
    for market, lots in outcome.get("lots", {}).items():
        if markets and market not in markets:
            continue
        for lot in lots:
            chips = [
                Chip(f"fails {number}", "bad", reason)
                for number, reason in zip(lot["rejected_criteria"], lot["reasons"], strict=True)
            ]
            if not chips:
                chips.append(Chip("fails none" if "unattested" in lot["flags"] else "meets all eight", "ok"))
            if "flat_profile" in lot["flags"]:
                chips.append(
                    Chip("flat profile", "warn", "Hourly production is not known: spread evenly over the vintage")
                )
            if "unattested" in lot["flags"]:
                chips.append(Chip("unattested", "info", "An attestation for criterion 6 or 7 is not on file"))
            rows.append((market, lot, tuple(chips)))
    if not rows:
        return None
    unit = figures.column_energy_unit([lot["accepted_milliwatt_hours"] for _, lot, _ in rows])
    columns = [
        Column("id", "Instrument", numeric=False),
        Column("market", "Market", numeric=False),
        Column(
            "accepted", "In these hours", unit, hint="Production in hours of the claim period up to the last reading"
        ),
        Column("applied", "Matched", unit),
        Column("surplus", "Surplus", unit),
        Column("criteria", "Quality criteria of the draft", numeric=False),
    ]
    return Table(
        "Instruments in the hours",
        columns,
        [
            Row(
                [
                    Cell(lot["id"]),
                    Cell(market),
                    *(
                        Cell(figures.energy_in(lot[f"{name}_milliwatt_hours"], unit))
                        for name in ("accepted", "applied", "surplus")
                    ),
                    Cell("", chips=chips, note="; ".join(lot["reasons"])),
                ]
            )
            for market, lot, chips in rows
        ],
    )


def day_chart(organisation: Organisation, bar: Bar) -> Chart:
    """Load by hour of the day, made of what covers it."""
    sums = queries.day_profile(organisation, bar.filters.window, bar.markets)
    labels = [f"{hour:02d}:00" for hour in range(24)]
    series = [
        Series(meaning, _mwh(sums[name]), label, figures.energy(sum(sums[name]))) for name, label, meaning in SPLIT
    ]
    return Chart(
        id="day",
        title="When load is matched",
        sub="MWh by hour of the day, UTC, summed over the period",
        figure=stacked_bars(labels, series, "MWh"),
        table=_hour_table("Energy by hour of the day, UTC", labels, sums),
        key=[each for each in series if any(each.values)],
        csv_url="?" + bar.query(format="csv"),
    )


def week_chart(organisation: Organisation, bar: Bar) -> Chart:
    """Load, matched energy and surplus hour by hour over the last seven days of the period."""
    first, sums = queries.week(organisation, bar.filters.window, bar.markets)
    hours = [from_epoch_hour(first + i) for i in range(168)]
    labels = [f"{hour:%d %b %H:%M}" for hour in hours]
    lines = (
        ("load", "Load", "location"),
        ("matched", "Matched in the hour", "inference"),
        ("surplus", "Surplus", "idle"),
    )
    series = [
        Series(meaning, _mwh(sums[name]), label, figures.energy(sum(sums[name]))) for name, label, meaning in lines
    ]
    return Chart(
        id="week",
        title="The last seven days, hour by hour",
        sub=f"MWh, UTC, from {hours[0]:%d %b %Y}; surplus of one hour covers no other",
        figure=line(labels, series, "MWh"),
        table=_hour_table("Energy of the last seven days by hour, UTC", labels, sums),
        key=series,
        csv_url="?" + bar.query(format="csv"),
    )


def api_call(base: str, bar: Bar) -> str:
    """The API call that gives the page's hours."""
    window = bar.filters.window
    pairs = [("from", f"{window.start:%Y-%m-%d}"), ("to", f"{window.end:%Y-%m-%d}")]
    pairs += [("market", market) for market in bar.markets]
    return f'curl -H "Authorization: Bearer $ESGPORTAL_KEY" \\\n  "{base}?{urlencode(pairs)}"'


def _mwh(values: Sequence[int]) -> list[float | None]:
    return [value / MWH for value in values]


def _hour_table(caption: str, labels: Sequence[str], sums: dict[str, list[int]]) -> Table:
    unit = figures.column_energy_unit(sums["load"])
    names = (("load", "Load"), *((name, label) for name, label, _ in SPLIT), ("surplus", "Surplus"))
    return Table(
        caption,
        [Column("hour", "Hour", numeric=False, nowrap=True), *(Column(name, label, unit) for name, label in names)],
        [
            Row([Cell(label), *(Cell(figures.energy_in(sums[name][i], unit)) for name, _ in names)])
            for i, label in enumerate(labels)
        ],
    )
