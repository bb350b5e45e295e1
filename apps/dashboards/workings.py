"""A receipt in words: every formula with its numbers put in, for the page that an auditor reads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from apps.accounting.calculations.evidence import LineEvidence
from apps.accounting.engine.gases import GWP_SETS
from apps.accounting.engine.market import CRITERIA
from apps.accounting.engine.receipt import FACILITY
from apps.accounting.engine.receipt_rows import bearers_of, weights_of
from apps.core import figures
from apps.core.filters import SCOPES, days_text
from apps.core.tables import Cell, Column, Row, Table
from apps.organisations.models import Organisation

IT, USED, LOCATION = "it_energy_milliwatt_hours", "facility_energy_milliwatt_hours", "location_mg"
POLICIES = {
    "claim_period": ("Claim period", dict(Organisation.ClaimPeriod.choices)),
    "market_allocation": ("Allocation of instruments", dict(Organisation.MarketAllocation.choices)),
    "idle_policy": ("Idle energy", dict(Organisation.PoolPolicy.choices)),
    "difference_policy": ("Difference to the meter", dict(Organisation.PoolPolicy.choices)),
}


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula in words with its numbers put in, and the whole numbers behind them."""

    text: str
    exact: str = ""


@dataclass(frozen=True, slots=True)
class RateBlock:
    """One rate of a site: what it made of which energy, and where PUE and factor come from."""

    title: str
    is_known: bool
    formulas: list[Formula]
    factor: Mapping[str, Any] | None
    facts: list[tuple[str, str]]
    reasons: list[str]


@dataclass(frozen=True, slots=True)
class MarketBlock:
    """One market in one claim period: its result, and the share of it that the selection has."""

    title: str
    formulas: list[Formula]
    shares: list[Formula]
    lots: list[Mapping[str, Any]]
    factor: Mapping[str, Any] | None
    reasons: list[str]


@dataclass(frozen=True, slots=True)
class ScopeFigures:
    label: str
    figure: Mapping[str, Any]
    formulas: list[Formula] = field(default_factory=list)


def _exact(mwh: int) -> str:
    return f"{Decimal(mwh).scaleb(-6):,f} kWh"


def _exact_mass(mg: int | None) -> str:
    return "none" if mg is None else f"{Decimal(mg).scaleb(-6):,f} kg"


def _grams(ug_per_kwh: int) -> str:
    return f"{_plain(Decimal(ug_per_kwh).scaleb(-6))} g/kWh"


def _plain(value: Decimal) -> str:
    """All digits that are there, and no trailing zeros."""
    text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _pue(ppm: int) -> str:
    return _plain(Decimal(ppm).scaleb(-6))


def scope_figures(head: Mapping[str, Any], figure: Mapping[str, Any]) -> ScopeFigures:
    """The figure of one scope as sums of what stands below."""
    scope = figure["scope"]
    rates = [rate for rate in head["rates"] if rate["scope"] == scope]
    readings = sum(part["readings"] for rate in rates for part in rate["sums"])
    it, used = (sum(part[name] for rate in rates for part in rate["sums"]) for name in (IT, USED))
    formulas = [
        Formula(
            f"{readings:,} readings at {_sites(rates)} = {figures.energy(it)} IT energy;"
            f" with PUE = {figures.energy(used)} facility energy",
            f"{_exact(it)} IT, {_exact(used)} facility",
        )
    ]
    if used != figure[USED]:
        formulas.append(
            Formula(
                f"{figures.energy(used)} − {figures.energy(used - figure[USED])} of the pools, borne by others"
                f" = {figures.energy(figure[USED])}",
                f"{_exact(figure[IT])} IT, {_exact(figure[USED])} facility",
            )
        )
    if figure[LOCATION] is not None:
        by_site: dict[str, int] = defaultdict(int)
        for rate in rates:
            by_site[_site(rate)] += _mass_of(rate) or 0
        terms = [f"{figures.mass(mg)} ({name})" for name, mg in by_site.items()]
        others = _others(sum(by_site.values()), figure[LOCATION])
        formulas.append(
            Formula(
                f"Location-based = {_sum(terms)}{others} = {figures.mass(figure[LOCATION])} CO₂e",
                _exact_mass(figure[LOCATION]),
            )
        )
    if figure["market_mg"] is not None:
        by_market: dict[str, int] = defaultdict(int)
        for market in head["markets"]:
            by_market[market["market"]] += sum(part["market_mg"] or 0 for part in market["parts"])
        terms = [f"{figures.mass(mg)} (market {name})" for name, mg in by_market.items()]
        others = _others(sum(by_market.values()), figure["market_mg"])
        formulas.append(
            Formula(
                f"Market-based = {_sum(terms)}{others} = {figures.mass(figure['market_mg'])} CO₂e",
                _exact_mass(figure["market_mg"]),
            )
        )
    return ScopeFigures(SCOPES.get(scope, scope), figure, formulas)


def _others(all_of: int, figure: int) -> str:
    """What of the pools is borne by others; nothing where no pool is shared."""
    return f" − {figures.mass(all_of - figure)} (of the pools, borne by others)" if all_of != figure else ""


def _site(rate: Mapping[str, Any]) -> str:
    return str(rate.get("site_name") or rate["site"] or "No site yet")


def _sites(rates: list[Mapping[str, Any]]) -> str:
    count = len({rate["site"] for rate in rates})
    return "one site" if count == 1 else f"{count} sites"


def _sum(terms: list[str]) -> str:
    shown = terms if len(terms) <= 6 else [*terms[:5], f"{len(terms) - 5} more"]
    return " + ".join(shown) or "0"


def _mass_of(rate: Mapping[str, Any]) -> int | None:
    known = [part[LOCATION] for part in rate["sums"] if part[LOCATION] is not None]
    return sum(known) if known else None


def rates_table(head: Mapping[str, Any]) -> Table:
    """One row per rate; the columns add up to the figure."""
    rows = [(rate, sum(p[IT] for p in rate["sums"]), sum(p[USED] for p in rate["sums"])) for rate in head["rates"]]
    energy = figures.column_energy_unit(used for _, _, used in rows)
    mass = figures.column_mass_unit(_mass_of(rate) for rate, _, _ in rows)
    columns = [
        Column("site", "Site", numeric=False),
        Column("days", "In force", numeric=False),
        Column("it", "IT energy", energy),
        Column("pue", "PUE"),
        Column("used", "Facility energy", energy),
        Column("factor", "Factor", "g CO₂e/kWh"),
        Column("mass", "Location-based", f"{mass} CO₂e"),
    ]
    body = [
        Row(
            [
                Cell(
                    _site(rate),
                    note="" if rate["scope"] == "2" else SCOPES[rate["scope"]],
                ),
                Cell(_days(rate)),
                Cell(figures.energy_in(it, energy), title=figures.energy_exact(it)),
                Cell(figures.DASH if rate["pue_ppm"] is None else _pue(rate["pue_ppm"])),
                Cell(figures.energy_in(used, energy), title=figures.energy_exact(used)),
                Cell(figures.grams_per_kwh(rate["factor_ug_per_kwh"])),
                Cell(figures.mass_in(_mass_of(rate), mass), title=figures.mass_exact(_mass_of(rate))),
            ]
        )
        for rate, it, used in rows
    ]
    if len(head["figures"]) == 1 and body:
        [figure] = head["figures"]
        whole = {IT: sum(it for _, it, _ in rows), USED: sum(used for _, _, used in rows)}
        if whole[USED] != figure[USED]:
            others = {name: figure[name] - value for name, value in whole.items()}
            mg = (figure[LOCATION] or 0) - sum(_mass_of(rate) or 0 for rate, _, _ in rows)
            cells = ["Pools, borne by others", "", figures.energy_in(others[IT], energy), ""]
            cells += [figures.energy_in(others[USED], energy), "", figures.mass_in(mg, mass)]
            body.append(Row([Cell(text) for text in cells]))
        body.append(
            Row(
                [
                    Cell("Total"),
                    Cell(""),
                    Cell(figures.energy_in(figure[IT], energy), title=figures.energy_exact(figure[IT])),
                    Cell(""),
                    Cell(figures.energy_in(figure[USED], energy), title=figures.energy_exact(figure[USED])),
                    Cell(""),
                    Cell(figures.mass_in(figure[LOCATION], mass), title=figures.mass_exact(figure[LOCATION])),
                ],
                "total",
            )
        )
    return Table("Energy and location-based emissions by site and rate", columns, body)


def _days(rate: Mapping[str, Any]) -> str:
    if rate["pue_ppm"] is None:
        return figures.DASH
    return days_text(date.fromisoformat(rate["from"][:10]), date.fromisoformat(rate["to"][:10]))


def rate_block(rate: Mapping[str, Any]) -> RateBlock:
    formulas = []
    for part in rate["sums"]:
        it, used, mg = part[IT], part[USED], part[LOCATION]
        if rate["pue_ppm"] is None:
            text = f"{figures.energy(used)} measured at the {part['boundary']}; no PUE is known, none is applied"
        elif part["boundary"] == FACILITY:
            text = (
                f"{figures.energy(used)} measured at the facility: PUE is not applied again;"
                f" ÷ {_pue(rate['pue_ppm'])} = {figures.energy(it)} IT energy"
            )
        else:
            text = (
                f"{figures.energy(it)} measured at the {part['boundary']} × PUE {_pue(rate['pue_ppm'])}"
                f" = {figures.energy(used)}"
            )
        exact = f"{part['readings']:,} readings; {_exact(it)} IT, {_exact(used)} facility"
        formulas.append(Formula(text, exact))
        if rate["factor_ug_per_kwh"] is not None:
            formulas.append(
                Formula(
                    f"{figures.energy(used)} × {_grams(rate['factor_ug_per_kwh'])} = {figures.mass(mg)} CO₂e",
                    f"{_exact_mass(mg)}, the sum of lines that are each rounded once to the milligram",
                )
            )
        else:
            formulas.append(Formula("No factor: the energy is counted, its emissions are absent and not zero"))
    site = _site(rate)
    days = _days(rate)
    facts = [] if rate["pue_ppm"] is None else [("PUE", f"{_pue(rate['pue_ppm'])}, from: {rate['pue_source']}")]
    factor = rate["factor"]
    if factor:
        facts += _factor_facts(factor, rate["factor_ug_per_kwh"], rate["gwp_set"])
        if rate["lag_years"]:
            years = "1 year" if abs(rate["lag_years"]) == 1 else f"{abs(rate['lag_years'])} years"
            facts.append(("Year lag", f"{years}: data of {factor['data_year']}, the nearest published"))
    facts.append(("Worked out by", f"engine {rate['engine_version']}"))
    return RateBlock(
        f"{site}, {days}" if rate["pue_ppm"] is not None else site,
        rate["pue_ppm"] is not None,
        formulas,
        factor,
        facts,
        rate["reasons"],
    )


def _factor_facts(factor: Mapping[str, Any], ug_per_kwh: int | None, gwp: str) -> list[tuple[str, str]]:
    boundary = {"direct": "direct emissions of generation", "life_cycle": "life cycle, upstream included"}
    return [
        ("Factor", f"{_grams(ug_per_kwh or 0)} CO₂e = {_gases(factor, gwp)}"),
        ("Zone, data year", f"{factor['zone']} {factor['zone_name']}, {factor['data_year']}"),
        ("Publisher", f"{factor['publisher']}: {factor['title']}, edition {factor['edition']}"),
        (
            "Boundary, basis",
            f"{boundary.get(factor['boundary'], factor['boundary'])}; {factor['basis'] or 'basis not stated'}",
        ),
        ("Licence", factor["licence"]),
        ("Dataset digest", factor["dataset_digest"]),
    ]


def _gases(factor: Mapping[str, Any], gwp: str) -> str:
    """How the factor was made of what the publisher prints."""
    co2, ch4, n2o = (factor[f"{gas}_kg_per_mwh"] for gas in ("co2", "ch4", "n2o"))
    weights = GWP_SETS[gwp]
    if None not in (co2, ch4, n2o):
        return f"CO₂ {co2} + CH₄ {ch4} × {weights.ch4} + N₂O {n2o} × {weights.n2o} kg/MWh ({gwp})"
    if factor["co2e_kg_per_mwh"] is not None:
        printed = f", {factor['gwp_set']}" if factor["gwp_set"] else ""
        return f"{factor['co2e_kg_per_mwh']} kg/MWh as published{printed}"
    return f"CO₂ {co2} kg/MWh: the publisher gives no CH₄ and N₂O"


def market_block(market: Mapping[str, Any]) -> MarketBlock:
    whole, uncovered = market[USED], market["uncovered_milliwatt_hours"]
    formulas = [
        Formula(
            f"Consumption of the market {figures.energy(whole)} = covered by instruments"
            f" {figures.energy(market['covered_milliwatt_hours'])} + uncovered {figures.energy(uncovered)}",
            f"{_exact(whole)} = {_exact(market['covered_milliwatt_hours'])} + {_exact(uncovered)}",
        )
    ]
    applied = [lot for lot in market["instruments"] if lot["applied_milliwatt_hours"]]
    terms = [f"{figures.energy(lot['applied_milliwatt_hours'])} × {_grams(lot['ug_per_kwh'] or 0)}" for lot in applied]
    if terms:
        formulas.append(
            Formula(
                f"Instruments: {_sum(terms)} = {figures.mass(market['instruments_mg'])}",
                _exact_mass(market["instruments_mg"]),
            )
        )
    fallback = market["market_mg"] - market["instruments_mg"]
    if market["fallback"] == "residual":
        factor = _grams(market["fallback_ug_per_kwh"])
        text = f"Residual mix: {figures.energy(uncovered)} × {factor} = {figures.mass(fallback)}"
    else:
        text = (
            f"No residual mix is published, so the grid average: {figures.mass(market[LOCATION])} ×"
            f" {figures.energy(uncovered)} ÷ {figures.energy(whole)} = {figures.mass(fallback)}"
        )
    formulas.append(Formula(text, _exact_mass(fallback)))
    formulas.append(
        Formula(
            f"Market-based result of the market = {figures.mass(market['instruments_mg'])} + {figures.mass(fallback)}"
            f" = {figures.mass(market['market_mg'])} CO₂e",
            _exact_mass(market["market_mg"]),
        )
    )
    period = days_text(date.fromisoformat(market["period_start"]), date.fromisoformat(market["period_end"]))
    return MarketBlock(
        f"Market {market['market']}, {period}",
        formulas,
        _shares(market),
        [_lot(lot) for lot in market["instruments"]],
        market["fallback_factor"],
        [*market["fallback_reasons"]],
    )


def _shares(market: Mapping[str, Any]) -> list[Formula]:
    """The part of the market's result that falls to the selection; by class of consumption where lots are earmarked."""
    if not market["classes"]:
        return [_share(market, market["parts"], market, "This selection")]
    shares = []
    for own in market["classes"]:
        key = (own["team"], own["model"])
        parts = [part for part in market["parts"] if (part["earmark_team"], part["earmark_model"]) == key]
        words = [f"{name} {value}" for name, value in (("team", key[0]), ("model", key[1])) if value]
        label = f"This selection in {' and '.join(words)}" if words else "This selection, other teams and models"
        if parts:
            shares.append(_share(market, parts, own, label))
    return shares


def _share(market: Mapping[str, Any], parts: list[Any], whole_of: Mapping[str, Any], label: str) -> Formula:
    """``whole_of``: the market, or the class of it that the parts belong to."""
    energy = sum(part[USED] for part in parts)
    location = sum(part[LOCATION] or 0 for part in parts)
    known = [part["market_mg"] for part in parts if part["market_mg"] is not None]
    mg = sum(known) if known else None
    whole, uncovered = whole_of[USED], whole_of["uncovered_milliwatt_hours"]
    if market["fallback"] == "residual" or whole_of is not market:
        text = (
            f"{label}: {figures.energy(energy)} ÷ {figures.energy(whole)} × {figures.mass(whole_of['market_mg'])}"
            f" = {figures.mass(mg)} CO₂e"
        )
        return Formula(text, f"{energy:,} ÷ {whole:,} × {whole_of['market_mg']:,} mg = {_exact_mass(mg)}")
    instruments = whole_of["instruments_mg"]
    text = (
        f"{label}: {figures.energy(energy)} ÷ {figures.energy(whole)} × {figures.mass(instruments)}"
        f" + {figures.mass(location)} × {figures.energy(uncovered)} ÷ {figures.energy(whole)} = {figures.mass(mg)} CO₂e"
    )
    exact = f"({energy:,} × {instruments:,} + {location:,} × {uncovered:,}) ÷ {whole:,} mg = {_exact_mass(mg)}"
    return Formula(text, exact)


def _lot(lot: Mapping[str, Any]) -> Mapping[str, Any]:
    criteria = [{**check, "name": CRITERIA.get(check["number"], "")} for check in lot["criteria"] or lot["failed"]]
    vintage = days_text(date.fromisoformat(lot["vintage_start"]), date.fromisoformat(lot["vintage_end"]))
    return {**lot, "criteria": criteria, "vintage": vintage}


def pools(head: Mapping[str, Any], names: Mapping[int, str]) -> list[Formula]:
    """Each pool of a site and month, and the weight of those who were asked for among those who bear it."""
    shared = head["pools"]
    if not shared:
        return []
    filters = head["query"]["filters"]
    dimensions: list[str] = next(
        (each["dimensions"] for each in shared["bearers"] if all(name in filters for name in each["dimensions"])), []
    )
    formulas = []
    for row in shared["energy"]:
        bearers = bearers_of(shared, dimensions, row["month"], row["site"])
        weights = weights_of(shared, row["pool"], bearers)
        asked = [
            weight
            for weight, who in zip(weights, bearers["names"], strict=True)
            if all((value or "") in filters[name] for name, value in zip(dimensions, who, strict=True))
        ]
        month = f"{row['month'] // 100}-{row['month'] % 100:02d}"
        kind = "Idle energy" if row["pool"] == "idle" else "Difference to the meter"
        where = f"{kind}, {names.get(row['site'], 'no site')}, {month}: {figures.energy(row[USED])}"
        if not sum(weights):
            formulas.append(Formula(f"{where}; nobody used energy by name there, so it stays in the pool"))
            continue
        policy = dict(Organisation.PoolPolicy.choices)[shared["policies"][row["pool"]]]
        share = Fraction(sum(asked), sum(weights))
        formulas.append(
            Formula(
                f"{where} × {figures.percent(float(share), 1)} borne by this selection"
                f" = {figures.energy(round(row[USED] * share))}",
                f"{policy}: weight {sum(asked):,} of {sum(weights):,}; each row split by largest remainder",
            )
        )
    return formulas


def set_aside(head: Mapping[str, Any]) -> list[Formula]:
    """What was received and is not counted, with the source that is counted instead."""
    return [
        Formula(
            f"{row['source']}: {figures.energy(row['energy_microwatt_hours'] // 1000)} in {row['hours']:,} hours is not"
            f" counted; {row['counted_source']} measures the same device and is",
            f"{row['energy_microwatt_hours']:,} µWh",
        )
        for row in head["set_aside"]
    ]


def method(head: Mapping[str, Any]) -> list[tuple[str, str]]:
    method = head["method"]
    gwp = ", ".join(f"{gas} {value}" for gas, value in method["gwp_100"].items())
    facts = [
        ("Ruleset", f"{method['ruleset']}: {method['ruleset_source']}"),
        ("Engine", method["engine_version"]),
        ("GWP set", f"{method['gwp_set']} over 100 years ({gwp})"),
        ("Energy boundaries", ", ".join(method["energy_boundaries"]) or figures.DASH),
    ]
    facts += [(label, words[head["policies"][name]]) for name, (label, words) in POLICIES.items()]
    facts.append(("Vintage window", f"{head['policies']['vintage_window_months']} months around the claim period"))
    facts.append(("Rounding", "Half up, once a line, to the milliwatt-hour and milligram; shares by largest remainder"))
    return facts


def line_formulas(found: LineEvidence) -> list[Formula]:
    said = found.line
    formulas = []
    for share in found.shares:
        counted = share["energy_microwatt_hours"] - share["set_aside_microwatt_hours"]
        text = f"{share['energy_microwatt_hours']:,} µWh of readings in the hour"
        if share["set_aside_microwatt_hours"]:
            aside = share["set_aside_microwatt_hours"]
            text += f" − {aside:,} µWh that another source of the device counts = {counted:,} µWh"
        if len(share["weights_ppm"]) > 1:
            weight = _plain(Decimal(share["weight_ppm"]).scaleb(-6))
            text += f"; × share {weight} = {share['share_microwatt_hours']:,} µWh"
        formulas.append(Formula(text))
    formulas.append(
        Formula(f"{found.energy_microwatt_hours:,} µWh = {found.measured_milliwatt_hours:,} mWh, rounded half up")
    )
    it, used = said[IT], said[USED]
    if said["pue_ppm"] is not None:
        pue = _pue(said["pue_ppm"])
        formulas.append(
            Formula(f"{used:,} mWh facility ÷ PUE {pue} = {it:,} mWh IT")
            if said["boundary"] == FACILITY
            else Formula(f"{it:,} mWh IT × PUE {pue} = {used:,} mWh facility")
        )
    if said["factor_ug_per_kwh"] is not None:
        factor = _grams(said["factor_ug_per_kwh"])
        formulas.append(Formula(f"{used:,} mWh × {factor} = {said[LOCATION]:,} mg CO₂e, location-based"))
    else:
        formulas.append(Formula("No factor, and so no emissions: absent, not zero"))
    return formulas
