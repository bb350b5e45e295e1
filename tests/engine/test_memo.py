"""Category 3: the factor of the nearest zone and year, absent without one."""

from __future__ import annotations

from dataclasses import dataclass

from apps.accounting.engine.memo import LOSSES, UPSTREAM, category_3


@dataclass(frozen=True)
class Published:
    zone: str
    data_year: int
    ug_per_kwh: int
    label: str = "Publisher (1)"


GB, GB_OLD, US = Published("GB", 2026, 45_000_000), Published("GB", 2024, 50_000_000), Published("US", 2025, 60_000_000)


def test_energy_times_the_factor_of_the_zone() -> None:
    found = category_3(
        kind=UPSTREAM, energy_milliwatt_hours=10_000_000, zones=["GB"], year=2026, candidates=[GB_OLD, GB, US]
    )
    assert (found.mg, found.factor) == (450_000, GB)
    assert found.working == "10.000 kWh × 45 g/kWh = 0.450000 kg (Publisher (1), GB 2026)"


def test_the_nearest_zone_and_the_latest_earlier_year() -> None:
    found = category_3(
        kind=LOSSES, energy_milliwatt_hours=1_000_000, zones=["ERCT", "US"], year=2026, candidates=[GB, US]
    )
    assert found.factor == US
    assert "data of 2025 stand in for 2026" in found.working
    earlier = category_3(
        kind=LOSSES, energy_milliwatt_hours=1_000_000, zones=["GB"], year=2025, candidates=[GB, GB_OLD]
    )
    assert earlier.factor == GB_OLD


def test_no_factor_is_absent_and_named() -> None:
    found = category_3(kind=LOSSES, energy_milliwatt_hours=1_000_000, zones=["DE"], year=2026, candidates=[GB])
    assert (found.mg, found.factor, found.note) == (None, None, "no factor of losses known for DE")
