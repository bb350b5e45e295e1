"""Hours from providers, asked of a server on loopback.

Its answers have the shape that the providers' documentation publishes (Electricity Maps API v3 ``past-range``, NESO
Carbon Intensity API ``/intensity/{from}/{to}``); the values are made up.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.management import CommandError, call_command

from apps.audit.models import AuditEvent
from apps.core.windows import epoch_hour
from apps.factors import queries
from apps.factors.fetching import fetch_hours
from apps.factors.models import FactorDataset, HourlyFactor
from apps.factors.providers import PROVIDERS, ElectricityMaps, Neso
from apps.factors.providers.base import IntensityInterval, ProviderError, hourly_table
from apps.organisations.models import Organisation
from tests.factors.provider_server import provider

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
KEY = "a-key-that-must-not-be-kept"


def electricity_maps_answer(path: str, headers: dict[str, str], **changed: Any) -> tuple[int, Any]:
    if headers.get("auth-token") != KEY:
        return 401, {"error": "Invalid auth-token"}
    query = parse_qs(urlsplit(path).query)
    at, end = (datetime.fromisoformat(query[name][0]) for name in ("start", "end"))
    rows = []
    while at < end:
        row = {
            "zone": query["zone"][0],
            "carbonIntensity": 300 + at.hour,
            "datetime": at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "updatedAt": "2026-03-20T08:41:25.000Z",
            "createdAt": "2026-03-05T06:20:31.000Z",
            "emissionFactorType": query["emissionFactorType"][0],
            "isEstimated": at.hour == 5,
            "estimationMethod": "TIME_SLICER_AVERAGE" if at.hour == 5 else None,
        }
        rows.append(row | changed)
        at += timedelta(hours=1)
    return 200, {"zone": query["zone"][0], "temporalGranularity": "hourly", "data": rows}


def neso_answer(path: str, headers: dict[str, str]) -> tuple[int, Any]:
    """The half hour before the first comes along, as the API does; actual values are null from 22:30 on."""
    first, last = (datetime.fromisoformat(text) for text in path.split("/")[2:4])
    rows = []
    at = first - timedelta(minutes=30)
    while at < last:
        actual = None if (at.hour, at.minute) >= (22, 30) else 100 + at.minute
        until = at + timedelta(minutes=30)
        rows.append(
            {
                "from": at.strftime("%Y-%m-%dT%H:%MZ"),
                "to": until.strftime("%Y-%m-%dT%H:%MZ"),
                "intensity": {"forecast": 200, "actual": actual, "index": "moderate"},
            }
        )
        at = until
    return 200, {"data": rows}


def test_electricity_maps_is_asked_for_direct_hours_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    with provider(monkeypatch, "electricity_maps", electricity_maps_answer) as server:
        intervals = ElectricityMaps(KEY).intensity("DE", START, START + 15 * DAY)
    assert len(intervals) == 15 * 24
    assert [one.start for one in intervals] == [START + timedelta(hours=n) for n in range(15 * 24)]
    first = intervals[0]
    assert (first.g_per_kwh, first.kind, first.basis, first.perimeter) == (300, "average", "direct", "consumption")
    assert [one.estimated for one in intervals[:7]] == [False] * 5 + [True, False]
    assert len(first.raw_hash) == 64
    assert intervals[0].raw_hash != intervals[-1].raw_hash
    assert len(server.requests) == 2  # ten days a call at most
    assert all(KEY not in path for path, _ in server.requests)


def test_neso_half_hours_become_hours_and_a_forecast_is_called_an_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    with provider(monkeypatch, "neso", neso_answer) as server:
        intervals = Neso().intensity("GB", START, START + 20 * DAY)
    assert len(intervals) == 20 * 48
    assert intervals[0].start == START
    assert len(server.requests) == 2
    table = hourly_table(Neso, intervals, zone="GB", provider_zone="GB")
    assert table.values[0] == 115_000_000  # the mean of 100 and 130
    assert table.values[22] == 150_000_000  # the mean of an actual 100 and a forecast 200
    assert table.estimated[21:24] == [False, True, True]
    assert table.facts["boundary"] == "direct"


@pytest.mark.parametrize(
    ("status", "content", "complaint"),
    [
        (401, {}, "refused the key"),
        (403, {}, "refused the key"),
        (429, {}, "limit of requests is reached"),
        (404, {}, "knows no such zone"),
        (503, {}, "has a fault of its own"),
        (302, {}, "refused the request"),
        (200, b"<html>", "not JSON"),
        (200, {"unexpected": 1}, "no list `data`"),
        (200, {"data": [{"carbonIntensity": 5}]}, "an hour without `datetime`"),
    ],
)
def test_a_failure_is_told_in_words_without_the_key(
    monkeypatch: pytest.MonkeyPatch, status: int, content: Any, complaint: str
) -> None:
    with (
        provider(monkeypatch, "electricity_maps", lambda path, headers: (status, content)) as server,
        pytest.raises(ProviderError, match=complaint) as caught,
    ):
        ElectricityMaps(KEY).intensity("DE", START, START + DAY)
    assert KEY not in str(caught.value)
    assert len(server.requests) == 1  # a redirect would carry the key elsewhere


def test_a_provider_that_cannot_be_reached_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with provider(monkeypatch, "neso", neso_answer):
        pass
    with pytest.raises(ProviderError, match="cannot be reached"):
        Neso().intensity("GB", START, START + DAY)


def test_a_key_is_asked_for_and_other_zones_are_refused() -> None:
    with pytest.raises(ProviderError, match="only with a key"):
        ElectricityMaps()
    with pytest.raises(ProviderError, match="knows GB only"):
        Neso().intensity("DE", START, START + DAY)


def interval(minutes: int, length: int = 30, **changed: Any) -> IntensityInterval:
    start = START + timedelta(minutes=minutes)
    values: dict[str, Any] = {
        "start": start,
        "end": start + timedelta(minutes=length),
        "g_per_kwh": Decimal(100 + minutes),
        "kind": "average",
        "basis": "direct",
        "perimeter": "consumption",
        "estimated": False,
        "provider": "neso",
        "retrieved_at": START + 30 * DAY,
        "raw_hash": "0" * 64,
    }
    return IntensityInterval(**{**values, **changed})


def test_marginal_intensities_are_refused() -> None:
    with pytest.raises(ProviderError, match="marginal intensities"):
        hourly_table(Neso, [interval(0, kind="marginal")], zone="GB", provider_zone="GB")


def test_direct_and_life_cycle_are_not_mixed() -> None:
    mixed = [interval(0), interval(30, basis="life_cycle")]
    with pytest.raises(ProviderError, match="mixed direct and life-cycle"):
        hourly_table(Neso, mixed, zone="GB", provider_zone="GB")


def test_an_hour_that_is_not_covered_whole_is_left_out() -> None:
    intervals = [interval(0), interval(30), interval(60), interval(150)]
    table = hourly_table(Neso, intervals, zone="GB", provider_zone="GB")
    assert table.hours == [epoch_hour(START)]
    with pytest.raises(ProviderError, match="no whole hour"):
        hourly_table(Neso, intervals[2:], zone="GB", provider_zone="GB")


def fetch(organisation: Organisation | None, **changed: Any) -> Any:
    given: dict[str, Any] = {
        "provider": "electricity_maps",
        "provider_zone": "DE",
        "start": START,
        "end": START + DAY,
        "key": KEY,
        "actor": "officer@example.org",
        "organisation_id": organisation.pk if organisation else None,
    }
    return fetch_hours(**{**given, **changed})


@pytest.mark.usefixtures("grid_zones")
def test_fetched_hours_are_the_organisations_own_and_the_key_is_kept_nowhere(
    monkeypatch: pytest.MonkeyPatch,
    organisation: Organisation,
    other_organisation: Organisation,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    with provider(monkeypatch, "electricity_maps", electricity_maps_answer):
        result = fetch(organisation)
    dataset = result.dataset
    assert (result.added, dataset.organisation, dataset.kind) == (24, organisation, "hourly")
    assert "electricity_maps at 20" in dataset.retrieved_via
    assert "SHA-256 of the answers" in dataset.retrieved_via
    first = epoch_hour(START)
    series = queries.hourly_series("hourly", "DE", first, first + 24, organisation.pk)
    assert series.value.tolist() == [(300 + n) * 1_000_000 for n in range(24)]
    assert series.hour.tolist() == list(range(first, first + 24))
    assert series.is_estimated.tolist() == [n == 5 for n in range(24)]
    assert not len(queries.hourly_series("hourly", "DE", first, first + 24, other_organisation.pk).hour)
    kept = [str(row) for model in (FactorDataset, AuditEvent) for row in model.objects.values()]
    assert not [row for row in kept if KEY in row]
    assert KEY not in caplog.text


@pytest.mark.usefixtures("grid_zones")
def test_a_revision_is_a_new_edition_and_its_hours_win(
    monkeypatch: pytest.MonkeyPatch, organisation: Organisation
) -> None:
    with provider(monkeypatch, "electricity_maps", electricity_maps_answer):
        old = fetch(organisation)
    FactorDataset.objects.filter(pk=old.dataset.pk).update(edition="earlier")

    def revised(path: str, headers: dict[str, str]) -> tuple[int, Any]:
        return electricity_maps_answer(path, headers, carbonIntensity=250)

    with provider(monkeypatch, "electricity_maps", revised):
        new = fetch(organisation, end=START + timedelta(hours=6))
    assert new.superseded == old.dataset
    assert (new.comparison.changed_count, new.comparison.added_count) == (6, 0)
    first = epoch_hour(START)
    series = queries.hourly_series("hourly", "DE", first, first + 24, organisation.pk)
    assert series.value.tolist()[4:8] == [250_000_000, 250_000_000, 306_000_000, 307_000_000]
    assert HourlyFactor.objects.count() == 30  # what was answered before stays


@pytest.mark.usefixtures("grid_zones")
def test_the_command_fetches_for_an_organisation(monkeypatch: pytest.MonkeyPatch, organisation: Organisation) -> None:
    monkeypatch.setenv("ELECTRICITY_MAPS_API_KEY", KEY)
    arguments = ["--provider", "electricity_maps", "--zone", "DE", "--from", "2026-03-01", "--to", "2026-03-03"]
    with provider(monkeypatch, "electricity_maps", electricity_maps_answer):
        with pytest.raises(CommandError, match="name the organisation"):
            call_command("fetch_hourly", *arguments)
        out = StringIO()
        call_command("fetch_hourly", *arguments, "--organisation", organisation.slug, stdout=out)
    assert "48 hours added" in out.getvalue()
    assert KEY not in out.getvalue()


@pytest.mark.usefixtures("grid_zones")
@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"provider": "watttime"}, "No provider 'watttime'"),
        ({"provider_zone": "DE-X"}, "is no grid zone of the portal"),
        ({"end": START}, "must begin in the past and end after it begins"),
        ({"start": datetime(2999, 1, 1, tzinfo=UTC), "end": datetime(2999, 1, 2, tzinfo=UTC)}, "begin in the past"),
    ],
)
def test_a_wrong_question_is_not_asked(changed: dict[str, Any], complaint: str, organisation: Organisation) -> None:
    with pytest.raises(ProviderError, match=complaint):
        fetch(organisation, **changed)
    assert not FactorDataset.objects.exists()


def test_every_provider_states_its_terms() -> None:
    for name, one in PROVIDERS.items():
        assert one.name == name
        assert one.licence
        assert one.base_url.startswith("https://")
