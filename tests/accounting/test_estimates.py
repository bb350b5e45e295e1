"""Energy where nothing is measured: by the page and by the API, into the ledger and out of it again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounting import services
from apps.accounting.queries import LedgerQuery, ledger_frame, ledger_total
from apps.audit.models import AuditEvent
from apps.core.windows import Window
from apps.organisations.models import Organisation, Person, Team
from apps.sites.models import Site
from apps.telemetry.models import Estimate, Reading, SupersededReading
from apps.workloads.models import HardwareProfile, InferenceProfile
from tests.accounting.readings import KWH, add, at, attribution_of, source_of

pytestmark = pytest.mark.django_db
YEAR = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
TRAINING = {
    "basis": "accelerator_hours", "source": "rented-cluster", "start": "2026-05-10", "end": "2026-08-01",
    "hardware": "a100", "accelerators": 8, "utilisation": 0.8, "site": "fra1", "model": "Atlas", "workload": "run 7",
    "kind": "training",
}  # fmt: skip
HOURS = 83 * 24 * 8  # 10 May to 31 July


@pytest.fixture
def profiles(db: None) -> InferenceProfile:
    common = {"vendor": "NVIDIA", "kind": "GPU", "scope": "one device (board or module)", "licence": "CC BY 4.0"}
    HardwareProfile.objects.create(
        code="a100", name="A100", tdp_w=400, idle_w=55, source_title="Epoch AI", note="idle: measured", **common
    )
    HardwareProfile.objects.create(code="h100", name="H100", tdp_w=700, source_title="Epoch AI", **common)
    HardwareProfile.objects.create(code="server", name="Server", idle_w=80, source_title="SPEC", **common)
    return InferenceProfile.objects.create(
        model_name="Qwen3", hardware="H100", accelerators=1, task="chat", microjoules_per_token=418_060,
        configurations=5, year=2026, source_title="ML.ENERGY v3", licence="Apache-2.0",
    )  # fmt: skip


@pytest.fixture
def send(client: Client, make_key: Callable[..., str]) -> Callable[..., tuple[int, dict]]:
    def post(body: dict, query: str = "", **key: object) -> tuple[int, dict]:
        headers = {"Authorization": f"Bearer {make_key(('ingest', 'read'), **key)}"}
        answer = client.post(f"/api/v1/estimates{query}", body, content_type="application/json", headers=headers)
        return answer.status_code, answer.json()

    return post


def test_accelerator_hours_become_modelled_readings_that_add_up(
    send: Callable[..., tuple[int, dict]], organisation: Organisation, site: Site, profiles: InferenceProfile
) -> None:
    status, made = send(TRAINING)
    assert status == 201, made
    power = 55 + 0.8 * (400 - 55)
    assert made["energy_wh"] == pytest.approx(HOURS * power)
    assert made["working"] == "15,936 h × (55 W + 0.8 × (400 W − 55 W)) = 15,936 h × 331 W = 5,274.816 kWh"
    assert made["profile_source"] == "Epoch AI (CC BY 4.0); idle: measured"
    assert (made["inputs"]["tdp_w"], made["inputs"]["idle_w"], made["inputs"]["utilisation"]) == ("400", "55", "0.8")
    readings = Reading.objects.filter(organisation_id=organisation.pk).order_by("start_ms")
    assert [row.end_ms - row.start_ms <= 31 * 86_400_000 for row in readings] == [True] * 3
    assert sum(row.energy_microwatt_hours for row in readings) == made["energy_wh"] * 10**6
    services.settle(organisation.pk)
    frame = ledger_frame(LedgerQuery(organisation.pk, YEAR, ("model", "workload", "kind", "boundary", "hardware")))
    (row,) = frame.to_dict("records")
    assert row["quality"] == "C"
    assert (row["model_name"], row["workload"], row["kind"]) == ("Atlas", "run 7", "training")
    assert (row["boundary"], row["hardware"]) == ("accelerator", "a100")
    assert row["it_energy_milliwatt_hours"] == 5_274_816_000


def test_tokens_become_energy_and_stay_work(
    send: Callable[..., tuple[int, dict]], organisation: Organisation, site: Site, profiles: InferenceProfile
) -> None:
    status, made = send(
        {"basis": "tokens", "source": "api-gateway", "start": "2026-07-01", "end": "2026-09-15", "site": "fra1",
         "profile": profiles.pk, "tokens": 1_000_003, "requests": 7}
    )  # fmt: skip
    assert status == 201, made
    assert "1,000,003 tokens × 0.41806 J ÷ 3,600 J/Wh" in made["working"]
    assert made["inputs"]["kind"] == "inference"
    services.settle(organisation.pk)
    total = ledger_total(LedgerQuery(organisation.pk, YEAR))
    assert (total["tokens"], total["requests"], total["quality"]) == (1_000_003, 7, "C")


def test_without_idle_power_it_is_tdp_times_utilisation_and_says_so(
    send: Callable[..., tuple[int, dict]], organisation: Organisation, site: Site, profiles: InferenceProfile
) -> None:
    status, made = send({**TRAINING, "hardware": "h100"}, "?dry_run=true")
    assert status == 200
    assert made["energy_wh"] == pytest.approx(HOURS * 700 * 0.8)
    assert "states no idle power" in made["working"]
    assert (made["id"], made["receipt"]) == (None, None)
    assert not Estimate.objects.of(organisation).exists()


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"hardware": "server"}, "hardware", "No TDP is published for Server"),
        ({"hardware": "abacus"}, "hardware", "code of a hardware profile"),
        ({"utilisation": 1.2}, "utilisation", "share from 0 to 1"),
        ({"utilisation": -0.1}, "utilisation", "share from 0 to 1"),
        ({"accelerators": 0}, "accelerators", "Expected 1 to"),
        ({"accelerator_hours": HOURS + 1}, "accelerator_hours", "at most 15,936"),
        ({"accelerator_hours": 100}, "accelerator_hours", "at least 1,992"),
        ({"end": "2026-05-10"}, "end", "after the start"),
        ({"end": "2126-01-01"}, "end", "that is over"),
        ({"site": "atlantis"}, "site", "code of a site"),
        ({"kind": "dreaming"}, "kind", "one of other, training"),
        ({"basis": "tokens", "tokens": 5}, "profile", "published energy per token"),
        ({"utilisations": 1}, "utilisations", "one of basis"),
    ],
)
def test_what_cannot_be_worked_out_is_named_and_nothing_is_stored(
    send: Callable[..., tuple[int, dict]],
    organisation: Organisation,
    site: Site,
    profiles: InferenceProfile,
    change: dict,
    field: str,
    words: str,
) -> None:
    status, problem = send({**TRAINING, **change})
    assert status == 422, problem
    assert problem["errors"][0]["pointer"] == f"/{field}"
    assert words in problem["errors"][0]["expected"]
    assert not Estimate.objects.of(organisation).exists()
    assert not Reading.objects.filter(organisation_id=organisation.pk).exists()


def test_accelerator_hours_stand_in_for_their_number(
    send: Callable[..., tuple[int, dict]], organisation: Organisation, site: Site, profiles: InferenceProfile
) -> None:
    body = {name: value for name, value in TRAINING.items() if name != "accelerators"}
    assert send(body)[1]["errors"][0]["pointer"] == "/accelerators"
    status, made = send({**body, "accelerator_hours": 10_000})
    assert status == 201
    assert made["working"].startswith("10,000 h × (55 W")
    services.settle(organisation.pk)
    total = ledger_total(LedgerQuery(organisation.pk, YEAR))
    assert total["it_energy_milliwatt_hours"] == pytest.approx(10_000 * 331 * 1000, rel=1e-6)  # rounded by the hour
    assert total["accelerator_ms"] == 5 * 83 * 86_400_000  # 5.02 on the mean


def test_an_overlap_is_refused_with_the_one_in_the_way(
    send: Callable[..., tuple[int, dict]], organisation: Organisation, site: Site, profiles: InferenceProfile
) -> None:
    assert send(TRAINING)[0] == 201
    status, problem = send({**TRAINING, "start": "2026-07-31", "end": "2026-08-02"})
    assert status == 422
    assert "Overlaps the estimate of rented-cluster from 2026-05-10" in problem["errors"][0]["expected"]
    assert send({**TRAINING, "start": "2026-08-01", "end": "2026-08-02"})[0] == 201  # adjoins
    assert send({**TRAINING, "source": "another"})[0] == 201


def test_a_measured_source_is_not_estimated_over(
    send: Callable[..., tuple[int, dict]], organisation: Organisation, site: Site, profiles: InferenceProfile
) -> None:
    source_of(
        organisation, "node-9", first_reading_at=datetime(2026, 7, 1, tzinfo=UTC),
        last_reading_at=datetime(2026, 7, 3, tzinfo=UTC),
    )  # fmt: skip
    add(attribution_of(organisation, "node-9", site=site), at(30), at(31), KWH)
    status, problem = send({**TRAINING, "source": "node-9", "start": "2026-07-02", "end": "2026-07-03"})
    assert status == 422
    assert "has readings in this time" in problem["errors"][0]["expected"]
    assert send({**TRAINING, "source": "node-9", "start": "2026-07-10", "end": "2026-07-11"})[0] == 201


def test_a_key_of_a_team_estimates_for_that_team_only(
    send: Callable[..., tuple[int, dict]],
    organisation: Organisation,
    team: Team,
    site: Site,
    profiles: InferenceProfile,
) -> None:
    status, problem = send({**TRAINING, "team": "speech"}, team=team)
    assert status == 422
    assert problem["errors"][0]["pointer"] == "/team"
    assert send(TRAINING, team=team)[0] == 201
    services.settle(organisation.pk)
    assert ledger_frame(LedgerQuery(organisation.pk, YEAR, ("team",)))["team"].tolist() == ["vision"]


@pytest.fixture
def engineer(client: Client, make_person: Callable[..., Person]) -> Client:
    client.force_login(make_person("engineer"))
    return client


def test_a_person_works_it_out_records_it_and_withdraws_it(
    engineer: Client, organisation: Organisation, site: Site, profiles: InferenceProfile
) -> None:
    url = reverse("estimates", args=[organisation.slug])
    assert "Nothing is estimated" in engineer.get(url).text
    form = {
        "hardware": "a100", "accelerators": "8", "utilisation_percent": "80", "start": "2026-05-10",
        "end": "2026-08-01", "source": "rented-cluster", "site": "fra1", "kind": "training",
    }  # fmt: skip
    shown = engineer.post(url, {**form, "preview": "1"}).text
    assert "= 15,936 h × 331 W = 5,274.816 kWh" in shown
    assert not Estimate.objects.of(organisation).exists()
    part = engineer.post(url, form, headers={"X-Preview": "1"}).text
    assert "5,274.816 kWh" in part
    assert "<html" not in part
    answer = engineer.post(url, {**form, "record": "1"}, follow=True)
    assert "rented-cluster" in answer.text
    assert "Epoch AI (CC BY 4.0)" in answer.text
    estimate = Estimate.objects.of(organisation).get()
    services.settle(organisation.pk)
    assert ledger_total(LedgerQuery(organisation.pk, YEAR))["it_energy_milliwatt_hours"] > 0
    rows = engineer.get(url + "?format=csv").text.splitlines()
    assert rows[1].startswith("rented-cluster,accelerator_hours,2026-05-10")

    withdraw = reverse("estimate-withdraw", args=[organisation.slug, estimate.pk])
    assert "Say why" in engineer.post(withdraw, {"reason": " "}, follow=True).text
    assert "3 readings set aside" in engineer.post(withdraw, {"reason": "metered after all"}, follow=True).text
    assert SupersededReading.objects.filter(organisation_id=organisation.pk).count() == 3
    services.settle(organisation.pk)
    assert ledger_total(LedgerQuery(organisation.pk, YEAR))["it_energy_milliwatt_hours"] == 0
    event = AuditEvent.objects.get(organisation_id=organisation.pk, action="estimate.withdrawn")
    assert event.reason == "metered after all"
    assert event.before["working"].startswith("15,936 h")
    assert "Recorded the" not in engineer.post(url, {**form, "record": "1"}).text  # the time is free again
    assert Estimate.objects.of(organisation).count() == 1


def test_what_is_wrong_stands_at_its_field(
    engineer: Client, organisation: Organisation, site: Site, profiles: InferenceProfile
) -> None:
    url = reverse("estimates", args=[organisation.slug])
    form = {"hardware": "a100", "utilisation_percent": "130", "start": "2026-05-10", "end": "2026-08-01",
            "source": "x", "kind": "training", "accelerators": "2", "record": "1"}  # fmt: skip
    assert "Expected a share from 0 to 1 (60 % is 0.6), got 1.3" in engineer.post(url, form).text
    tokens = {"profile": str(profiles.pk), "start": "2026-05-10", "end": "2026-08-01", "source": "x",
              "kind": "inference", "record": "1"}  # fmt: skip
    assert "This field is required" in engineer.post(url + "?basis=tokens", tokens).text
    assert not Estimate.objects.of(organisation).exists()


def test_the_list_of_the_api_is_the_organisations_own(
    send: Callable[..., tuple[int, dict]],
    client: Client,
    make_key: Callable[..., str],
    organisation: Organisation,
    other_organisation: Organisation,
    site: Site,
    profiles: InferenceProfile,
) -> None:
    send(TRAINING)
    own = client.get("/api/v1/estimates", headers={"Authorization": f"Bearer {make_key()}"}).json()["results"]
    assert [row["source"] for row in own] == ["rented-cluster"]
    key = make_key(organisation=other_organisation)
    assert client.get("/api/v1/estimates", headers={"Authorization": f"Bearer {key}"}).json()["results"] == []


@pytest.mark.parametrize("query", ["", "?dry_run=true"])
@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"source": "meter/fra1"}, "/source"),
        ({"source": "node-1 (gap filled)"}, "/source"),
        ({"site": "nowhere"}, "/site"),
        ({"start": "2024-01-01"}, "/end"),
    ],
)
def test_a_place_that_is_not_the_clients_is_refused_dry_run_or_not(
    send: Callable[..., tuple[int, dict]],
    site: Site,
    profiles: InferenceProfile,
    query: str,
    change: dict,
    pointer: str,
) -> None:
    status, answer = send({**TRAINING, **change}, query)
    assert (status, [error["pointer"] for error in answer["errors"]]) == (422, [pointer])
    assert not Reading.objects.exists()
