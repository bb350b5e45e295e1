"""Hourly certificates of a solar park that does not exist, as the file an issuer would send.

Production follows the sun over a flat plant in the middle of Germany: a cosine between sunrise and sunset, shorter from
July to September, with a cloud cover that is a hash of the day.
"""

from __future__ import annotations

import csv
import io

import numpy as np

from apps.core.windows import Quarter, from_epoch_hour
from apps.dashboards.demo.load import IntArray, uniform_noise

FILE_NAME = "demo-solar-certificates-2026Q3.csv"
DEVICE = "DEMO-SOLAR-PARK-7"
NOTE = "Simulated: hourly certificates of a solar park that does not exist."
QUARTER = Quarter(2026, 3)
PEAK_W = 130_000
NOON = 11.4  # [UTC hour] at 9 degrees east
HALF_DAY = (8.1, 5.8)  # [h] from noon to sunset, on the first and on the last day of the quarter
CLEAREST, CLOUDIEST = 0.95, 0.35  # share of a clear day's production

FIELDS = (
    "certificate_id",
    "device",
    "technology",
    "interval_start",
    "energy_wh",
    "tracking_system",
    "serial_start",
    "serial_end",
    "market",
    "cancelled_on",
    "issuer",
    "origin",
)


def production(hours: IntArray) -> IntArray:
    """Whole watt-hours produced in each epoch hour, rounded down as certificates are."""
    passed = (hours - QUARTER.window.first_hour) / (QUARTER.window.end_hour - QUARTER.window.first_hour)
    half_day = HALF_DAY[0] + (HALF_DAY[1] - HALF_DAY[0]) * passed
    angle = (hours % 24 + 0.5 - NOON) / half_day * (np.pi / 2)
    sun = np.where(np.abs(angle) < np.pi / 2, np.cos(angle), 0.0)
    clouds = CLOUDIEST + (CLEAREST - CLOUDIEST) * uniform_noise(DEVICE, hours // 24)
    result: IntArray = np.floor(PEAK_W * sun * clouds).astype(np.int64)
    return result


def certificates() -> bytes:
    """The quarter's bundles as CSV; each watt-hour is one serial number."""
    hours: IntArray = np.arange(QUARTER.window.first_hour, QUARTER.window.end_hour, dtype=np.int64)
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(FIELDS)
    next_serial = 1
    for hour, energy in zip(hours.tolist(), production(hours).tolist(), strict=True):
        if not energy:
            continue
        start = f"{from_epoch_hour(hour):%Y-%m-%dT%H:%M:%SZ}"
        rows.writerow(
            (
                f"{DEVICE}-{start}",
                DEVICE,
                "Solar",
                start,
                energy,
                "Demo registry (hourly certificates)",
                f"{DEVICE}:{next_serial}",
                f"{DEVICE}:{next_serial + energy - 1}",
                "DE",
                "2026-10-14",
                "Demo issuer",
                "production",
            )
        )
        next_serial += energy
    return text.getvalue().encode()
