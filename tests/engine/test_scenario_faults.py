"""A scenario that cannot be read: exit status 2 and one line for each fault."""

from __future__ import annotations

import copy
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

GOOD: dict[str, Any] = {
    "period": {"start": "2026-01-01T00:00:00Z", "end": "2027-01-01T00:00:00Z"},
    "markets": {"M": {"location_factors": [{"co2e_kg_per_mwh": "400"}]}},
    "facilities": {"f": {"market": "M", "control": "owned", "pue": "1.2"}},
    "consumption": [
        {"facility": "f", "start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z", "energy_kwh": "5"}
    ],
}


def faults(text: str, folder: Path) -> list[str]:
    file = folder / "scenario.json"
    file.write_text(text)
    err = StringIO()
    with pytest.raises(SystemExit) as stopped:
        call_command("evaluate_scenario", str(file), stderr=err)
    assert stopped.value.code == 2
    return err.getvalue().splitlines()


def changed(path: str, value: Any) -> str:
    scenario = copy.deepcopy(GOOD)
    *parents, last = path.split("/")
    place: Any = scenario
    for token in parents:
        place = place[int(token)] if isinstance(place, list) else place[token]
    if value is KeyError:
        del place[last]
    else:
        place[int(last) if isinstance(place, list) else last] = value
    return json.dumps(scenario)


@pytest.mark.parametrize(
    ("path", "value", "pointer", "expected"),
    [
        ("period/start", "2026-01-01T00:00:00", "/period/start", "a time in UTC"),
        ("period/end", "2025-01-01T00:00:00Z", "/period/end", "a time after the start"),
        ("period", 5, "/period", "an object"),
        ("markets", KeyError, "/markets", "it to be given"),
        ("ruleset", "iso-14064", "/ruleset", "one of ghgp-scope2-2015"),
        ("gwp_set", "AR7", "/gwp_set", "one of AR4, AR5, AR6"),
        ("facilities/f/pue", "0.9", "/facilities/f/pue", "1 or more"),
        ("facilities/f/pue", None, "/facilities/f/pue", "it to be given"),
        ("facilities/f/control", "rented", "/facilities/f/control", "one of owned"),
        ("facilities/f/market", "X", "/facilities/f/market", "one of the markets: M"),
        ("consumption/0/facility", "g", "/consumption/0/facility", "one of the facilities: f"),
        ("consumption/0/energy_kwh", "-1", "/consumption/0/energy_kwh", "0 or more"),
        ("consumption/0/energy_kwh", "NaN", "/consumption/0/energy_kwh", "0 or more"),
        ("consumption/0/energy_kwh", True, "/consumption/0/energy_kwh", "0 or more"),
        ("consumption/0/end", "2026-01-01T00:00:00Z", "/consumption/0/end", "a time after the start"),
        ("consumption/0/end", "2028-01-01T00:00:00Z", "/consumption/0", "within the period"),
        ("consumption/0/boundary", "rack", "/consumption/0/boundary", "one of it, facility"),
        ("consumption/0/enrgy", "5", "/consumption/0/enrgy", "no such key"),
        (
            "markets/M/location_factors/0/co2e_kg_per_mwh",
            "x",
            "/markets/M/location_factors/0/co2e_kg_per_mwh",
            "number",
        ),
        ("markets/M/location_factors/0", {}, "/markets/M/location_factors/0", "the three gas masses"),
        (
            "markets/M/location_factors/0",
            {"co2_kg_per_mwh": "1"},
            "/markets/M/location_factors/0/ch4_kg_per_mwh",
            "all",
        ),
        ("policies", {"vintage_window_months": "a year"}, "/policies/vintage_window_months", "whole number of months"),
        ("markets/M/grid_cfe_fraction", [{"value": "1.2"}], "/markets/M/grid_cfe_fraction/0/value", "from 0 to 1"),
        ("markets/M/grid_cfe_fraction", [{}], "/markets/M/grid_cfe_fraction/0/value", "it to be given"),
        ("markets/M/standard_supply", {"share": "0.2"}, "/markets/M/standard_supply/co2e_kg_per_mwh", "to be given"),
        ("markets/M/fossil_default_kg_per_mwh", "-1", "/markets/M/fossil_default_kg_per_mwh", "0 or more"),
        ("instruments", [{"id": "L", "deliverable": "yes"}], "/instruments/0/deliverable", "true or false"),
        ("instruments", [{"id": "L"}], "/instruments/0/energy_kwh", "it to be given"),
        ("instruments", [None], "/instruments/0", "an object"),
    ],
)
def test_a_fault_is_named_by_pointer(path: str, value: Any, pointer: str, expected: str, tmp_path: Path) -> None:
    lines = faults(changed(path, value), tmp_path)
    assert any(line.startswith(f"{pointer}: found ") and expected in line for line in lines), lines


def test_all_faults_come_at_once(tmp_path: Path) -> None:
    scenario = json.loads(changed("gwp_set", "AR7"))
    scenario["facilities"]["f"]["control"] = "rented"
    assert len(faults(json.dumps(scenario), tmp_path)) == 2


def test_factors_that_overlap_are_refused(tmp_path: Path) -> None:
    twice = [{"co2e_kg_per_mwh": "1"}, {"co2e_kg_per_mwh": "2"}]
    (line,) = faults(changed("markets/M/location_factors", twice), tmp_path)
    assert line.startswith("/markets/M/location_factors: found ")


def test_in_the_hourly_draft_the_finer_of_two_factors_holds_and_of_two_alike_none(tmp_path: Path) -> None:
    scenario = {**GOOD, "ruleset": "ghgp-scope2-draft-2025-10", "period": {"start": "2026-01-01", "end": "2026-01-02"}}
    scenario["consumption"] = [{**GOOD["consumption"][0], "end": "2026-01-02T00:00:00Z", "energy_kwh": "24"}]
    nine = {"start": "2026-01-01T09:00:00Z", "end": "2026-01-01T10:00:00Z", "co2e_kg_per_mwh": "2"}
    for factors, refused in (([{"co2e_kg_per_mwh": "1"}, nine], False), ([nine, nine], True)):
        scenario["markets"] = {"M": {"location_factors": factors}}
        if refused:
            assert "one factor at any time" in faults(json.dumps(scenario), tmp_path)[0]
        else:
            file = tmp_path / "scenario.json"
            file.write_text(json.dumps(scenario))
            out = StringIO()
            call_command("evaluate_scenario", str(file), stdout=out)
            assert json.loads(out.getvalue())["totals"]["location_kg"] == "0.025"  # 23 kWh x 1 + 1 kWh x 2


def test_a_load_that_no_hour_can_hold_is_refused(tmp_path: Path) -> None:
    scenario = json.loads(changed("consumption/0/energy_kwh", "1e14"))
    assert (
        "one hour of a market" in faults(json.dumps({**scenario, "ruleset": "ghgp-scope2-draft-2025-10"}), tmp_path)[0]
    )


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '{"input": []}', "[" * 100_000])
def test_what_is_no_scenario_is_refused(text: str, tmp_path: Path) -> None:
    assert faults(text, tmp_path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    err = StringIO()
    with pytest.raises(SystemExit) as stopped:
        call_command("evaluate_scenario", str(tmp_path / "none.json"), stderr=err)
    assert stopped.value.code == 2
    assert "no readable file" in err.getvalue()


def test_a_whole_case_is_read_by_its_input(tmp_path: Path) -> None:
    file = tmp_path / "case.json"
    file.write_text(json.dumps({"id": "X", "input": GOOD, "expected": {}}))
    out = StringIO()
    call_command("evaluate_scenario", str(file), stdout=out)
    assert json.loads(out.getvalue())["totals"]["location_kg"] == "2"
