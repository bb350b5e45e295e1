"""Everything that writes instruments.

Each function is one transaction with its audit event inside, and tells the accounts to look at their inputs again.
What a user can mend is raised as Django's ``ValidationError`` by field.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from apps.audit.services import record, state_of
from apps.core.signals import announce_inputs_changed
from apps.organisations.models import Organisation
from apps.organisations.services import save_valid
from apps.procurement.models import Instrument

MOST_KG_PER_MWH = Decimal(2_000)
GAS_FIELDS = ("co2_kg_per_mwh", "ch4_kg_per_mwh", "n2o_kg_per_mwh")
TEXT_FIELDS = ("reference", "technology", "tracking_system", "serial_start", "serial_end", "beneficiary", "note")


def _check(instrument: Instrument) -> None:
    """Raise ``ValidationError`` for what no registry would issue.

    A lot that fails a Quality Criterion is no error: it is kept, and the accounts say which one it fails.
    """
    errors: dict[str, str] = {}
    if not re.fullmatch(r"[A-Z0-9][A-Z0-9-]{1,19}", instrument.market):
        errors["market"] = f"Expected the code of a market such as DE or ERCT, got {instrument.market!r}."
    if instrument.volume_milliwatt_hours <= 0:
        errors["volume_milliwatt_hours"] = "Expected more than 0."
    if instrument.vintage_end <= instrument.vintage_start:
        errors["vintage_end"] = f"Expected a day after {instrument.vintage_start}, got {instrument.vintage_end}."
    if (instrument.claim_start is None) != (instrument.claim_end is None):
        errors["claim_end"] = "Give both ends of the consumption that the retirement names, or neither."
    elif instrument.claim_start and instrument.claim_end and instrument.claim_end <= instrument.claim_start:
        errors["claim_end"] = f"Expected a day after {instrument.claim_start}, got {instrument.claim_end}."
    if instrument.retired_on is not None and instrument.retired_on > timezone.now().date():
        errors["retired_on"] = f"{instrument.retired_on} lies in the future; leave it empty until it is retired."
    if instrument.serial_end and not instrument.serial_start:
        errors["serial_start"] = "A last serial number needs a first one."
    errors.update(_factor_errors(instrument))
    if errors:
        raise ValidationError(errors)


def _factor_errors(instrument: Instrument) -> dict[str, str]:
    gases = [getattr(instrument, name) for name in GAS_FIELDS]
    if instrument.co2e_kg_per_mwh is None and None in gases:
        return {"co2e_kg_per_mwh": "Expected CO2e, or CO2, CH4 and N2O, in kg per MWh; 0 where there is none."}
    errors = {}
    for name in ("co2e_kg_per_mwh", *GAS_FIELDS):
        value = getattr(instrument, name)
        if value is not None and not 0 <= value <= MOST_KG_PER_MWH:
            errors[name] = f"Expected 0 to {MOST_KG_PER_MWH} kg per MWh, got {value}."
    return errors


def _save(instrument: Instrument) -> None:
    for name in TEXT_FIELDS:
        setattr(instrument, name, getattr(instrument, name).strip())
    instrument.market = instrument.market.strip().upper()
    _check(instrument)
    save_valid(instrument)


@transaction.atomic
def create_instrument(
    *,
    organisation: Organisation,
    reference: str,
    type: str,  # noqa: A002
    market: str,
    vintage_start: date,
    vintage_end: date,
    volume_milliwatt_hours: int,
    actor: str,
    co2e_kg_per_mwh: Decimal | None = None,
    co2_kg_per_mwh: Decimal | None = None,
    ch4_kg_per_mwh: Decimal | None = None,
    n2o_kg_per_mwh: Decimal | None = None,
    technology: str = "",
    tracking_system: str = "",
    serial_start: str = "",
    serial_end: str = "",
    retired_on: date | None = None,
    beneficiary: str = "",
    claim_start: date | None = None,
    claim_end: date | None = None,
    simulated: bool = False,
    note: str = "",
) -> Instrument:
    """A new lot. Volume in milliwatt-hours, factors in kg per MWh, intervals half-open. Raises ``ValidationError``."""
    instrument = Instrument(
        organisation=organisation,
        reference=reference,
        type=type,
        market=market,
        technology=technology,
        vintage_start=vintage_start,
        vintage_end=vintage_end,
        volume_milliwatt_hours=volume_milliwatt_hours,
        co2e_kg_per_mwh=co2e_kg_per_mwh,
        co2_kg_per_mwh=co2_kg_per_mwh,
        ch4_kg_per_mwh=ch4_kg_per_mwh,
        n2o_kg_per_mwh=n2o_kg_per_mwh,
        tracking_system=tracking_system,
        serial_start=serial_start,
        serial_end=serial_end,
        retired_on=retired_on,
        beneficiary=beneficiary,
        claim_start=claim_start,
        claim_end=claim_end,
        simulated=simulated,
        note=note,
    )
    _save(instrument)
    record(
        organisation_id=organisation.pk,
        actor=actor,
        action="instrument.created",
        instance=instrument,
        after=state_of(instrument),
    )
    announce_inputs_changed(organisation.pk)
    return instrument


@transaction.atomic
def update_instrument(
    *,
    instrument: Instrument,
    type: str,  # noqa: A002
    market: str,
    vintage_start: date,
    vintage_end: date,
    volume_milliwatt_hours: int,
    co2e_kg_per_mwh: Decimal | None,
    technology: str,
    tracking_system: str,
    serial_start: str,
    serial_end: str,
    retired_on: date | None,
    beneficiary: str,
    claim_start: date | None,
    claim_end: date | None,
    note: str,
    actor: str,
    reason: str = "",
) -> Instrument:
    """Correct a lot; the audit log keeps what it said before. Its reference stays. Raises ``ValidationError``."""
    instrument = Instrument.objects.of(instrument.organisation_id).select_for_update().get(pk=instrument.pk)
    before = state_of(instrument)
    if co2e_kg_per_mwh is not None and co2e_kg_per_mwh != instrument.co2e_kg_per_mwh:
        for name in GAS_FIELDS:
            setattr(instrument, name, None)  # masses of the old figure would contradict the new one
    values = {
        "type": type,
        "market": market,
        "vintage_start": vintage_start,
        "vintage_end": vintage_end,
        "volume_milliwatt_hours": volume_milliwatt_hours,
        "co2e_kg_per_mwh": co2e_kg_per_mwh,
        "technology": technology,
        "tracking_system": tracking_system,
        "serial_start": serial_start,
        "serial_end": serial_end,
        "retired_on": retired_on,
        "beneficiary": beneficiary,
        "claim_start": claim_start,
        "claim_end": claim_end,
        "note": note,
    }
    for name, value in values.items():
        setattr(instrument, name, value)
    _save(instrument)
    instrument.refresh_from_db()  # decimals as stored, so that an unchanged one is no change
    after = state_of(instrument)
    if after != before:
        record(
            organisation_id=instrument.organisation_id,
            actor=actor,
            action="instrument.updated",
            instance=instrument,
            before=before,
            after=after,
            reason=reason,
        )
        announce_inputs_changed(instrument.organisation_id)
    return instrument


@transaction.atomic
def delete_instrument(*, instrument: Instrument, actor: str, reason: str = "") -> None:
    """Remove a lot that was never retired, and therefore never covered anything.

    A retired lot stands behind figures that may have been published: it is corrected and not removed. Raises
    ``ValidationError``.
    """
    instrument = Instrument.objects.of(instrument.organisation_id).select_for_update().get(pk=instrument.pk)
    if instrument.retired_on is not None:
        raise ValidationError(
            f"{instrument.reference} was retired on {instrument.retired_on} and may stand behind published figures."
            " Correct it instead; the audit log keeps what it said."
        )
    record(
        organisation_id=instrument.organisation_id,
        actor=actor,
        action="instrument.deleted",
        instance=instrument,
        before=state_of(instrument),
        reason=reason,
    )
    organisation_id = instrument.organisation_id
    instrument.delete()
    announce_inputs_changed(organisation_id)
