"""Asking for a disclosure, making it, and what happens when that goes wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django.fixtures import DjangoCaptureOnCommitCallbacks

from apps.accounting.methodology.queries import methodology
from apps.accounting.models import LedgerState
from apps.accounting.queries import LedgerQuery, ledger_total
from apps.accounting.services import settle
from apps.audit.models import AuditEvent
from apps.audit.services import canonical_json, verify_chain
from apps.core.windows import Quarter
from apps.disclosures import services, tasks
from apps.disclosures import snapshot as snapshots
from apps.disclosures.models import Disclosure, ReportingPeriod
from apps.disclosures.verification_accounting import accounting_differences
from apps.organisations.models import Organisation, Person
from apps.sites.models import ControlClass, Site, SiteMeasurement
from apps.telemetry.models import DirtyHour
from tests.disclosures.conftest import QUARTER

State = Disclosure.State


def reloaded(one: Disclosure) -> Disclosure:
    return Disclosure.unscoped.get(pk=one.pk)


@pytest.mark.usefixtures("quarter")
def test_the_first_request_opens_the_period_and_leaves_audit_events(
    organisation: Organisation, officer: Person, no_broker: list[int]
) -> None:
    made = services.request_disclosure(organisation=organisation, quarter=QUARTER, person=officer)
    period = ReportingPeriod.objects.of(organisation).get()
    assert (period.label, period.start.isoformat(), period.end.isoformat()) == ("2026-Q3", "2026-07-01", "2026-10-01")
    assert (made.version, made.state, made.requested_by) == (1, State.QUEUED, officer)
    events = AuditEvent.objects.filter(organisation_id=organisation.pk).values_list("action", "actor")
    assert [event for event in events if event[1] == officer.email] == [
        ("period.opened", officer.email),
        ("disclosure.requested", officer.email),
    ]


@pytest.mark.usefixtures("quarter")
def test_the_worker_is_woken_after_commit(
    organisation: Organisation,
    officer: Person,
    no_broker: list[int],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        made = services.request_disclosure(organisation=organisation, quarter=QUARTER, person=officer)
        assert no_broker == []
    assert no_broker == [made.pk]


def test_a_second_click_asks_for_nothing_new(requested: Disclosure, officer: Person) -> None:
    again = services.request_disclosure(organisation=requested.organisation, quarter=QUARTER, person=officer)
    assert again.pk == requested.pk
    Disclosure.unscoped.filter(pk=requested.pk).update(state=State.FAILED)
    after = services.request_disclosure(organisation=requested.organisation, quarter=QUARTER, person=officer)
    assert after.version == 2


def test_a_quarter_without_readings_is_refused(organisation: Organisation, officer: Person) -> None:
    with pytest.raises(ValueError, match="nothing to disclose"):
        services.request_disclosure(organisation=organisation, quarter=QUARTER.previous(), person=officer)
    assert not ReportingPeriod.objects.of(organisation).exists()


def test_a_quarter_that_has_not_begun_is_refused(organisation: Organisation, officer: Person) -> None:
    later = Quarter.of(timezone.now().date()).next()
    with pytest.raises(ValueError, match="has not begun"):
        services.request_disclosure(organisation=organisation, quarter=later, person=officer)
    assert not ReportingPeriod.objects.of(organisation).exists()


@pytest.mark.usefixtures("quarter")
def test_without_a_broker_the_request_still_stands(
    organisation: Organisation,
    officer: Person,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    def down(*args: Any, **kwargs: Any) -> None:
        raise ConnectionError("no broker")

    monkeypatch.setattr(tasks.render, "apply_async", down)
    with django_capture_on_commit_callbacks(execute=True):
        made = services.request_disclosure(organisation=organisation, quarter=QUARTER, person=officer)
    assert reloaded(made).state == State.QUEUED


def test_a_document_holds_the_ledgers_figures_and_its_digests(requested: Disclosure, fast_pdf: None) -> None:
    assert services.render(requested.pk)
    made = reloaded(requested)
    assert (made.state, made.progress_percent, made.error) == (State.READY, 100, "")
    assert made.snapshot is not None
    assert made.snapshot_digest == hashlib.sha256(canonical_json(made.snapshot).encode()).hexdigest()
    with made.pdf.open("rb") as stored:
        assert made.pdf_digest == hashlib.sha256(stored.read()).hexdigest()
    window = QUARTER.window
    total = ledger_total(LedgerQuery(made.organisation_id, window))
    figures = made.snapshot["totals"]["quarter"]["figures"]
    for name in ("it_energy_milliwatt_hours", "facility_energy_milliwatt_hours", "location_mg", "market_mg", "tokens"):
        assert figures[name] == int(total[name])
        for grouping in ("by_site", "by_team", "by_model", "by_kind", "by_week_kind"):
            assert sum(row[name] or 0 for row in made.snapshot[grouping]) == figures[name], (name, grouping)
    assert made.snapshot["totals"]["previous"]["figures"] is None  # absent, not zero
    assert made.snapshot["scope_3"]["total"]["location_mg"] > 0
    assert made.snapshot["unassigned"]["total"]["location_mg"] is None
    event = AuditEvent.objects.filter(organisation_id=made.organisation_id).latest("sequence")
    assert event.action == "disclosure.made"
    assert event.after == {"snapshot_sha256": made.snapshot_digest, "pdf_sha256": made.pdf_digest}
    assert verify_chain(made.organisation_id) == []


def test_a_document_says_how_its_figures_came_about(requested: Disclosure, fast_pdf: None) -> None:
    organisation = requested.organisation
    organisation.difference_policy = "by_energy"
    organisation.uncertainty_ppm = {"pue_stated": {"ppm": 10_000, "basis": "calibrated meters"}}
    organisation.save()
    settle(organisation.pk)
    meter = SiteMeasurement.unscoped.create(
        organisation=organisation, site=Site.objects.of(organisation).get(code="fra1"), quantity="facility_energy",
        start=date(2026, 7, 1), end=date(2026, 8, 1), amount=20 * 10**9, evidence="invoice", reference="invoice 7",
    )  # fmt: skip
    services.render(requested.pk)
    made = reloaded(requested).snapshot
    assert made is not None
    assert made["format"] == "esgportal-disclosure-2"
    assert made["method"]["ruleset"]["id"] == "ghgp-scope2-2015"
    policies = {one["name"]: one for one in made["method"]["policies"]}
    assert policies["difference"]["value"] == "by_energy"
    assert policies["difference"]["words"].startswith("Shared by the energy")
    assert {one["dataset"] for one in made["method"]["adoptions"]} >= {"example-location-de", "example-residual-de"}
    total = made["totals"]["quarter"]["figures"]
    interval = made["uncertainty"]["total"]["location"]
    assert interval["low"] < interval["value"] == total["location_mg"] < interval["high"]
    pue = next(one for one in made["uncertainty"]["table"] if one["name"] == "pue_stated")
    assert (pue["ppm"], pue["own"], pue["basis"]) == (10_000, True, "calibrated meters")
    july = next(row for row in made["reconciliation"] if (row["site"], row["month"]) == ("fra1", "2026-07"))
    assert july["metered_milliwatt_hours"] == meter.amount
    assert july["telemetry_milliwatt_hours"] + july["difference_milliwatt_hours"] == meter.amount
    hours = made["hourly"]["total"]
    assert hours["load_milliwatt_hours"] == total["facility_energy_milliwatt_hours"]
    assert hours["reported_market_mg"] == total["market_mg"]
    assert {row["part"] for row in made["scope_3_memo"]["rows"]} >= {"cloud", "upstream", "losses"}
    frankfurt = next(each for each in made["indicators"]["by_site"] if each["site"] == "fra1")
    assert (
        next(one for one in frankfurt["results"] if one["key"] == "pue")["numerator"] == meter.amount * 4 // 31
    )  # the days with telemetry
    atlas = next(row for row in made["intensities"] if row["model"] == "atlas-7b")
    assert next(one for one in atlas["units"] if one["unit"] == "tokens")["boundary"]
    assert made["methodology"]["digest"] == methodology().digest
    assert list(accounting_differences(made)) == []


def test_hours_settled_while_a_quarter_is_read_have_it_read_again(
    requested: Disclosure, fast_pdf: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = snapshots._collect
    times: list[int] = []

    def disturbed(disclosure: Disclosure) -> dict[str, Any]:
        found = read(disclosure)
        if not times:
            LedgerState.objects.filter(pk=disclosure.organisation_id).update(last_settled_at=timezone.now())
        times.append(1)
        return found

    monkeypatch.setattr(snapshots, "_collect", disturbed)
    services.render(requested.pk)
    assert len(times) == 2
    assert reloaded(requested).state == State.READY


def test_a_snapshot_holds_no_floating_point_number(requested: Disclosure, fast_pdf: None) -> None:
    services.render(requested.pk)

    def walk(value: Any) -> None:
        assert not isinstance(value, float)
        for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(one)

    walk(reloaded(requested).snapshot)


def test_later_readings_leave_a_made_document_alone(requested: Disclosure, officer: Person, fast_pdf: None) -> None:
    services.render(requested.pk)
    before = reloaded(requested)
    DirtyHour.objects.create(organisation=requested.organisation, hour=495_000)
    second = services.request_disclosure(organisation=requested.organisation, quarter=QUARTER, person=officer)
    services.render(second.pk)
    assert reloaded(requested).snapshot == before.snapshot
    newer = reloaded(second).snapshot
    assert newer is not None
    assert newer["document"]["supersedes"] == {"version": 1, "snapshot_digest": before.snapshot_digest}
    assert newer["ledger"]["pending_hours"] == 1


def test_a_repeated_message_makes_nothing_twice(requested: Disclosure, fast_pdf: None) -> None:
    assert services.render(requested.pk)
    first = reloaded(requested)
    assert not services.render(requested.pk)
    assert reloaded(requested).finished_at == first.finished_at
    assert AuditEvent.objects.filter(action="disclosure.made").count() == 1


def test_the_task_makes_what_was_asked_for(requested: Disclosure, fast_pdf: None) -> None:
    tasks.render(requested.pk)
    assert reloaded(requested).state == State.READY


def test_pages_that_cannot_be_set_fail_the_document_and_not_the_worker(
    requested: Disclosure, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert not services.render(requested.pk)
    failed = reloaded(requested)
    assert failed.state == State.FAILED
    assert "SettingFailedError: exit status 1" in failed.error


def test_progress_is_written_while_it_is_made(requested: Disclosure, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def slow(snapshot: Any, digest: str, progress: Callable[[str, int], None]) -> bytes:
        progress("Setting pages", 45)
        now = reloaded(requested)
        seen.append((now.state, now.step, now.progress_percent))
        return b"%PDF"

    monkeypatch.setattr(services, "pdf_of", slow)
    services.render(requested.pk)
    assert seen == [(State.WORKING, "Setting pages", 45)]


def test_a_quarter_that_lost_its_scope_2_energy_fails_and_says_what_to_do(requested: Disclosure) -> None:
    Site.unscoped.update(control=ControlClass.CLOUD)
    assert not services.render(requested.pk)
    failed = reloaded(requested)
    assert failed.state == State.FAILED
    assert "assign its sources to sites" in failed.error


def test_an_unforeseen_failure_is_kept_with_the_line_for_the_operator(
    requested: Disclosure, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any) -> bytes:
        raise OSError("disk full")

    monkeypatch.setattr(services, "pdf_of", broken)
    assert not services.render(requested.pk)
    failed = reloaded(requested)
    assert failed.state == State.FAILED
    assert failed.error.endswith("OSError: disk full")
    assert not failed.pdf


def test_a_rendering_that_lost_its_row_stores_nothing(requested: Disclosure, monkeypatch: pytest.MonkeyPatch) -> None:
    def overtaken(*args: Any) -> bytes:
        Disclosure.unscoped.filter(pk=requested.pk).update(started_at=timezone.now() + timedelta(seconds=1))
        return b"%PDF"

    monkeypatch.setattr(services, "pdf_of", overtaken)
    assert not services.render(requested.pk)
    after = reloaded(requested)
    assert (after.state, after.pdf.name) == (State.WORKING, "")


def test_the_sweep_finds_a_lost_message(requested: Disclosure) -> None:
    assert services.sweep() == []  # just asked for: its message may still be on its way
    Disclosure.unscoped.filter(pk=requested.pk).update(requested_at=timezone.now() - timedelta(minutes=2))
    assert services.sweep() == [requested.pk]


def test_the_sweep_restarts_what_a_dead_worker_left_and_keeps_its_figures(
    requested: Disclosure, fast_pdf: None
) -> None:
    services.render(requested.pk)
    frozen = reloaded(requested)
    Disclosure.unscoped.filter(pk=requested.pk).update(
        state=State.WORKING, started_at=timezone.now() - timedelta(minutes=11)
    )
    assert services.sweep() == [requested.pk]
    assert reloaded(requested).state == State.QUEUED
    assert services.render(requested.pk)
    assert reloaded(requested).snapshot_digest == frozen.snapshot_digest


def test_a_document_that_kills_its_worker_is_given_up(requested: Disclosure) -> None:
    Disclosure.unscoped.filter(pk=requested.pk).update(
        state=State.WORKING, started_at=timezone.now() - timedelta(minutes=11), attempts=services.MAX_ATTEMPTS
    )
    assert services.sweep() == []
    failed = reloaded(requested)
    assert failed.state == State.FAILED
    assert "memory" in failed.error


def test_the_sweep_leaves_a_living_worker_alone(requested: Disclosure) -> None:
    Disclosure.unscoped.filter(pk=requested.pk).update(
        state=State.WORKING, started_at=timezone.now() - timedelta(minutes=5)
    )
    assert services.sweep() == []
    assert reloaded(requested).state == State.WORKING
