"""The indicators as tables, as a file and as rows of the API."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from apps.accounting.indicators.queries import TELEMETRY, Indicators, Result, SiteIndicators
from apps.core import figures
from apps.core.tables import Cell, Chip, Column, Row, Table
from apps.sites.models import SiteMeasurement

WHOLE = 1_000_000  # mWh in a kWh, ml in a m3, mg in a kg: every term is exported in the unit a million times as large


def text_of(result: Result) -> str:
    """The indicator's digits: two decimals of a PUE or WUE, three of the others."""
    if result.value is None:
        return figures.DASH
    decimals = 2 if result.kind.key in ("pue", "wue") else 3
    return figures.number(Decimal(result.value.numerator) / Decimal(result.value.denominator), decimals)


def terms_of(result: Result) -> str:
    """Numerator and denominator in words, for the line below a value: ``271.0 / 210.0 MWh``."""
    numerator, denominator = result.indicator.numerator, result.indicator.denominator
    if numerator is None or denominator is None:
        return ""
    unit = figures.column_energy_unit([denominator])
    over = f"{_one_decimal(denominator, figures.ENERGY_UNITS[unit])}{figures.NARROW}{unit}"
    if result.kind.numerator_unit == "kWh":
        return f"{_one_decimal(numerator, figures.ENERGY_UNITS[unit])} / {over}"
    if result.kind.numerator_unit == "kg":
        return f"{figures.mass(numerator)} / {over}"
    return f"{_one_decimal(numerator, WHOLE)}{figures.NARROW}m³ / {over}"


def _one_decimal(value: int, unit: int) -> str:
    return figures.number(Decimal(value) / unit, 1)


def chips_of(result: Result, days: int) -> tuple[Chip, ...]:
    """What to know before an indicator is used."""
    chips = []
    if result.error:
        chips.append(Chip("data error", "bad", result.error))
    if TELEMETRY in result.it_from and result.value is not None:
        title = (
            "IT energy is not metered; the telemetry of the equipment stands in. What it misses makes the value higher"
        )
        chips.append(Chip("telemetry", "info", title))
    if result.indicator.is_capped:
        chips.append(Chip("capped at 1", "", "More renewable energy was used or claimed than the facility took"))
    if result.value is not None and result.days < days:
        chips.append(
            Chip(
                f"{result.days} days",
                "warn",
                f"Summed over the {result.days} of {days} days on which both terms are known",
            )
        )
    return tuple(chips)


def table_of(found: Indicators, caption: str) -> Table:
    """One line for each site, the organisation last; every value with its terms."""
    kinds = [result.kind for result in found.total]
    columns = [
        Column("site", "Site", numeric=False),
        *(Column(kind.key, kind.label, kind.unit, hint=f"{kind.name}: {kind.numerator.lower()} / {kind.denominator}."
                 f" {kind.clause}") for kind in kinds),
    ]  # fmt: skip
    days = (found.end - found.start).days
    rows = [
        Row([Cell(each.site.name, note=each.site.code), *(_cell(result, days) for result in each.results)])
        for each in found.sites
    ]
    sums = [_cell(result, days, of_sites=len(found.sites)) for result in found.total]
    if len(found.sites) > 1:
        rows.append(Row([Cell("All sites", note="sums divided, no mean of ratios"), *sums], kind="total"))
    return Table(caption, columns, rows)


def _cell(result: Result, days: int, of_sites: int = 0) -> Cell:
    # The first term that is missing; the tooltip names them all.
    note = terms_of(result) if result.value is not None or result.error else result.why.split(" and no ")[0]
    chips = chips_of(result, days)
    if of_sites and result.value is not None and result.sites < of_sites:
        chips = (Chip(f"{result.sites} of {of_sites} sites", "", "The others lack a term of this indicator"), *chips)
    return Cell(text_of(result), title=result.why or result.it_from, note=note, chips=chips)


def coverage_table(sites: Sequence[SiteIndicators], caption: str) -> Table:
    """How many days of the period the meters of each site have."""
    columns = [
        Column("site", "Site", numeric=False),
        *(Column(value, label) for value, label in SiteMeasurement.Quantity.choices),
    ]
    rows = []
    for each in sites:
        cells = [Cell(each.site.name)]
        for value in SiteMeasurement.Quantity.values:
            days = each.covered.get(value)
            if days is None:
                cells.append(Cell(figures.DASH, title="No reading"))
            else:
                cells.append(Cell(figures.percent(days / each.days), title=f"{days} of {each.days} days"))
        rows.append(Row(cells))
    return Table(caption, columns, rows)


def records(found: Indicators) -> list[dict[str, Any]]:
    """Every indicator as the API and the export give it; ``site`` None: the organisation."""
    days = (found.end - found.start).days
    rows = [_record(each.site.code, result, days) for each in found.sites for result in each.results]
    return rows + [_record(None, result, days) for result in found.total]


def _record(site: str | None, result: Result, days: int) -> dict[str, Any]:
    terms = (result.indicator.numerator, result.indicator.denominator)
    return {
        "site": site,
        "indicator": result.kind.key,
        "value": None if result.value is None else round(float(result.value), 6),
        "unit": result.kind.unit.replace("₂", "2"),
        "numerator": None if terms[0] is None else terms[0] / WHOLE,
        "numerator_unit": result.kind.numerator_unit,
        "denominator_kwh": None if terms[1] is None else terms[1] / WHOLE,
        "days": result.days,
        "days_of_period": days,
        "it_energy_from": result.it_from or None,
        "numerator_from": result.numerator_from if result.value is not None else None,
        "capped": result.indicator.is_capped,
        "sites": result.sites,
        "why_none": result.why or None,
        "data_error": bool(result.error),
        "standard": result.kind.clause,
    }
