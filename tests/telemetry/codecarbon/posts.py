"""What CodeCarbon posts."""

from __future__ import annotations

from typing import Any

EXPERIMENT = "0f0f0f0f-1111-4222-8333-444444444444"


def emission(run: str, clock: str, kwh: float, **more: Any) -> dict[str, Any]:
    said = {
        "timestamp": f"2026-07-01T{clock}+00:00",
        "run_id": run,
        "duration": 119,
        "emissions_sum": 0.5,
        "emissions_rate": 0.001,
        "energy_consumed": kwh,
        "cpu_utilization_percent": None,
        "wue": 0,
    }
    return {**said, **more}
