"""Checking a disclosure from its PDF alone: evidence against digest, figures against each other, bytes against bytes.

Needs no database. What it cannot do from a quarter's evidence is to recalculate single hours: where a figure is a sum
of rounded ledger rows, it is compared within the rounding that so many rows allow.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

from apps.audit.services import canonical_json
from apps.core.units import emissions_mg, facility_energy_milliwatt_hours
from apps.disclosures.formats import in_present_format
from apps.disclosures.pdf import EVIDENCE
from apps.disclosures.report.document import renderer
from apps.disclosures.report.parts import ADDITIVE
from apps.disclosures.verification_accounting import accounting_differences

Json = dict[str, Any]
GROUPINGS = ("by_site", "by_team", "by_model", "by_kind", "by_model_kind", "by_week_kind")
IT, FACILITY = "it_energy_milliwatt_hours", "facility_energy_milliwatt_hours"


def differences(pdf: bytes, render: Callable[[Json, str], bytes]) -> list[str]:
    """What is wrong with a disclosure, one sentence each; empty when it holds.

    ``render`` makes the PDF of a snapshot and its digest (``services.pdf_of``).
    """
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(io.BytesIO(pdf))
        attached = reader.attachments.get(EVIDENCE, [])
        metadata = reader.metadata
        printed = str(metadata.get("/evidencesha256", "")) if metadata else ""
    except (PyPdfError, ValueError, KeyError) as error:
        return [f"the file cannot be read as a PDF: {error}"]
    if len(attached) != 1:
        return [f"the PDF holds {len(attached)} files named {EVIDENCE}; a disclosure holds one"]
    digest = hashlib.sha256(attached[0]).hexdigest()
    found = []
    if digest != printed:
        found.append(f"the evidence has the digest {digest}, the document names {printed or 'none'}")
    try:
        snapshot = json.loads(attached[0])
        if canonical_json(snapshot).encode() != attached[0]:
            found.append("the evidence is not in canonical form")
        read = in_present_format(snapshot)
        found += [*_sums(read), *_location(read), *_market(read), *accounting_differences(read)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return [*found, f"the evidence is not what a disclosure holds: {type(error).__name__} {error}"]
    return [*found, *_bytes(snapshot, digest, pdf, render)]


def _sums(snapshot: Json) -> Iterator[str]:
    total = snapshot["totals"]["quarter"]["figures"]
    for grouping in GROUPINGS:
        for name in ADDITIVE:
            present = [row[name] for row in snapshot[grouping] if row[name] is not None]
            whole = sum(present) if present else None
            if whole != total[name]:
                yield f"{grouping}: {name} adds up to {whole}, the total is {total[name]}"
    tiers = sum(total[f"tier_{tier}_milliwatt_hours"] for tier in "abcd")
    if tiers != total[FACILITY]:
        yield f"the quality tiers add up to {tiers} mWh, the total is {total[FACILITY]} mWh"


def _location(snapshot: Json) -> Iterator[str]:
    """Sites with one PUE and one factor all quarter; each of at most ``readings`` rows was rounded by half a unit."""
    rates: dict[str, list[Json]] = {}
    for rate in snapshot["location_rates"]:
        rates.setdefault(rate["site"], []).append(rate)
    for row in snapshot["by_site"] + snapshot["scope_3"]["by_site"]:
        own = rates.get(row["site"], [])
        if len(own) != 1:
            continue
        highest = facility_energy_milliwatt_hours(row[IT], own[0]["pue_ppm"]) + row["readings"]
        if not row[IT] <= row[FACILITY] <= highest:
            yield f"{row['site']}: facility energy {row[FACILITY]} mWh does not follow from {row[IT]} mWh and the PUE"
        factor = own[0]["factor_ug_per_kwh"]
        if factor is not None and row["location_mg"] is not None:
            expected = emissions_mg(row[FACILITY], factor)
            if abs(expected - row["location_mg"]) > row["readings"]:
                yield f"{row['site']}: location-based {row['location_mg']} mg, recalculated {expected} mg"


def _market(snapshot: Json) -> Iterator[str]:
    period = snapshot["period"]
    quarterly = True
    for rate in snapshot["market_rates"]:
        name, lots = rate["market"], rate["instruments"]
        quarterly = quarterly and (rate["period_start"], rate["period_end"]) == (period["start"], period["end"])
        if rate["covered_milliwatt_hours"] + rate["uncovered_milliwatt_hours"] != rate[FACILITY]:
            yield f"{name}: covered and uncovered energy do not add up to the consumption"
        for field, whole in (
            ("applied_milliwatt_hours", "covered_milliwatt_hours"),
            ("surplus_milliwatt_hours", "surplus_milliwatt_hours"),
            ("applied_mg", "instruments_mg"),
        ):
            if sum(lot[field] for lot in lots) != rate[whole]:
                yield f"{name}: {field} of the instruments does not add up to {rate[whole]}"
        for lot in lots:
            if lot["applied_mg"] != emissions_mg(lot["applied_milliwatt_hours"], lot["ug_per_kwh"] or 0):
                yield f"{name}: emissions of {lot['reference']} do not follow from its energy and factor"
            if lot["failed"] and lot["applied_milliwatt_hours"]:
                yield f"{name}: {lot['reference']} was applied though it fails a quality criterion"
        if rate["fallback"] == "residual":
            rest = emissions_mg(rate["uncovered_milliwatt_hours"], rate["fallback_ug_per_kwh"])
        else:
            used = rate[FACILITY]
            doubled = 2 * rate["location_mg"] * rate["uncovered_milliwatt_hours"]
            rest = (doubled + used) // (2 * used) if used else 0
        if rate["market_mg"] != rate["instruments_mg"] + rest:
            yield f"{name}: market-based {rate['market_mg']} mg, recalculated {rate['instruments_mg'] + rest} mg"
    total = snapshot["totals"]["quarter"]["figures"]
    if quarterly and not total["without_factor_milliwatt_hours"]:
        whole_mg = sum(rate["market_mg"] for rate in snapshot["market_rates"])
        if whole_mg != total["market_mg"]:
            yield f"the markets add up to {whole_mg} mg, the market-based total is {total['market_mg']} mg"


def _bytes(snapshot: Json, digest: str, pdf: bytes, render: Callable[[Json, str], bytes]) -> Iterator[str]:
    here = renderer()
    made = snapshot["method"]["renderer"]
    if made != here:
        yield f"rendered with {made}, here is {here}: the bytes cannot be compared"
    elif render(snapshot, digest) != pdf:
        yield "the evidence, rendered again, gives another file"
