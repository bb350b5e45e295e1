"""Units of AI work and development lines: from readings to the page and the API."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import date

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounting import services
from apps.accounting.work import queries
from apps.factors.models import Factor
from apps.organisations.models import Organisation, Person
from apps.sites.models import ControlClass, PuePeriod, Site
from apps.telemetry.models import Boundary
from apps.workloads.models import AIModel, EmbodiedFigure, HardwareProfile, Kind, Study, Workload
from tests.accounting.readings import KWH, Q3, add, at, attribution_of

pytestmark = pytest.mark.django_db
WINDOW = "from=2026-07-01&to=2026-10-01"


@pytest.fixture
def estate(organisation: Organisation, site: Site, publish: Callable[..., Factor]) -> dict[str, AIModel]:
    """A model that is trained, tuned and served, at PUE 1.25 and 400 g/kWh, and one served in somebody's cloud."""
    publish("DE", "400")
    PuePeriod.unscoped.create(
        organisation=organisation, site=site, start=date(2026, 1, 1), pue_ppm=1_250_000, source="meter"
    )
    cloud = Site.unscoped.create(
        organisation=organisation, code="cloud", name="Cloud", control=ControlClass.CLOUD, country="DE",
        grid_zone="DE", market="DE",
    )  # fmt: skip
    card = HardwareProfile.objects.create(
        code="h100", name="H100", vendor="NVIDIA", kind="GPU", scope="one device", source_title="t", licence="l"
    )
    EmbodiedFigure.objects.create(
        hardware_code="h100", name="H100", embodied_g=164_000, boundary="cradle-to-gate", year=2024,
        source_title="PCF", licence="fact",
    )  # fmt: skip
    atlas = AIModel.unscoped.create(organisation=organisation, slug="atlas", name="Atlas")
    rented = AIModel.unscoped.create(organisation=organisation, slug="rented", name="Rented")
    study = Study.unscoped.create(organisation=organisation, name="sweep")
    runs = {
        name: Workload.unscoped.create(organisation=organisation, name=name, outcome=outcome)
        for name, outcome in (
            ("run 1", "failed"), ("run 2", "finished"), ("tune", "early_stopped"), ("chat", "running"),
            ("eval", "unknown"),
        )
    }  # fmt: skip
    own = {"model": atlas, "site": site, "hardware": card}
    chat = {**own, "workload": runs["chat"], "kind": Kind.INFERENCE}
    # Two devices serve, one source reports the tokens: energy and work belong together by the workload.
    add(attribution_of(organisation, "gpu0", **chat), at(1), at(2), 2 * KWH, tokens=4_000_000, requests=1_000)
    add(attribution_of(organisation, "gpu1", **chat), at(1), at(2), 2 * KWH)
    eight = {**own, "accelerators": 8, "boundary": Boundary.NODE, "study": study}
    train = {"kind": Kind.TRAINING, **eight}
    add(attribution_of(organisation, "n1", **train, workload=runs["run 1"]), at(3), at(4), 10 * KWH)
    add(attribution_of(organisation, "n1", **train, workload=runs["run 2"]), at(4), at(6), 26 * KWH)
    tune = {"kind": Kind.FINE_TUNING, **eight, "study": None}
    add(attribution_of(organisation, "n1", **tune, workload=runs["tune"]), at(7), at(8), 3 * KWH)
    evaluate = {"kind": Kind.EVALUATION, **eight, "study": None}
    add(attribution_of(organisation, "n1", **evaluate, workload=runs["eval"]), at(8), at(9), 1 * KWH)
    add(
        attribution_of(organisation, "cloud0", model=rented, site=cloud, kind=Kind.INFERENCE, workload=runs["chat"]),
        at(1), at(2), KWH, tokens=1_000,
    )  # fmt: skip
    services.settle(organisation.pk)
    return {"atlas": atlas, "rented": rented}


@pytest.fixture
def ask(client: Client, make_key: Callable[..., str]) -> Callable[..., list[dict]]:
    key = make_key(("read",))

    def get(query: str = WINDOW, status: int = 200) -> list[dict]:
        answer = client.get(f"/api/v1/intensities?{query}", headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == status, answer.content
        return answer.json()["results"] if status == 200 else answer.json()["errors"]

    return get


def test_each_unit_divides_the_energy_of_the_rows_that_carry_it(ask: Callable[..., list[dict]], estate: dict) -> None:
    (row,) = ask()
    assert (row["model"], row["scope"], row["facility_energy_kwh"]) == ("atlas", "2", 55.0)
    # 4 kWh of both devices at PUE 1.25 by the tokens of one: nothing of the training is in it.
    assert (row["tokens"], row["requests"]) == (4_000_000, 1_000)
    assert row["wh_per_1000_tokens"] == 1.25
    assert row["location_g_per_1000_tokens"] == 0.5
    assert row["market_g_per_1000_tokens"] == 0.5
    assert row["boundary_per_1000_tokens"] == "accelerator"
    assert (row["wh_per_request"], row["location_g_per_request"]) == (5.0, 2.0)
    # 2 h of two devices, 5 h of eight.
    assert row["accelerator_hours"] == 42.0
    assert row["wh_per_accelerator_hour"] == pytest.approx(55_000 / 42, abs=1e-6)
    assert row["boundary_per_accelerator_hour"] == "node 91 %, accelerator 9 %"
    # Three runs, failed and stopped ones included; the evaluation is not one.
    assert row["training_runs"] == 3
    assert row["wh_per_training_run"] == pytest.approx(39_000 * 1.25 / 3, abs=1e-6)


def test_sci_has_a_consumer_and_a_provider_boundary(ask: Callable[..., list[dict]], estate: dict) -> None:
    (row,) = ask()
    life_hours = 4 * 365.25 * 24
    assert row["sci_consumer_operational_g"] == 0.5
    assert row["sci_consumer_embodied_g"] == pytest.approx(164_000 * 2 / life_hours / 4_000, abs=1e-6)
    assert row["sci_consumer_g"] == pytest.approx(row["sci_consumer_operational_g"] + row["sci_consumer_embodied_g"])
    assert row["sci_provider_unit"] == "training run"
    assert row["sci_provider_operational_g"] == pytest.approx(40 * 1.25 * 400 / 3, abs=1e-6)  # evaluation included
    assert row["sci_provider_embodied_g"] == pytest.approx(164_000 * 40 / life_hours / 3, abs=1e-6)
    (longer,) = ask(f"{WINDOW}&lifetime_years=8")
    assert longer["sci_provider_embodied_g"] == pytest.approx(row["sci_provider_embodied_g"] / 2, abs=1e-6)
    assert longer["location_g_per_1000_tokens"] == row["location_g_per_1000_tokens"]
    EmbodiedFigure.objects.all().delete()
    (without,) = ask()
    assert (without["sci_consumer_embodied_g"], without["sci_consumer_g"]) == (None, None)
    assert without["sci_consumer_operational_g"] == 0.5
    assert without["embodied_missing"] == "h100"


def test_scopes_and_methods_are_not_mixed(ask: Callable[..., list[dict]], estate: dict) -> None:
    (row,) = ask(f"{WINDOW}&scope=3")
    assert (row["model"], row["wh_per_1000_tokens"], row["location_g_per_1000_tokens"]) == ("rented", 1000.0, 400.0)
    assert row["market_g_per_1000_tokens"] is None
    assert [(row["model"], row["scope"]) for row in ask(f"{WINDOW}&scope=all")] == [("atlas", "2"), ("rented", "3")]
    by_workload = ask(f"{WINDOW}&scope=all&group_by=workload")
    assert [(r["scope"], r["tokens"]) for r in by_workload if r["workload"] == "chat"] == [
        ("2", 4_000_000),
        ("3", 1_000),
    ]


def test_energy_without_a_factor_makes_emissions_absent_and_not_smaller(
    ask: Callable[..., list[dict]], organisation: Organisation, estate: dict
) -> None:
    nowhere = Site.unscoped.create(
        organisation=organisation, code="mars", name="Mars", control=ControlClass.OWNED, country="DE", grid_zone="XX",
        market="XX",
    )  # fmt: skip
    workload = Workload.unscoped.create(organisation=organisation, name="far chat")
    fields = {"model": estate["atlas"], "site": nowhere, "kind": Kind.INFERENCE, "workload": workload}
    add(attribution_of(organisation, "far", **fields), at(1), at(2), KWH, tokens=4_000_000)
    services.settle(organisation.pk)
    (row,) = ask()
    assert row["tokens"] == 8_000_000
    assert row["wh_per_1000_tokens"] == 0.75
    assert row["location_g_per_1000_tokens"] == 0.5  # of the tokens whose energy has a factor


def test_the_parts_by_workload_have_the_same_sums(organisation: Organisation, estate: dict) -> None:
    by_model = queries.work_rows(organisation.pk, Q3, scope="2")
    by_workload = queries.work_rows(organisation.pk, Q3, group_by="workload", scope="2")
    for name in ("facility_milliwatt_hours", "tokens", "requests", "accelerator_ms", "training_runs"):
        assert sum(getattr(row, name) for row in by_model) == sum(getattr(row, name) for row in by_workload)


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("from=2026-07-01", "/query/to"),
        (f"{WINDOW}&group_by=team", "/query/group_by"),
        (f"{WINDOW}&scope=1", "/query/scope"),
        (f"{WINDOW}&lifetime_years=99", "/query/lifetime_years"),
        (f"{WINDOW}&modle=x", "/query/modle"),
    ],
)
def test_a_bad_query_says_what_was_expected(ask: Callable[..., list[dict]], query: str, pointer: str) -> None:
    (error,) = ask(query, status=400)
    assert error["pointer"] == pointer


# --- Pages --------------------------------------------------------------------------------------------------------


@pytest.fixture
def viewer(client: Client, make_person: Callable[..., Person]) -> Client:
    client.force_login(make_person("viewer"))
    return client


def test_the_page_shows_each_unit_with_its_boundary(viewer: Client, organisation: Organisation, estate: dict) -> None:
    html = viewer.get(reverse("work", args=[organisation.slug]) + "?period=2026-Q3").text
    for words in ("Per 1,000 tokens", "Per request", "Per accelerator-hour", "Per training run", "node 91 %", "mixed"):
        assert words in html
    assert "1.25" in html.split('id="tokens"')[1]
    assert "/models/atlas/" in html
    rows = list(csv.DictReader(io.StringIO(viewer.get(
        reverse("work", args=[organisation.slug]) + "?period=2026-Q3&by=workload&format=csv").text)))  # fmt: skip
    assert {row["workload"]: row["wh_per_1000_tokens"] for row in rows}["chat"] == "1.25"
    assert "Expected a lifetime of 1 to 20 years" in viewer.get(
        reverse("work", args=[organisation.slug]) + "?period=2026-Q3&life=99"
    ).text  # fmt: skip


def test_an_empty_page_says_what_to_send(viewer: Client, organisation: Organisation) -> None:
    assert "No readings yet" in viewer.get(reverse("work", args=[organisation.slug])).text


def test_a_development_line_has_every_run_by_study_and_outcome(organisation: Organisation, estate: dict) -> None:
    line = queries.development_line(organisation.pk, Q3, "atlas")
    found = {(part.kind, part.study, part.outcome): (part.runs, part.facility_milliwatt_hours) for part in line.parts}
    assert found == {
        ("training", "sweep", "finished"): (1, 32_500_000),
        ("training", "sweep", "failed"): (1, 12_500_000),
        ("fine_tuning", None, "early_stopped"): (1, 3_750_000),
        ("evaluation", None, "unknown"): (1, 1_250_000),
    }
    assert line.location_mg == 50 * 400 * 1000
    assert line.final_share is not None
    assert line.lost_share is not None
    assert float(line.final_share) == pytest.approx(26 / 40)
    assert float(line.lost_share) == pytest.approx(13 / 40)


def test_the_models_page_shows_units_and_line_and_gives_both_as_files(
    viewer: Client, organisation: Organisation, estate: dict
) -> None:
    url = reverse("model", args=[organisation.slug, "atlas"]) + "?period=2026-Q3"
    html = viewer.get(url).text
    for words in ("Units of AI work", "Development line", "Stopped early", "No study named", "node 91 %", "65\u202f%"):
        assert words in html
    line = list(csv.DictReader(io.StringIO(viewer.get(f"{url}&format=csv&panel=line").text)))
    assert {(row["study"], row["outcome"]): row["facility_energy_kwh"] for row in line}["sweep", "failed"] == "12.5"
    (units,) = csv.DictReader(io.StringIO(viewer.get(f"{url}&format=csv&panel=units").text))
    assert units["wh_per_1000_tokens"] == "1.25"


def test_who_connects_says_on_the_runs_page_how_it_ended(
    client: Client, make_person: Callable[..., Person], organisation: Organisation, estate: dict
) -> None:
    run = Workload.objects.of(organisation).get(name="eval")
    page, post = (reverse(name, args=[organisation.slug, run.pk]) for name in ("workload", "workload-outcome"))
    client.force_login(make_person("viewer"))
    assert post not in client.get(page).text
    assert client.post(post, {"outcome": "finished"}).status_code == 403
    client.force_login(make_person("engineer"))
    assert post in client.get(page).text
    assert "Outcome of eval: finished." in client.post(post, {"outcome": "finished"}, follow=True).text
    assert "Expected one of unknown, running" in client.post(post, {"outcome": "gone"}, follow=True).text
    run.refresh_from_db()
    assert run.outcome == "finished"


def test_a_cluster_that_states_no_accelerators_is_not_one_accelerator(
    ask: Callable[..., list[dict]], organisation: Organisation, site: Site, estate: dict
) -> None:
    """4 kW on the mean are no single device; its hours are unknown and not one."""
    other = AIModel.unscoped.create(organisation=organisation, slug="whole", name="Whole cluster")
    add(attribution_of(organisation, "cluster", model=other, site=site, kind=Kind.TRAINING), at(20), at(21), 4 * KWH)
    services.settle(organisation.pk)
    row = next(row for row in ask() if row["model"] == "whole")
    assert (row["accelerator_hours"], row["wh_per_accelerator_hour"]) == (0, None)
