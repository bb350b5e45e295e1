"""Models, workloads and teams through the API: pages, errors, tenancy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from apps.audit.models import AuditEvent
from apps.organisations.models import Organisation, Team
from apps.workloads.models import AIModel, Provenance, Study, Workload
from apps.workloads.reference import load_hardware_profiles, load_inference_profiles
from apps.workloads.services import describe_model, describe_workload

pytestmark = pytest.mark.django_db


@pytest.fixture
def get(client: Client, make_key: Callable[..., str]) -> Callable[..., dict]:
    headers = {"Authorization": f"Bearer {make_key(('read',))}"}

    def get_json(path: str, status: int = 200) -> dict:
        answer = client.get(path, headers=headers)
        assert answer.status_code == status, answer.content
        return answer.json()

    return get_json


def test_a_list_is_walked_by_its_next_links_without_gap_or_repeat(
    get: Callable[..., dict], organisation: Organisation, other_organisation: Organisation
) -> None:
    for number in range(7):
        AIModel.unscoped.create(organisation=organisation, slug=f"m-{number}", name=f"M {number}")
        AIModel.unscoped.create(organisation=other_organisation, slug=f"m-{number}x", name=f"M {number}")
    seen: list[str] = []
    url: str | None = "/api/v1/models?limit=3"
    while url:
        page = get(url)
        seen += [row["slug"] for row in page["results"]]
        url = page["next"]
        if len(seen) == 3:  # a row that arrives behind the cursor shifts nothing
            AIModel.unscoped.create(organisation=organisation, slug="a-new", name="new")
    assert seen == [f"m-{number}" for number in range(7)]


@pytest.mark.parametrize("path", ["teams", "sites", "models", "workloads"])
@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "/query/limit"),
        ("limit=many", "/query/limit"),
        ("cursor=!!", "/query/cursor"),
        ("cursor=W10", "/query/cursor"),
        ("cursor=W251bGxd", "/query/cursor"),
        ("taem=x", "/query/taem"),
    ],
)
def test_a_bad_parameter_is_named(get: Callable[..., dict], path: str, query: str, pointer: str) -> None:
    problem = get(f"/api/v1/{path}?{query}", 400)
    assert problem["errors"][0]["pointer"] == pointer
    assert set(problem["errors"][0]) == {"pointer", "got", "expected"}


def test_lists_take_a_trailing_slash_and_never_redirect(get: Callable[..., dict], team: Team) -> None:
    assert get("/api/v1/teams") == get("/api/v1/teams/")
    assert get("/api/v1/teams/vision") == get("/api/v1/teams/vision/")


def test_a_workload_is_addressed_by_id_whatever_its_name_holds(
    get: Callable[..., dict], organisation: Organisation, other_organisation: Organisation
) -> None:
    own = Workload.unscoped.create(organisation=organisation, name="run/1?x=ü")
    foreign = Workload.unscoped.create(organisation=other_organisation, name="theirs")
    (row,) = get("/api/v1/workloads")["results"]
    assert (row["id"], row["name"]) == (own.pk, "run/1?x=ü")
    assert get(f"/api/v1/workloads/{own.pk}") == row
    assert get(f"/api/v1/workloads/{foreign.pk}", 404)["title"] == "Not found"


def test_describing_makes_a_model_once_and_gives_it_a_slug_of_its_own(organisation: Organisation) -> None:
    first = describe_model(organisation=organisation, name="BLOOM 176B", actor="system")
    again = describe_model(
        organisation=organisation,
        name="BLOOM 176B",
        actor="system",
        provenance=Provenance.PUBLISHED,
        citation="L. 2023",
    )
    other = describe_model(organisation=organisation, name="bloom-176b", actor="system")
    assert (first.pk, first.slug, again.citation) == (again.pk, "bloom-176b", "L. 2023")
    assert other.slug == "bloom-176b-2"
    assert describe_workload(organisation=organisation, name="run", actor="system").provenance == "reported"


def test_studies_and_hardware_are_listed(get: Callable[..., dict], organisation: Organisation) -> None:
    Study.unscoped.create(organisation=organisation, name="sweep")
    load_hardware_profiles()
    assert [row["name"] for row in get("/api/v1/studies")["results"]] == ["sweep"]
    (profile,) = [
        row for row in get("/api/v1/hardware?vendor=nvidia&limit=500")["results"] if "h100-sxm" in row["code"]
    ]
    assert profile["tdp_w"] == 700.0
    assert profile["source_title"]
    assert get("/api/v1/hardware?vendor=nobody")["results"] == []


def test_published_energies_per_token_are_listed_with_the_id_that_an_estimate_names(get: Callable[..., dict]) -> None:
    loaded = load_inference_profiles()
    first = get("/api/v1/inference-profiles?limit=1")
    assert first["next"]
    rows = get("/api/v1/inference-profiles?limit=500")["results"]
    assert len(rows) == loaded
    assert all(row["id"] and row["microjoules_per_token"] > 0 and row["source_title"] for row in rows)


@pytest.fixture
def patch(client: Client, make_key: Callable[..., str]) -> Callable[..., tuple[int, dict]]:
    def patch_json(workload: Workload, body: object, scopes: tuple[str, ...] = ("ingest",)) -> tuple[int, dict]:
        answer = client.patch(
            f"/api/v1/workloads/{workload.pk}",
            body,
            content_type="application/json",
            headers={"Authorization": f"Bearer {make_key(scopes)}"},
        )
        return answer.status_code, answer.json()

    return patch_json


def test_a_job_says_by_its_key_how_it_ended(
    patch: Callable[..., tuple[int, dict]], organisation: Organisation, other_organisation: Organisation
) -> None:
    run = Workload.unscoped.create(organisation=organisation, name="run 1")
    status, row = patch(run, {"outcome": "early_stopped"})
    assert (status, row["outcome"]) == (200, "early_stopped")
    assert AuditEvent.objects.filter(organisation_id=organisation.pk, action="workload.outcome_set").count() == 1
    assert patch(run, {"outcome": "early_stopped"})[0] == 200  # said twice, recorded once
    assert AuditEvent.objects.filter(organisation_id=organisation.pk, action="workload.outcome_set").count() == 1
    foreign = Workload.unscoped.create(organisation=other_organisation, name="theirs")
    assert patch(foreign, {"outcome": "failed"})[0] == 404
    assert patch(run, {"outcome": "failed"}, scopes=("read",))[0] == 403


@pytest.mark.parametrize("body", [{"outcome": "exploded"}, {}, {"outcome": "failed", "name": "other"}])
def test_a_key_changes_nothing_but_the_outcome(
    patch: Callable[..., tuple[int, dict]], organisation: Organisation, body: dict[str, str]
) -> None:
    run = Workload.unscoped.create(organisation=organisation, name="run 1")
    status, problem = patch(run, body)
    assert status == 400
    assert problem["errors"][0]["pointer"] in ("/outcome", "/name")
    run.refresh_from_db()
    assert (run.name, run.outcome) == ("run 1", Workload.Outcome.UNKNOWN)
