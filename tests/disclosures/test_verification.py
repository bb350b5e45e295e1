"""``verify_disclosure``: a document that holds, and every way in which one may not."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import transaction
from pypdf import PdfWriter

from apps.audit.services import canonical_json
from apps.disclosures import services
from apps.disclosures.models import Disclosure
from apps.disclosures.pdf import EVIDENCE
from apps.disclosures.verification import differences
from apps.disclosures.verification_accounting import accounting_differences
from apps.organisations.models import Organisation, Person
from tests.disclosures.conftest import QUARTER
from tests.disclosures.example import first_format

Json = dict[str, Any]


def bound(snapshot: Json, digest: str = "") -> bytes:
    """A PDF that holds a snapshot and names its digest."""
    evidence = canonical_json(snapshot).encode()
    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    writer.add_attachment(EVIDENCE, evidence)
    writer.add_metadata({"/evidencesha256": digest or hashlib.sha256(evidence).hexdigest()})
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


@pytest.fixture(scope="module")
def frozen_once(settled: Organisation) -> Json:
    """The snapshot of a settled quarter."""
    with pytest.MonkeyPatch.context() as patch, transaction.atomic():
        officer = Person.objects.create_user("officer@example.org", "a long enough password")
        patch.setattr(services, "wake", lambda pk: None)
        patch.setattr(services, "pdf_of", lambda snapshot, digest, progress=None: b"%PDF-1.7")
        asked = services.request_disclosure(organisation=settled, quarter=QUARTER, person=officer)
        services.render(asked.pk)
        snapshot = Disclosure.unscoped.get(pk=asked.pk).snapshot
        transaction.set_rollback(True)
    assert snapshot is not None
    return snapshot


@pytest.fixture
def frozen(frozen_once: Json) -> Json:
    """The same, for one test."""
    return deepcopy(frozen_once)


def check(snapshot: Json) -> list[str]:
    pdf = bound(snapshot)
    return differences(pdf, lambda snapshot, digest: pdf)


def test_a_sound_document_holds(frozen: Json) -> None:
    assert check(frozen) == []


def _one_team(snapshot: Json) -> None:
    snapshot["by_team"][0]["location_mg"] += 1


def _tier(snapshot: Json) -> None:
    snapshot["totals"]["quarter"]["figures"]["tier_a_milliwatt_hours"] += 1


def _factor(snapshot: Json) -> None:
    snapshot["location_rates"][0]["factor_ug_per_kwh"] += 10**6


def _pue(snapshot: Json) -> None:
    snapshot["location_rates"][0]["pue_ppm"] = 1_000_000


def _market(snapshot: Json) -> None:
    snapshot["market_rates"][0]["market_mg"] -= 1


def _cover(snapshot: Json) -> None:
    snapshot["market_rates"][0]["covered_milliwatt_hours"] += 1


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (_one_team, "by_team: location_mg adds up to"),
        (_tier, "the quality tiers add up to"),
        (_factor, "recalculated"),
        (_pue, "does not follow from"),
        (_market, "recalculated"),
        (_cover, "do not add up to the consumption"),
    ],
)
def test_a_changed_figure_is_found(frozen: Json, tamper: Callable[[Json], None], found: str) -> None:
    changed = deepcopy(frozen)
    tamper(changed)
    assert any(found in line for line in check(changed)), check(changed)


def _interval(snapshot: Json) -> None:
    snapshot["uncertainty"]["total"]["location"]["low"] += 1


def _moved_interval(snapshot: Json) -> None:
    for end in ("value", "low", "high"):
        snapshot["uncertainty"]["by_site"][0]["energy"][end] += 1


def _failing_lot(snapshot: Json) -> None:
    lot = snapshot["market_rates"][0]["instruments"][1]
    lot["accepted_milliwatt_hours"] = lot["surplus_milliwatt_hours"] = 10**9


def _hidden_failure(snapshot: Json) -> None:
    snapshot["market_rates"][0]["instruments"][1]["criteria"][2]["status"] = "passed"


def _seven_criteria(snapshot: Json) -> None:
    snapshot["market_rates"][0]["instruments"][0]["criteria"].pop()


def _not_adopted(snapshot: Json) -> None:
    snapshot["method"]["adoptions"].pop()


def _difference(snapshot: Json) -> None:
    snapshot["reconciliation"][0]["difference_milliwatt_hours"] -= 1


def _month(snapshot: Json) -> None:
    snapshot["reconciliation"][2]["month_telemetry_milliwatt_hours"] += 1


def _reconciled(snapshot: Json) -> None:
    snapshot["reconciliation"][0]["state"] = "reconciled"


def _hours(snapshot: Json) -> None:
    snapshot["hourly"]["markets"][0]["matched_milliwatt_hours"] += 1


def _reported(snapshot: Json) -> None:
    snapshot["hourly"]["markets"][0]["reported_market_mg"] = snapshot["hourly"]["markets"][0]["draft_market_mg"]


def _memo(snapshot: Json) -> None:
    snapshot["scope_3_memo"]["rows"][0]["mg"] += 1


def _absent(snapshot: Json) -> None:
    snapshot["scope_3_memo"]["rows"][1]["note"] = ""


def _cloud(snapshot: Json) -> None:
    snapshot["by_site"][0]["control"] = "cloud"


def _indicator(snapshot: Json) -> None:
    snapshot["indicators"]["by_site"][0]["results"][0]["numerator"] -= 10**9


def _mean(snapshot: Json) -> None:
    snapshot["indicators"]["total"][0]["value_ppm"] += 1


def _intensity(snapshot: Json) -> None:
    snapshot["intensities"][0]["units"][0]["wh_nano"] += 10


def _receipt(snapshot: Json) -> None:
    snapshot["receipts"][0]["sha256"] = "unknown"


def _text(snapshot: Json) -> None:
    snapshot["methodology"]["texts"][1]["body"] += " And another rule."


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (_interval, "does not lie around"),
        (_moved_interval, "the figure is"),
        (_failing_lot, "fails a quality criterion and 1000000000 mWh of it are accepted"),
        (_hidden_failure, "the criteria that it fails are named differently"),
        (_seven_criteria, "not held against all 8"),
        (_not_adopted, "which is not adopted for the quarter"),
        (_difference, "metered less telemetry is"),
        (_month, "its months add up to"),
        (_reconciled, "said to be reconciled, is difference"),
        (_hours, "do not add up to the load"),
        (_reported, "reported is"),
        (_memo, "its rows do not add up to"),
        (_absent, "absent without a reason"),
        (_cloud, "is public cloud and stands in Scope 2"),
        (_indicator, "by its terms, not"),
        (_mean, "all sites: PUE is"),
        (_intensity, "does not follow from its energy and work"),
        (_receipt, "no call or no digest"),
        (_text, "the methodology has the digest"),
    ],
)
def test_a_changed_part_beside_the_figures_is_found(snapshot: Json, tamper: Callable[[Json], None], found: str) -> None:
    assert list(accounting_differences(snapshot)) == []
    changed = deepcopy(snapshot)
    tamper(changed)
    assert any(found in line for line in accounting_differences(changed)), list(accounting_differences(changed))


def test_a_document_of_the_first_format_still_holds_but_for_its_template(frozen: Json) -> None:
    old = first_format(frozen)
    old["method"]["renderer"] = {"weasyprint": "70.0", "template": "1"}
    found = check(old)
    assert [line for line in found if "cannot be compared" not in line] == []
    assert len(found) == 1
    changed = deepcopy(old)
    _one_team(changed)
    assert any("by_team: location_mg adds up to" in line for line in check(changed))


def test_a_format_of_the_future_is_said_to_be_unknown(frozen: Json) -> None:
    newer = {**frozen, "format": "esgportal-disclosure-9"}
    assert any("esgportal-disclosure-9" in line for line in check(newer))


def test_another_digest_is_found(frozen: Json) -> None:
    pdf = bound(frozen, "0" * 64)
    assert any("the document names 000" in line for line in differences(pdf, lambda snapshot, digest: pdf))


def test_other_bytes_are_found(frozen: Json) -> None:
    found = differences(bound(frozen), lambda snapshot, digest: b"something else")
    assert found == ["the evidence, rendered again, gives another file"]


def test_another_version_is_named_instead_of_compared(frozen: Json) -> None:
    older = deepcopy(frozen)
    older["method"]["renderer"]["weasyprint"] = "69.0"
    assert any("cannot be compared" in line for line in check(older))


@pytest.mark.parametrize("content", [b"", b"no PDF at all", b"%PDF-1.7\nbroken"])
def test_a_file_that_is_no_pdf_is_said_to_be_none(content: bytes) -> None:
    assert "cannot be read as a PDF" in differences(content, lambda snapshot, digest: b"")[0]


def test_a_pdf_without_evidence_is_no_disclosure() -> None:
    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    out = io.BytesIO()
    writer.write(out)
    assert "holds 0 files" in differences(out.getvalue(), lambda snapshot, digest: b"")[0]


def test_evidence_of_another_kind_is_said_to_be_so() -> None:
    assert any("not what a disclosure holds" in line for line in check({"figures": []}))


def test_the_command_says_that_a_real_document_holds(
    requested: Disclosure, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    services.render(requested.pk)
    made = Disclosure.unscoped.get(pk=requested.pk)
    with made.pdf.open("rb") as stored:
        pdf = stored.read()
    (tmp_path / "q.pdf").write_bytes(pdf)
    call_command("verify_disclosure", str(tmp_path / "q.pdf"))
    assert "q.pdf holds" in capsys.readouterr().out
    monkeypatch.setattr(services, "pdf_of", lambda snapshot, digest: pdf)  # as the line above has shown
    (tmp_path / "q.pdf").write_bytes(pdf + b"\n")
    with pytest.raises(SystemExit):
        call_command("verify_disclosure", str(tmp_path / "q.pdf"))
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("verify_disclosure", str(tmp_path / "none.pdf"))
