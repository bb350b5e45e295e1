"""The publishers' own files: what is taken from them, what is refused and where. See ``workbooks.py`` for the files."""

from __future__ import annotations

import doctest
from collections.abc import Sequence
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from openpyxl import Workbook

from apps.factors import checking, formats, plausibility
from apps.factors.formats.table import FactorFileError, FactorTable, HourlyTable, Table
from apps.factors.models import Factor, FactorDataset, HourlyFactor
from tests.factors import workbooks

ZONES = {"ERCT", "CAMX", "PRMS", "US", "US-TX", "US-DC", "GB", "AT", "DE", "NL", "SE", "FR", "PR"}
LB = Decimal("0.45359237")


def read(content: bytes, **given: str) -> Sequence[Table]:
    _, tables = formats.read(content, given=given)
    for table in tables:
        checking.check(table, zones=ZONES, known={}, this_year=2026)
    return tables


def annual(table: Table) -> FactorTable:
    assert isinstance(table, FactorTable)
    return table


def faults(content: bytes, **given: str) -> str:
    return "\n".join(str(fault) for table in read(content, **given) for fault in table.faults)


def test_the_egrid_workbook_becomes_subregions_with_the_nation_and_states() -> None:
    subregions, states = map(annual, read(workbooks.egrid()))
    assert not subregions.faults
    assert not states.faults
    assert (subregions.facts["slug"], states.facts["slug"]) == ("epa-egrid", "epa-egrid-states")
    assert subregions.facts["publisher"] == "US EPA"
    assert subregions.zones == ["ERCT", "CAMX", "PRMS", "US"]
    assert states.zones == ["US-TX", "US-DC"]
    assert set(subregions.years) == {2023}


def test_egrid_rates_are_converted_exactly() -> None:
    (table, _) = map(annual, read(workbooks.egrid()))
    assert table.of_row(0) == {
        "co2": Decimal("733.862") * LB,
        "ch4": Decimal("0.043") * LB,
        "n2o": Decimal("0.006") * LB,
        "co2e": Decimal("736.629") * LB,
        "biogenic_co2": None,
    }


@pytest.mark.parametrize(
    ("year", "unit", "per"), [(2016, "-", 1000), (2016, "lb/GWh", 1000), (2018, "-", 1), (2023, "lb/MWh", 1)]
)
def test_methane_of_old_egrid_workbooks_is_in_pounds_per_gwh(year: int, unit: str, per: int) -> None:
    (table, _) = map(annual, read(workbooks.egrid(year, ch4_unit=unit)))
    assert table.values["ch4"][0] == (Decimal("0.043") * LB / per).quantize(Decimal("1e-11")).normalize()
    assert table.values["co2"][0] == Decimal("733.862") * LB


def test_a_column_missing_from_egrid_is_named_with_its_sheet_and_row() -> None:
    said = faults(workbooks.egrid(without="SRCH4RTA"))
    assert "sheet SRL23, row 2, column SRCH4RTA: got 'no such column'" in said


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ({"XXXX": (700, 0, 0, 700)}, "sheet SRL23, row 3, column zone: got 'XXXX', expected a known grid zone"),
        ({"ERCT": ("n/a", 0, 0, 700)}, "sheet SRL23, row 3, column SRCO2RTA: got 'n/a', expected a number"),
        ({"ERCT": (9000, 0, 0, 700)}, "sheet SRL23, row 3, column SRCO2RTA: got '4082.33133'"),
        ({"ERCT": (-1, 0, 0, 700)}, "expected 0 or more"),
    ],
)
def test_a_bad_row_of_egrid_is_named(rows: dict[str, tuple[Any, ...]], complaint: str) -> None:
    assert complaint in faults(workbooks.egrid(subregions=rows))


def test_the_desnz_flat_file_becomes_three_datasets_of_co2e() -> None:
    generated, losses, upstream = map(annual, read(workbooks.desnz()))
    kinds = [table.facts["kind"] for table in (generated, losses, upstream)]
    assert kinds == ["location", "losses", "upstream"]
    assert [table.zones for table in (generated, losses, upstream)] == [["GB"]] * 3
    assert generated.values["co2e"] == [Decimal("130.96")]
    assert generated.values["co2"] == [None]  # printed as CO2e of CO2: no mass
    assert generated.values["ch4"] == [None]
    assert generated.notes == ["of which CH4 0.67 and N2O 0.86, printed as CO2e and therefore not kept as masses"]
    assert losses.values["co2e"] == [Decimal("18.53")]
    assert upstream.values["co2e"] == [Decimal("49.87")]  # of generation and of losses
    assert generated.years == [2026]


def test_a_flat_file_saved_as_csv_is_read_alike() -> None:
    header = ",".join([*workbooks.DESNZ_HEADER, "GHG Conversion Factor 2025"])
    text = f"{header}\n1,Scope 2,UK electricity,Electricity generated,Electricity: UK,,,kWh,kg CO2e,0.17700\n"
    (table,) = map(annual, read(text.encode()))
    assert (table.facts["edition"], table.values["co2e"]) == ("2025 flat file", [Decimal("177")])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (workbooks.desnz(generated=()), "row 6, column Level 1: got 'no row UK electricity"),
        (workbooks.desnz(generated=(("kg CO2e", "tbc"),)), "row 8, column GHG Conversion Factor 2026: got 'tbc'"),
        (workbooks.desnz(generated=(("kg CO2e", 0.1), ("kg CO2e", 0.2))), "row 9, column Level 2"),
        (workbooks.desnz(generated=(("g CO2e", 131),)), "row 8, column GHG/Unit: got 'g CO2e', expected kg CO2e"),
        (workbooks.desnz(generated=(("kg CO2e", 131),)), "it looks like kg/kWh taken for g/kWh"),
        (workbooks.desnz(header=[*workbooks.DESNZ_HEADER[:7], "GHG/Unit"]), "row 6, column UOM: got 'no such column'"),
    ],
)
def test_a_bad_flat_file_is_named(content: bytes, complaint: str) -> None:
    assert complaint in faults(content)


def test_the_aib_table_gives_co2_and_says_where_there_is_none() -> None:
    (table,) = map(annual, read(workbooks.aib()))
    assert not table.faults
    assert (table.facts["kind"], table.facts["slug"]) == ("residual", "aib-residual-mix")
    assert dict(zip(table.zones, table.values["co2"], strict=True)) == {
        "AT": None,
        "DE": Decimal("701.47"),
        "NL": None,
        "SE": Decimal("208.56"),
    }
    assert table.absences == [("AT", 2025), ("NL", 2025)]
    assert table.values["co2e"] == [None] * 4


def test_a_residual_mix_printed_as_zero_is_full_disclosure_and_no_factor() -> None:
    (table,) = map(
        annual, read(workbooks.aib([("Austria", 0), ("Germany", 0.70147)], header=("Country", "CO2 kg/kWh")))
    )
    assert table.absences == [("AT", 2025)]
    assert table.values["co2"][1] == Decimal("701.47")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (workbooks.aib(header=("Country", "Residual mix CO2", "RW")), "expected the unit in the column's name"),
        (workbooks.aib(title="Residual Mixes"), "expected a column of years, or the data year given with the file"),
        (workbooks.aib([("DE", "701,47 g")]), "row 3, column Residual mix CO2 (gCO2/kWh): got '701,47 g'"),
        (workbooks.aib([("Atlantis", 5)]), "row 3, column zone: got 'Atlantis'"),
        (workbooks.aib([("DE", 701.47), ("DE", 701.47)]), "row 4, column zone: got 'DE 2025', expected once"),
        (workbooks.aib([("DE", 0.701), ("SE", 0.2), ("FR", 0.05)]), "it looks like kg/kWh"),
    ],
)
def test_a_bad_aib_table_is_named(content: bytes, complaint: str) -> None:
    assert complaint in faults(content)


def test_a_table_without_a_name_for_its_countries_and_with_units_below_is_read() -> None:
    rows = [(None, "%", "gCO2/kWh"), ("DE", 12.5, 701.47), ("Sweden", 40.1, 208.56)]
    (table,) = map(annual, read(workbooks.aib(rows, header=("", "Renewable", "CO2"))))
    assert not table.faults
    assert dict(zip(table.zones, table.values["co2"], strict=True)) == {
        "DE": Decimal("701.47"),
        "SE": Decimal("208.56"),
    }


@pytest.mark.parametrize(("key", "value"), [("edition", "2025/26"), ("slug", "import")])
def test_what_would_be_no_address_is_refused(key: str, value: str) -> None:
    head = {"slug": "own", "edition": "1", "publisher": "X", "title": "T", "boundary": "direct", "licence": "own"}
    lines = "".join(f"# {name}: {text}\n" for name, text in (head | {key: value}).items())
    assert f"got '{value}'" in faults((lines + "zone,data_year,co2e_kg_per_mwh\nDE,2025,363\n").encode())


def test_the_data_year_of_a_table_that_does_not_say_it_can_be_given() -> None:
    (table,) = map(annual, read(workbooks.aib(title="Residual Mixes"), year="2024"))
    assert set(table.years) == {2024}
    assert table.facts["edition"] == "2024 table"


HOURLY = "# slug: own-hours\n# edition: 1\n# publisher: TSO\n# title: Hours\n# boundary: direct\n# licence: own\n"


def test_hours_are_read_in_any_unit_that_is_named() -> None:
    rows = "zone,start,value,unit,estimated\nDE,2026-07-01T00:00:00Z,380.5,gCO2eq/kWh,0\n"
    rows += "DE,2026-07-01T03:00:00+02:00,0.41,kg/kWh,1\nDE,2026-07-01T02:00Z,800,lb/MWh,\n"
    (table,) = read((HOURLY + rows).encode())
    assert isinstance(table, HourlyTable)
    assert not table.faults
    assert table.values == [380_500_000, 410_000_000, 362_873_896]
    assert table.hours[1] == table.hours[0] + 1
    assert table.estimated == [False, True, False]


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("DE,2026-07-01T00:30:00Z,380,g/kWh", "row 8, column time: got '2026-07-01T00:30:00Z', expected a full hour"),
        ("DE,2026-07-01T00:00:00,380,g/kWh", "expected a full hour with offset"),
        ("DE,2026-07-01T00:00:00Z,380,kWh", "row 8, column unit: got 'kWh', expected one of g/kwh"),
        ("DE,2026-07-01T00:00:00Z,x,g/kWh", "row 8, column value: got 'x'"),
        ("DE,2026-07-01T00:00:00Z,380,kg/kWh", "row 8, column value: got '380000'"),
        ("DE,2026-07-01T00:00:00Z,0.38,g/kWh", "it looks like kg/kWh"),
        ("QQ,2026-07-01T00:00:00Z,380,g/kWh", "row 8, column zone: got 'QQ'"),
        (
            "DE,2026-07-01T00:00:00Z,380,g/kWh\nDE,2026-07-01T02:00:00+02:00,380,g/kWh",
            "row 9, column time: got 'DE 2026-07-01T00:00:00+00:00', expected each hour once; it stands in row 8",
        ),
    ],
)
def test_a_bad_hour_is_named(row: str, complaint: str) -> None:
    assert complaint in faults((HOURLY + "zone,time,value,unit\n" + row + "\n").encode())


def test_a_share_is_no_intensity() -> None:
    text = HOURLY + "# kind: hourly_cfe\nzone,time,value,unit\nDE,2026-07-01T00:00:00Z,{},%\n"
    (table,) = read(text.format("61.5").encode())
    assert isinstance(table, HourlyTable)
    assert table.values == [615_000]
    assert "a share from 0 to 1" in faults(text.format("161.5").encode())


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"PK\x03\x04 broken", "a broken workbook"),
        (b"\xd0\xcf\x11\xe0old", "an old .xls workbook"),
    ],
)
def test_what_is_no_table_is_refused(content: bytes, complaint: str) -> None:
    with pytest.raises(FactorFileError, match=complaint):
        formats.read(content)


def test_a_workbook_of_something_else_is_refused_with_the_formats_that_are_known() -> None:
    book = Workbook()
    book.active.append(["Shop", "EUR"])
    book.active.append(["Corner", 3])
    with pytest.raises(FactorFileError, match="EPA eGRID workbook, DESNZ flat file"):
        formats.read(workbooks.saved(book))


@pytest.mark.usefixtures("reference_data")
def test_the_command_takes_an_official_workbook_and_says_what_changes(tmp_path: Path) -> None:
    file = tmp_path / "egrid.xlsx"
    rows = {"ERCT": (700.0, 0.04, 0.006, 702.7), "CAMX": workbooks.EGRID_2023["CAMX"]}
    file.write_bytes(workbooks.egrid(2024, rows))
    out = StringIO()
    call_command("load_factors", str(file), stdout=out)
    said = out.getvalue()
    assert "supersedes edition 2023 of epa-egrid" in said
    assert "ERCT 2023 -> 2024: " in said
    assert "adopt_factors --organisation SLUG --dataset epa-egrid --edition" in said
    new = FactorDataset.objects.get(slug="epa-egrid", edition="2024 workbook")
    assert new.supersedes == FactorDataset.objects.get(slug="epa-egrid", edition="2023")
    assert new.organisation is None
    assert Factor.objects.get(dataset=new, zone="ERCT").co2_kg_per_mwh == Decimal(700) * LB


@pytest.mark.usefixtures("grid_zones")
def test_the_commands_keep_to_their_kinds(tmp_path: Path) -> None:
    table = tmp_path / "aib.xlsx"
    table.write_bytes(workbooks.aib())
    with pytest.raises(CommandError, match="use load_residual_mix"):
        call_command("load_factors", str(table))
    call_command("load_residual_mix", str(table), stdout=StringIO())
    assert FactorDataset.objects.get(kind="residual").none_published == [["AT", 2025], ["NL", 2025]]


@pytest.mark.usefixtures("grid_zones")
def test_hours_are_loaded_by_the_command(tmp_path: Path) -> None:
    file = tmp_path / "hours.csv"
    file.write_text(HOURLY + "zone,time,value,unit\nDE,2026-07-01T00:00:00Z,380,g/kWh\n")
    out = StringIO()
    call_command("load_factors", str(file), stdout=out)
    assert "1 hours added" in out.getvalue()
    assert list(HourlyFactor.objects.values_list("zone", "value")) == [("DE", 380_000_000)]


@pytest.mark.usefixtures("reference_data")
def test_one_factor_in_the_wrong_unit_is_seen_beside_what_is_held(tmp_path: Path) -> None:
    file = tmp_path / "own.csv"
    head = "# slug: own\n# edition: 1\n# publisher: X\n# title: T\n# boundary: direct\n# licence: own\n"
    file.write_text(head + "zone,data_year,co2e_kg_per_mwh\nDE,2025,0.363\n")
    with pytest.raises(CommandError, match=r"is held for DE; it looks like kg/kWh"):
        call_command("load_factors", str(file))
    assert not FactorDataset.objects.filter(slug="own").exists()


@pytest.mark.usefixtures("grid_zones")
def test_the_days_of_use_are_another_thing_than_the_data_year(tmp_path: Path) -> None:
    file = tmp_path / "own.csv"
    head = "# slug: own\n# edition: 1\n# publisher: X\n# title: T\n# boundary: direct\n# licence: own\n"
    file.write_text(
        head + "zone,data_year,co2e_kg_per_mwh,valid_from,valid_to\nDE,2024,363,2025-04-01,2026-04-01\nFR,2024,50,,\n"
    )
    call_command("load_factors", str(file), stdout=StringIO())
    days = {f.zone_id: (str(f.valid_from), str(f.valid_to)) for f in Factor.objects.filter(dataset__slug="own")}
    assert days == {"DE": ("2025-04-01", "2026-04-01"), "FR": ("2024-01-01", "2025-01-01")}


def test_the_examples_of_the_plausibility_rules() -> None:
    assert doctest.testmod(plausibility).failed == 0
    assert doctest.testmod(plausibility).attempted > 4
