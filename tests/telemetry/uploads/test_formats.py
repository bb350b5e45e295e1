"""Files as the trackers write them, through the API and the worker's code, with energies worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from apps.organisations.models import Organisation
from apps.sites.models import Site
from apps.telemetry.models import DeclaredEmissions, MeterReading, Reading, Series, Source

Worked = Callable[..., dict[str, Any]]

EMISSIONS = (
    "timestamp,project_name,run_id,experiment_id,duration,emissions,emissions_rate,cpu_power,gpu_power,ram_power,"
    "cpu_energy,gpu_energy,ram_energy,energy_consumed,country_name,country_iso_code,region,tracking_mode,pue\n"
)


def run_row(
    timestamp: str, run_id: str, duration: float, energy: float, pue: str = "1.0", project: str = "bert"
) -> str:
    return (
        f"{timestamp},{project},{run_id},x,{duration},0.0123,1e-6,42.5,0,10,0,0,0,{energy},Canada,CAN,quebec,machine,"
        f"{pue}\n"
    )


def readings(organisation: Organisation) -> list[tuple[str, str, str, int]]:
    rows = (
        Reading.objects.filter(organisation_id=organisation.pk).select_related("source").order_by("start_ms", "source")
    )
    return [(row.source.name, row.start_ms, row.end_ms, row.energy_microwatt_hours) for row in rows]


def total(organisation: Organisation) -> int:
    return sum(row[3] for row in readings(organisation))


JULY_1 = 1_782_864_000_000  # 2026-07-01T00:00Z


def test_codecarbon_counts_the_last_row_of_a_run_in_local_time_without_its_pue(
    worked: Worked, organisation: Organisation
) -> None:
    body = (
        EMISSIONS
        + run_row("2026-07-01T11:00:00", "r1", 1800, 0.5)
        + run_row("2026-07-01T11:30:00", "r1", 3600, 1.2, "1.2")
    )
    read = worked(body, format="codecarbon", timezone="Europe/Berlin")
    assert (read["state"], read["report"]["counts"]["accepted"]) == ("done", 1), read
    # 10:30 to 11:30 in Berlin is 08:30 to 09:30 UTC; 1.2 kWh with a PUE of 1.2 is 1 kWh.
    assert readings(organisation) == [
        ("codecarbon/bert", JULY_1 + 8 * 3_600_000 + 1_800_000, JULY_1 + 9 * 3_600_000 + 1_800_000, 1_000_000_000)
    ]
    declared = DeclaredEmissions.unscoped.get()
    assert (declared.emissions_mg, declared.energy_microwatt_hours) == (12_300, 1_000_000_000)
    assert Source.unscoped.get().site is None  # Canada is a guess of the tracker and decides nothing


def test_codecarbon_runs_whose_id_is_none_are_told_apart_by_their_start(
    worked: Worked, organisation: Organisation
) -> None:
    body = (
        EMISSIONS
        + run_row("2026-07-01T10:30:00", "None", 1800.4, 0.25)
        + run_row("2026-07-01T11:00:00", "None", 3600.9, 0.5)
        + run_row("2026-07-01T14:00:00", "None", 3600, 2)
    )
    read = worked(body, timezone="UTC")
    assert total(organisation) == 2_500_000_000
    assert read["report"]["counts"]["accepted"] == 2
    assert read["report"]["counts"]["ignored"] == 1


def test_codecarbon_again_with_more_rows_adds_only_what_came_since(worked: Worked, organisation: Organisation) -> None:
    first = EMISSIONS + run_row("2026-07-01T11:00:00", "r1", 3600, 0.5)
    grown = first + run_row("2026-07-01T12:00:00", "r1", 7200, 1.25)
    worked(first, timezone="UTC")
    worked(grown, timezone="UTC")
    assert total(organisation) == 1_250_000_000
    again = worked(grown, timezone="UTC")
    assert again["report"]["counts"] == {"accepted": 0, "duplicates": 1, "rejected": 0, "ignored": 1}
    assert total(organisation) == 1_250_000_000


def test_codecarbon_runs_at_the_same_time_are_summed_and_flagged(worked: Worked, organisation: Organisation) -> None:
    body = EMISSIONS + run_row("2026-07-01T11:00:00", "a", 3600, 1) + run_row("2026-07-01T11:00:00", "b", 3600, 2)
    read = worked(body, timezone="UTC")
    assert total(organisation) == 3_000_000_000
    assert read["report"]["overlaps"] == [{"lines": [2, 3], "seconds": 3600}]


def test_a_run_of_more_than_31_days_is_cut_without_losing_energy(worked: Worked, organisation: Organisation) -> None:
    worked(EMISSIONS + run_row("2026-07-01T00:00:00", "long", 40 * 86_400, 7.1234567), timezone="UTC")
    parts = readings(organisation)
    assert len(parts) == 2
    assert parts[0][2] == parts[1][1]
    assert total(organisation) == 7_123_456_700


def test_faulty_lines_are_named_and_the_rest_is_kept(worked: Worked, organisation: Organisation) -> None:
    body = (
        EMISSIONS
        + run_row("2026-07-01T11:00:00", "good", 3600, 1)
        + run_row("yesterday", "bad", 3600, 1)
        + "2026-07-01T11:00:00,short\n"
        + run_row("2026-07-01T11:00:00", "worse", 3600, -4)
    )
    read = worked(body, timezone="UTC")
    assert {(error["line"], error["field"]) for error in read["report"]["errors"]} == {
        (3, "timestamp"),
        (4, ""),
        (5, "energy_consumed"),
    }
    assert total(organisation) == 1_000_000_000


def test_without_a_time_zone_the_sites_own_holds(worked: Worked, organisation: Organisation, site: Site) -> None:
    Site.unscoped.filter(pk=site.pk).update(time_zone="Europe/Berlin")
    read = worked(EMISSIONS + run_row("2026-07-01T11:00:00", "r", 3600, 1), site="fra1")
    assert readings(organisation)[0][2] == JULY_1 + 9 * 3_600_000
    assert "Europe/Berlin, that of the site fra1" in " ".join(read["report"]["notes"])


def test_eco2ai_takes_power_consumption_for_the_energy_it_means(worked: Worked, organisation: Organisation) -> None:
    head = (
        "id,project_name,experiment_description,epoch,start_time,duration(s),power_consumption(kWh),"
        "CO2_emissions(kg),CPU_name,GPU_name,OS,region/country,cost\n"
    )
    row = "8a,mnist,cnn,{},2026-07-01 09:00:00,{},{},0.1,cpu,gpu,Linux,DE,0\n"
    read = worked(head + row.format("epoch 1", 600, 0.1) + row.format("N/A", 1200, 0.25), timezone="UTC")
    assert readings(organisation) == [
        ("eco2ai/mnist", JULY_1 + 9 * 3_600_000, JULY_1 + 9 * 3_600_000 + 1_200_000, 250_000_000)
    ]
    assert read["format"] == "eco2ai"


ZEUS = (
    "start_time,window_name,elapsed_time,gpu0_energy,gpu1_energy\n"
    "2026-07-01 09:00:00.000000,epoch,3600,3600,7200\n"
    "2026-07-01 09:10:00.000000,step,60,60,120\n"
    "2026-07-01 11:00:00.000000,epoch,1800,1800,\n"
)


@pytest.mark.parametrize(("overlap", "joules"), [("refuse", 12_600), ("keep", 12_780)])
def test_zeus_windows_within_others_are_refused_unless_chosen(
    worked: Worked, organisation: Organisation, overlap: str, joules: int
) -> None:
    read = worked(ZEUS, timezone="UTC", overlap=overlap)
    assert total(organisation) == pytest.approx(joules / 3600 * 1e6, abs=3)
    assert [error["line"] for error in read["report"]["errors"]] == ([3] if overlap == "refuse" else [])
    assert {row[0] for row in readings(organisation)} == {"zeus/gpu0", "zeus/gpu1"}


SACCT = (
    "JobIDRaw|User|Account|Cluster|Partition|NodeList|Start|End|ElapsedRaw|ConsumedEnergyRaw|AllocTRES\n"
    "100|ann|vision|alps|gpu|n17|2026-07-01T09:00:00|2026-07-01T10:00:00|3600|3600000|node=1\n"
    "100.batch|||||n17|2026-07-01T09:00:00|2026-07-01T10:00:00|3600|3600000|node=1\n"
    "101|ann|vision|alps|gpu|n[1-2]|2026-07-01T09:00:00|2026-07-01T10:00:00|3600||node=2\n"
    "101.0|||||n[1-2]|2026-07-01T09:00:00|2026-07-01T09:30:00|1800|1800000|node=2\n"
    "101.1|||||n[1-2]|2026-07-01T09:30:00|2026-07-01T10:00:00|1800|1.8M|node=2\n"
    "102|bob|vision|alps|gpu|n18|2026-07-01T09:00:00|2026-07-01T10:00:00|3600|0|node=1\n"
    "103|bob|vision|alps|gpu|n18|2026-07-01T09:00:00|2026-07-01T10:00:00|3600|18446744073709551614|node=1\n"
)


def test_slurm_takes_the_job_or_its_steps_and_refuses_what_no_plugin_or_a_broken_one_says(
    worked: Worked, organisation: Organisation
) -> None:
    read = worked(SACCT, format="slurm", timezone="UTC")
    assert [(name, energy) for name, _, _, energy in readings(organisation)] == [
        ("alps/n17", 1_000_000_000),
        ("alps/n[1-2]", 1_000_000_000),
    ]
    assert [error["line"] for error in read["report"]["errors"]] == [7, 8]
    assert Reading.objects.first().attribution.team_name.name == "vision"
    assert "had n17 alone" in " ".join(read["report"]["warnings"])


def test_slurm_json(worked: Worked, organisation: Organisation) -> None:
    job = {
        "job_id": 7,
        "account": "vision",
        "cluster": "alps",
        "name": "train",
        "nodes": "n17",
        "time": {"start": JULY_1 // 1000, "end": JULY_1 // 1000 + 3600},
        "steps": [{"statistics": {"energy": {"consumed": {"set": True, "infinite": False, "number": 7200}}}}],
    }
    worked(json.dumps({"jobs": [job]}))
    assert readings(organisation) == [("alps/n17", JULY_1, JULY_1 + 3_600_000, 2_000_000)]


def test_nvidia_smi_powers_become_readings_of_one_meter_per_gpu(
    worked: Worked, organisation: Organisation, energy_by: Callable[..., Any]
) -> None:
    lines = ["timestamp, uuid, power.draw [W]"]
    for minute in range(61):
        moment = f"2026/07/01 {11 + minute // 60}:{minute % 60:02}:00.000"
        lines += [f"{moment}, GPU-aa, 100.00 W", f"{moment}, GPU-bb, [N/A]"]
    read = worked("\r\n".join(lines), timezone="%2B02:00")
    assert read["format"] == "nvidia-smi"
    assert read["report"]["counts"] == {"accepted": 61, "duplicates": 0, "rejected": 0, "ignored": 61}
    assert Series.unscoped.get().meter.name == "power.draw GPU-aa"
    assert MeterReading.objects.order_by("at_ms").first().at_ms == JULY_1 + 9 * 3_600_000
    energy = energy_by("source", "2026-07-01", "2026-07-02")["GPU-aa"]
    assert energy["it_energy_kwh"] == pytest.approx(0.1)


def test_the_hour_that_a_clock_shows_twice_is_read_in_order(worked: Worked, organisation: Organisation) -> None:
    rows = "\n".join(
        f"2025-10-26 {moment},GPU-aa,100" for moment in ("01:30:00", "02:30:00", "02:00:00", "02:30:00", "03:00:00")
    )
    read = worked("timestamp,uuid,power.draw\n" + rows, timezone="Europe/Berlin")
    assert read["report"]["counts"]["accepted"] == 5
    times = MeterReading.objects.order_by("at_ms").values_list("at_ms", flat=True)
    assert [(at - times[0]) // 60_000 for at in times] == [0, 60, 90, 120, 150]


def test_generic_intervals_with_semicolons_and_joules(worked: Worked, organisation: Organisation) -> None:
    body = "from;to;joules;rack\n2026-07-01 09:00;2026-07-01 10:00;3600;r1\n2026-07-01 10:00;2026-07-01 11:00;7200;r2\n"
    worked(
        body.encode("utf-8-sig"),
        format="generic",
        timezone="UTC",
        reading="interval",
        unit="J",
        start="from",
        end="to",
        value="joules",
        source_column="rack",
    )
    assert [(row[0], row[3]) for row in readings(organisation)] == [("r1", 1_000_000), ("r2", 2_000_000)]


def test_generic_counter_is_derived_from_its_differences(
    worked: Worked, organisation: Organisation, energy_by: Callable[..., Any]
) -> None:
    body = "t,kwh\n" + "".join(f"2026-07-01T09:{minute:02}:00Z,{1000 + minute / 100}\n" for minute in range(0, 60, 5))
    worked(body, format="generic", reading="counter", unit="kWh", time="t", value="kwh", source="rack-7")
    energy = energy_by("source", "2026-07-01", "2026-07-02")["rack-7"]
    assert energy["it_energy_kwh"] == pytest.approx(0.55)
