"""CodeCarbon's payloads: intervals of a run, running totals, who they belong to, and which answers the client takes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError

from apps.organisations.models import Organisation, Team
from apps.telemetry.codecarbon import services
from apps.telemetry.models import DeclaredEmissions, Experiment, MeterReading, Run
from apps.telemetry.protocols.codecarbon import PUBLIC_EXPERIMENT
from tests.telemetry.codecarbon.posts import EXPERIMENT, emission

Send = Callable[..., Any]
Announce = Callable[..., str]
FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture
def energy(energy_by: Callable[..., Any]) -> Callable[..., Any]:
    return lambda group_by="source": energy_by(group_by, "2026-07-01", "2026-07-03")


def test_a_run_posts_energy_since_the_post_before(send: Send, announce: Announce, energy: Any):
    run = announce()
    for clock, kwh in (("10:02:00", 0.01), ("10:04:00", 0.02), ("10:06:00.5", 0.03)):
        answer = send("emissions", emission(run, clock, kwh))
        assert answer.status_code == 201
        assert isinstance(answer.json(), str)
    assert sum(row["it_energy_kwh"] for row in energy().values()) == 0.06


def test_a_post_that_comes_again_or_late_counts_once(send: Send, announce: Announce, energy: Any):
    run = announce()
    for clock, kwh in (("10:02:00", 0.01), ("10:06:00", 0.03), ("10:04:00", 0.02), ("10:06:00", 0.03)):
        assert send("emissions", emission(run, clock, kwh)).status_code == 201
    assert sum(row["it_energy_kwh"] for row in energy().values()) == 0.06
    assert MeterReading.objects.count() == 3


def test_an_experiment_that_nobody_registered_is_kept_as_unassigned(
    send: Send, announce: Announce, energy: Any, organisation: Organisation
):
    run = announce(PUBLIC_EXPERIMENT)
    send("emissions", emission(run, "10:02:00", 0.01))
    assert not Experiment.objects.of(organisation).get(experiment_id=PUBLIC_EXPERIMENT).is_registered
    assert energy("team") != {}
    assert "vision" not in energy("team")


def test_registering_it_holds_for_past_runs_and_divides_its_pue_out(
    send: Send, announce: Announce, energy: Any, organisation: Organisation, team: Team
):
    run = announce()
    send("emissions", emission(run, "10:02:00", 0.03))
    experiment = Experiment.objects.of(organisation).get()
    services.register(experiment=experiment, actor="somebody", name="llm", team=team, model="my-llm", pue_ppm=1_500_000)
    assert energy("team")["vision"]["it_energy_kwh"] == 0.02
    assert energy("model")["my-llm"]["it_energy_kwh"] == 0.02


def test_the_clients_co2_is_kept_and_counts_nothing(send: Send, announce: Announce, energy: Any):
    run = announce()
    send("emissions", emission(run, "10:02:00", 0.01, emissions_sum=99))
    declared = DeclaredEmissions.unscoped.get()
    assert (declared.emissions_mg, declared.energy_microwatt_hours) == (99_000_000, 10_000_000)
    assert sum(row["location_kg"] or 0 for row in energy().values()) < 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"energy_consumed": -1},
        {"energy_consumed": "much"},
        {"timestamp": "soon"},
        {"run_id": "none"},
        {"run_id": EXPERIMENT},
    ],
)
def test_what_cannot_be_counted_is_422_with_its_field(send: Send, announce: Announce, wrong: dict[str, Any]):
    answer = send("emissions", emission(announce(), "10:02:00", 0.01) | wrong)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/" + next(iter(wrong))
    assert MeterReading.objects.count() == 0


def test_no_json_is_400_and_no_key_is_401(send: Send):
    assert send("runs", b"{").status_code == 400
    assert send("runs", b"[]").status_code == 400
    assert send("runs", {"experiment_id": EXPERIMENT}, x_api_token="api_key").status_code == 401


def test_a_run_of_another_organisation_is_not_found(
    send: Send, announce: Announce, make_key: Callable[..., str], other_organisation: Organisation
):
    run = announce()
    Run.unscoped.update(organisation=other_organisation)
    assert send("emissions", emission(run, "10:02:00", 0.01)).status_code == 422


def test_a_database_that_is_away_is_503(send: Send, announce: Announce, monkeypatch: pytest.MonkeyPatch):
    run = announce()

    def away(*_: object) -> None:
        raise OperationalError("the database system is shutting down")

    monkeypatch.setattr("apps.telemetry.meters.intake.store", away)
    answer = send("emissions", emission(run, "10:02:00", 0.01))
    assert (answer.status_code, int(answer.headers["Retry-After"]) > 0) == (503, True)


def total(seconds: float, kwh: float, at: datetime, **more: Any) -> dict[str, Any]:
    said = {
        "timestamp": at.replace(tzinfo=None).isoformat(timespec="seconds"),
        "project_name": "llm",
        "run_id": "None",
        "experiment_id": PUBLIC_EXPERIMENT,
        "duration": seconds,
        "emissions": kwh / 10,
        "energy_consumed": kwh,
        "pue": 1,
        "user": "ada",
    }
    return {**said, **more}


def basic(key: str) -> str:
    return "Basic " + base64.b64encode(f"ada:{key}".encode()).decode()


def test_running_totals_are_not_summed(send: Send, key: str, energy: Any):
    start = datetime(2026, 7, 1, 10, tzinfo=UTC)
    for seconds, kwh in ((120.4, 0.01), (241.0, 0.03), (241.0, 0.03)):
        answer = send("http", total(seconds, kwh, start + timedelta(seconds=seconds)), Authorization=basic(key))
        assert answer.status_code == 201
    assert energy()["codecarbon/llm"]["it_energy_kwh"] == 0.03


def test_two_runs_of_one_project_are_two_totals(send: Send, key: str, energy: Any):
    for hour in (10, 11):
        at = datetime(2026, 7, 1, hour, 5, tzinfo=UTC)
        send("http", total(300, 0.02, at), Authorization=basic(key))
    assert energy()["codecarbon/llm"]["it_energy_kwh"] == 0.04


def test_the_pue_of_the_payload_is_divided_out(send: Send, key: str, energy: Any):
    at = datetime(2026, 7, 1, 10, 5, tzinfo=UTC)
    send("http", total(300, 0.03, at, pue=1.5), Authorization=basic(key))
    assert energy()["codecarbon/llm"]["it_energy_kwh"] == 0.02


def test_a_key_in_the_address_is_taken_and_a_wrong_one_is_not(send: Send, key: str):
    at = datetime(2026, 7, 1, 10, 5, tzinfo=UTC)
    assert send("http", total(300, 0.03, at), f"?token={key}", Accept="*/*").status_code == 201
    assert send("http", total(300, 0.03, at), "?token=wrong", Accept="*/*").status_code == 401


def test_a_running_total_of_a_registered_experiment_is_its_teams(
    send: Send, key: str, energy: Any, organisation: Organisation, team: Team
):
    """Registered before the post or after it; its PUE stays that of the payload."""
    experiment = services.new_experiment(organisation=organisation, actor="somebody", name="llm", model="my-llm")
    at = datetime(2026, 7, 1, 10, 5, tzinfo=UTC)
    body = total(300, 0.03, at, pue=1.5, experiment_id=experiment.experiment_id)
    assert send("http", body, Authorization=basic(key)).status_code == 201
    assert energy("model")["my-llm"]["it_energy_kwh"] == 0.02
    services.register(experiment=experiment, actor="somebody", team=team, pue_ppm=1_200_000)
    assert energy("team")["vision"]["it_energy_kwh"] == 0.02


def test_what_only_the_wizard_calls_is_404_with_a_hint(send: Send):
    answer = send("organizations", {})
    assert answer.status_code == 404
    assert "experiment_id" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["runs", "runs/", "emissions", "emissions/"])
def test_no_path_redirects(send: Send, path: str):
    """A redirected POST arrives as a GET without its body."""
    assert send(path, {}).status_code == 422


def test_a_run_of_this_machine(send: Send, key: str, energy: Any):
    """Posted as it was recorded, by both outputs: each has the run's energy."""
    run, posted, totals = "", Decimal(0), []
    for line in (FIXTURES / "posts.ndjson").read_text().splitlines():
        said = json.loads(line)
        body, path = said["body"], said["path"].rpartition("/")[2]
        body["timestamp"] = body["timestamp"].replace("2026-11-25", "2026-07-01")
        if path == "emissions":
            body["run_id"] = run
            posted += Decimal(repr(body["energy_consumed"]))
        if path == "http":
            body["timestamp"] += "+01:00"  # it says none; only what arrives at once needs none
            totals.append(Decimal(repr(body["energy_consumed"])))
        answer = send(path, body, **({"Authorization": basic(key)} if path == "http" else {}))
        assert answer.status_code == 201
        if path == "runs":
            run = answer.json()["id"]
    rows = {name: Decimal(str(row["it_energy_kwh"])) for name, row in energy().items()}
    exact = Decimal("0.000001")  # the ledger's watt-hours in whole milliwatt-hours
    assert abs(rows["codecarbon/fixture"] - totals[-1]) <= exact
    (of_posts,) = (kwh for name, kwh in rows.items() if name != "codecarbon/fixture")
    assert abs(of_posts - posted) <= exact
    # Intervals of less than a second were never posted.
    assert posted < totals[-1]
