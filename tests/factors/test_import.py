"""Importing a dataset: what is read, what is refused, and that a refused file changes nothing."""

from __future__ import annotations

from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from apps.factors.models import Factor, FactorDataset

pytestmark = pytest.mark.usefixtures("grid_zones")

HEAD = (
    "# slug: own-factors\n# edition: 2026\n# publisher: Grid Office\n# title: Mix, and more\n"
    "# boundary: direct\n# licence: CC BY 4.0\n"
)


def load(folder: Path, text: str | bytes, command: str = "load_factors") -> str:
    file = folder / "factors.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    out = StringIO()
    call_command(command, str(file), stdout=out)
    return out.getvalue()


def refused(folder: Path, text: str | bytes, command: str = "load_factors") -> str:
    before = (Factor.objects.count(), FactorDataset.objects.count())
    with pytest.raises(CommandError) as caught:
        load(folder, text, command)
    assert before == (Factor.objects.count(), FactorDataset.objects.count())
    assert "nothing was changed" in str(caught.value)
    return str(caught.value)


def test_it_says_what_was_added_and_what_it_supersedes(tmp_path: Path) -> None:
    assert "2 factors added" in load(tmp_path, HEAD + "zone,data_year,co2e_kg_per_mwh\nNO,2025,17\nIS,2025,0\n")
    newer = HEAD.replace("edition: 2026", "edition: 2027") + "zone,data_year,co2e_kg_per_mwh\nNO,2026,16\n"
    answer = load(tmp_path, newer)
    assert "1 factors added" in answer
    assert "supersedes edition 2026 of own-factors" in answer
    assert Factor.objects.filter(dataset__slug="own-factors").count() == 3


def test_the_same_file_again_changes_nothing(tmp_path: Path) -> None:
    text = HEAD + "zone,data_year,co2e_kg_per_mwh\nNO,2025,17\n"
    load(tmp_path, text)
    assert "already loaded, unchanged" in load(tmp_path, text.replace("17", "17.0"))


def test_a_known_edition_with_other_content_is_refused(tmp_path: Path) -> None:
    load(tmp_path, HEAD + "zone,data_year,co2e_kg_per_mwh\nNO,2025,17\n")
    answer = refused(tmp_path, HEAD + "zone,data_year,co2e_kg_per_mwh\nNO,2025,18\n")
    assert "a correction is a new edition" in answer


def test_pounds_are_converted_exactly(tmp_path: Path) -> None:
    load(tmp_path, HEAD + "zone,data_year,co2_lb_per_mwh,ch4_lb_per_mwh,n2o_lb_per_mwh\nERCT,2024,800,0.060,0.008\n")
    factor = Factor.objects.get(dataset__slug="own-factors")
    assert factor.co2_kg_per_mwh == Decimal("362.873896")
    assert factor.ch4_kg_per_mwh == Decimal("0.0272155422")
    assert factor.n2o_kg_per_mwh == Decimal("0.00362873896")


def test_a_file_saved_by_a_spreadsheet_is_read(tmp_path: Path) -> None:
    """Byte order mark, CRLF, padded and quoted heading lines, empty lines."""
    lines = [*HEAD.strip().splitlines(), "", "zone,data_year,co2e_kg_per_mwh,note", 'NO,2025,17,"a, b"', ",,,"]
    padded = [f'"{line}",,,' if line.startswith("# title") else line for line in lines]
    load(tmp_path, ("\ufeff" + "\r\n".join(padded)).encode())
    assert FactorDataset.objects.get(slug="own-factors").title == "Mix, and more"
    assert Factor.objects.get(dataset__slug="own-factors").note == "a, b"


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ("NO,2025,3000.1", "row 8, column co2e_kg_per_mwh: got '3000.1', expected at most 3000 kg/MWh"),
        ("NO,2025,-1", "row 8, column co2e_kg_per_mwh: got '-1', expected 0 or more"),
        ("NO,2025,", "row 8, column co2e_kg_per_mwh: got '', expected a number"),
        ("NO,2025,NaN", "row 8, column co2e_kg_per_mwh: got 'NaN', expected a number"),
        ("NO,2025,none", "only for a residual mix"),
        ("NO,25,17", "row 8, column data_year: got '25', expected a year such as 2025"),
        ("NOR,2025,17", "row 8, column zone: got 'NOR', expected a known grid zone"),
        ("NO,2025,17\nNO,2025,18", "row 9, column zone: got 'NO 2025', expected once; it stands in row 8"),
        ("NO,2025,17,4", "row 8, column -: got '4 cells', expected 3 as in the header"),
        ("NO,2025,0.017\nSE,2025,0.01\nDE,2025,0.329", "it looks like kg/kWh"),
        ("", "expected at least one factor"),
    ],
)
def test_a_bad_row_is_named(rows: str, complaint: str, tmp_path: Path) -> None:
    assert complaint in refused(tmp_path, HEAD + "zone,data_year,co2e_kg_per_mwh\n" + rows + "\n")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            HEAD.replace("# licence: CC BY 4.0\n", "") + "zone,data_year,co2e_kg_per_mwh\nNO,2025,17\n",
            "`# licence: ",
        ),
        (HEAD.replace("direct", "marginal") + "zone,data_year,co2e_kg_per_mwh\nNO,2025,17\n", "boundary as one of"),
        (HEAD + "# colour: red\nzone,data_year,co2e_kg_per_mwh\nNO,2025,17\n", "row 7"),
        (HEAD + "zone,data_year,co2e_g_per_kwh\nNO,2025,17\n", "column co2e_g_per_kwh"),
        (HEAD + "zone,year,co2e_kg_per_mwh\nNO,2025,17\n", "column data_year: got 'no such column'"),
        (HEAD + "zone,data_year,ch4_kg_per_mwh\nNO,2025,17\n", "CO2e or CO2"),
        (HEAD + "zone,data_year,co2e_kg_per_mwh,co2e_lb_per_mwh\nNO,2025,17,1\n", "the same quantity twice"),
        (b"\xff\xfe\x00", "a UTF-8 text file"),
        ("", "expected"),
        (HEAD.replace("edition: 2026", "edition: 2026\n# kind: residual"), "kind as one of location"),
    ],
)
def test_a_bad_file_is_refused_as_a_whole(text: str | bytes, complaint: str, tmp_path: Path) -> None:
    assert complaint in refused(tmp_path, text)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    answer = refused(tmp_path, HEAD + "zone,data_year,co2e_kg_per_mwh\nXX,2025,-1\nNO,x,1\n")
    assert answer.count("row ") == 3


def test_an_absence_in_a_residual_mix_is_kept_as_such(tmp_path: Path) -> None:
    text = HEAD + "zone,data_year,co2_kg_per_mwh\nFR,2025,17.11\nAT,2025,none\n"
    answer = load(tmp_path, text, "load_residual_mix")
    assert "1 zones for which the publisher states that there is none" in answer
    assert FactorDataset.objects.get(slug="own-factors").none_published == [["AT", 2025]]


def test_a_slug_keeps_its_kind(tmp_path: Path) -> None:
    load(tmp_path, HEAD + "zone,data_year,co2e_kg_per_mwh\nNO,2025,17\n")
    newer = HEAD.replace("2026", "2027") + "zone,data_year,co2e_kg_per_mwh\nNO,2025,17\n"
    assert "a slug not used for a location dataset" in refused(tmp_path, newer, "load_residual_mix")


def test_a_missing_file_is_an_error_line(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        call_command("load_factors", str(tmp_path / "none.csv"))
