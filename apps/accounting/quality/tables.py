"""The findings as tables, a chart and sentences. No query is asked here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pandas as pd
from django.urls import reverse

from apps.accounting.engine import uncertainty
from apps.accounting.quality.findings import Estimated, Findings, Group
from apps.accounting.quality.missing import Gap, Missing
from apps.accounting.quality.queries import OwnValue
from apps.core import figures
from apps.core.charts import Chart, Series, ranged_bars
from apps.core.tables import Cell, Chip, Column, Row, Table
from apps.core.windows import HOUR_MS
from apps.organisations.models import Organisation

TIERS = {
    "A": "metered",
    "B": "measured by the device",
    "C": "modelled",
    "D": "estimated",
}
DRIVERS = {
    "activity": "Energy readings",
    "pue": "PUE",
    "factor": "Emission factors",
    "instruments": "Factors of instruments",
}
SCOPE_CHIPS = {"3": Chip("cloud · Scope 3", "info"), "unassigned": Chip("no site", "warn")}


def plus_minus(found: Estimated) -> str:
    """ "± 8.7 %", or a dash."""
    return figures.DASH if found.share is None else f"±{figures.NARROW}{figures.percent(found.share, 1)}"


def range_text(found: Estimated, kind: str = "mass") -> str:
    """ "11.2 to 13.4 t", in the unit of the figure itself; empty without an interval."""
    if found.value is None or found.low is None or found.high is None:
        return ""
    if kind == "energy":
        unit = figures.energy_unit(found.value or found.high)
        return f"{figures.energy_in(found.low, unit)} to {figures.energy_in(found.high, unit)}{figures.NARROW}{unit}"
    unit = figures.mass_unit(found.value or found.high)
    return f"{figures.mass_in(found.low, unit)} to {figures.mass_in(found.high, unit)}{figures.NARROW}{unit}"


def hours(milliseconds: float) -> str:
    """A length of time as people say it: "3 d 4 h", "5 h 20 min"."""
    minutes = round(milliseconds / 60_000)
    days, rest = divmod(minutes, 24 * 60)
    whole, minutes = divmod(rest, 60)
    if days:
        return f"{days:,} d {whole} h" if whole else f"{days:,} d"
    return f"{whole} h {minutes} min" if minutes else f"{whole} h"


@dataclass(frozen=True, slots=True)
class TierPart:
    """A part of the bar: letter, words, where it begins and how long it is [% of the whole]."""

    letter: str
    words: str
    energy: int
    start: float
    length: float

    @property
    def x(self) -> str:
        return f"{self.start:.3f}"

    @property
    def width(self) -> str:
        return f"{self.length:.3f}"

    @property
    def share(self) -> float:
        return self.length / 100


def tier_bar(tiers: Sequence[int]) -> list[TierPart]:
    """The bar of a period's energy by tier; empty without energy."""
    whole = sum(tiers)
    parts, start = [], 0.0
    for (letter, words), energy in zip(TIERS.items(), tiers, strict=True):
        length = 100 * energy / whole if whole else 0.0
        if energy:
            parts.append(TierPart(letter, words, energy, start, length))
        start += length
    return parts


def sites_table(found: Findings, organisation: Organisation, query: str) -> Table:
    """Tiers and intervals of every site."""
    unit = figures.column_energy_unit(group.energy.value for group in found.sites)
    columns = [
        Column("site", "Site", numeric=False),
        Column("energy", "Energy", unit, hint="Facility energy: IT energy times PUE"),
        *(Column(letter, letter, "%", hint=f"Tier {letter}: {words}") for letter, words in TIERS.items()),
        Column("energy_share", "Energy", "95 %"),
        Column("location", "Location-based", "95 %"),
        Column("market", "Market-based", "95 %"),
    ]

    def cells(group: Group, name: Cell) -> list[Cell]:
        whole = group.energy.value or 0
        return [
            name,
            Cell(figures.energy_in(whole, unit), title=figures.energy_exact(whole), quality=group.quality),
            *(Cell(_per_cent(tier, whole), title=figures.energy_exact(tier)) for tier in group.tiers),
            Cell(plus_minus(group.energy), title=range_text(group.energy, "energy")),
            *(
                Cell(plus_minus(each), title=range_text(each) or "No figure: no emission factor, or outside Scope 2")
                for each in (group.location, group.market)
            ),
        ]

    rows = []
    for group in sorted(found.sites, key=lambda each: (each.scope != "2", -(each.energy.value or 0))):
        chips = (SCOPE_CHIPS[group.scope],) if group.scope in SCOPE_CHIPS else ()
        name = Cell("No site yet", chips=chips)
        if group.site:
            url = f"{reverse('site', args=[organisation.slug, group.site])}?{query}"
            name = Cell(group.name or group.site, url=url, chips=chips)
        rows.append(Row(cells(group, name), "" if group.site else "unassigned"))
    if found.total and any(group.scope == "2" for group in found.sites):
        rows.append(Row(cells(found.total, Cell("Scope 2 together")), "total"))
    return Table(
        "Energy by tier and uncertainty, by site",
        columns,
        rows,
        note="± is half the 95 % interval as a share of the figure. The whole is surer than its parts where these are"
        " independent. A metered, B measured by the device, C modelled, D estimated.",
    )


def _per_cent(part: int, whole: int) -> str:
    return figures.DASH if not whole else figures.percent(part / whole).replace(f"{figures.NARROW}%", "")


def interval_chart(found: Group, csv_url: str = "", chart_id: str = "intervals") -> Chart:
    """How sure the two Scope 2 figures are: each with its whisker, by [1] of ``quality.queries``."""
    pairs = [("location", found.location), ("market", found.market)]
    unit = figures.column_mass_unit(value for _, each in pairs for value in (each.value, each.high))
    size = figures.MASS_UNITS[unit]
    series, ranges, texts, rows = [], [], [], []
    for name, each in pairs:
        value = None if each.value is None else each.value / size
        series.append(Series(name, [value]))
        has_range = each.low is not None and each.high is not None
        ranges.append(((each.low or 0) / size, (each.high or 0) / size) if has_range else None)
        texts.append(plus_minus(each) if each.share is not None else "")
        amounts = (figures.mass_in(amount, unit) for amount in (each.value, each.low, each.high))
        rows.append(Row([Cell(series[-1].name), *map(Cell, amounts), Cell(plus_minus(each))]))
    columns = [
        Column("method", "Method", numeric=False),
        Column("value", "Scope 2", f"{unit} CO₂e"),
        Column("low", "Lowest", f"{unit} CO₂e"),
        Column("high", "Highest", f"{unit} CO₂e"),
        Column("share", "Half-width", "95 %"),
    ]
    surest = {name: each.share for name, each in pairs if each.share is not None}
    title = "How sure the Scope 2 figures are"
    if len(surest) == 2:
        title = f"Location-based is sure to {plus_minus(found.location)}, market-based to {plus_minus(found.market)}"
    return Chart(
        chart_id,
        title,
        ranged_bars(series, ranges, f"{unit} CO₂e", texts),
        Table("Scope 2 with its 95 % interval, by both methods", columns, rows),
        sub=f"{unit} CO₂e. The whiskers are the 95 % intervals, by the uncertainty table in force.",
        csv_url=csv_url,
    )


INTERVALS_HEADER = ["method", "kg", "low_kg", "high_kg", "uncertainty"]


def interval_records(found: Group | None) -> list[list[Any]]:
    """The two Scope 2 figures with their intervals; none without figures."""
    pairs = [("location-based", found.location), ("market-based", found.market)] if found else []
    return [[name, *_interval_cells(each)] for name, each in pairs]


def _interval_cells(each: Estimated) -> list[Any]:
    share = None if each.share is None else round(each.share, 6)
    return [_millionths(each.value), _millionths(each.low), _millionths(each.high), share]


def _millionths(value: int | None) -> str | None:
    """Milligrams as kg, milliwatt-hours as kWh."""
    return None if value is None else f"{Decimal(value).scaleb(-6):f}"


def drivers_table(found: Findings) -> Table:
    """Which inputs the uncertainty of the two figures comes from."""
    columns = [
        Column("cause", "What is uncertain", numeric=False),
        Column("location", "Location-based", "% of the squared half-width"),
        Column("market", "Market-based", "% of the squared half-width"),
    ]
    rows = []
    for kind, words in DRIVERS.items():
        shares = [found.drivers[name].get(kind) for name in ("location", "market")]
        if any(shares):
            rows.append([Cell(words), *(_driver(share) for share in shares)])
    return Table("Where the uncertainty comes from, Scope 2", columns, [Row(cells) for cells in rows])


def _driver(share: float | None) -> Cell:
    return Cell(figures.DASH) if share is None else Cell(figures.percent(share), bar=share)


# --- Coverage and gaps ------------------------------------------------------------------------------------------------


def coverage_columns() -> list[Column]:
    return [
        Column("source", "Source", numeric=False),
        Column("site", "Site", numeric=False),
        Column("expected", "Expected", "h"),
        Column("received", "Received", "h"),
        Column("decided", "Decided", "h", hint="Time without readings that an officer decided about"),
        Column("coverage", "Coverage", "%"),
    ]


def coverage_table(rows: Sequence[Mapping[str, Any]], more: str = "") -> Table:
    """Expected against received time of each source."""
    return Table(
        "Coverage by source",
        coverage_columns(),
        [
            Row(
                [
                    Cell(str(row["source"]), chips=(Chip("silent", "warn"),) if row["silent"] else ()),
                    Cell(figures.or_dash(row["site"])),
                    *(Cell(f"{row[name] / HOUR_MS:,.1f}") for name in ("window_ms", "covered_ms", "decided_ms")),
                    Cell(figures.percent(row["coverage"], 1), bar=float(row["coverage"])),
                ]
            )
            for row in rows
        ],
        more=more,
    )


def moment(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M}"


def form_moment(when: datetime) -> str:
    """A time in UTC as a form field holds it, to the millisecond."""
    return when.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds").removesuffix(".000")


def decide_url(organisation: Organisation, gap: Gap) -> str:
    query = {"source": gap.source, "start": form_moment(gap.start), "end": form_moment(gap.end)}
    return f"{reverse('gap-decide', args=[organisation.slug])}?{urlencode(query)}"


def gaps_table(found: Missing, organisation: Organisation, shown: Sequence[Gap], *, may_decide: bool) -> Table:
    """The gaps, the longest first, each with the way to decide it for those who may."""
    columns = [
        Column("source", "Source", numeric=False),
        Column("site", "Site", numeric=False),
        Column("start", "From", "UTC", numeric=False, nowrap=True),
        Column("end", "Until", "UTC", numeric=False, nowrap=True),
        Column("length", "Length"),
    ]
    if may_decide:
        columns.append(Column("decide", "Decision", numeric=False))
    rows = []
    for gap in shown:
        chips = (Chip("still silent", "warn", "Nothing was received since"),) if gap.is_open else ()
        note = "" if gap.to_the_minute else "to the hour"
        cells = [
            Cell(gap.source, chips=chips),
            Cell(figures.or_dash(gap.site)),
            Cell(moment(gap.start)),
            Cell(moment(gap.end)),
            Cell(hours(gap.length_ms), note=note),
        ]
        if may_decide:
            cells.append(Cell("Decide", url=decide_url(organisation, gap)))
        rows.append(Row(cells))
    hidden = len(found.gaps) - len(shown) + found.others
    more = f"{hidden:,} shorter gaps are not shown; the CSV file has the longest {len(found.gaps):,}." if hidden else ""
    if found.unread:
        more += f" {found.unread:,} sources with less time missing were not looked at."
    return Table("Gaps that nobody has decided about", columns, rows, more=more.strip())


COVERAGE_HEADER = ["source", "site", "expected_hours", "received_hours", "decided_hours", "coverage", "silent"]
GAPS_HEADER = ["source", "site", "start", "end", "hours", "accuracy", "still_silent"]
SITES_HEADER = [
    "site",
    "scope",
    "facility_energy_kwh",
    *(f"tier_{letter.lower()}_kwh" for letter in TIERS),
    "energy_uncertainty",
    *(f"{name}_{what}" for name in ("location", "market") for what in ("kg", "low_kg", "high_kg", "uncertainty")),
]


def coverage_records(frame: pd.DataFrame) -> list[list[Any]]:
    return [
        [
            row["source"],
            row["site"],
            *(round(row[name] / HOUR_MS, 4) for name in ("window_ms", "covered_ms", "decided_ms")),
            round(float(row["coverage"]), 6),
            "yes" if row["silent"] else "no",
        ]
        for row in frame.to_dict("records")
    ]


def gaps_records(found: Missing) -> list[list[Any]]:
    return [
        [
            gap.source,
            gap.site,
            f"{gap.start:%Y-%m-%dT%H:%M:%SZ}",
            f"{gap.end:%Y-%m-%dT%H:%M:%SZ}",
            round(gap.length_ms / HOUR_MS, 4),
            "minute" if gap.to_the_minute else "hour",
            "yes" if gap.is_open else "no",
        ]
        for gap in found.gaps
    ]


def sites_records(found: Findings) -> list[list[Any]]:
    return [
        [
            group.site,
            group.scope,
            _millionths(group.energy.value),
            *map(_millionths, group.tiers),
            None if group.energy.share is None else round(group.energy.share, 6),
            *_interval_cells(group.location),
            *_interval_cells(group.market),
        ]
        for group in found.sites
    ]


# --- The uncertainty table and what to do -----------------------------------------------------------------------------


def uncertainty_table(own: Mapping[str, OwnValue]) -> Table:
    """The relative uncertainties in force, each with what it rests on."""
    columns = [
        Column("name", "Input", numeric=False),
        Column("value", "In force", "± %, 95 %"),
        Column("basis", "Rests on", numeric=False),
    ]
    rows = []
    for name, default in uncertainty.DEFAULTS.items():
        mine = own.get(name)
        default_text = per_cent_of(default.ppm)
        rows.append(
            Row(
                [
                    Cell(default.label, chips=(Chip("own value", "info"),) if mine else ()),
                    Cell(
                        per_cent_of(mine.ppm) if mine else default_text, note=f"default {default_text}" if mine else ""
                    ),
                    Cell(mine.basis if mine else default.basis),
                ]
            )
        )
    return Table("Uncertainty table in force", columns, rows)


def per_cent_of(ppm: int) -> str:
    """A relative uncertainty [ppm] in per cent, without superfluous zeros."""
    return f"{ppm / 10_000:.4f}".rstrip("0").rstrip(".")


@dataclass(frozen=True, slots=True)
class Advice:
    tone: str
    mark: str
    text: str
    url: str = ""
    action: str = ""


def advice(
    found: Findings, missing: Missing, silent: int, organisation: Organisation, *, may_manage: bool
) -> list[Advice]:
    """What would make the figures surer, most consequential first."""

    def link(route: str) -> str:
        return reverse(route, args=[organisation.slug]) if may_manage else ""

    rows: list[tuple[int, Advice]] = []
    whole = found.total.energy.value or 0 if found.total else 0

    def share(energy: int) -> str:
        return figures.percent(energy / whole) if whole else figures.DASH

    if found.assumed_pue:
        energy = sum(each.energy for each in found.assumed_pue)
        names = _some([each.site for each in found.assumed_pue])
        text = f"No PUE is recorded for {names}: 1.0 is assumed for {share(energy)} of the energy, which is too low."
        rows.append((energy, Advice("bad", "PUE", text, link("sites-manage"), "Record the PUE")))
    if found.total:
        _, _, modelled, estimated = found.total.tiers
        if modelled + estimated:
            part = share(modelled + estimated)
            text = f"{part} of the energy is modelled or estimated. Measure it at the device or node."
            url = reverse("sources", args=[organisation.slug])
            rows.append((modelled + estimated, Advice("warn", "Tiers C, D", text, url, "See the sources")))
    if found.life_cycle:
        energy = sum(each.energy for each in found.life_cycle)
        text = (
            f"{_some([each.site for each in found.life_cycle])} take a life-cycle factor for want of an official one"
            f" ({share(energy)} of the energy). Import or adopt a factor on the direct boundary."
        )
        rows.append(
            (energy, Advice("warn", "Factor", text, reverse("factors", args=[organisation.slug]), "See the factors"))
        )
    if found.lagging:
        energy = sum(each.energy for each in found.lagging)
        text = (
            f"The factors of {_some([each.site for each in found.lagging])} are two years old or more"
            f" ({share(energy)} of the energy). Look for a newer edition."
        )
        rows.append(
            (energy, Advice("warn", "Factor", text, reverse("factors", args=[organisation.slug]), "See the factors"))
        )
    things = [each for _, each in sorted(rows, key=lambda pair: -pair[0])]
    if count := len(missing.gaps) + missing.others:
        text = (
            f"{count:,} gap{'s' if count != 1 else ''} of an hour or more: send what the exporter kept, or decide each:"
            " fill it with an estimate, or leave it empty with a reason."
        )
        things.append(Advice("warn", "Gaps", text, "#gaps", "See the gaps"))
    if silent:
        text = f"{silent:,} source{'s are' if silent != 1 else ' is'} silent: nothing was received for a day."
        things.append(Advice("warn", "Silent", text, reverse("sources", args=[organisation.slug]), "See the sources"))
    return things


def _some(names: Sequence[str], limit: int = 3) -> str:
    shown = ", ".join(names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown
