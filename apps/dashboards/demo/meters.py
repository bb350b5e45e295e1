"""The demo's meter readings and invoices. Every amount is an assumption of the demo and says so in its reference.

They are set against what the load model makes of the same months (``docs/demo.md``): a hall that uses a little more
than its telemetry explains, and another one whose contractual PUE is too high for one month.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from itertools import pairwise

MILLIWATT_HOURS_PER_MWH = 10**9
MILLILITRES_PER_M3 = 10**6
APRIL, MAY, JUNE = date(2026, 4, 1), date(2026, 5, 1), date(2026, 6, 1)
JULY, AUGUST, SEPTEMBER, OCTOBER = date(2026, 7, 1), date(2026, 8, 1), date(2026, 9, 1), date(2026, 10, 1)
MONTHS = (APRIL, MAY, JUNE, JULY, AUGUST, SEPTEMBER, OCTOBER)

BOOKED_SITE, BOOKED_MONTH = "fra1", 202607
BOOKED_NOTE = "Demo: taken to be the offices and the test bench behind the same meter."


@dataclass(frozen=True, slots=True)
class DemoMeasurement:
    """What a meter or an invoice says of a site over ``[start, end)``: milliwatt-hours, water in millilitres."""

    site: str
    quantity: str
    meter: str
    start: date
    end: date
    amount: int
    evidence: str

    @property
    def reference(self) -> str:
        return f"demo meter {self.meter}, read on {self.end}"


def _monthly(site: str, quantity: str, meter: str, evidence: str, *mwh: str) -> list[DemoMeasurement]:
    """One reading for each of the last months before October, as many as there are amounts."""
    days = MONTHS[-len(mwh) - 1 :]
    return [
        DemoMeasurement(site, quantity, meter, start, end, round(float(amount) * MILLIWATT_HOURS_PER_MWH), evidence)
        for (start, end), amount in zip(pairwise(days), mwh, strict=True)
    ]


MEASUREMENTS = (
    *_monthly("fra1", "facility_energy", "F-1", "invoice", "74.6", "172.4", "81.3", "106.4", "78.9", "78.8"),
    *_monthly("fra1", "it_energy", "UPS-1", "meter", "81.9", "60.2", "59.9"),
    *_monthly("lla1", "facility_energy", "L-1", "invoice", "164.6", "99.3", "41.3"),
    *_monthly("dfw1", "facility_energy", "D-1", "invoice", "77.4", "173.8", "107.6"),
    DemoMeasurement("fra1", "water_intake", "W-1", JULY, OCTOBER, 97 * MILLILITRES_PER_M3, "invoice"),
    DemoMeasurement("fra1", "renewable_energy", "PV-1", JULY, OCTOBER, 31 * MILLIWATT_HOURS_PER_MWH, "meter"),
    DemoMeasurement("fra1", "reused_energy", "H-1", JULY, OCTOBER, 22 * MILLIWATT_HOURS_PER_MWH, "meter"),
)
