"""The Scope 3 memo: each category by itself, absent where no factor is known."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import date

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounting import services
from apps.accounting.adoption.services import adopt
from apps.accounting.models import FactorAdoption
from apps.accounting.queries import LedgerQuery, ledger_total
from apps.factors.models import Factor, FactorDataset
from apps.organisations.models import Organisation, Person
from apps.sites.models import ControlClass, PuePeriod, Site
from apps.workloads.models import EmbodiedFigure, HardwareProfile
from tests.accounting.readings import KWH, Q3, add, at, attribution_of

pytestmark = pytest.mark.django_db
WINDOW = "from=2026-07-01&to=2026-10-01"


@pytest.fixture
def estate(organisation: Organisation, site: Site, publish: Callable[..., Factor]) -> Organisation:
    """An hour of eight H100 at a site of PUE 1.25, one device nobody names, and an hour in a cloud."""
    publish("DE", "400")
    PuePeriod.unscoped.create(
        organisation=organisation, site=site, start=date(2026, 1, 1), pue_ppm=1_250_000, source="meter"
    )
    cloud = Site.unscoped.create(
        organisation=organisation, code="cloud", name="Cloud", control=ControlClass.CLOUD, country="DE",
        grid_zone="DE", market="DE",
    )  # fmt: skip
    card = HardwareProfile.objects.create(
        code="h100", name="H100", vendor="NVIDIA", kind="GPU", scope="one device", source_title="t", licence="l"
    )
    EmbodiedFigure.objects.create(
        hardware_code="h100", name="H100", embodied_g=164_000, boundary="cradle-to-gate", year=2024,
        source_title="PCF", licence="fact",
    )  # fmt: skip
    add(attribution_of(organisation, "n1", site=site, hardware=card, accelerators=8), at(1), at(2), 4 * KWH)
    add(attribution_of(organisation, "gpu9", site=site), at(1), at(3), 4 * KWH)
    add(attribution_of(organisation, "rented", site=cloud, hardware=card), at(1), at(2), 2 * KWH)
    services.settle(organisation.pk)
    return organisation


@pytest.fixture
def ask(client: Client, make_key: Callable[..., str]) -> Callable[..., dict[tuple, dict]]:
    key = make_key(("read",))

    def get(query: str = WINDOW, status: int = 200) -> dict[tuple, dict]:
        answer = client.get(f"/api/v1/scope3?{query}", headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == status, answer.content
        rows = answer.json()["results"] if status == 200 else answer.json()["errors"]
        return {(row["part"], row["site"] or row["hardware"]): row for row in rows} if status == 200 else {"e": rows}

    return get


def test_the_three_categories_stand_apart(ask: Callable[..., dict[tuple, dict]], estate: Organisation) -> None:
    rows = ask()
    assert set(rows) == {
        ("cloud", "cloud"), ("embodied", "h100"), ("embodied", "hardware not named"), ("upstream", "fra1"),
        ("losses", "fra1"),
    }  # fmt: skip
    assert (rows["cloud", "cloud"]["category"], rows["cloud", "cloud"]["co2e_kg"]) == ("1", 0.8)
    embodied = rows["embodied", "h100"]
    assert (embodied["category"], embodied["accelerator_hours"]) == ("2", 8.0)  # the cloud's device is category 1
    assert embodied["co2e_kg"] == pytest.approx(8 * 164 / (4 * 365.25 * 24), abs=1e-6)
    assert "÷ 35,064 h of life" in embodied["working"]
    unnamed = rows["embodied", "hardware not named"]
    assert (unnamed["co2e_kg"], unnamed["accelerator_hours"]) == (None, 2.0)


def test_without_a_factor_category_3_is_absent_and_says_for_what(
    ask: Callable[..., dict[tuple, dict]], estate: Organisation
) -> None:
    for part, words in (
        ("upstream", "no upstream factor known for DE"),
        ("losses", "no factor of losses known for DE"),
    ):
        row = ask()[part, "fra1"]
        assert (row["co2e_kg"], row["note"], row["energy_kwh"]) == (None, words, 10.0)


def test_an_adopted_factor_gives_a_figure_beside_an_unchanged_scope_2(
    ask: Callable[..., dict[tuple, dict]], estate: Organisation, publish: Callable[..., Factor]
) -> None:
    before = ledger_total(LedgerQuery(estate.pk, Q3))
    upstream, losses = publish("DE", "60", kind="upstream"), publish("DE", "20", kind="losses")
    FactorAdoption.unscoped.filter(dataset__in=[upstream.dataset_id, losses.dataset_id]).delete()
    assert ask()["upstream", "fra1"]["co2e_kg"] is None  # loaded and not adopted: it changes nothing
    for factor in (upstream, losses):
        adopt(organisation=estate, dataset=factor.dataset, start=None, end=None, actor="officer", reason="memo")
    rows = ask()
    assert (rows["upstream", "fra1"]["co2e_kg"], rows["losses", "fra1"]["co2e_kg"]) == (0.6, 0.2)
    assert "10.000 kWh × 60 g/kWh = 0.600000 kg" in rows["upstream", "fra1"]["working"]
    services.settle(estate.pk)
    after = ledger_total(LedgerQuery(estate.pk, Q3))
    assert (after["location_mg"], after["market_mg"]) == (before["location_mg"], before["market_mg"])


def test_a_foreign_organisations_factor_is_not_seen(
    ask: Callable[..., dict[tuple, dict]],
    estate: Organisation,
    other_organisation: Organisation,
    publish: Callable[..., Factor],
) -> None:
    factor = publish("DE", "60", kind="upstream")
    FactorDataset.objects.filter(pk=factor.dataset_id).update(organisation=other_organisation)
    assert ask()["upstream", "fra1"]["co2e_kg"] is None


def test_upstream_is_not_counted_twice_under_a_life_cycle_factor(
    ask: Callable[..., dict[tuple, dict]], estate: Organisation, publish: Callable[..., Factor]
) -> None:
    publish("DE", "60", kind="upstream")
    FactorDataset.objects.filter(slug="test-location").update(boundary=FactorDataset.Boundary.LIFE_CYCLE)
    row = ask()["upstream", "fra1"]
    assert row["co2e_kg"] is None
    assert "inside the Scope 2 figure already" in row["note"]


def test_the_lifetime_is_an_assumption_that_can_be_changed(
    ask: Callable[..., dict[tuple, dict]], estate: Organisation
) -> None:
    four, two = (ask(f"{WINDOW}&lifetime_years={n}")["embodied", "h100"]["co2e_kg"] for n in (4, 2))
    assert two == pytest.approx(2 * four, abs=2e-6)
    assert ask(f"{WINDOW}&lifetime_years=0", status=400)["e"][0]["pointer"] == "/query/lifetime_years"


def test_the_page_has_each_part_and_no_sum_of_parts(
    client: Client, make_person: Callable[..., Person], estate: Organisation
) -> None:
    client.force_login(make_person("viewer"))
    url = reverse("scope3-memo", args=[estate.slug]) + "?period=2026-Q3"
    html = client.get(url).text
    for words in (
        "Category 1: purchased cloud computing", "Category 2: embodied emissions", "Category 3: upstream",
        "No upstream factor known for DE", "Purchases are not tracked", "No embodied figure known for accelerators",
    ):  # fmt: skip
        assert words in html
    rows = list(csv.DictReader(io.StringIO(client.get(url + "&format=csv").text)))
    assert {row["part"]: row["co2e_kg"] for row in rows}["cloud"] == "0.8"
    assert "Expected a lifetime" in client.get(url + "&life=x").text


def test_an_empty_memo_says_why(client: Client, make_person: Callable[..., Person], organisation: Organisation) -> None:
    client.force_login(make_person("viewer"))
    assert "No readings yet" in client.get(reverse("scope3-memo", args=[organisation.slug])).text
