"""Tables on units of AI work: energy and emissions per unit, with the boundary beside each figure, and SCI for AI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from apps.core.figures import DASH, count, number
from apps.disclosures.report.parts import Column, Figures, Parts, Row

HOUR_MS = 3_600_000
NANO = 9
TOP_MODELS = 8
# Head of the amount of work, how many of the counted things one of it is, and its unit.
WORK = {
    "tokens": ("Tokens", 10**6, "million"),
    "requests": ("Requests", 10**3, "thousand"),
    "accelerator_hours": ("Accelerator-hours", HOUR_MS, "h"),
    "training_runs": ("Runs", 1, ""),
}
CAPTIONS = {
    "tokens": "Per 1,000 tokens of inference",
    "requests": "Per request of inference",
    "accelerator_hours": "Per accelerator-hour, all kinds of work",
    "training_runs": "Per training or fine-tuning run",
}
# What is large is printed a thousand times as coarse.
LARGE = {"training_runs": ("kWh", "kg CO₂e", 3)}


def ratio(nano: int | None, shift: int = 0) -> str:
    """A ratio as people read it: four significant digits at most."""
    if nano is None:
        return DASH
    value = Decimal(nano).scaleb(-NANO - shift)
    size = abs(value)
    return number(value, 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 1 else 4)


def boundary(shares: Sequence[Sequence[Any]]) -> str:
    """Where the energy was measured: ``node``, or ``accelerator 72 %, node 28 %``."""
    if len(shares) == 1:
        return str(shares[0][0])
    return ", ".join(f"{name} {number(Decimal(ppm).scaleb(-4), 0)} %" for name, ppm in shares)


def _name(row: Figures) -> str:
    return row["model_name"] or row["model"] or "Not named"


def intensities(snapshot: Mapping[str, Any], parts: Parts) -> None:
    """One table for each unit of work that any model has; the models with the most work."""
    for code, caption in CAPTIONS.items():
        found = [(row, one) for row in snapshot["intensities"] for one in row["units"] if one["unit"] == code]
        found.sort(key=lambda pair: (pair[0]["model"] is None, -pair[1]["facility_energy_milliwatt_hours"]))
        head, size, unit = WORK[code]
        energy, mass, shift = LARGE.get(code, ("Wh", "g CO₂e", 0))
        others = len(found) - TOP_MODELS
        parts.table(
            f"per_{code}",
            caption,
            [
                Column("AI model", is_text=True),
                Column(head, unit),
                Column("Electricity", energy),
                Column("Location-based", mass),
                Column("Market-based", mass),
                Column("Measured at", is_text=True),
            ],
            [
                Row(
                    [
                        _name(row),
                        count(one["count"]) if size == 1 else number(Decimal(one["count"]) / size, 1),
                        ratio(one["wh_nano"], shift),
                        ratio(one["location_g_nano"], shift),
                        ratio(one["market_g_nano"], shift),
                        boundary(one["boundary"]),
                    ]
                )
                for row, one in found[:TOP_MODELS]
            ],
            size="small",
            notes=[
                "Failed and stopped runs are included." if code == "training_runs" else "",
                f"The {TOP_MODELS} models with the most electricity; {others} more stand in the workbook."
                if others > 0
                else "",
            ],
        )


def sci(snapshot: Mapping[str, Any], parts: Parts) -> None:
    """Software Carbon Intensity, consumer and provider boundary, of the models with the most electricity."""
    rows = []
    for row in snapshot["intensities"][:TOP_MODELS]:
        for words, score in (("Consumer", row["sci_consumer"]), ("Provider", row["sci_provider"])):
            if score is None:
                continue
            shift = 3 if score["unit"] == "training run" else 0
            names = ("operational_g_nano", "embodied_g_nano", "total_g_nano")
            values = [ratio(score[name], shift) for name in names]
            rows.append(Row([_name(row), words, *values, f"{'kg' if shift else 'g'} CO₂e per {score['unit']}"]))
    missing = sorted({code for row in snapshot["intensities"] for code in row["embodied_missing"]})
    parts.table(
        "sci",
        "Software Carbon Intensity for AI",
        [
            Column("AI model", is_text=True),
            Column("Boundary", is_text=True),
            Column("Operational"),
            Column("Embodied"),
            Column("SCI"),
            Column("Unit", is_text=True),
        ],
        rows,
        size="small",
        notes=[
            "ISO/IEC 21031:2024. Operational: location-based, no instrument enters it. The embodied part is Scope 3 and"
            " a memo. Consumer: inference that reports tokens; provider: training, fine-tuning, evaluation, data work.",
            f"{DASH}: no published embodied figure for {', '.join(missing)}." if missing else "",
        ],
    )
