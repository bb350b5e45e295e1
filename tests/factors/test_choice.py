"""Which factor a site or market gets from the data that ship with the portal, and what is said about it."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from django.core.management import call_command

from apps.accounting.engine.factor_choice import FactorChoice, choose_location_factor, choose_residual_factor
from apps.accounting.engine.gases import GWP_SETS
from apps.core.units import ug_per_kwh
from apps.factors import queries
from apps.factors.models import Factor, FactorDataset, GridZone
from apps.organisations.models import Organisation

pytestmark = pytest.mark.usefixtures("shared_reference_data")


def location(zone: str, year: int, gwp: str = "AR5") -> FactorChoice[queries.Candidate]:
    return choose_location_factor(
        zone=zone,
        zone_parents=queries.zone_parents(zone),
        activity_year=year,
        candidates=queries.location_candidates(zone),
        gwp=queries.gwp_set(gwp),
    )


def residual(market: str, year: int) -> FactorChoice[queries.Candidate]:
    return choose_residual_factor(
        market=market,
        market_parents=queries.zone_parents(market),
        activity_year=year,
        candidates=queries.residual_candidates(market),
        gwp=queries.gwp_set("AR5"),
    )


def test_a_subregion_takes_its_own_gases_with_the_set_asked_for() -> None:
    choice = location("ERCT", 2023)
    assert choice.candidate is not None
    assert (choice.level, choice.lag_years) == ("subregion", 0)
    lb = Decimal("0.45359237")
    factor = Factor.objects.get(dataset__slug="epa-egrid", zone="ERCT", data_year=2023)
    assert factor.co2_kg_per_mwh is not None
    assert (factor.co2_kg_per_mwh / lb) % Decimal("0.001") == 0  # three decimals of lb/MWh, converted exactly
    gases = (factor.co2_kg_per_mwh, factor.ch4_kg_per_mwh, factor.n2o_kg_per_mwh)
    for name, gwp in GWP_SETS.items():
        co2e = gases[0] + gwp.ch4 * gases[1] + gwp.n2o * gases[2]  # type: ignore[operator]
        assert location("ERCT", 2023, name).ug_per_kwh == ug_per_kwh(co2e)


def test_the_most_specific_direct_factor_wins() -> None:
    ember = "Ember and Energy Institute, via Our World in Data"
    expected = [
        ("US-TX", 2023, "subdivision", 2023, "US EPA"),
        ("US", 2022, "country", 2022, "US EPA"),
        ("DE", 2026, "country", 2023, "European Environment Agency"),
        ("GB", 2026, "country", 2026, "UK Government (DESNZ)"),
        ("GB", 2024, "country", 2023, "UK Government (DESNZ)"),
        ("GB", 2015, "country", 2016, "UK Government (DESNZ)"),
        ("CA-ON", 2022, "subdivision", 2022, "Environment and Climate Change Canada"),
        ("AU-ACT", 2025, "subdivision", 2025, "Australian DCCEEW"),
        ("NA", 2024, "life_cycle", 2024, ember),
        ("NO", 2026, "life_cycle", 2025, ember),
        ("CA", 2023, "life_cycle", 2023, ember),
    ]
    for zone, year, level, data_year, publisher in expected:
        choice = location(zone, year)
        assert choice.candidate is not None, zone
        assert (choice.level, choice.candidate.data_year) == (level, data_year), zone
        assert publisher in choice.candidate.label
        assert choice.lag_years == year - data_year


def test_a_lag_and_a_fallback_are_said_in_words() -> None:
    assert "data of 2023 stand in for 2026: 3 years earlier, the nearest published" in location("DE", 2026).reasons
    assert "data of 2016 stand in for 2015: 1 year later, the nearest published" in location("GB", 2015).reasons
    reasons = location("NO", 2026).reasons
    assert reasons[0] == "no official factor on the direct boundary for NO"
    assert any("life-cycle factor used as a fallback" in reason for reason in reasons)


def test_a_zone_without_its_own_factor_takes_that_of_its_country() -> None:
    GridZone.objects.create(code="US-PR", name="Nowhere", type="subdivision", country="US", parent_id="US")
    choice = location("US-PR", 2023)
    assert choice.candidate is not None
    assert (choice.candidate.zone, choice.level) == ("US", "country")


def test_a_zone_nobody_knows_has_no_factor() -> None:
    choice = location("XX", 2025)
    assert (choice.candidate, choice.ug_per_kwh, choice.level) == (None, None, "none")
    assert choice.reasons


def test_a_residual_mix_is_found_for_its_market() -> None:
    assert residual("DE", 2026).ug_per_kwh == 701_470_000
    assert "CO2 only: the publisher gives no CH4 and N2O" in residual("DE", 2026).reasons
    pounds = Fraction("823.81") * Fraction("0.45359237") * 10**6
    assert residual("ERCT", 2026).ug_per_kwh == round(pounds)


def test_a_market_that_publishes_none_has_none() -> None:
    for market in ("AT", "NL"):
        choice = residual(market, 2026)
        assert (choice.candidate, choice.ug_per_kwh) == (None, None)
        assert any("no residual mix is published" in reason for reason in choice.reasons)


def test_a_stated_absence_is_not_filled_with_an_older_figure(tmp_path) -> None:
    older = tmp_path / "aib.csv"
    older.write_text(
        "# slug: aib-older\n# edition: 2023\n# publisher: AIB\n# title: Older edition\n# boundary: direct\n"
        "# licence: cited\nzone,data_year,co2_kg_per_mwh\nNL,2023,379.89\n"
    )
    call_command("load_residual_mix", str(older))
    assert residual("NL", 2023).ug_per_kwh == 379_890_000
    assert residual("NL", 2026).ug_per_kwh is None


def test_the_residual_mix_of_a_state_is_that_of_its_country_where_only_that_is_published(tmp_path) -> None:
    national = tmp_path / "nga.csv"
    national.write_text(
        "# slug: au-residual\n# edition: 2025\n# publisher: DCCEEW\n# title: Residual mix factor\n# boundary: direct\n"
        "# licence: CC BY 4.0\nzone,data_year,co2e_kg_per_mwh\nAU,2025,810\n"
    )
    call_command("load_residual_mix", str(national))
    assert residual("AU-NSW", 2025).ug_per_kwh == 810_000_000


def test_a_newer_edition_of_the_same_year_wins(tmp_path) -> None:
    for edition, value in (("1", "100"), ("2", "90")):
        file = tmp_path / f"{edition}.csv"
        file.write_text(
            f"# slug: no-nve\n# edition: {edition}\n# publisher: NVE\n# title: Grid mix\n# boundary: direct\n"
            f"# licence: open\n# rank: 10\nzone,data_year,co2e_kg_per_mwh\nNO,2025,{value}\n"
        )
        call_command("load_factors", str(file))
    choice = location("NO", 2025)
    assert (choice.ug_per_kwh, choice.level) == (90_000_000, "country")
    assert FactorDataset.objects.get(slug="no-nve", edition="2").supersedes == FactorDataset.objects.get(
        slug="no-nve", edition="1"
    )


def test_what_an_organisation_brought_in_is_no_candidate_without_its_decision(
    organisation: Organisation,
) -> None:
    Factor.objects.create(
        dataset=FactorDataset.objects.create(
            organisation=organisation, slug="own", edition="1", kind="location", boundary="direct", rank=1
        ),
        zone=GridZone.objects.get(pk="DE"),
        data_year=2026,
        valid_from="2026-01-01",
        valid_to="2027-01-01",
        co2e_kg_per_mwh=Decimal(1),
    )
    assert location("DE", 2026).ug_per_kwh == 329_000_000
    (own,) = FactorDataset.objects.filter(slug="own").values_list("pk", flat=True)
    assert [c.dataset_id for c in queries.location_candidates("DE", {own})] == [own]
