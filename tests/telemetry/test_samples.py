"""``POST /api/v1/samples``: what is stored, and what the answer says."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.test import Client

from apps.core.windows import epoch_hour, epoch_ms
from apps.organisations.models import Organisation, Team
from apps.sites.models import Site
from apps.telemetry.models import (
    Attribution,
    AttributionShare,
    DirtyHour,
    Reading,
    ReadingNote,
    Receipt,
    Source,
    SupersededReading,
    TeamName,
)
from apps.workloads.models import AIModel, HardwareProfile, Kind, Study, Workload
from tests.telemetry.conftest import Post, row

pytestmark = pytest.mark.django_db
HOUR = epoch_hour(datetime(2026, 7, 1, 9, tzinfo=UTC))


def hours() -> list[int]:
    return sorted(set(DirtyHour.objects.values_list("hour", flat=True)))


# --- What is stored ------------------------------------------------------------------------------------------------


def test_a_reading_is_stored_in_microwatt_hours_and_milliseconds(post: Post, organisation: Organisation) -> None:
    answer = post([row(start="2026-07-01T11:00:00.1239+02:00", work={"tokens": 12.0, "epochs": 0.25})]).json()
    assert {**answer, "receipt": ...} == {"receipt": ..., "accepted": 1, "duplicates": 0, "rejected": 0, "errors": []}
    stored = Reading.objects.get()
    assert stored.start_ms == epoch_ms(datetime(2026, 7, 1, 9, tzinfo=UTC)) + 123
    assert stored.energy_microwatt_hours == 12_500_000
    assert (stored.tokens, stored.requests, stored.milli_epochs) == (12, None, 250)
    assert str(stored.receipt.public_id) == answer["receipt"]
    assert hours() == [HOUR]


@pytest.mark.parametrize("path", ["/api/v1/samples", "/api/v1/samples/"])
@pytest.mark.parametrize("wrap", [lambda rows: rows, lambda rows: {"samples": rows}])
def test_both_paths_take_both_shapes(
    client: Client, key: str, path: str, wrap: Callable[[list[object]], object]
) -> None:
    response = client.post(
        path, wrap([row()]), content_type="application/json", headers={"Authorization": f"Bearer {key}"}
    )
    assert (response.status_code, response.json()["accepted"]) == (200, 1)


def test_mean_power_becomes_energy_rounded_half_up(post: Post) -> None:
    # 0.0072 W x 250 ms / 3.6 is exactly half a microwatt-hour
    rows = [
        row(energy_wh=..., power_w=300, end="2026-07-01T09:00:01Z"),
        row(source="b", energy_wh=..., power_w=0.0072, end="2026-07-01T09:00:00.250Z"),
        row(source="c", energy_wh=0.0000025),
        row(source="d", energy_wh=0.0000024999),
    ]
    assert post(rows).json()["accepted"] == 4
    stored = dict(Reading.objects.values_list("source__name", "energy_microwatt_hours"))
    assert stored == {"node-17/gpu0": 83_333, "b": 1, "c": 3, "d": 2}


def test_words_are_interned_once(post: Post, organisation: Organisation, team: Team, site: Site) -> None:
    said = {
        "site": "fra1",
        "team": "VISION",
        "model": "ResNet 50",
        "workload": "sweep",
        "study": "s",
        "kind": "training",
    }
    post([row(**said), row(**said, start="2026-07-01T08:00:00Z"), row(**said, source="other", boundary="facility")])
    post([row(**said, start="2026-07-01T07:00:00Z")])
    assert Attribution.unscoped.count() == 2
    one = Attribution.unscoped.get(source__name="node-17/gpu0")
    assert (one.site, one.team_name.team, one.model.slug, one.kind) == (site, team, "resnet-50", Kind.TRAINING)
    assert (one.get_boundary_display(), one.get_method_display()) == ("accelerator", "measured")
    assert (AIModel.unscoped.count(), Workload.unscoped.count(), Study.unscoped.count()) == (1, 1, 1)
    assert Source.unscoped.get(name="other").site == site


def test_rejected_rows_leave_no_names(post: Post) -> None:
    bad = {"model": "m", "team": "t", "workload": "w"}
    rows = [row(), row(**bad, source="b", end="2026-07-01T08:00:00Z"), row(**bad, source="c", site="nowhere")]
    assert post(rows).json()["rejected"] == 2
    assert list(Source.unscoped.values_list("name", flat=True)) == ["node-17/gpu0"]
    assert not AIModel.unscoped.exists()
    assert not TeamName.unscoped.exists()
    assert not Workload.unscoped.exists()


def test_models_whose_slugs_would_clash_are_kept_apart(post: Post) -> None:
    post([row(model="GPT 4"), row(source="b", model="gpt-4"), row(source="c", model="???"), row(source="d", model="!")])
    assert set(AIModel.unscoped.values_list("name", flat=True)) == {"GPT 4", "gpt-4", "???", "!"}
    assert len(set(AIModel.unscoped.values_list("slug", flat=True))) == 4


def test_an_unknown_team_is_kept_unassigned(post: Post, team: Team) -> None:
    assert post([row(team="quantum"), row(source="b", team="Vision")]).json()["accepted"] == 2
    assert dict(TeamName.unscoped.values_list("name", "team__slug")) == {"quantum": None, "Vision": "vision"}


def test_a_team_bound_key_speaks_for_its_team(post: Post, make_key: Callable[..., str], team: Team) -> None:
    bound = make_key(team=team)
    rows = [
        row(),
        row(source="b", team="Vision"),
        row(source="c", team="audio"),
        row(source="d", shares=[{"team": "x"}]),
    ]
    answer = post(rows, key=bound).json()
    assert (answer["accepted"], answer["rejected"]) == (2, 2)
    assert [(e["index"], e["field"], e["got"]) for e in answer["errors"]] == [
        (2, "team", "audio"),
        (3, "shares[0].team", "x"),
    ]
    assert "vision" in answer["errors"][0]["expected"]
    assert set(Attribution.unscoped.values_list("team_name__team__slug", flat=True)) == {"vision"}
    assert not TeamName.unscoped.filter(name="audio").exists()


def test_the_site_is_the_readings_else_the_sources_else_the_keys(
    post: Post, make_key: Callable[..., str], organisation: Organisation, site: Site
) -> None:
    other = Site.unscoped.create(
        organisation=organisation, code="iad2", name="I", control="cloud", country="US", grid_zone="US", market="US"
    )
    Source.unscoped.create(organisation=organisation, name="known", site=other)
    with_site = make_key(site_code="fra1")
    post([row(source="known"), row(source="new"), row(source="named", site="iad2")], key=with_site)
    post([row(source="nowhere")])
    found = dict(Attribution.unscoped.values_list("source__name", "site__code"))
    assert found == {"known": "iad2", "new": "fra1", "named": "iad2", "nowhere": None}


def test_shares_are_normalised_and_inherit(post: Post, team: Team) -> None:
    post(
        [row(team="vision", model="m", shares=[{"weight": 1}, {"team": "b", "weight": 1}, {"model": "x", "weight": 1}])]
    )
    shares = AttributionShare.objects.order_by("position").values_list("team_name__name", "model__name", "weight_ppm")
    assert [(team, model) for team, model, _ in shares] == [("vision", "m"), ("b", "m"), ("vision", "x")]
    assert sum(weight for *_, weight in shares) == 1_000_000


def test_notes_are_kept_beside_the_reading(post: Post) -> None:
    post([row(external_id="job-1", tags={"zone": "a", "n": 1}), row(source="b")])
    note = ReadingNote.objects.get()
    assert (note.external_id, note.tags) == ("job-1", {"zone": "a", "n": 1})


def test_an_interval_marks_every_hour_it_reaches_into(post: Post) -> None:
    post(
        [
            row(end="2026-07-01T12:00:00Z"),
            row(source="b", start="2026-07-01T20:59:59.999Z", end="2026-07-01T21:00:00.001Z"),
        ]
    )
    assert hours() == [HOUR, HOUR + 1, HOUR + 2, HOUR + 11, HOUR + 12]


def test_old_readings_are_welcome(post: Post) -> None:
    assert (
        post(
            [
                row(start="1999-12-31T23:00:00Z", end="2000-01-01T01:00:00Z"),
                row(start="2014-12-31T23:00:00Z", end="2015-01-01T01:00:00Z"),
                row(),
            ]
        ).json()["accepted"]
        == 3
    )
    assert Reading.objects.count() == 3


def test_a_source_knows_its_first_and_last_reading(post: Post) -> None:
    post([row(), row(start="2026-07-01T06:00:00Z", end="2026-07-01T06:30:00Z")])
    source = Source.unscoped.get()
    assert source.first_reading_at == datetime(2026, 7, 1, 6, tzinfo=UTC)
    assert source.last_reading_at == datetime(2026, 7, 1, 9, 30, tzinfo=UTC)


# --- Other shapes of a body ----------------------------------------------------------------------------------------


def test_ndjson_keeps_good_lines_when_others_are_no_json(post: Post) -> None:
    body = "\n".join([json.dumps(row()), "", "{broken", json.dumps(row(source="b"))]).encode()
    answer = post(body, media="application/x-ndjson").json()
    assert (answer["accepted"], answer["rejected"]) == (2, 1)
    assert (answer["errors"][0]["index"], answer["errors"][0]["got"]) == (1, "{broken")


def test_csv_says_the_same_as_json(post: Post, site: Site) -> None:
    csv = (
        "\ufeffsource,start,end,energy_wh,power_w,site,kind,work.tokens,requests,tags.rack,accelerators\n"
        "a,2026-07-01T09:00:00Z,2026-07-01T09:30:00Z,12.5,,fra1,training,100,2.0,r7,8\n"
        "b,2026-07-01T09:00:00Z,2026-07-01T10:00:00Z,,100,,,,,,\n"
        'c,2026-07-01T09:00:00Z,2026-07-01T10:00:00Z,"1,5",,,,,,,\n'
        "d,2026-07-01T09:00:00Z\n"
    )
    answer = post(csv.encode(), media="text/csv; charset=UTF-8").json()
    assert (answer["accepted"], answer["rejected"]) == (2, 2)
    assert [(e["index"], e["field"], e["got"]) for e in answer["errors"]] == [
        (2, "energy_wh", "1,5"),
        (3, "", "2 cells"),
    ]
    first, second = Reading.objects.order_by("source__name")
    assert (first.tokens, first.requests, first.energy_microwatt_hours) == (100, 2, 12_500_000)
    assert second.energy_microwatt_hours == 100_000_000
    assert ReadingNote.objects.get().tags == {"rack": "r7"}


def test_gzip_is_unpacked_in_several_members(post: Post) -> None:
    text = json.dumps([row()]).encode()
    packed = gzip.compress(text[:20]) + gzip.compress(text[20:])
    assert post(packed, Content_Encoding="gzip").json()["accepted"] == 1


# --- Repeats, conflicts, trials ------------------------------------------------------------------------------------


def test_the_same_again_is_a_duplicate(post: Post) -> None:
    post([row()])
    DirtyHour.objects.all().delete()
    answer = post([row(), row(), row(source="b"), row(source="b")]).json()
    assert (answer["accepted"], answer["duplicates"], answer["rejected"]) == (1, 3, 0)
    assert Reading.objects.count() == 2
    assert post([row()]).status_code == 200
    assert Receipt.unscoped.get(public_id=answer["receipt"]).duplicates == 3


def test_a_repeat_alone_marks_nothing(post: Post) -> None:
    post([row()])
    DirtyHour.objects.all().delete()
    post([row()])
    assert hours() == []


def test_another_energy_is_a_conflict_that_names_what_is_stored(post: Post) -> None:
    post([row()])
    answer = post([row(energy_wh=13), row(source="b")]).json()
    assert (answer["accepted"], answer["rejected"]) == (1, 1)
    error = answer["errors"][0]
    assert (error["index"], error["field"], error["got"]) == (0, "energy_wh", 13.0)
    assert "12.5 Wh" in error["expected"]
    assert "replace=true" in error["expected"]
    assert Reading.objects.get(source__name="node-17/gpu0").energy_microwatt_hours == 12_500_000


def test_one_body_may_not_contradict_itself(post: Post) -> None:
    answer = post([row(), row(energy_wh=13)]).json()
    assert (answer["accepted"], answer["rejected"], answer["errors"][0]["index"]) == (1, 1, 1)
    assert "row 0" in answer["errors"][0]["expected"]


def test_replace_keeps_the_old_row_in_the_history(post: Post, team: Team) -> None:
    first = post([row(work={"tokens": 5}), row(source="b")]).json()["receipt"]
    DirtyHour.objects.all().delete()
    answer = post([row(energy_wh=13), row(source="b")], "?replace=true").json()
    assert (answer["accepted"], answer["duplicates"]) == (1, 1)
    now, old = Reading.objects.get(source__name="node-17/gpu0"), SupersededReading.objects.get()
    assert (now.energy_microwatt_hours, now.tokens, str(now.receipt.public_id)) == (13_000_000, None, answer["receipt"])
    assert (old.energy_microwatt_hours, old.tokens, str(old.receipt.public_id)) == (12_500_000, 5, first)
    assert str(old.replaced_by.public_id) == answer["receipt"]
    assert hours() == [HOUR]


def test_replace_also_corrects_the_words(post: Post, team: Team) -> None:
    post([row(team="wrong")])
    assert post([row(team="vision")]).json()["duplicates"] == 1
    assert post([row(team="vision")], "?replace=true").json()["accepted"] == 1
    assert Reading.objects.get().attribution.team_name.team == team


def test_a_dry_run_says_the_same_and_stores_nothing(post: Post) -> None:
    post([row()])
    before = (Receipt.unscoped.count(), DirtyHour.objects.count())
    rows = [row(), row(energy_wh=9), row(source="b", model="new", team="new"), row(start="x")]
    answer = post(rows, "?dry_run=true", Idempotency_Key="k").json()
    assert answer["receipt"] is None
    assert (answer["accepted"], answer["duplicates"], answer["rejected"]) == (1, 1, 2)
    assert Reading.objects.count() == 1
    assert not AIModel.unscoped.exists()
    assert not TeamName.unscoped.exists()
    assert Source.unscoped.count() == 1
    assert (Receipt.unscoped.count(), DirtyHour.objects.count()) == before


def test_an_idempotency_key_returns_the_first_answer_byte_for_byte(post: Post) -> None:
    first = post([row(), row(start="x")], Idempotency_Key="batch-1")
    again = post([row(), row(start="x")], Idempotency_Key="batch-1")
    assert (again.status_code, again.content) == (200, first.content)
    assert Receipt.unscoped.count() == 1
    other = post([row(source="b")], Idempotency_Key="batch-1")
    assert other.status_code == 422
    assert "another body" in other.json()["detail"]
    assert Reading.objects.count() == 1


def test_a_rejected_request_is_remembered_too(post: Post) -> None:
    first = post([row(start="x")], Idempotency_Key="batch-1")
    again = post([row(start="x")], Idempotency_Key="batch-1")
    assert (first.status_code, again.status_code, again.content) == (422, 422, first.content)
    assert again["Content-Type"] == "application/problem+json"


def test_an_idempotency_key_is_the_organisations_own(
    post: Post, make_key: Callable[..., str], other_organisation: Organisation
) -> None:
    post([row()], Idempotency_Key="k")
    answer = post([row(energy_wh=1)], Idempotency_Key="k", key=make_key(organisation=other_organisation))
    assert answer.json()["accepted"] == 1
    assert Reading.objects.filter(organisation=other_organisation).count() == 1


def test_a_hardware_profile_is_named_by_its_id(post: Post) -> None:
    HardwareProfile.objects.create(
        code="nvidia-a100", name="A100", vendor="NVIDIA", kind="GPU", scope="one", source_title="t", licence="l"
    )
    answer = post([row(hardware="nvidia-a100", accelerators=8), row(source="b", hardware="nvidia-a10")]).json()
    assert (answer["accepted"], answer["errors"][0]["field"]) == (1, "hardware")
    assert "nvidia-a100" in answer["errors"][0]["expected"]
