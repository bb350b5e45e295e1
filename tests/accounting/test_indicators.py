"""PUE, WUE, REF, ERF and CUE, through the page and the API."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.accounting.engine.indicators import ImpossibleValueError, cue, erf, pue, ref, wue
from apps.accounting.services import settle
from apps.factors.models import Factor
from apps.organisations.models import Organisation, Person, Role
from apps.sites.measurements.services import add_measurement
from apps.sites.models import ControlClass, Site, SiteMeasurement
from apps.sites.services import set_pue
from tests.accounting.readings import KWH, add, at, attribution_of

KWH_MWH = 1_000_000  # a kilowatt-hour in milliwatt-hours, a cubic metre in millilitres
AMOUNTS = st.integers(0, 10**16)

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


# --- The engine ---------------------------------------------------------------------------------------------------


@UNHURRIED
@given(st.integers(1, 10**16), AMOUNTS)
def test_an_indicator_is_the_ratio_of_its_terms_or_an_error(over: int, amount: int) -> None:
    said = re.escape(f"{amount / 1_000_000:,.3f} kWh")
    for ratio, is_possible in ((pue, amount >= over), (erf, amount <= over)):
        if is_possible:
            assert ratio(amount, over).value == Fraction(amount, over)
        else:
            with pytest.raises(ImpossibleValueError, match=said):
                ratio(amount, over)
    assert ref(amount, over).value == min(Fraction(amount, over), 1)
    assert ref(amount, over).is_capped == (amount > over)
    assert cue(amount, over).value == Fraction(amount, over)
    assert wue(amount, over).value == Fraction(1_000 * amount, over)


@pytest.mark.parametrize("ratio", [pue, wue, ref, erf, cue])
def test_a_missing_term_gives_a_reason_and_no_value(ratio: Callable) -> None:
    assert ratio(None, 5).value is None
    assert ratio(None, 5).reason.startswith("no ")
    assert " and no " in ratio(None, None).reason
    assert ratio(5, 0).reason.endswith(" is 0")
    with pytest.raises(ImpossibleValueError, match="0 or more"):
        ratio(-1, 5)


# --- Page and API -------------------------------------------------------------------------------------------------


def second_site(organisation: Organisation, code: str = "dub2", control: str = ControlClass.COLOCATION) -> Site:
    return Site.unscoped.create(
        organisation=organisation, code=code, name=code.title(), control=control, country="DE", grid_zone="DE",
        market="DE",
    )  # fmt: skip


def measured(site: Site, quantity: str, amount: float, start: str = "2026-07-01", end: str = "2026-08-01") -> None:
    """``amount`` in kWh, or in m3."""
    add_measurement(
        site=site,
        quantity=quantity,
        start=date.fromisoformat(start),
        end=date.fromisoformat(end),
        amount=int(amount * KWH_MWH),
        evidence="meter",
        reference="seen",
        actor="system",
    )


def indicators(
    client: Client, make_key: Callable[..., str], query: str = "?from=2026-07-01&to=2026-08-01"
) -> dict[tuple[str | None, str], dict]:
    answer = client.get(f"/api/v1/indicators{query}", headers={"Authorization": f"Bearer {make_key()}"})
    assert answer.status_code == 200, answer.content
    return {(row["site"], row["indicator"]): row for row in answer.json()["results"]}


@pytest.mark.django_db
def test_a_metered_site_has_all_of_them(client: Client, site: Site, make_key: Callable[..., str]) -> None:
    for quantity, amount in (
        ("facility_energy", 120_000),
        ("it_energy", 100_000),
        ("renewable_energy", 90_000),
        ("reused_energy", 6_000),
        ("water_intake", 58),
    ):
        measured(site, quantity, amount)
    found = indicators(client, make_key)
    assert {key: row["value"] for (code, key), row in found.items() if code == "fra1"} == {
        "pue": 1.2,
        "wue": 0.58,
        "ref": 0.75,
        "erf": 0.05,
        "cue_location": None,
        "cue_market": None,
    }
    row = found["fra1", "pue"]
    assert (row["numerator"], row["denominator_kwh"], row["days"]) == (120_000, 100_000, 31)
    assert (row["it_energy_from"], row["sites"], row["data_error"]) == ("metered", 1, False)
    assert found["fra1", "cue_location"]["why_none"] == "no emissions and no IT energy"
    assert found[None, "wue"]["numerator"] == 58


@pytest.mark.django_db
def test_the_organisation_is_sums_over_sums_and_no_mean_of_ratios(
    client: Client, organisation: Organisation, site: Site, make_key: Callable[..., str]
) -> None:
    small = second_site(organisation)
    measured(site, "facility_energy", 1_200)
    measured(site, "it_energy", 1_000)
    measured(small, "facility_energy", 200)
    measured(small, "it_energy", 100)
    measured(site, "water_intake", 2)
    found = indicators(client, make_key)
    assert found["dub2", "pue"]["value"] == 2
    total = found[None, "pue"]
    assert (total["numerator"], total["denominator_kwh"], total["sites"]) == (1_400, 1_100, 2)
    assert total["value"] == pytest.approx(1_400 / 1_100, abs=1e-6)
    assert (found[None, "wue"]["sites"], found[None, "wue"]["denominator_kwh"]) == (1, 1_000)
    assert found["dub2", "wue"]["why_none"] == "no water intake"
    assert ("fra1", "pue") not in indicators(client, make_key, "?site=dub2&from=2026-07-01&to=2026-08-01")


@pytest.mark.django_db
def test_terms_are_summed_over_the_days_that_have_both(
    client: Client, site: Site, make_key: Callable[..., str]
) -> None:
    measured(site, "facility_energy", 310)
    measured(site, "it_energy", 80, end="2026-07-11")
    row = indicators(client, make_key)["fra1", "pue"]
    assert (row["numerator"], row["denominator_kwh"], row["days"], row["days_of_period"]) == (100, 80, 10, 31)
    measured(site, "water_intake", 4, "2026-07-20", "2026-07-25")
    assert "for no day together" in indicators(client, make_key)["fra1", "wue"]["why_none"]


@pytest.mark.django_db
def test_telemetry_stands_in_for_it_energy_that_is_not_metered_and_says_so(
    client: Client,
    organisation: Organisation,
    site: Site,
    make_key: Callable[..., str],
    make_person: Callable[..., Person],
    publish: Callable[..., Factor],
) -> None:
    publish("DE", "400")
    publish("DE", "700", kind="residual")
    set_pue(site=site, start=date(2026, 1, 1), pue=Decimal("1.25"), source="meter", actor="system")
    for day in range(31):
        add(attribution_of(organisation, site=site), at(24 * day), at(24 * day + 24), 24 * KWH)
    add(attribution_of(organisation, "feed", site=site, boundary=4), at(0), at(24), 6 * KWH)
    settle(organisation.pk)
    before = indicators(client, make_key)
    assert before["fra1", "pue"]["why_none"] == "no facility energy"
    # Without a meter CUE is what the accounts hold: 936 kWh at 400 g over 744 kWh.
    assert before["fra1", "cue_location"]["value"] == pytest.approx(936 * 0.4 / 744, abs=1e-6)
    measured(site, "facility_energy", 1_116)
    found = indicators(client, make_key)
    assert (found["fra1", "pue"]["value"], found["fra1", "pue"]["it_energy_from"]) == (1.5, "telemetry")
    assert found["fra1", "cue_location"]["value"] == pytest.approx(1.5 * 0.4, abs=1e-6)
    assert found["fra1", "cue_market"]["value"] == pytest.approx(1.5 * 0.7, abs=1e-6)
    assert found["fra1", "cue_location"]["numerator_from"] == "metered energy at the site's mean factor"
    client.force_login(make_person(Role.VIEWER))
    assert ">telemetry</span>" in client.get("/o/acme/indicators/?period=2026-07").content.decode()
    measured(site, "it_energy", 900)
    assert indicators(client, make_key)["fra1", "pue"]["it_energy_from"] == "metered"


@pytest.mark.django_db
def test_impossible_terms_are_an_error_in_the_data_and_no_value(
    client: Client, site: Site, make_key: Callable[..., str], make_person: Callable[..., Person]
) -> None:
    measured(site, "facility_energy", 100)
    measured(site, "reused_energy", 150)
    measured(site, "renewable_energy", 300)
    # Refused at entry; a row that came another way must not give a figure either.
    SiteMeasurement.unscoped.create(
        organisation_id=site.organisation_id, site=site, quantity="it_energy", start=date(2026, 7, 1),
        end=date(2026, 8, 1), amount=111 * KWH_MWH, evidence="meter", reference="x",
    )  # fmt: skip
    found = indicators(client, make_key)
    for key, words in (("pue", "PUE 0.901 is below 1"), ("erf", "ERF 1.500 is above 1")):
        row = found["fra1", key]
        assert row["value"] is None
        assert row["data_error"]
        assert words in row["why_none"]
        assert found[None, key]["why_none"] == "no site has both terms"
    assert (found["fra1", "ref"]["value"], found["fra1", "ref"]["capped"]) == (1, True)
    client.force_login(make_person(Role.VIEWER))
    page = client.get("/o/acme/indicators/?period=2026-07").content.decode()
    assert "PUE 0.901 is below 1: facility energy 100.000 kWh, IT energy 111.000 kWh" in page
    assert "capped at 1" in page


@pytest.mark.django_db
def test_a_public_cloud_is_somebody_elses_data_centre(
    client: Client, organisation: Organisation, make_key: Callable[..., str]
) -> None:
    cloud = second_site(organisation, "aws", ControlClass.CLOUD)
    measured(cloud, "facility_energy", 2)
    measured(cloud, "it_energy", 1)
    found = indicators(client, make_key)
    assert {code for code, _ in found} == {None}
    assert found[None, "pue"]["value"] is None


@pytest.mark.django_db
def test_the_page_shows_terms_coverage_and_a_file(
    client: Client, site: Site, make_person: Callable[..., Person]
) -> None:
    client.force_login(make_person(Role.VIEWER))
    assert "No terms for this period" in client.get("/o/acme/indicators/").content.decode()
    measured(site, "facility_energy", 120.5)
    measured(site, "it_energy", 100)
    measured(site, "water_intake", 3, end="2026-07-17")
    page = client.get("/o/acme/indicators/?period=2026-Q3").content.decode()
    assert "120.5 / 100.0\u202fkWh" in page
    assert ">31 days</span>" in page
    assert 'title="16 of 92 days"' in page
    text = client.get("/o/acme/indicators/?period=2026-Q3&format=csv").content.decode()
    header, *rows = text.splitlines()
    assert header.startswith("site,indicator,value,unit,numerator")
    assert rows[0].startswith("fra1,pue,1.205,,120.5,kWh,100.0,31,92,metered")


@pytest.mark.django_db
def test_the_api_wants_days_and_bears_any_window(client: Client, site: Site, make_key: Callable[..., str]) -> None:
    measured(site, "facility_energy", 120)
    measured(site, "it_energy", 100)
    whole = indicators(client, make_key, "?from=1990-01-01&to=2200-01-01")
    assert whole["fra1", "pue"]["value"] == 1.2
    assert indicators(client, make_key, "")["fra1", "pue"]["days_of_period"] == 31
    assert ("fra1", "pue") not in indicators(client, make_key, "?from=2030-01-01&to=2031-01-01")
    headers = {"Authorization": f"Bearer {make_key()}"}
    for query in ("from=2026-07-01T05:00:00Z&to=2026-08-01", "from=2026-08-01&to=2026-07-01", "team=x"):
        assert client.get(f"/api/v1/indicators?{query}", headers=headers).status_code == 400
