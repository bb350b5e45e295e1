"""Sites and their PUE, through the pages that keep them and the API that shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from threading import Barrier

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client

from apps.audit.models import AuditEvent
from apps.core.signals import inputs_changed
from apps.factors.models import GridZone
from apps.organisations.models import Organisation, Person, Role
from apps.sites.models import PuePeriod, Site
from apps.sites.services import create_site, set_pue

pytestmark = pytest.mark.django_db

NEW = {
    "code": "ord2",
    "name": "Chicago",
    "control": "colocation",
    "country": "US",
    "grid_zone": "RFCW",
    "market": "us-il",
    "time_zone": "America/Chicago",
}


@pytest.fixture(autouse=True)
def zones(db: None) -> None:
    for code in ("DE", "US", "NA"):
        GridZone.objects.create(code=code, name=code, type=GridZone.Type.COUNTRY, country=code)
    GridZone.objects.create(code="RFCW", name="RFC West", type=GridZone.Type.SUBREGION, country="US", parent_id="US")


@pytest.fixture
def officer(make_person: Callable[..., Person], client: Client) -> Person:
    person = make_person(Role.OFFICER)
    client.force_login(person)
    return person


@pytest.fixture
def heard() -> Iterator[list[object]]:
    """Whose inputs were announced as changed."""
    calls: list[object] = []

    def listen(organisation_id: int, **_: object) -> None:
        calls.append(organisation_id)

    inputs_changed.connect(listen)
    yield calls
    inputs_changed.disconnect(listen)


def periods(site: Site) -> list[tuple[date, date | None, int]]:
    return list(PuePeriod.unscoped.filter(site=site).values_list("start", "end", "pue_ppm"))


def pue(site: Site, start: str, value: str, end: str | None = None) -> PuePeriod:
    return set_pue(
        site=site,
        start=date.fromisoformat(start),
        end=date.fromisoformat(end) if end else None,
        pue=Decimal(value),
        source="meter",
        actor="test@example.org",
    )


def test_an_officer_adds_a_site_and_the_accounts_hear_of_it(
    officer: Person,
    client: Client,
    organisation: Organisation,
    heard: list[object],
    django_capture_on_commit_callbacks: Callable,
) -> None:
    assert b"No sites yet" in client.get("/o/acme/sites/manage/").content
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post("/o/acme/sites/manage/add/", NEW, follow=True)
    assert b"No PUE yet" in answer.content
    site = Site.objects.of(organisation).get()
    assert (site.code, site.grid_zone, site.market) == ("ord2", "RFCW", "US-IL")
    assert heard == [organisation.pk]
    event = AuditEvent.objects.get()
    assert (event.action, event.actor) == ("site.created", officer.email)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("market", "any where", "Expected the code of a market"),
        ("time_zone", "Mars/Olympus", "IANA time zone"),
        ("grid_zone", "DE", "lies in DE, the site in US"),
        ("code", "manage", "take another code"),
        ("code", "two words", "valid"),
        ("country", "ZZ", "not one of the available choices"),
        ("name", "", "required"),
    ],
)
def test_a_site_that_cannot_be_is_told_at_its_field(
    officer: Person, client: Client, field: str, value: str, words: str
) -> None:
    answer = client.post("/o/acme/sites/manage/add/", {**NEW, field: value})
    assert words in answer.content.decode()
    assert not Site.unscoped.exists()
    assert not AuditEvent.objects.exists()


def test_namibia_is_a_country(organisation: Organisation) -> None:
    place = {**NEW, "country": "NA", "grid_zone": "NA", "market": "NA"}
    assert create_site(organisation=organisation, actor="system", **place).country == "NA"


def test_a_zone_that_does_not_exist_is_refused_by_the_service_too(organisation: Organisation) -> None:
    with pytest.raises(ValidationError, match="Expected the code of a grid zone"):
        create_site(organisation=organisation, actor="system", **{**NEW, "grid_zone": "XX"})


def test_an_edited_site_leaves_before_and_after_and_the_reason(
    officer: Person,
    client: Client,
    site: Site,
    heard: list[object],
    django_capture_on_commit_callbacks: Callable,
) -> None:
    changed = {
        "name": "Frankfurt hall",
        "control": "leased",
        "country": "DE",
        "grid_zone": "DE",
        "market": "DE",
        "time_zone": "Europe/Berlin",
        "reason": "lease signed",
    }
    with django_capture_on_commit_callbacks(execute=True):
        client.post("/o/acme/sites/manage/site/fra1/", changed)
        client.post("/o/acme/sites/manage/site/fra1/", changed)
    event = AuditEvent.objects.get(action="site.updated")
    assert ((event.before or {})["control"], (event.after or {})["control"]) == ("owned", "leased")
    assert event.reason == "lease signed"
    assert len(heard) == 1


def test_a_new_pue_ends_the_open_one(site: Site) -> None:
    pue(site, "2026-01-01", "1.4")
    pue(site, "2026-07-01", "1.25")
    assert periods(site) == [
        (date(2026, 1, 1), date(2026, 7, 1), 1_400_000),
        (date(2026, 7, 1), None, 1_250_000),
    ]
    assert list(AuditEvent.objects.values_list("action", flat=True)) == ["pue.set", "pue.ended", "pue.set"]


def test_the_same_first_day_corrects_the_value(site: Site) -> None:
    pue(site, "2026-01-01", "1.4")
    pue(site, "2026-01-01", "1.31")
    assert periods(site) == [(date(2026, 1, 1), None, 1_310_000)]
    event = AuditEvent.objects.get(action="pue.corrected")
    assert ((event.before or {})["pue_ppm"], (event.after or {})["pue_ppm"]) == (1_400_000, 1_310_000)


@pytest.mark.parametrize(
    ("start", "end"),
    [("2026-03-01", "2026-05-01"), ("2026-03-01", None), ("2026-05-01", None), ("2026-05-01", "2026-06-01")],
)
def test_periods_never_overlap(site: Site, start: str, end: str | None) -> None:
    pue(site, "2026-04-01", "1.4", "2026-07-01")
    before = periods(site)
    with pytest.raises(ValidationError, match="Overlaps the PUE set from 2026-04-01"):
        pue(site, start, "1.2", end)
    assert periods(site) == before


def test_periods_may_touch(site: Site) -> None:
    pue(site, "2026-04-01", "1.4", "2026-07-01")
    pue(site, "2026-01-01", "1.5", "2026-04-01")
    pue(site, "2026-07-01", "1.3")
    assert len(periods(site)) == 3


@pytest.mark.django_db(transaction=True)
def test_of_two_overlapping_periods_set_at_once_one_stands(site: Site) -> None:
    meet = Barrier(2)

    def set_one(start: str) -> bool:
        meet.wait()
        try:
            pue(site, start, "1.3", "2026-06-01")
        except ValidationError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(2) as threads:
        done = list(threads.map(set_one, ["2026-01-01", "2026-02-01"]))
    assert sorted(done) == [False, True]
    assert len(periods(site)) == 1


@pytest.mark.parametrize("value", ["0.99", "5.01", "NaN", "Infinity", "1.2345678", "-1"])
def test_an_absurd_pue_is_refused(site: Site, value: str) -> None:
    with pytest.raises(ValidationError) as error:
        pue(site, "2026-01-01", value)
    assert "pue" in error.value.message_dict
    assert periods(site) == []


def test_an_officer_sets_and_withdraws_a_pue(
    officer: Person,
    client: Client,
    site: Site,
    heard: list[object],
    django_capture_on_commit_callbacks: Callable,
) -> None:
    path = "/o/acme/sites/manage/site/fra1/"
    with django_capture_on_commit_callbacks(execute=True):
        refused = client.post(path + "pue/", {"pue": "0.5", "start": "2026-01-01", "source": "typo"})
        client.post(path + "pue/", {"pue": "1.18", "start": "2026-01-01", "source": "meter M1"})
    assert b"Expected a PUE from 1 to 5" in refused.content
    assert b"1.18" in client.get(path).content
    assert b"meter M1" in client.get("/o/acme/sites/manage/").content
    period = PuePeriod.unscoped.get()
    with django_capture_on_commit_callbacks(execute=True):
        client.post(f"{path}pue/{period.pk}/withdraw/")
    assert periods(site) == []
    assert len(heard) == 2
    withdrawn = AuditEvent.objects.get(action="pue.withdrawn")
    assert (withdrawn.before or {})["pue_ppm"] == 1_180_000


def test_the_api_shows_sites_by_code_with_their_pue(
    client: Client, site: Site, other_organisation: Organisation, make_key: Callable[..., str]
) -> None:
    pue(site, "2026-01-01", "1.25", "2026-07-01")
    create_site(organisation=other_organisation, actor="system", **NEW)
    headers = {"Authorization": f"Bearer {make_key()}"}
    answer = client.get("/api/v1/sites", headers=headers).json()
    assert answer["next"] is None
    assert answer["results"] == [client.get("/api/v1/sites/fra1", headers=headers).json()]
    assert answer["results"][0] == {
        "code": "fra1",
        "name": "Frankfurt hall",
        "control": "owned",
        "scope": 2,
        "country": "DE",
        "grid_zone": "DE",
        "market": "DE",
        "time_zone": "UTC",
        "pue_periods": [{"start": "2026-01-01", "end": "2026-07-01", "pue": 1.25, "source": "meter"}],
    }
    assert client.get("/api/v1/sites/ord2", headers=headers).status_code == 404
