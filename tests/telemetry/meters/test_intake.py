"""Meter readings in: stored once as they come, named by rules, refused with reasons."""

from __future__ import annotations

import math
import time
import uuid
from dataclasses import replace

import pytest
from django.test import Client
from django.utils import timezone

from apps.organisations.models import Organisation, Team
from apps.sites.models import Site
from apps.telemetry import intake as intervals
from apps.telemetry.batch import Place, SampleBatch
from apps.telemetry.intake import IntakeContext, OtherBodyError
from apps.telemetry.meters import intake
from apps.telemetry.meters.batch import DEVICE_COUNTER, DEVICE_GAUGE
from apps.telemetry.models import (
    Attribution,
    AttributionRule,
    Meter,
    MeterKind,
    MeterReading,
    Quantity,
    Reading,
    Receipt,
    Series,
    Source,
    TeamName,
)
from apps.telemetry.protocols import samples
from tests.telemetry.conftest import Post, row
from tests.telemetry.meters.sending import HALF_PAST, HOUR, NINE, batch_of, counter, marked, stored

pytestmark = pytest.mark.django_db


@pytest.fixture
def context(organisation: Organisation) -> IntakeContext:
    return IntakeContext(organisation.pk)


def test_a_reading_is_stored_with_all_that_it_needs(context: IntakeContext) -> None:
    answer = intake.store(batch_of((counter(), HALF_PAST, 5.5), ignored=3), context)
    assert (answer.accepted, answer.ignored, answer.rejected) == (1, 3, 0)
    assert stored() == [(HALF_PAST, 5.5)]
    source = Source.unscoped.get()
    assert (source.name, source.device, source.precedence) == ("GPU-1", "GPU-1", DEVICE_COUNTER)
    assert (source.within, source.door) == ("node-1", "prometheus")
    meter = Meter.unscoped.get()
    assert (meter.name, meter.unit, meter.kind, meter.source) == ("energy GPU-1", "mJ", MeterKind.COUNTER, source)
    series = Series.unscoped.get()
    assert (series.labels, series.said) == ({"UUID": "GPU-1"}, {"source": "GPU-1", "boundary": "accelerator"})
    assert series.first_at == series.last_at == source.last_reading_at
    receipt = Receipt.unscoped.get(public_id=answer.receipt)
    assert (receipt.protocol, receipt.accepted, receipt.ignored) == ("prometheus", 1, 3)
    assert marked() == [0]


def test_readings_that_come_again_are_duplicates_and_other_values_conflicts(context: IntakeContext) -> None:
    first = batch_of(*((counter(f"GPU-{i % 3}"), NINE + 15_000 * i, float(i)) for i in range(300)))
    assert intake.store(first, context).accepted == 300
    marked()
    answer = intake.store(first, context)
    assert (answer.accepted, answer.duplicates, answer.conflicts, marked()) == (0, 300, 0, [])
    assert sorted(Source.unscoped.values_list("duplicates", "conflicts")) == [(100, 0)] * 3

    other = batch_of((counter("GPU-0"), NINE, 7.0), (counter("GPU-0"), NINE + 1, 8.0), (counter("GPU-1"), NINE, 9.0))
    answer = intake.store(other, context)
    assert (answer.accepted, answer.duplicates, answer.conflicts, answer.rejected) == (2, 0, 1, 1)
    (error,) = answer.errors
    assert (error.index, error.field, error.got) == (0, "value", 7.0)
    assert error.expected == "0 mJ, which is stored for energy GPU-0 at 2026-07-01T09:00:00Z; the first value stays"
    assert (NINE, 0.0) in stored()
    assert (NINE, 7.0) not in stored()
    assert Source.unscoped.get(name="GPU-0").conflicts == 1
    receipt = Receipt.unscoped.get(public_id=answer.receipt)
    assert (receipt.accepted, receipt.rejected, receipt.errors) == (2, 1, [error.as_dict()])


def test_one_body_may_say_the_same_twice_but_not_another_value(context: IntakeContext) -> None:
    one = counter()
    answer = intake.store(
        batch_of((one, NINE + 9, 3.0), (one, NINE, 1.0), (one, NINE, 1.0), (one, NINE, 2.0), (one, NINE + 9, 3.0)),
        context,
    )
    assert (answer.accepted, answer.duplicates, answer.conflicts) == (2, 2, 1)
    assert [error.index for error in answer.errors] == [3]
    assert stored() == [(NINE, 1.0), (NINE + 9, 3.0)]
    assert list(Source.unscoped.values_list("duplicates", "conflicts")) == [(2, 1)]


@pytest.mark.parametrize("rows", [1, 300])  # PostgreSQL stores few and many by different ways
def test_the_end_of_a_series_is_kept_and_comes_again_as_a_duplicate(context: IntakeContext, rows: int) -> None:
    batch = batch_of(*((counter(f"GPU-{i}"), NINE, math.nan) for i in range(rows)))
    assert intake.store(batch, context).accepted == rows
    answer = intake.store(batch, context)
    assert (answer.duplicates, answer.conflicts) == (rows, 0)
    assert stored() == [(NINE, None)] * rows
    assert intake.store(batch_of((counter("GPU-0"), NINE, 1.0)), context).conflicts == 1


def test_what_is_no_reading_is_refused_or_ignored_and_the_rest_kept(context: IntakeContext) -> None:
    ahead, one = int(time.time() * 1000) + 700_000, counter()
    answer = intake.store(
        batch_of(
            (one, -1, 1.0),
            (one, ahead, 1.0),
            (one, NINE, -0.5),
            (one, NINE + 1, math.inf),
            (one, NINE + 2, 9_223_372_036_854_775_794.0),  # DCGM: no value
            (one, NINE + 3, 4.0),
            (counter(meter={"unit": "kWh", "name": "other"}), NINE + 4, 1e10),
        ),
        context,
    )
    assert (answer.accepted, answer.rejected, answer.ignored) == (1, 5, 1)
    said = [(error.index, error.field) for error in answer.errors]
    assert said == [(0, "time"), (1, "time"), (2, "value"), (3, "value"), (6, "value")]
    assert answer.errors[3].got == "Infinity"
    assert answer.errors[4].expected == "less than 4e+09 kWh"
    assert stored() == [(NINE + 3, 4.0)]
    assert [meter.name for meter in Meter.unscoped.all()] == ["energy GPU-1"]


def test_any_age_is_taken(context: IntakeContext) -> None:
    moments = [0, 86_400_000 * 365, NINE]
    assert intake.store(batch_of(*((counter(), at, 1.0) for at in moments)), context).accepted == 3
    assert [at for at, _ in stored()] == moments


def test_a_batch_of_nothing_leaves_a_receipt(context: IntakeContext) -> None:
    answer = intake.store(batch_of(ignored=12), context)
    assert Receipt.unscoped.get(public_id=answer.receipt).ignored == 12


def test_an_idempotency_key_gives_the_first_answer_again(context: IntakeContext) -> None:
    first = replace(context, idempotency_key="k", body_digest="a")
    assert intake.remembered(first) is None
    answer = intake.store(batch_of((counter(), NINE, 1.0), (counter(), NINE, 2.0)), first)
    assert intake.remembered(first) == answer
    assert intake.store(batch_of((counter(), NINE, 1.0), (counter(), NINE, 2.0)), first) == answer
    with pytest.raises(OtherBodyError):
        intake.store(batch_of((counter(), NINE, 1.0)), replace(first, body_digest="b"))


def test_a_dry_run_says_the_same_and_stores_nothing(context: IntakeContext) -> None:
    answer = intake.store(batch_of((counter(), NINE, 1.0)), replace(context, dry_run=True))
    assert (answer.receipt, answer.accepted) == (None, 1)
    assert stored() == []
    assert not Source.unscoped.exists()
    assert not Receipt.unscoped.exists()


def test_batches_of_one_receipt_are_added_up(context: IntakeContext) -> None:
    receipt = Receipt.unscoped.create(
        organisation_id=context.organisation_id,
        public_id=uuid.uuid4(),
        protocol="upload",
        received_at=timezone.now(),
        accepted=0,
        duplicates=0,
        rejected=0,
        is_pending=True,
    )
    into = replace(context, receipt_id=receipt.pk)
    intake.store(batch_of((counter(), NINE, 1.0), (counter(), NINE + 1, 2.0), ignored=1), into)
    answer = intake.store(
        batch_of((counter(), NINE + 1, 2.0), (counter(), NINE, 5.0), (counter(), NINE + 2, 3.0)), into
    )
    assert (answer.receipt, answer.accepted, answer.duplicates, answer.conflicts) == (receipt.public_id, 1, 1, 1)
    body = b'[{"source": "s", "start": "2026-07-01T09:00:00Z", "end": "2026-07-01T10:00:00Z", "energy_wh": %d}]'
    for energy in (1, 1, 2):
        batch = samples.decode(body % energy, samples.JSON, now_ms=int(time.time() * 1000), max_rows=9)
        intervals.store(batch, into)
    receipt.refresh_from_db()
    assert (receipt.accepted, receipt.duplicates, receipt.rejected, receipt.ignored) == (4, 2, 2, 1)
    assert (len(receipt.errors), receipt.is_pending, Receipt.unscoped.count()) == (2, True, 1)


def test_two_things_of_one_name_get_two_sources(context: IntakeContext) -> None:
    gauge = {"name": "power GPU-1", "metric": "power", "kind": MeterKind.GAUGE, "unit": "W"}
    gauge["place"] = Place("GPU-1", DEVICE_GAUGE)
    intake.store(batch_of((counter(meter=gauge), NINE, 300.0), (counter(), NINE, 1.0)), context)
    intake.store(batch_of((counter(job="x"), NINE, 1.0), door="otlp"), context)
    hw = {"name": "hw.energy GPU-1", "metric": "hw.energy"}
    intake.store(batch_of((counter(meter=hw), NINE, 1.0), door="otlp"), context)
    found = dict(Source.unscoped.values_list("name", "precedence"))
    assert found == {
        "GPU-1": DEVICE_COUNTER,  # what measures best has the plain name, though it came second
        "GPU-1 (prometheus power)": DEVICE_GAUGE,
        "GPU-1 (otlp hw.energy)": DEVICE_COUNTER,
    }
    assert Series.unscoped.filter(meter__name="energy GPU-1").count() == 2


def test_one_thing_may_have_several_meters(context: IntakeContext) -> None:
    series = [
        counter("vllm/llama", meter={"name": name, "metric": name, "unit": "1", "quantity": quantity})
        for name, quantity in (("prompt", Quantity.TOKENS), ("generated", Quantity.TOKENS), ("done", Quantity.REQUESTS))
    ]
    intake.store(batch_of(*((one, NINE, 1.0) for one in series)), context)
    assert Meter.unscoped.filter(source=Source.unscoped.get()).count() == 3


def test_a_meter_that_changes_its_kind_is_another_meter(context: IntakeContext) -> None:
    intake.store(batch_of((counter(), NINE, 1.0)), context)
    intake.store(batch_of((counter(meter={"kind": MeterKind.DELTA}), NINE + 1, 1.0)), context)
    names = {"energy GPU-1", "energy GPU-1 (delta, mJ)"}
    assert set(Meter.unscoped.values_list("name", flat=True)) == names
    assert Source.unscoped.count() == 1


def test_a_name_that_intervals_are_sent_of_is_not_taken(context: IntakeContext, post: Post) -> None:
    assert post([row(source="GPU-1")]).status_code == 200
    intake.store(batch_of((counter(), NINE, 1.0)), context)
    assert Meter.unscoped.get().source.name == "GPU-1 (prometheus energy)"
    assert post([row(source="GPU-1", start="2026-07-01T08:00:00Z")]).json()["accepted"] == 1


def test_intervals_of_a_metered_source_are_faults_of_their_rows(context: IntakeContext, post: Post) -> None:
    intake.store(batch_of((counter(), NINE, 1.0)), context)
    answer = post([row(source="GPU-1"), row(source="other")]).json()
    assert answer["accepted"] == 1
    (error,) = answer["errors"]
    assert (error["index"], error["field"], error["got"]) == (0, "source", "GPU-1")
    assert error["expected"] == "another name: GPU-1 is read from its meter"


def test_files_give_their_sources_a_place_and_a_name_of_their_own(context: IntakeContext, post: Post) -> None:
    post([row(source="node-2")])
    body = b"".join(
        b'{"source": "%s", "start": "2026-07-01T09:00:00Z", "end": "2026-07-01T10:00:00Z", "energy_wh": 1}\n' % name
        for name in (b"node-1", b"node-2")
    )
    batch: SampleBatch = samples.decode(body, samples.NDJSON, now_ms=int(time.time() * 1000), max_rows=9)
    places = {"node-1": Place("node-1", 200), "node-2": Place("node-2", 200, "rack-1")}
    assert b'"accepted":2' in intervals.store(replace(batch, protocol="slurm", places=places), context).body
    found = dict(Source.unscoped.values_list("name", "door"))
    assert found == {"node-2": "samples", "node-1": "slurm", "node-2 (slurm)": "slurm"}
    other = Source.unscoped.get(name="node-2 (slurm)")
    assert (other.device, other.precedence, other.within) == ("node-2", 200, "rack-1")
    assert b'"duplicates":2' in intervals.store(replace(batch, protocol="slurm", places=places), context).body
    assert Reading.objects.count() == 3


def test_rules_say_whose_a_series_is_and_sites_that_nobody_knows_are_left_out(
    context: IntakeContext, site: Site, team: Team
) -> None:
    for position, (label, target) in enumerate([("ns", "team"), ("llm", "model"), ("dc", "site"), ("phase", "kind")]):
        AttributionRule.unscoped.create(
            organisation_id=context.organisation_id, position=position, label=label, target=target
        )
    intake.store(
        batch_of(
            (counter(ns="Vision", llm="ResNet-50", dc="fra1", phase="training"), NINE, 1.0),
            (counter("GPU-2", ns="nobody", dc="mars", phase="sleeping"), NINE, 1.0),
        ),
        context,
    )
    known, unknown = (Attribution.unscoped.get(source__name=name) for name in ("GPU-1", "GPU-2"))
    assert (known.team_name.team, known.model.name, known.site, known.kind) == (team, "ResNet-50", site, 1)
    assert (unknown.team_name.team, unknown.model, unknown.site, unknown.kind) == (None, None, None, 0)
    assert unknown.team_name.name == "nobody"


def test_the_team_of_a_key_wins_over_labels(context: IntakeContext, team: Team) -> None:
    AttributionRule.unscoped.create(organisation_id=context.organisation_id, position=1, label="ns", target="team")
    bound = replace(context, team_id=team.pk, team_slug=team.slug)
    intake.store(batch_of((counter(ns="search", said={"team": "search"}), NINE, 1.0)), bound)
    assert Attribution.unscoped.get().team_name.team == team
    assert list(TeamName.unscoped.values_list("name", flat=True)) == ["vision"]
    # The same labels under another key are another series, of the same meter.
    intake.store(batch_of((counter(ns="search"), NINE + 1, 1.0)), context)
    assert sorted(Series.unscoped.values_list("team_slug", flat=True)) == ["", "vision"]
    assert Meter.unscoped.count() == 1


def test_words_of_any_length_and_characters_are_kept(context: IntakeContext) -> None:
    long = "x" * 5_000
    series = counter(said={"source": long, "team": long, "model": "\udc80\0"}, meter={"name": long}, label=long + "\0")
    assert intake.store(batch_of((series, NINE, 1.0)), context).accepted == 1
    assert intake.store(batch_of((series, NINE, 1.0)), context).duplicates == 1


def test_a_receipt_tells_what_was_ignored(context: IntakeContext, client: Client, key: str) -> None:
    answer = intake.store(batch_of((counter(), NINE, 1.0), ignored=4), context)
    said = client.get(f"/api/v1/receipts/{answer.receipt}", headers={"Authorization": f"Bearer {key}"}).json()
    assert (said["accepted"], said["ignored"], said["pending"]) == (1, 4, False)


def test_a_foreign_organisation_has_its_own_meters(context: IntakeContext, other_organisation: Organisation) -> None:
    for one in (context, IntakeContext(other_organisation.pk)):
        assert intake.store(batch_of((counter(), NINE, 1.0)), one).accepted == 1
    assert (Meter.unscoped.count(), MeterReading.objects.count()) == (2, 2)


class TestMarks:
    """Which hours are derived anew: from the value before to the value after."""

    def test_between_the_neighbours(self, context: IntakeContext) -> None:
        one = counter()
        intake.store(batch_of((one, HALF_PAST, 1.0)), context)
        assert marked() == [0]
        intake.store(batch_of((one, HALF_PAST + 5 * HOUR, 9.0)), context)
        assert marked() == [0, 1, 2, 3, 4, 5]
        intake.store(batch_of((one, HALF_PAST + 2 * HOUR, 5.0)), context)
        assert marked() == [0, 1, 2, 3, 4, 5]
        intake.store(batch_of((one, HALF_PAST + 6 * HOUR, 9.0), (one, HALF_PAST + 8 * HOUR, 9.0)), context)
        assert marked() == [5, 6, 7, 8]

    def test_a_first_value_counts_from_its_start_or_one_interval_before(self, context: IntakeContext) -> None:
        intake.store(batch_of((counter(), NINE + 30_000, 1.0)), context)
        assert marked() == [-1, 0]
        intake.store(batch_of((counter("GPU-2"), HALF_PAST, 1.0, NINE - 2 * HOUR)), context)
        assert marked() == [-2, -1, 0]
        intake.store(batch_of((counter("GPU-3"), NINE, 1.0)), context)
        assert marked() == [-1, 0]

    def test_the_neighbours_are_those_of_the_meter_whatever_its_series(self, context: IntakeContext) -> None:
        intake.store(
            batch_of((counter(pod="a"), HALF_PAST, 1.0), (counter(pod="b"), HALF_PAST + 4 * HOUR, 4.0)), context
        )
        marked()
        intake.store(batch_of((counter(pod="c"), HALF_PAST + 2 * HOUR, 2.0)), context)
        assert marked() == [0, 1, 2, 3, 4]

    def test_a_difference_counts_since_the_one_before_of_its_series(self, context: IntakeContext) -> None:
        a, b = (counter(pod=pod, meter={"kind": MeterKind.DELTA}) for pod in "ab")
        intake.store(batch_of((a, HALF_PAST, 1.0), (b, HALF_PAST + 3 * HOUR, 4.0)), context)
        marked()
        intake.store(batch_of((a, HALF_PAST + 4 * HOUR, 2.0)), context)
        assert marked() == [0, 1, 2, 3, 4]

    def test_the_end_of_a_series_is_no_neighbour(self, context: IntakeContext) -> None:
        one = counter()
        intake.store(batch_of((one, HALF_PAST, 1.0), (one, HALF_PAST + HOUR, math.nan)), context)
        marked()
        intake.store(batch_of((one, HALF_PAST + 2 * HOUR, 2.0)), context)
        assert marked() == [0, 1, 2]

    def test_a_silence_of_months_is_not_filled(self, context: IntakeContext) -> None:
        day = 24 * HOUR
        intake.store(batch_of((counter(), HALF_PAST, 1.0)), context)
        marked()
        intake.store(batch_of((counter(), HALF_PAST + 90 * day, 2.0)), context)
        assert marked() == [90 * 24]
        intake.store(
            batch_of((counter("GPU-2"), HALF_PAST, 1.0), (counter("GPU-2"), HALF_PAST + 90 * day, 2.0)), context
        )
        assert len(marked()) == 2 * 31 * 24 + 2
