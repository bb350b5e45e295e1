"""The pages of data quality, as a member sees and uses them."""

from __future__ import annotations

import csv
import io
import re
from datetime import date

import pytest

from apps.accounting import services
from apps.accounting.quality.missing import missing_time
from apps.accounting.queries import LedgerQuery, ledger_frame, source_coverage
from apps.audit.models import AuditEvent
from apps.organisations.models import Organisation
from apps.sites.models import ControlClass, PuePeriod, Site
from apps.telemetry import gaps
from apps.telemetry.models import GapDecision, Method, Source
from apps.workloads.models import Kind
from tests.accounting.conftest import publish_factor
from tests.accounting.readings import KWH, Q3, add, at, attribution_of
from tests.sharing import taken_back

pytestmark = pytest.mark.django_db
Q3_QUERY = "period=2026-Q3"
DAY = 24


@pytest.fixture(scope="module")
def built(django_db_setup, django_db_blocker):
    """A meter without a gap, and a GPU that was silent on 2 July from 9:30 to 13:15 and from 5 July on.

    Made once for the file; each test gets it as ``booked`` or ``organisation`` and changes it for itself alone.
    """
    with taken_back(django_db_blocker):
        organisation = Organisation.objects.create(slug="acme", name="Acme AI")
        site = Site.unscoped.create(
            organisation=organisation,
            code="fra1",
            name="Frankfurt hall",
            control=ControlClass.OWNED,
            country="DE",
            grid_zone="DE",
            market="DE",
        )
        publish_factor("DE", "400")
        PuePeriod.unscoped.create(
            organisation=organisation, site=site, start=date(2026, 1, 1), pue_ppm=1_250_000, source="meter"
        )
        meter = attribution_of(organisation, "meter", site=site, method=Method.METERED)
        for day in range(92):
            add(meter, at(day * DAY), at((day + 1) * DAY), DAY * KWH)
        gpu = attribution_of(organisation, "gpu", site=site, kind=Kind.INFERENCE)
        for start, end in ((0, 33.5), (37.25, 37.75), (37.75, 48), (48, 96)):
            add(gpu, at(start), at(end), int((end - start) * KWH))
        for attribution in (meter, gpu):
            Source.unscoped.filter(pk=attribution.source_id).update(
                first_reading_at=Q3.start, last_reading_at=Q3.end if attribution is meter else Q3.start.replace(day=5)
            )
        services.settle(organisation.pk)
        yield organisation


@pytest.fixture
def organisation(built, db):
    return Organisation.objects.get(pk=built.pk)


@pytest.fixture
def booked(organisation):
    return organisation


@pytest.fixture
def page(client, make_person, booked):
    """A function that opens a page of the organisation as somebody of a role."""

    def ask(path="quality/?" + Q3_QUERY, role="officer", status=200, **post):
        person = make_person(role) if not ask.people.get(role) else ask.people[role]
        ask.people[role] = person
        client.force_login(person)
        url = f"/o/acme/{path}"
        response = client.post(url, post, follow=True) if post else client.get(url)
        assert response.status_code == status, response.content.decode()[-2000:]
        return response

    ask.people = {}
    return ask


def text_of(response):
    plain = re.sub(r"<script.*?</script>|<[^>]+>", " ", response.content.decode(), flags=re.DOTALL)
    return re.sub(r"[\s\u202f]+", " ", plain)


def decision_fields(**changes):
    fields = {
        "source": "gpu",
        "start": "2026-07-02T09:30:00",
        "end": "2026-07-02T13:15:00",
        "basis": "mean_power",
        "reason": "exporter restarted",
    }
    return fields | changes


def previewed(response):
    return re.search(r'name="previewed" value="([^"]*)"', response.content.decode())[1]


def test_gaps_are_found_to_the_minute_and_the_longest_first(booked):
    found = missing_time(booked, Q3)
    assert [(gap.source, str(gap.start)[:16], str(gap.end)[:16], gap.is_open) for gap in found.gaps] == [
        ("gpu", "2026-07-05 00:00", "2026-10-01 00:00", True),
        ("gpu", "2026-07-02 09:30", "2026-07-02 13:15", False),
    ]
    assert all(gap.to_the_minute for gap in found.gaps)
    assert (found.others, found.unread) == (0, 0)


def test_a_source_without_any_reading_in_the_period_is_one_gap(other_organisation):
    organisation = other_organisation
    site = Site.unscoped.create(
        organisation=organisation, code="r1", name="Hall", control="owned", country="DE", grid_zone="DE", market="DE"
    )
    said = attribution_of(organisation, "gone", site=site)
    add(said, at(-DAY * 20), at(-DAY * 20 + 1), KWH)
    moment = Q3.start.replace(month=6, day=11)
    Source.unscoped.filter(pk=said.source_id).update(first_reading_at=moment, last_reading_at=moment)
    services.settle(organisation.pk)
    [gap] = missing_time(organisation, Q3).gaps
    assert (gap.start, gap.end, gap.is_open) == (Q3.start, Q3.end, True)


def test_a_decision_takes_its_gap_off_the_list_and_counts_as_covered(booked):
    before = source_coverage(booked.pk, Q3).set_index("source").loc["gpu"]
    open_gap, inner = missing_time(booked, Q3).gaps
    for gap, basis in ((inner, GapDecision.Basis.MEAN_POWER), (open_gap, GapDecision.Basis.LEFT_EMPTY)):
        gaps.decide_gap(
            source=Source.objects.of(booked).get(name="gpu"),
            start=gap.start,
            end=gap.end,
            basis=basis,
            reason="known",
            actor="officer@example.org",
        )
    services.settle(booked.pk)
    assert missing_time(booked, Q3).gaps == []
    frame = source_coverage(booked.pk, Q3).set_index("source")
    assert frame.index.tolist() == ["gpu", "meter"]  # no row of the estimates' own source
    after = frame.loc["gpu"]
    assert (before["coverage"] < 0.05, after["coverage"], after["silent"]) == (True, 1.0, False)
    assert before["silent"]
    assert after["covered_ms"] == before["covered_ms"]


def test_the_page_says_tiers_intervals_coverage_and_gaps(page):
    text = text_of(page())
    assert "A metered 96 %" in text
    assert "Scope 2 together" in text
    assert "± 1" in text
    assert "Coverage 52 % of 2 sources" in text
    assert "2026-07-02 09:30" in text
    assert "still silent" in text
    assert "Activity, tier B: measured by the device" in text
    assert "Decide" in text
    # who may not decide sees the gaps and no way to decide
    content = page(role="viewer").content.decode()
    assert "2026-07-02 09:30" in content
    assert "gaps/decide" not in content
    page("quality/gaps/decide/", role="viewer", status=403)
    page("quality/uncertainty/", role="engineer", status=403)


def test_a_period_without_energy_says_what_to_do(page):
    assert "Choose another period above" in text_of(page("quality/?period=2024-Q1"))


@pytest.mark.parametrize(
    ("panel", "head", "rows"),
    [
        ("sites", "site,scope,facility_energy_kwh", 1),
        ("coverage", "source,site,expected_hours", 2),
        ("gaps", "source,site,start", 2),
    ],
)
def test_each_table_is_a_file(page, panel, head, rows):
    content = page(f"quality/?{Q3_QUERY}&format=csv&panel={panel}").content.decode()
    assert content.startswith(head)
    assert len(list(csv.DictReader(io.StringIO(content)))) == rows
    page("quality/?format=csv&panel=other", status=404)


def test_the_estimate_is_shown_before_it_is_recorded(page, booked):
    shown = page("quality/gaps/decide/?source=gpu&start=2026-07-02T09:30:00&end=2026-07-02T13:15:00")
    text = text_of(shown)
    assert "1,000.0 W x 3.75 h = 3.750000 kWh" in text
    assert "kind inference" in text
    # what was not seen is not recorded
    again = page("quality/gaps/decide/", **decision_fields(end="2026-07-02T13:00:00", previewed=previewed(shown)))
    assert "look at the numbers" in text_of(again)
    assert not GapDecision.objects.of(booked).exists()
    done = page("quality/gaps/decide/", **decision_fields(previewed=previewed(shown)))
    assert "The gap of gpu is filled" in text_of(done)
    assert GapDecision.objects.of(booked).get().decided_by == "officer@example.org"
    services.settle(booked.pk)
    listed = text_of(page())
    assert "exporter restarted" in listed
    assert "1,000.0 W x 3.75 h = 3.750000 kWh" in listed
    assert "2026-07-02 09:30 2026-07-02 13:15 3 h 45 min 3.75 kWh" in listed


def test_a_decision_is_withdrawn_on_the_page(page, booked):
    shown = page("quality/gaps/decide/?source=gpu&start=2026-07-02T09:30:00&end=2026-07-02T13:15:00")
    page("quality/gaps/decide/", **decision_fields(previewed=previewed(shown)))
    services.settle(booked.pk)
    query = LedgerQuery(booked.pk, Q3)
    filled = int(ledger_frame(query)["it_energy_milliwatt_hours"].sum())
    pk = GapDecision.objects.of(booked).get().pk
    assert "is withdrawn" in text_of(page(f"quality/gaps/{pk}/withdraw/", reason="found the file"))
    services.settle(booked.pk)
    assert int(ledger_frame(query)["it_energy_milliwatt_hours"].sum()) == filled - 3_750_000
    assert AuditEvent.objects.filter(action="gap.withdrawn", reason="found the file").exists()
    page(f"quality/gaps/{pk}/withdraw/", status=404, reason="again")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"source": "nobody"}, "Expected the name of a source"),
        ({"start": "soon"}, "Enter a valid date/time"),
        ({"reason": ""}, "This field is required"),
        ({"basis": "stated"}, "Expected the energy of the gap"),
        ({"start": "2026-07-02T09:00:00"}, "has readings in this time"),
    ],
)
def test_a_decision_that_cannot_be_says_what_is_expected(page, booked, changes, words):
    fields = decision_fields(**changes)
    query = "&".join(f"{name}={fields[name]}" for name in ("source", "start", "end"))
    shown = page(f"quality/gaps/decide/?{query}")
    answer = page("quality/gaps/decide/", **fields, previewed=previewed(shown))
    assert words in text_of(answer)
    assert not GapDecision.objects.of(booked).exists()


def test_another_organisations_source_cannot_be_decided_about(page, other_organisation):
    said = attribution_of(other_organisation, "foreign")
    add(said, at(0), at(1), KWH)
    text = text_of(page("quality/gaps/decide/?source=foreign&start=2026-07-02T09:30:00&end=2026-07-02T13:15:00"))
    assert "No such source" in text
    assert "kWh in" not in text


def test_own_uncertainties_are_kept_with_what_they_rest_on(page, booked):
    def width():
        [row] = csv.DictReader(io.StringIO(page(f"quality/?{Q3_QUERY}&format=csv&panel=sites").content.decode()))
        return float(row["energy_uncertainty"])

    before = width()
    refused = page("quality/uncertainty/", activity_metered="0.5")
    assert "Expected what the value rests on" in text_of(refused)
    assert Organisation.objects.get(pk=booked.pk).uncertainty_ppm == {}
    done = page("quality/uncertainty/", activity_metered="0.5", activity_metered_basis="calibration certificate 17")
    assert "Uncertainties saved" in text_of(done)
    assert "calibration certificate 17" in text_of(done)
    assert "own value" in text_of(done)
    assert Organisation.objects.get(pk=booked.pk).uncertainty_ppm["activity_metered"]["ppm"] == 5_000
    assert width() < before
    event = AuditEvent.objects.get(action="organisation.uncertainties_set")
    assert event.after["uncertainty_ppm"]["activity_metered"]["basis"] == "calibration certificate 17"
    page("quality/uncertainty/", activity_metered="")
    assert Organisation.objects.get(pk=booked.pk).uncertainty_ppm == {}
    assert width() == before


@pytest.mark.parametrize("value", ["-1", "201", "much"])
def test_an_uncertainty_that_cannot_be_is_refused(page, booked, value):
    page("quality/uncertainty/", activity_metered=value, activity_metered_basis="x")
    assert Organisation.objects.get(pk=booked.pk).uncertainty_ppm == {}


def test_the_overview_shows_the_interval_of_both_headline_figures(page):
    content = page(f"?{Q3_QUERY}").content.decode()
    text = re.sub(r"[\s\u202f]+", " ", content)
    intervals = re.findall(r"<b>± ([\d.]+) %</b> \(95 %\)<br>[\d.,]+ to [\d.,]+ \w+", text)
    assert len(intervals) == 2
    assert '"error_x"' in content
    rows = list(csv.DictReader(io.StringIO(page(f"?{Q3_QUERY}&format=csv&panel=intervals").content.decode())))
    assert [row["method"] for row in rows] == ["location-based", "market-based"]
    for row in rows:
        assert float(row["low_kg"]) < float(row["kg"]) < float(row["high_kg"])
