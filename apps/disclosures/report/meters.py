"""Tables on what the telemetry was held against, what was not counted twice, and what was filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from apps.core.figures import DASH, number
from apps.disclosures.report.numbers import ENERGY, long_date, share, short_date, unit_for
from apps.disclosures.report.parts import Column, Parts, Row

HOUR_MS = 3_600_000
STATES = {
    "no_meter": "No meter",
    "reconciled": "Reconciled",
    "difference": "Difference",
    "meter_below_telemetry": "Meter below telemetry",
}
GAP_BASIS = {
    "mean_power": "Mean power around the gap",
    "stated": "Stated by the officer",
    "left_empty": "Left empty",
}
ESTIMATE_BASIS = {
    "accelerator_hours": "Accelerator-hours × power profile",
    "tokens": "Tokens × published energy per token",
}
MICRO = 1_000  # uWh in a mWh
MOST = 20


def month_name(month: str) -> str:
    """``July 2026`` of ``2026-07``."""
    return long_date(f"{month}-01").removeprefix("1 ")


def unmetered(snapshot: Mapping[str, Any]) -> list[str]:
    """The Scope 2 sites without any meter reading in the quarter, by name."""
    metered = {row["site"] for row in snapshot["reconciliation"] if row["metered_days"]}
    return list(dict.fromkeys(row["site_name"] for row in snapshot["reconciliation"] if row["site"] not in metered))


def _state(row: Mapping[str, Any]) -> str:
    if row["booked_milliwatt_hours"] is not None:
        return "Booked, out of date" if row["booking_is_out_of_date"] else "Booked"
    words = STATES[row["state"]]
    partly = f", {row['metered_days']} of {row['days']} days" if 0 < row["metered_days"] < row["days"] else ""
    return words + partly + ("" if row["is_over"] else ", month not over")


def _signed(value: int | None, text: str) -> str:
    return text if value is None or value >= 0 or text.startswith(("−", ">")) else f"−{text}"


def reconciliation(snapshot: Mapping[str, Any], parts: Parts) -> None:
    """Each metered site and month: what the meter says, what the telemetry of the same days says, what was booked."""
    without = set(unmetered(snapshot))
    rows = [
        row
        for row in snapshot["reconciliation"]
        if row["site_name"] not in without or row["booked_milliwatt_hours"] is not None
    ]
    energies = [row["metered_milliwatt_hours"] for row in rows] + [row["telemetry_milliwatt_hours"] for row in rows]
    unit = unit_for(energies, ENERGY)
    parts.table(
        "reconciliation",
        "Telemetry held against the meters of the facilities",
        [
            Column("Site", is_text=True),
            Column("Month", is_text=True),
            Column("Metered", unit.name),
            Column("Telemetry", unit.name),
            Column("Coverage", "%"),
            Column("Difference", unit.name),
            Column("Booked", unit.name),
            Column("State", is_text=True),
        ],
        [
            Row(
                [
                    row["site_name"],
                    month_name(row["month"]),
                    unit.of(row["metered_milliwatt_hours"]),
                    unit.of(row["telemetry_milliwatt_hours"]),
                    share(row["telemetry_milliwatt_hours"], row["metered_milliwatt_hours"]),
                    unit.of(row["difference_milliwatt_hours"]),
                    unit.of(row["booked_milliwatt_hours"]),
                    _state(row),
                ]
            )
            for row in rows
        ],
        size="small",
        notes=[
            "Telemetry: IT electricity × PUE, over the days that are metered in full. Coverage: telemetry / metered.",
            "Booked: the difference that stands in the totals as metered electricity of no team.",
        ],
    )


def _hours(milliseconds: int) -> str:
    return number(Decimal(milliseconds) / HOUR_MS, 1)


def _between(row: Mapping[str, Any]) -> str:
    start, end = (datetime.fromisoformat(row[name]) for name in ("start", "end"))
    return f"{short_date(start.date())} {start:%H:%M} to {short_date(end.date())} {end:%H:%M}"


def _cut(rows: Sequence[Any], energy: str) -> tuple[list[Any], int]:
    ordered = sorted(rows, key=lambda row: (-row[energy], row["source"]))
    return ordered[:MOST], max(len(ordered) - MOST, 0)


def _more(others: int) -> str:
    return f"The {MOST} largest; {others} more stand in the evidence and the workbook." if others else ""


def set_aside(snapshot: Mapping[str, Any], parts: Parts) -> None:
    rows, others = _cut(snapshot["set_aside"], "it_energy_milliwatt_hours")
    unit = unit_for([row["it_energy_milliwatt_hours"] for row in rows], ENERGY)
    parts.table(
        "set_aside",
        "Electricity measured twice and counted once",
        [
            Column("Not counted", is_text=True),
            Column("Counted instead", is_text=True),
            Column("Not counted, IT", unit.name),
            Column("Time", "h"),
        ],
        [
            Row(
                [
                    row["source"],
                    row["counted_source"],
                    unit.of(row["it_energy_milliwatt_hours"]),
                    _hours(row["covered_ms"]),
                ]
            )
            for row in rows
        ],
        size="small",
        notes=["Which source is counted follows from the precedence that is declared for the device.", _more(others)],
    )


def gaps(snapshot: Mapping[str, Any], parts: Parts) -> None:
    """Decisions on time without readings, and energy that was modelled where nothing is measured."""
    rows, others = _cut(snapshot["gap_decisions"], "energy_microwatt_hours")
    unit = unit_for([row["energy_microwatt_hours"] // MICRO for row in rows], ENERGY)
    parts.table(
        "gaps",
        "Time without readings, and what was decided about it",
        [
            Column("Source", is_text=True),
            Column("Time, UTC", is_text=True),
            Column("Decision and reason", is_text=True),
            Column("Filled in, IT", unit.name),
            Column("Decided by", is_text=True),
        ],
        [
            Row(
                [
                    row["source"],
                    _between(row),
                    f"{GAP_BASIS.get(row['basis'], row['basis'])}: {row['reason']}",
                    DASH if row["basis"] == "left_empty" else unit.of(row["energy_microwatt_hours"] // MICRO),
                    row["decided_by"],
                ]
            )
            for row in rows
        ],
        size="small",
        notes=[
            "Filled-in electricity is a reading of tier D; a true one that arrives late takes its place. The figure is"
            " that of the whole gap, also where it begins before the quarter.",
            _more(others),
        ],
    )
    rows, others = _cut(snapshot["estimates"], "energy_microwatt_hours")
    unit = unit_for([row["energy_microwatt_hours"] // MICRO for row in rows], ENERGY)
    parts.table(
        "estimates",
        "Electricity modelled where nothing is measured",
        [
            Column("Source", is_text=True),
            Column("Time, UTC", is_text=True),
            Column("Method and publication", is_text=True),
            Column("Modelled, IT", unit.name),
        ],
        [
            Row(
                [
                    row["source"],
                    _between(row),
                    f"{ESTIMATE_BASIS.get(row['basis'], row['basis'])}; {row['profile_source']}",
                    unit.of(row["energy_microwatt_hours"] // MICRO),
                ]
            )
            for row in rows
        ],
        size="small",
        notes=["Tier C. The formula with its numbers stands in the evidence.", _more(others)],
    )
