"""Recalculating what stands around the figures of a disclosure, from its evidence alone.

Intervals, quality criteria, reconciliation, hourly what-if, memo, indicators, intensities and the frozen methodology:
whatever follows from other numbers of the evidence is worked out again by the same functions and compared.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

from apps.accounting.engine import indicators, reconciliation
from apps.accounting.engine.indicators import ImpossibleValueError
from apps.accounting.engine.market import CRITERIA, FAILED
from apps.core.units import PPM, round_half_up

Json = dict[str, Any]
FACILITY = "facility_energy_milliwatt_hours"
NANO = 10**9
FIGURES = {"energy": FACILITY, "location": "location_mg", "market": "market_mg"}
RATIOS = {
    "pue": indicators.pue,
    "wue": indicators.wue,
    "ref": indicators.ref,
    "erf": indicators.erf,
    "cue_location": indicators.cue,
    "cue_market": indicators.cue,
}
SPLIT = ("standard_supply", "matched", "unmatched")


def accounting_differences(snapshot: Json) -> Iterator[str]:
    """What contradicts itself, one sentence each. ``snapshot``: in the present format."""
    yield from _intervals(snapshot)
    yield from _criteria(snapshot)
    yield from _adopted(snapshot)
    yield from _reconciliation(snapshot)
    yield from _hourly(snapshot)
    yield from _memo(snapshot)
    yield from _indicators(snapshot)
    yield from _intensities(snapshot)
    yield from _documents(snapshot)


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


# --- Intervals ----------------------------------------------------------------------------------------------------


def _intervals(snapshot: Json) -> Iterator[str]:
    found = snapshot["uncertainty"]
    if found["total"] is None:
        return
    figures = {row["site"]: row for row in snapshot["by_site"]}
    total = snapshot["totals"]["quarter"]["figures"]
    groups = [("the total", found["total"], total)]
    groups += [(row["site"], row, figures.get(row["site"], {})) for row in found["by_site"]]
    for name, intervals, row in groups:
        for key, field in FIGURES.items():
            yield from _interval(f"{name}, {key}", intervals[key], row.get(field))
    for key in ("energy", "location"):
        whole, parts = _half(found["total"][key]), [_half(row[key]) for row in found["by_site"]]
        if whole is not None and parts and None not in parts and whole > sum(part or 0 for part in parts):
            yield f"uncertainty of {key}: the whole is less sure than its sites together"
    for name, drivers in found["drivers"].items():
        if drivers and abs(sum(drivers.values()) - PPM) > len(drivers):
            yield f"uncertainty of {name}: its causes add up to {sum(drivers.values())} ppm"


def _half(interval: Mapping[str, Any]) -> int | None:
    return None if interval["high"] is None else interval["high"] - interval["value"]


def _interval(name: str, interval: Mapping[str, Any], figure: int | None) -> Iterator[str]:
    value, low, high = (interval[end] for end in ("value", "low", "high"))
    if value != figure:
        yield f"interval of {name}: it is around {value}, the figure is {figure}"
    if high is not None and not (0 <= low <= value <= high and low == max(2 * value - high, 0)):
        yield f"interval of {name}: {low} to {high} does not lie around {value}"


# --- Instruments and factors --------------------------------------------------------------------------------------


def _criteria(snapshot: Json) -> Iterator[str]:
    for rate in snapshot["market_rates"]:
        for lot in rate["instruments"]:
            name = f"{rate['market']}: {lot['reference']}"
            used = {field: lot[f"{field}_milliwatt_hours"] for field in ("accepted", "applied", "surplus")}
            if lot["failed"] and any(used.values()):
                yield f"{name} fails a quality criterion and {max(used.values())} mWh of it are accepted"
            elif used["accepted"] != used["applied"] + used["surplus"] or min(used.values()) < 0:
                yield f"{name}: accepted energy is not what is applied and what is surplus"
            if not lot["criteria"]:
                continue
            if [check["number"] for check in lot["criteria"]] != list(CRITERIA):
                yield f"{name} is not held against all {len(CRITERIA)} quality criteria"
            failed = {check["number"] for check in lot["criteria"] if check["status"] == FAILED}
            if failed != {int(text.partition(" ")[0].rstrip(":")) for text in lot["failed"]}:
                yield f"{name}: the criteria that it fails are named differently"


def _adopted(snapshot: Json) -> Iterator[str]:
    adopted = {(one["dataset"], one["edition"]) for one in snapshot["method"]["adoptions"]}
    used = [rate["factor"] for rate in snapshot["location_rates"]]
    used += [rate["fallback_factor"] for rate in snapshot["market_rates"]]
    for key in sorted({(factor["dataset"], factor["edition"]) for factor in used if factor} if adopted else ()):
        if key not in adopted:
            yield f"a factor of {key[0]} {key[1]} is used, which is not adopted for the quarter"


# --- Meters and hours ---------------------------------------------------------------------------------------------


def _tolerance(snapshot: Json) -> int:
    stated = [one["value"] for one in snapshot["method"]["policies"] if one["name"] == "tolerance"]
    return int(stated[0]) if stated else reconciliation.TOLERANCE_PPM


def _reconciliation(snapshot: Json) -> Iterator[str]:
    tolerance = _tolerance(snapshot)
    held: dict[str, int] = defaultdict(int)
    for row in snapshot["reconciliation"]:
        name = f"{row['site']}, {row['month']}"
        held[row["site"]] += row["month_telemetry_milliwatt_hours"] + row["month_booked_milliwatt_hours"]
        metered, telemetry = row["metered_milliwatt_hours"], row["telemetry_milliwatt_hours"]
        difference = None if metered is None else metered - telemetry
        if row["difference_milliwatt_hours"] != difference:
            yield f"{name}: metered less telemetry is {difference} mWh, not {row['difference_milliwatt_hours']}"
        coverage = round_half_up(Fraction(telemetry * PPM, metered)) if metered else None
        if row["coverage_ppm"] != coverage:
            yield f"{name}: the telemetry covers {coverage} ppm of the meter, not {row['coverage_ppm']}"
        if row["state"] != _state(metered, telemetry, tolerance):
            yield f"{name}: said to be {row['state']}, is {_state(metered, telemetry, tolerance)}"
        if not 0 <= row["metered_days"] <= row["days"] or (row["metered_days"] == 0) != (metered is None):
            yield f"{name}: metered on {row['metered_days']} of {row['days']} days"
    for row in snapshot["by_site"]:
        if row["site"] in held and held[row["site"]] != row[FACILITY]:
            yield f"{row['site']}: its months add up to {held[row['site']]} mWh, the quarter is {row[FACILITY]}"


def _state(metered: int | None, telemetry: int, tolerance: int) -> str:
    if metered is None:
        return reconciliation.State.NO_METER.value
    if abs(metered - telemetry) * PPM <= metered * tolerance:
        return reconciliation.State.RECONCILED.value
    below = reconciliation.State.METER_BELOW_TELEMETRY
    return (reconciliation.State.DIFFERENCE if metered > telemetry else below).value


def _hourly(snapshot: Json) -> Iterator[str]:
    rows, total = snapshot["hourly"]["markets"], snapshot["hourly"]["total"]
    used: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in snapshot["by_site"]:
        used[row["market"]]["load"] += row[FACILITY]
        used[row["market"]]["reported"] += row["market_mg"] or 0
    for row in [*rows, *([total] if total else [])]:
        name = f"hours of {row['market'] or 'all markets'}"
        parts = {
            each: row[f"{each}_milliwatt_hours"] for each in (*SPLIT, "load", "surplus", "carbon_free", "cfe_load")
        }
        if sum(parts[each] for each in SPLIT) != parts["load"] or min(parts.values()) < 0:
            yield f"{name}: matched, unmatched and standard supply do not add up to the load"
        if sum(row["unmatched_by_fallback"].values()) != parts["unmatched"]:
            yield f"{name}: what stands in for unmatched energy does not add up to it"
        if not parts["carbon_free"] <= parts["cfe_load"] <= parts["load"]:
            yield f"{name}: more carbon-free energy than load"
    for row in rows:
        for what, field in (("load", "load_milliwatt_hours"), ("reported", "reported_market_mg")):
            if row[field] is not None and row[field] != used[row["market"]][what]:
                yield f"hours of {row['market']}: {what} is {row[field]}, its sites have {used[row['market']][what]}"
    for field in (name for name in (total or {}) if name.endswith(("_milliwatt_hours", "draft_market_mg"))):
        if sum(row[field] for row in rows) != total[field]:
            yield f"hours: {field} of the markets does not add up to the total"


# --- Beside the totals --------------------------------------------------------------------------------------------


def _memo(snapshot: Json) -> Iterator[str]:
    for row in snapshot["by_site"]:
        if row["control"] == "cloud":
            yield f"{row['site']} is public cloud and stands in Scope 2"
    rows = snapshot["scope_3_memo"]["rows"]
    by_part: dict[str, list[Json]] = defaultdict(list)
    for row in rows:
        by_part[row["part"]].append(row)
        if row["mg"] is None and not row["note"]:
            yield f"memo, {row['part']}: a figure is absent without a reason"
    stated = {total["part"]: total["mg"] for total in snapshot["scope_3_memo"]["totals"]}
    for part in stated.keys() | by_part.keys():
        if stated.get(part) != _sum(row["mg"] for row in by_part[part]):
            yield f"memo, {part}: its rows do not add up to {stated.get(part)} mg"
    cloud, total = snapshot["scope_3"]["total"], snapshot["totals"]["quarter"]["figures"]
    if by_part["cloud"] and cloud and stated["cloud"] != cloud["location_mg"]:
        yield f"memo, cloud: {stated['cloud']} mg, the sites in public cloud have {cloud['location_mg']} mg"
    for part in ("upstream", "losses"):
        energy = sum(row["energy_milliwatt_hours"] for row in by_part[part])
        if energy > total[FACILITY]:
            yield f"memo, {part}: {energy} mWh, Scope 2 has {total[FACILITY]} mWh"


def _indicators(snapshot: Json) -> Iterator[str]:
    found = snapshot["indicators"]
    groups = [(each["site"], each["results"]) for each in found["by_site"]]
    for name, results in [*groups, ("all sites", found["total"])]:
        for one in results:
            value = None if one["days"] == 0 or one["error"] else _ratio(one)
            if one["value_ppm"] != value:
                yield f"{name}: {one['label']} is {value} ppm by its terms, not {one['value_ppm']}"
    for one in found["total"]:
        own = [each for _, results in groups for each in results if each["key"] == one["key"]]
        for term in ("numerator", "denominator"):
            parts = [each[term] for each in own if each["value_ppm"] is not None]
            if one["value_ppm"] is not None and sum(parts) != one[term]:
                yield f"all sites: the {term} of {one['label']} is not the sum of the sites"


def _ratio(one: Json) -> int | None:
    try:
        value = RATIOS[one["key"]](one["numerator"], one["denominator"]).value
    except ImpossibleValueError:
        return None
    return None if value is None else round_half_up(value * PPM)


def _intensities(snapshot: Json) -> Iterator[str]:
    for row in snapshot["intensities"]:
        name = row["model_name"] or row["model"] or "work without a model"
        for one in row["units"]:
            per = round_half_up(Fraction(one[FACILITY] * one["size"] * NANO, one["count"] * 1_000))
            # The energy is whole and the ratio is of exact terms: less than half a milliwatt-hour a unit apart.
            allowed = one["size"] * NANO // (2 * one["count"] * 1_000) + 1
            if abs(per - one["wh_nano"]) > allowed:
                yield f"{name}: energy per {one['label']} does not follow from its energy and work"
            if one[FACILITY] > row[FACILITY]:
                yield f"{name}: more energy per {one['label']} than the model has"
        for score in (row["sci_consumer"], row["sci_provider"]):
            if score and score["total_g_nano"] is not None:
                parts = score["operational_g_nano"] + score["embodied_g_nano"]
                if abs(parts - score["total_g_nano"]) > 1:
                    yield f"{name}: SCI is not its operational and embodied part"


# --- Receipts and text --------------------------------------------------------------------------------------------


def _documents(snapshot: Json) -> Iterator[str]:
    for receipt in snapshot["receipts"]:
        if not re.fullmatch(r"[0-9a-f]{64}", receipt["sha256"]) or "/calculations?" not in receipt["path"]:
            yield f"receipt of {receipt['label']}: no call or no digest"
    text = snapshot["methodology"]
    if text["texts"]:
        digest = hashlib.sha256()
        for page in text["texts"]:
            digest.update(f"{page['name']}\n{page['title']}\n{page['body']}\n".encode())
        if digest.hexdigest() != text["digest"]:
            yield f"the methodology has the digest {digest.hexdigest()}, the evidence names {text['digest']}"
