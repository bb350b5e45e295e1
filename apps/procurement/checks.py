"""What no registry would issue (errors), and what a Quality Criterion will ask for (warnings).

[1] GHG Protocol Scope 2 Guidance (2015), table 7.1: the Scope 2 Quality Criteria. The accounts hold every lot against
them and say what came of it; a warning only tells whoever enters a lot what they will say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal

from django.utils import timezone

from apps.core.units import MILLIWATT_HOURS_PER_KWH
from apps.organisations.models import Organisation
from apps.procurement.models import Instrument

_MWH = 1_000 * MILLIWATT_HOURS_PER_KWH
MOST_KG_PER_MWH = Decimal(2_000)
GAS_FIELDS = ("co2_kg_per_mwh", "ch4_kg_per_mwh", "n2o_kg_per_mwh")
RATE_FIELDS = ("co2e_kg_per_mwh", *GAS_FIELDS, "biogenic_co2_kg_per_mwh")
MARKET = re.compile(r"[A-Z0-9][A-Z0-9-]{1,19}")
EARLIEST, LATEST = date(1990, 1, 1), date(2200, 1, 1)


def errors(instrument: Instrument) -> dict[str, str]:
    """What is impossible about a lot, by field. A lot that fails a Quality Criterion is not: it is kept."""
    return {
        **_quantity_errors(instrument),
        **_date_errors(instrument),
        **_serial_errors(instrument),
        **_rate_errors(instrument),
        **_earmark_errors(instrument),
    }


def _quantity_errors(instrument: Instrument) -> dict[str, str]:
    found = {}
    if not MARKET.fullmatch(instrument.market):
        found["market"] = f"Expected the code of a market such as DE or ERCT, got {instrument.market!r}."
    if instrument.volume_milliwatt_hours <= 0:
        found["volume_milliwatt_hours"] = "Expected more than 0."
    return found


def _date_errors(instrument: Instrument) -> dict[str, str]:
    found = {}
    start, end = instrument.vintage_start, instrument.vintage_end
    today = timezone.now().date()
    for name in ("vintage_start", "vintage_end", "claim_start", "claim_end"):
        day = getattr(instrument, name)
        if day is not None and not EARLIEST <= day <= LATEST:
            found[name] = f"Expected a day from {EARLIEST} to {LATEST}, got {day}."
    if end <= start:
        found["vintage_end"] = f"Expected a day after {start}, got {end}."
    if (instrument.claim_start is None) != (instrument.claim_end is None):
        found["claim_end"] = "Give both ends of the consumption that the retirement names, or neither."
    elif instrument.claim_start and instrument.claim_end and instrument.claim_end <= instrument.claim_start:
        found["claim_end"] = f"Expected a day after {instrument.claim_start}, got {instrument.claim_end}."
    for name, done in (("issued_on", "issued"), ("retired_on", "retired")):
        day = getattr(instrument, name)
        if day is not None and day > today:
            found[name] = f"{day} lies in the future; leave it empty until it is {done}."
    issued, retired = instrument.issued_on, instrument.retired_on
    if issued is not None and issued < start:
        found.setdefault("issued_on", f"Issued on {issued}, before the generation began on {start}.")
    if retired is not None and issued is not None and retired < issued:
        found.setdefault("retired_on", f"Retired on {retired}, before it was issued on {issued}.")
    elif retired is not None and instrument.type == Instrument.Type.EAC and retired < start:
        found.setdefault("retired_on", f"Retired on {retired}, before the generation began on {start}.")
    return found


def _serial_errors(instrument: Instrument) -> dict[str, str]:
    if instrument.serial_end and not instrument.serial_start:
        return {"serial_start": "A last serial number needs a first one."}
    try:
        instrument.work_out_serials()
    except ValueError as error:
        return {"serial_end": f"Expected a range such as GO-000001 to GO-000120; {error}."}
    return {}


def _rate_errors(instrument: Instrument) -> dict[str, str]:
    gases = [getattr(instrument, name) for name in GAS_FIELDS]
    if instrument.co2e_kg_per_mwh is None and None in gases:
        return {"co2e_kg_per_mwh": "Expected CO2e, or CO2, CH4 and N2O, in kg per MWh; 0 where there is none."}
    found = {}
    for name in RATE_FIELDS:
        value = getattr(instrument, name)
        if value is not None and not 0 <= value <= MOST_KG_PER_MWH:
            found[name] = f"Expected 0 to {MOST_KG_PER_MWH} kg per MWh, got {value}."
    return found


def _earmark_errors(instrument: Instrument) -> dict[str, str]:
    if instrument.earmark_team and instrument.earmark_model:
        return {"earmark_model": "A lot is bought for a team or for a model, not for both."}
    for name in ("earmark_team", "earmark_model"):
        chosen = getattr(instrument, name)
        if chosen is not None and chosen.organisation_id != instrument.organisation_id:
            return {name: "Expected one of this organisation."}
    return {}


def warnings(instrument: Instrument, organisation: Organisation) -> list[str]:
    """What keeps a lot from covering consumption, or will, as sentences; empty where nothing is known to."""
    return list(_warnings(instrument, organisation))


def _warnings(lot: Instrument, organisation: Organisation) -> Iterator[str]:
    if lot.type == Instrument.Type.EAC and not lot.serial_start:
        yield "Criterion 2: without serial numbers nobody can see that it is the only claim; it covers nothing."
    if mismatch := volume_mismatch(lot):
        yield mismatch
    if not lot.tracking_system or lot.retired_on is None:
        yield "Criterion 3: it is not retired in a named tracking system, and covers nothing until it is."
    elif lot.beneficiary.strip().casefold() not in {"", organisation.name.casefold(), organisation.slug.casefold()}:
        yield f"Criterion 3: it was retired for {lot.beneficiary}, not for {organisation.name}; it covers nothing."
    elif lot.retired_on < lot.vintage_end and lot.type == Instrument.Type.EAC:
        yield f"Retired on {lot.retired_on}, before the vintage ended on {lot.vintage_end}: check both dates."
    if outside := outside_window(lot, organisation):
        yield outside
    if lot.type == Instrument.Type.SUPPLIER and lot.supplier_attested is None:
        yield "Criterion 6: it is not stated whether the supplier attests the delivered mix."
    if lot.type == Instrument.Type.PPA and lot.exclusive_claim is None:
        yield "Criterion 7: it is not stated whether every instrument with this claim comes to you alone."
    earmarked = organisation.market_allocation == Organisation.MarketAllocation.EARMARKED
    if (lot.earmark_team_id or lot.earmark_model_id) and not earmarked:
        yield "The earmark has no effect: the organisation allocates instruments pro rata (Settings, Organisation)."


def volume_mismatch(lot: Instrument) -> str:
    """A sentence where the certificates named are fewer than the volume has megawatt-hours, else "".

    Registries issue a certificate per megawatt-hour, granular ones per smaller unit: more certificates than
    megawatt-hours are usual there, fewer nowhere.
    """
    if lot.type != Instrument.Type.EAC or not lot.serial_first or not lot.serial_last:
        return ""
    certificates = int(lot.serial_last) - int(lot.serial_first) + 1
    if lot.volume_milliwatt_hours <= certificates * _MWH:
        return ""
    return (
        f"The serial range holds {certificates:,} certificate{'' if certificates == 1 else 's'}, the volume is"
        f" {lot.volume_milliwatt_hours / _MWH:,.3f} MWh: a certificate stands for 1 MWh at most."
    )


def outside_window(lot: Instrument, organisation: Organisation) -> str:
    """A sentence where the vintage lies further from the consumption named than the organisation's window, else ""."""
    claim_start, claim_end = lot.claim_start or lot.vintage_start, lot.claim_end or lot.vintage_end
    months = max(_months_between(lot.vintage_start, claim_start), _months_between(claim_end, lot.vintage_end))
    if months <= organisation.vintage_window_months:
        return ""
    return (
        f"Criterion 4: the vintage lies {months} months from the consumption;"
        f" the organisation's window is {organisation.vintage_window_months}."
    )


def _months_between(earlier: date, later: date) -> int:
    """Whole months begun between two days; 0 or less where ``later`` is not later."""
    return (later.year - earlier.year) * 12 + later.month - earlier.month + (later.day > earlier.day)
