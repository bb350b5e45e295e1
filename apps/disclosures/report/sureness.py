"""Tables and figures on how sure the figures are: intervals, what they are made with, what drives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.core import svg
from apps.core.figures import DASH
from apps.disclosures.report.electricity import FACILITY, series
from apps.disclosures.report.numbers import ENERGY, MASS, Unit, share, unit_for
from apps.disclosures.report.parts import Column, Figures, Parts, Row

METHODS = {"location": "Location-based", "market": "Market-based"}
CAUSES = {
    "activity": "Readings of energy",
    "pue": "PUE",
    "factor": "Emission factors, residual mix among them",
    "instruments": "Factors of instruments",
}
WEAKNESSES = {
    "assumed_pue": "No PUE is recorded and 1.0 is assumed",
    "life_cycle": "A life-cycle factor stands in for a direct one",
    "lagging": "The factor’s data lie more than a year from the activity",
}


def half_width(interval: Figures, decimals: int = 1) -> str:
    """Half the interval as a share of its figure, in per cent without the sign."""
    if interval["high"] is None:
        return DASH
    return share(interval["high"] - interval["value"], interval["value"], decimals)


def range_text(interval: Figures | None, unit: Unit) -> str:
    """``11.20 to 13.40 (± 8.9 %)``; empty without an interval."""
    if interval is None or interval["high"] is None:
        return ""
    return f"{unit.of(interval['low'])} to {unit.of(interval['high'])} (±\u202f{half_width(interval)}\u202f%)"


def headline(snapshot: Mapping[str, Any], parts: Parts) -> None:
    """Both methods with their whiskers, at the same scale."""
    total = snapshot["uncertainty"]["total"]
    if total is None or total["location"]["high"] is None or total["market"]["high"] is None:
        return
    unit = unit_for([total[name]["high"] for name in METHODS], MASS)
    parts.figure(
        "intervals",
        f"The location-based figure is known to ± {half_width(total['location'], 0)} %, the market-based one to"
        f" ± {half_width(total['market'], 0)} %",
        svg.ranged_bars,
        [series(name, [total[name]["value"]]) for name in METHODS],
        [(float(total[name]["low"]), float(total[name]["high"])) for name in METHODS],
        [f"{unit.of(total[name]['value'])} {unit.name}" for name in METHODS],
        description="Scope 2 emissions of the quarter by both methods, each with its interval."
        + "".join(f" {METHODS[name]}: {range_text(total[name], unit)} {unit.name}." for name in METHODS),
        notes=["Whiskers: the 95 % interval, by the uncertainties of section 10."],
    )


def uncertainty(snapshot: Mapping[str, Any], parts: Parts) -> None:
    """By site and in sum; by cause; and the table in force."""
    found = snapshot["uncertainty"]
    if found["total"] is None:
        return
    rows = sorted(found["by_site"], key=lambda row: -(row["energy"]["value"] or 0))
    energy = unit_for([row["energy"]["value"] for row in rows], ENERGY)
    mass = unit_for([row[name]["value"] for row in rows for name in METHODS], MASS)

    def cells(name: str, row: Figures, kind: str = "") -> Row:
        printed = [name]
        for figure, unit in (("energy", energy), ("location", mass), ("market", mass)):
            interval = row[figure]
            limits = DASH if interval["high"] is None else f"{unit.of(interval['low'])} – {unit.of(interval['high'])}"
            printed += [unit.of(interval["value"]), limits, half_width(interval)]
        return Row(printed, kind)

    body = [cells(row["site_name"] or row["site"] or "No site", row) for row in rows]
    heads = ("Facility", energy.name), *((METHODS[name], mass.name) for name in METHODS)
    parts.table(
        "intervals",
        "95 % intervals by site",
        [
            Column("Site", is_text=True),
            *(
                column
                for head, unit in heads
                for column in (Column(head, unit), Column("95 %", unit), Column("±", "%"))
            ),
        ],
        [*body, cells("Total", found["total"], "total")],
        size="small",
        notes=[
            "The whole is surer than its sites where their causes are independent, and no surer where they share one:"
            " all energy of a source, all energy of a site’s PUE, all energy that takes one factor."
        ],
    )
    kinds = [kind for kind in CAUSES if any(kind in found["drivers"].get(name, {}) for name in METHODS)]
    parts.table(
        "drivers",
        "What the uncertainty of the totals comes from",
        [Column("Cause", is_text=True), *(Column(METHODS[name], "% of its square") for name in METHODS)],
        [
            Row([CAUSES[kind], *(share(found["drivers"][name].get(kind, 0), 10**6, 0) for name in METHODS)])
            for kind in kinds
        ],
        size="half-width",
    )
    weak = {WEAKNESSES[name]: rows for name, rows in found["weaknesses"].items() if rows}
    sums = {why: sum(row[FACILITY] for row in rows) for why, rows in weak.items()}
    unit = unit_for(sums.values(), ENERGY)
    parts.table(
        "weaknesses",
        "What would make the figures surer",
        [Column("Weakness", is_text=True), Column("Sites", is_text=True), Column("Facility", unit.name)],
        [Row([why, ", ".join(row["site_name"] for row in rows), unit.of(sums[why])]) for why, rows in weak.items()],
        size="small",
    )
    parts.table(
        "uncertainties",
        "Relative uncertainties in force, half of 95 % intervals",
        [Column("Of", is_text=True), Column("±", "%"), Column("Rests on", is_text=True)],
        [
            Row([each["label"], share(each["ppm"], 10**6), each["basis"]], marks="o" if each["own"] else "")
            for each in found["table"]
        ],
        size="small",
    )
