"""Time without readings: filled by a recorded decision, and by nothing else."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError

from apps.accounting import services as accounts
from apps.accounting.queries import LedgerQuery, ledger_frame
from apps.audit.models import AuditEvent
from apps.core.windows import Window
from apps.organisations.models import Team
from apps.sites.models import PuePeriod
from apps.telemetry import gaps
from apps.telemetry.models import GapDecision, Method, Reading, Source, SupersededReading
from apps.workloads.models import AIModel, Kind
from tests.accounting.readings import KWH, Q3, add, at, attribution_of

pytestmark = pytest.mark.django_db
Basis = GapDecision.Basis
OFFICER = "officer@example.org"


def moment(hours: float) -> datetime:
    return datetime(2026, 7, 1, tzinfo=UTC) + timedelta(hours=hours)


@pytest.fixture
def source(organisation, site):
    """Two hours at 1 kW, a gap from 2:00 to 6:00, an hour at 4 kW."""
    Team.unscoped.create(organisation=organisation, slug="vision", name="Vision")
    model = AIModel.unscoped.create(organisation=organisation, slug="m", name="M")
    said = attribution_of(organisation, "gpu0", team="vision", site=site, model=model, kind=Kind.INFERENCE)
    add(said, at(0), at(1), KWH)
    add(said, at(1), at(2), KWH)
    add(said, at(6), at(7), 4 * KWH)
    return said.source


def decide(source, start=2.0, end=6.0, basis=Basis.MEAN_POWER, **fields):
    fields.setdefault("reason", "the exporter was down")
    return gaps.decide_gap(source=source, start=moment(start), end=moment(end), basis=basis, actor=OFFICER, **fields)


def energy_of(organisation, **filters):
    frame = ledger_frame(LedgerQuery(organisation_id=organisation.pk, window=Q3, scope="all", filters=filters))
    return int(frame["it_energy_milliwatt_hours"].sum())


def test_the_mean_power_is_energy_by_covered_time(source):
    found = gaps.estimate_gap(source, moment(2), moment(6))
    assert (found.around_microwatt_hours, found.covered_ms) == (6 * KWH, 3 * 3_600_000)
    assert found.watts == 2_000
    assert found.energy_microwatt_hours == 8 * KWH
    assert "6.000000 kWh in 3.00 h" in found.working
    assert found.working.endswith("2,000.0 W x 4.00 h = 8.000000 kWh.")


def test_only_the_24_hours_around_count_and_overlaps_once(organisation, source, site):
    said = attribution_of(organisation, "far", site=site)
    add(said, at(0), at(48), 48 * KWH)  # crosses into the day before the gap: 24 kWh in 24 h
    add(said, at(40), at(42), 24 * KWH)  # claims the same time again
    add(said, at(100), at(101), 500 * KWH)  # more than a day later
    found = gaps.estimate_gap(said.source, moment(48), moment(50))
    assert (found.around_microwatt_hours, found.covered_ms) == (48 * KWH, 24 * 3_600_000)
    assert found.energy_microwatt_hours == 4 * KWH


def test_a_filled_gap_is_an_estimated_reading_of_the_same_place_and_work(organisation, source, site):
    made = decide(source)
    filled = Source.objects.of(organisation).get(name="gpu0 (gap filled)")
    reading = Reading.objects.get(source_id=filled.pk)
    assert (reading.start_ms, reading.end_ms, reading.energy_microwatt_hours) == (at(2), at(6), 8 * KWH)
    said = reading.attribution
    assert (said.method, said.site, said.team_name.name, said.model.name, said.kind) == (
        Method.ESTIMATED,
        site,
        "vision",
        "M",
        Kind.INFERENCE,
    )
    assert made.receipt_id == reading.receipt_id
    assert made.working == gaps.decisions(organisation).get().working != ""
    accounts.settle(organisation.pk)
    assert energy_of(organisation) == 14_000_000
    [row] = ledger_frame(LedgerQuery(organisation_id=organisation.pk, window=Q3)).to_dict("records")
    assert (row["tier_d_milliwatt_hours"], row["quality"]) == (8_000_000, "D")


def test_source_and_estimate_are_one_device_and_the_estimate_stands_behind(organisation, source):
    decide(source)
    source.refresh_from_db()
    filled = Source.objects.of(organisation).get(name="gpu0 (gap filled)")
    assert source.device == filled.device == "gpu0"
    assert source.precedence < filled.precedence


def test_a_true_reading_that_arrives_late_is_counted_instead(organisation, source):
    decide(source)
    accounts.settle(organisation.pk)
    said = Reading.objects.filter(source_id=source.pk).first().attribution
    for hour in (2, 3, 4, 5):
        add(said, at(hour), at(hour + 1), 3 * KWH)
    accounts.settle(organisation.pk)
    assert energy_of(organisation) == (2 + 12 + 4) * 1_000_000


def test_an_energy_can_be_stated(organisation, source):
    made = decide(source, basis=Basis.STATED, energy_microwatt_hours=5 * KWH)
    assert made.energy_microwatt_hours == 5 * KWH
    accounts.settle(organisation.pk)
    assert energy_of(organisation) == 11_000_000


def test_a_gap_left_empty_stores_nothing_and_counts_as_decided(organisation, source):
    made = decide(source, basis=Basis.LEFT_EMPTY, reason="no job was running")
    assert made.receipt is None
    assert Reading.objects.filter(organisation_id=organisation.pk).count() == 3
    assert gaps.decided_time(organisation.pk, Q3) == {source.pk: (4 * 3_600_000, moment(6))}
    half = Window(moment(4), moment(100))
    assert gaps.decided_time(organisation.pk, half) == {source.pk: (2 * 3_600_000, moment(6))}


def test_a_long_gap_is_stored_in_readings_of_31_days_at_most(organisation, site):
    said = attribution_of(organisation, "gpu1", site=site)
    add(said, at(-1), at(0), KWH)
    decide(said.source, 0, 24 * 40, basis=Basis.STATED, energy_microwatt_hours=1_000_000_001)
    rows = Reading.objects.filter(source__name="gpu1 (gap filled)").order_by("start_ms")
    assert [(row.start_ms, row.end_ms) for row in rows] == [(at(0), at(24 * 31)), (at(24 * 31), at(24 * 40))]
    assert sum(row.energy_microwatt_hours for row in rows) == 1_000_000_001


def test_shares_of_the_device_are_those_of_its_readings(organisation, site):
    for slug in ("a", "b"):
        Team.unscoped.create(organisation=organisation, slug=slug, name=slug)
    said = attribution_of(organisation, "shared", shares=(("a", 250_000), ("b", 750_000)), site=site)
    add(said, at(0), at(2), 2 * KWH)
    decide(said.source, 2, 6)
    accounts.settle(organisation.pk)
    assert [energy_of(organisation, team=(slug,)) for slug in ("a", "b")] == [1_500_000, 4_500_000]


def test_a_decision_is_withdrawn_by_an_energy_of_zero_and_can_be_made_again(organisation, source):
    made = decide(source)
    accounts.settle(organisation.pk)
    gaps.withdraw_decision(decision=made, actor=OFFICER, reason="the exporter kept a file")
    accounts.settle(organisation.pk)
    assert energy_of(organisation) == 6_000_000
    assert not gaps.decisions(organisation).exists()
    assert SupersededReading.objects.filter(source__name="gpu0 (gap filled)", energy_microwatt_hours=8 * KWH).exists()
    decide(source, basis=Basis.STATED, energy_microwatt_hours=KWH)
    accounts.settle(organisation.pk)
    assert energy_of(organisation) == 7_000_000


def test_decision_and_withdrawal_are_in_the_audit_log(organisation, source):
    gaps.withdraw_decision(decision=decide(source), actor=OFFICER, reason="wrong source")
    events = {e.action: e for e in AuditEvent.objects.filter(organisation_id=organisation.pk)}
    decided, withdrawn = events["gap.decided"], events["gap.withdrawn"]
    assert (decided.actor, decided.reason) == (OFFICER, "the exporter was down")
    assert decided.after["energy_microwatt_hours"] == 8 * KWH
    assert withdrawn.before["working"] == decided.after["working"]
    assert withdrawn.reason == "wrong source"
    assert "source.device_named" in events


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"start": 1.5}, "has readings in this time, the first from 2026-07-01 01:00:00"),
        ({"end": 6.5}, "has readings in this time, the first from 2026-07-01 06:00:00"),
        ({"end": 1.0}, "after the start"),
        ({"start": 24 * 365 * 20, "end": 24 * 365 * 20 + 1}, "that is over"),
        ({"reason": "  "}, "why"),
        ({"basis": "guess"}, "one of mean_power"),
        ({"basis": Basis.STATED}, "energy of the gap"),
        ({"basis": Basis.STATED, "energy_microwatt_hours": -1}, "energy of the gap"),
        ({"start": 24 * 20, "end": 24 * 20 + 1}, "there are none"),
    ],
)
def test_what_is_no_gap_or_no_basis_is_refused(source, fields, words):
    with pytest.raises(ValidationError) as caught:
        decide(source, **fields)
    assert words in " ".join(caught.value.messages)
    assert not GapDecision.unscoped.exists()
    assert not Source.unscoped.filter(name__endswith=gaps.FILLED).exists()


def test_a_time_is_decided_once(organisation, source):
    decide(source, 2, 4)
    with pytest.raises(ValidationError, match="decided already"):
        decide(source, 3, 6)
    decide(source, 4, 6)
    with pytest.raises(ValidationError, match="silent source itself"):
        decide(Source.objects.of(organisation).get(name="gpu0 (gap filled)"), 10, 11)


def test_a_client_cannot_send_estimates_in_the_portals_name(client, make_key, organisation):
    row = {
        "source": "gpu0 (gap filled)",
        "start": "2026-07-01T00:00:00Z",
        "end": "2026-07-01T01:00:00Z",
        "energy_wh": 1,
    }
    answer = client.post(
        "/api/v1/samples", [row], content_type="application/json", headers={"Authorization": f"Bearer {make_key()}"}
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "source"


def test_pue_applies_to_the_estimate_as_to_the_readings(organisation, source, site):
    PuePeriod.unscoped.create(
        organisation=organisation, site=site, start=date(2026, 1, 1), pue_ppm=1_500_000, source="meter"
    )
    decide(source)
    accounts.settle(organisation.pk)
    [row] = ledger_frame(LedgerQuery(organisation_id=organisation.pk, window=Q3)).to_dict("records")
    assert row["facility_energy_milliwatt_hours"] == 21_000_000
