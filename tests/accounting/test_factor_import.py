"""Bringing factors in by the page: upload, worker, review, import; private to the organisation all along."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import DjangoCaptureOnCommitCallbacks, Settings

from apps.accounting.imports import services
from apps.accounting.imports.tasks import read_factor_file
from apps.accounting.models import FactorAdoption, FactorImport
from apps.audit.models import AuditEvent
from apps.factors.models import Factor, FactorDataset, GridZone
from apps.factors.services import load_grid_zones
from apps.organisations.models import Organisation, Person
from tests.factors import workbooks
from tests.factors.provider_server import provider
from tests.factors.test_providers import KEY, electricity_maps_answer

HEAD = "# slug: own-mix\n# edition: {}\n# publisher: TSO\n# title: Mix\n# boundary: direct\n# licence: own\n"
GOOD = HEAD.format(1) + "zone,data_year,co2e_kg_per_mwh\nDE,2025,363\nFR,2025,42\n"


@pytest.fixture(autouse=True)
def own_store(settings: Settings, tmp_path: Path) -> None:
    store = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(tmp_path)}}
    settings.STORAGES = {**settings.STORAGES, "default": store}


@pytest.fixture(autouse=True)
def woken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Whom a message would wake: the work is done when a test says so."""
    ids: list[int] = []
    monkeypatch.setattr(read_factor_file, "apply_async", lambda args, **options: ids.append(args[0]))
    return ids


@pytest.fixture(autouse=True)
def zones(db: None) -> None:
    load_grid_zones()


@pytest.fixture
def officer(client: Client, make_person: Callable[..., Person]) -> Client:
    client.force_login(make_person("officer"))
    return client


def upload(client: Client, organisation: Organisation, content: bytes | str, **given: str) -> FactorImport:
    body = content.encode() if isinstance(content, str) else content
    file = SimpleUploadedFile("../../factors <b>.xlsx", body)
    answer = client.post(f"/o/{organisation.slug}/factors/import/", {"file": file, **given})
    assert answer.status_code == 302, answer.content.decode()
    return FactorImport.unscoped.latest("pk")


def page(taken: FactorImport, name: str = "") -> str:
    return f"/o/{taken.organisation.slug}/factors/import/{taken.public_id}/{name}"


def test_a_file_is_read_reviewed_and_imported_as_a_private_dataset(
    officer: Client,
    organisation: Organisation,
    woken: list[int],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        taken = upload(officer, organisation, workbooks.egrid())
    assert woken == [taken.pk]
    waiting = officer.get(page(taken)).content.decode()
    assert "data-progress" in waiting
    assert json.loads(officer.get(page(taken, "status/")).content)["state"] == "queued"

    assert services.work(taken.pk)
    assert not services.work(taken.pk)  # a second message for the same file
    status = json.loads(officer.get(page(taken, "status/")).content)
    assert (status["state"], status["progress_percent"]) == ("ready", 100)
    assert (status["rows_read"], status["rows_checked"]) == (6, 6)
    review = officer.get(page(taken)).content.decode()
    assert "eGRID2023 total output emission rates by subregion" in review
    assert "US public domain" in review
    assert "Import as private dataset of this organisation" in review
    assert "&lt;b&gt;" in review
    assert not FactorDataset.objects.exists()

    with django_capture_on_commit_callbacks(execute=True):
        officer.post(page(taken, "confirm/"))
    assert woken == [taken.pk] * 2
    assert services.work(taken.pk)
    done = officer.get(page(taken)).content.decode()
    assert "No figure has changed" in done
    assert "Adopt it" in done
    assert {row.slug for row in FactorDataset.objects.filter(organisation=organisation)} == {
        "epa-egrid",
        "epa-egrid-states",
    }
    factor = Factor.objects.get(zone="CAMX")
    assert factor.co2_kg_per_mwh == Decimal("428.464") * Decimal("0.45359237")
    assert not FactorAdoption.objects.of(organisation).filter(dataset=factor.dataset).exists()
    event = AuditEvent.objects.filter(organisation_id=organisation.pk, action="factor_dataset.imported").first()
    assert event is not None
    assert event.after is not None
    assert event.after["file_sha256"] == taken.file_digest


def test_the_difference_to_the_edition_before_is_shown_largest_first(
    officer: Client, organisation: Organisation
) -> None:
    first = upload(officer, organisation, GOOD)
    services.work(first.pk)
    officer.post(page(first, "confirm/"))
    services.work(first.pk)
    rows = "zone,data_year,co2e_kg_per_mwh\nDE,2025,330\nFR,2025,63\nSE,2025,8\n"
    second = upload(officer, organisation, HEAD.format(2) + rows)
    services.work(second.pk)
    second.refresh_from_db()
    (outcome,) = second.outcome
    comparison = outcome["comparison"]
    assert (comparison["previous"], comparison["added"], comparison["changed"]) == ("1", 1, 2)
    assert [(c["zone"], c["old"], c["new"], c["percent"]) for c in comparison["changes"]] == [
        ("FR", "42", "63", 50.0),
        ("DE", "363", "330", pytest.approx(-9.0909, abs=1e-3)),
    ]
    text = officer.get(page(second)).content.decode()
    assert text.index("+50.0") < text.index("-9.1")
    assert "SE 2025" in text
    lines = officer.get(page(second, "changes.csv")).content.decode().splitlines()
    assert lines[1] == "own-mix,FR,2025,42,63,50.0"
    officer.post(page(second, "confirm/"))
    services.work(second.pk)
    newer = FactorDataset.objects.get(slug="own-mix", edition="2")
    assert newer.supersedes == FactorDataset.objects.get(slug="own-mix", edition="1")
    assert Factor.objects.filter(dataset__edition="1").count() == 2  # the old edition is as it was


def test_a_faulty_file_names_every_row_and_imports_nothing(officer: Client, organisation: Organisation) -> None:
    rows = "".join(f"XX,{1990 + n % 30},{n}\n" for n in range(150))
    taken = upload(officer, organisation, HEAD.format(1) + "zone,data_year,co2e_kg_per_mwh\nDE,2025,731590\n" + rows)
    services.work(taken.pk)
    text = officer.get(page(taken)).content.decode()
    assert "nothing was imported" in text
    assert "The first 100 of" in text
    assert "it looks like kg/kWh taken for g/kWh" in text
    lines = officer.get(page(taken, "faults.csv")).content.decode().splitlines()
    assert lines[0] == "sheet,row,column,got,expected"
    assert len(lines) > 151
    answer = officer.post(page(taken, "confirm/"), follow=True)
    assert "not waiting for a review" in answer.content.decode()
    assert not FactorDataset.objects.exists()


def test_what_is_no_table_is_refused_in_words(officer: Client, organisation: Organisation) -> None:
    taken = upload(officer, organisation, b"\xff\xfe\x00\x01")
    services.work(taken.pk)
    assert "a UTF-8 text file" in officer.get(page(taken)).content.decode()


def test_the_edition_held_already_with_other_content_is_a_fault(officer: Client, organisation: Organisation) -> None:
    taken = upload(officer, organisation, GOOD)
    services.work(taken.pk)
    officer.post(page(taken, "confirm/"))
    services.work(taken.pk)
    again = upload(officer, organisation, GOOD)
    services.work(again.pk)
    assert "importing it would add nothing" in officer.get(page(again)).content.decode()
    officer.post(page(again, "confirm/"))
    services.work(again.pk)
    assert "The very same dataset was there already" in officer.get(page(again)).content.decode()
    other = upload(officer, organisation, GOOD.replace("363", "364"))
    services.work(other.pk)
    assert "a correction is a new edition" in officer.get(page(other)).content.decode()
    assert FactorDataset.objects.count() == 1


def test_what_the_form_says_stands_before_the_file(officer: Client, organisation: Organisation) -> None:
    taken = upload(
        officer,
        organisation,
        workbooks.aib(title="Residual Mixes"),
        format="aib",
        edition="v1.1",
        licence="by contract",
        year="2025",
        valid_from="2026-01-01",
        valid_to="2027-01-01",
    )
    services.work(taken.pk)
    officer.post(page(taken, "confirm/"))
    services.work(taken.pk)
    dataset = FactorDataset.objects.get()
    assert (dataset.edition, dataset.licence, dataset.kind) == ("v1.1", "by contract", "residual")
    assert dataset.none_published == [["AT", 2025], ["NL", 2025]]
    factor = Factor.objects.get(zone="DE")
    assert (factor.data_year, str(factor.valid_from), str(factor.valid_to)) == (2025, "2026-01-01", "2027-01-01")


@pytest.mark.parametrize(
    "given", [{"valid_from": "2026-01-01"}, {"valid_from": "2026-01-01", "valid_to": "2025-01-01"}]
)
def test_half_a_period_is_refused(officer: Client, organisation: Organisation, given: dict[str, str]) -> None:
    file = SimpleUploadedFile("x.csv", GOOD.encode())
    answer = officer.post(f"/o/{organisation.slug}/factors/import/", {"file": file, **given})
    assert answer.status_code == 200
    assert not FactorImport.unscoped.exists()


def test_a_cancelled_file_imports_nothing(officer: Client, organisation: Organisation) -> None:
    taken = upload(officer, organisation, GOOD)
    services.work(taken.pk)
    officer.post(page(taken, "cancel/"))
    assert not services.work(taken.pk)
    officer.post(page(taken, "confirm/"))
    assert not services.work(taken.pk)
    assert not FactorDataset.objects.exists()


def test_a_killed_workers_file_is_found_and_read_again(officer: Client, organisation: Organisation) -> None:
    taken = upload(officer, organisation, GOOD)
    long_ago = timezone.now() - timedelta(hours=1)
    FactorImport.unscoped.filter(pk=taken.pk).update(state="working", started_at=long_ago, requested_at=long_ago)
    assert services.sweep() == [taken.pk]
    assert services.work(taken.pk)
    taken.refresh_from_db()
    assert taken.state == "review"


def test_a_file_lost_from_the_store_is_told(officer: Client, organisation: Organisation) -> None:
    taken = upload(officer, organisation, GOOD)
    default_storage.delete(taken.file.name)
    services.work(taken.pk)
    assert "Upload it again" in officer.get(page(taken)).content.decode()


def test_only_those_who_manage_the_inventory_import(
    client: Client, organisation: Organisation, make_person: Callable[..., Person]
) -> None:
    client.force_login(make_person("engineer"))
    assert client.get(f"/o/{organisation.slug}/factors/import/").status_code == 403
    assert "factors/import/" not in client.get(f"/o/{organisation.slug}/factors/").content.decode()


def own_dataset(organisation: Organisation, slug: str = "own-mix") -> FactorDataset:
    dataset = FactorDataset.objects.create(
        organisation=organisation,
        slug=slug,
        edition="1",
        kind="location",
        publisher="Grid Secret GmbH",
        title="Mix",
        boundary="direct",
        licence="own",
        digest="0" * 64,
    )
    Factor.objects.create(
        dataset=dataset,
        zone=GridZone.objects.get(pk="DE"),
        data_year=2025,
        valid_from="2025-01-01",
        valid_to="2026-01-01",
        co2e_kg_per_mwh=Decimal("321.5"),
    )
    return dataset


def test_nobody_else_sees_what_an_organisation_brought_in(
    officer: Client,
    organisation: Organisation,
    other_organisation: Organisation,
    make_key: Callable[..., str],
    make_person: Callable[..., Person],
) -> None:
    dataset = own_dataset(organisation)
    taken = upload(officer, organisation, GOOD)
    factor_id = Factor.objects.get(dataset=dataset).pk

    def seen(client: Client, slug: str, key: str) -> list[Any]:
        headers = {"authorization": f"Bearer {key}"}
        return [
            client.get(f"/o/{slug}/factors/own-mix/1/").status_code,
            "Grid Secret" in client.get(f"/o/{slug}/factors/").content.decode(),
            "321.50" in client.get(f"/o/{slug}/factors/", {"zone": "DE"}).content.decode(),
            client.get(f"/api/v1/factors/{factor_id}", headers=headers).status_code,
            len(client.get("/api/v1/factors?zone=DE", headers=headers).json()["results"]),
        ]

    assert seen(officer, organisation.slug, make_key(("read",))) == [200, True, True, 200, 1]
    stranger = Client()
    stranger.force_login(make_person("officer", "o@rival.example", other_organisation))
    key = make_key(("read",), organisation=other_organisation)
    assert seen(stranger, other_organisation.slug, key) == [404, False, False, 404, 0]
    assert stranger.get(f"/o/{other_organisation.slug}/factors/import/{taken.public_id}/").status_code == 404
    assert stranger.get(page(taken)).status_code == 404


def test_two_organisations_may_hold_the_same_edition_and_neither_compares_with_the_others(
    officer: Client, organisation: Organisation, other_organisation: Organisation
) -> None:
    own_dataset(other_organisation)
    taken = upload(officer, organisation, GOOD)
    services.work(taken.pk)
    taken.refresh_from_db()
    assert taken.state == "review"
    assert taken.outcome[0]["comparison"]["previous"] == ""
    officer.post(page(taken, "confirm/"))
    services.work(taken.pk)
    mine = FactorDataset.objects.get(slug="own-mix", organisation=organisation)
    assert mine.supersedes is None


def test_hours_are_fetched_by_the_page_and_the_key_comes_back_nowhere(
    officer: Client, organisation: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"/o/{organisation.slug}/factors/import/fetch/"
    given = {"provider": "electricity_maps", "provider_zone": "DE", "start": "2026-03-01", "end": "2026-03-03"}
    with provider(monkeypatch, "electricity_maps", electricity_maps_answer):
        refused = officer.post(url, {**given, "key": "wrong-key"}).content.decode()
        assert "refused the key" in refused
        assert "wrong-key" not in refused
        answer = officer.post(url, {**given, "key": KEY}, follow=True).content.decode()
    assert "48 hours stored" in answer
    assert KEY not in answer
    assert "private" in answer
    dataset = FactorDataset.objects.get(kind="hourly")
    assert dataset.organisation == organisation
    too_long = officer.post(url, {**given, "end": "2026-09-01", "key": KEY}).content.decode()
    assert "use the command fetch_hourly" in too_long
