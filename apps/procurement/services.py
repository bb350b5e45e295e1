"""Everything that writes instruments and standard supply.

Each function is one transaction with its audit event inside, and tells the accounts to look at their inputs again.
What a user can mend is raised as Django's ``ValidationError`` by field.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import BinaryIO, TypedDict, Unpack
from uuid import uuid4

from django.core.exceptions import ValidationError
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import transaction

from apps.audit.services import audited, record, state_of
from apps.core.signals import announce_inputs_changed
from apps.organisations.models import Organisation, Team
from apps.organisations.services import save_valid
from apps.procurement import checks, queries
from apps.procurement.evidence import EvidenceFile, examine
from apps.procurement.models import Instrument, StandardSupply
from apps.workloads.models import AIModel

TEXT_FIELDS = (
    "reference",
    "technology",
    "tracking_system",
    "serial_start",
    "serial_end",
    "beneficiary",
    "device",
    "note",
)
CLAIM_FIELDS = ("tracking_system", "serial_start", "serial_end")
HOURLY_FIELDS = {
    "volume_milliwatt_hours": "The volume of hourly certificates is the sum of their hours.",
    "vintage_start": "The vintage of hourly certificates is the month of their hours.",
    "vintage_end": "The vintage of hourly certificates is the month of their hours.",
}


class OptionalFields(TypedDict, total=False):
    """What may be left out of a new lot. Rates in kg per MWh, intervals half-open."""

    technology: str
    co2e_kg_per_mwh: Decimal | None
    co2_kg_per_mwh: Decimal | None
    ch4_kg_per_mwh: Decimal | None
    n2o_kg_per_mwh: Decimal | None
    biogenic_co2_kg_per_mwh: Decimal | None
    tracking_system: str
    serial_start: str
    serial_end: str
    issued_on: date | None
    retired_on: date | None
    beneficiary: str
    deliverable: bool
    supplier_attested: bool | None
    exclusive_claim: bool | None
    earmark_team: Team | None
    earmark_model: AIModel | None
    device: str
    certificate: dict[str, object]
    claim_start: date | None
    claim_end: date | None
    simulated: bool
    note: str


class InstrumentFields(OptionalFields, total=False):
    """What may be corrected of a lot. Volume in milliwatt-hours."""

    type: str
    market: str
    vintage_start: date
    vintage_end: date
    volume_milliwatt_hours: int


def _save(instrument: Instrument) -> None:
    for name in TEXT_FIELDS:
        setattr(instrument, name, getattr(instrument, name).strip())
    instrument.market = instrument.market.strip().upper()
    if errors := checks.errors(instrument):
        raise ValidationError(errors)
    stored = Instrument.objects.of(instrument.organisation_id).filter(pk=instrument.pk).values(*CLAIM_FIELDS).first()
    if stored != {name: getattr(instrument, name) for name in CLAIM_FIELDS}:
        _refuse_second_claim(instrument)
    try:
        save_valid(instrument)
    except ValidationError:
        _refuse_second_claim(instrument)  # somebody else's claim that was committed since we looked
        raise


def _refuse_second_claim(instrument: Instrument) -> None:
    """Say which serials are claimed already: by which lot where it is the organisation's own, else without a name."""
    other = queries.claimed_before(instrument)
    if other is None:
        return
    own = other.organisation_id == instrument.organisation_id
    holder = f"the lot {other.reference}" if own else "another organisation of this installation"
    serials = queries.common_serials(instrument, other)
    registry = f" of {instrument.tracking_system}" if instrument.tracking_system else ""
    are = "are" if " to " in serials else "is"
    text = f"{serials}{registry} {are} already claimed by {holder}. A serial number is claimed once."
    raise ValidationError({"serial_start": text})


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
    reason: str = "",
    **fields: Unpack[OptionalFields],
) -> Instrument:
    """A new lot. Volume in milliwatt-hours, factors in kg per MWh, intervals half-open. Raises ``ValidationError``."""
    instrument = Instrument(
        organisation=organisation,
        reference=reference,
        type=type,
        market=market,
        vintage_start=vintage_start,
        vintage_end=vintage_end,
        volume_milliwatt_hours=volume_milliwatt_hours,
        **fields,
    )
    audited(
        instrument,
        lambda: _save(instrument),
        organisation_id=organisation.pk,
        actor=actor,
        action="instrument.created",
        reason=reason,
    )
    announce_inputs_changed(organisation.pk)
    return instrument


@transaction.atomic
def update_instrument(
    *, instrument: Instrument, actor: str, reason: str = "", **fields: Unpack[InstrumentFields]
) -> Instrument:
    """Correct the fields given; the audit log keeps what they said before. The reference stays.

    A CO2e rate that changes takes the place of gases that are left as they were. Raises ``ValidationError``.
    """
    instrument = Instrument.objects.of(instrument.organisation_id).select_for_update().get(pk=instrument.pk)
    hourly = instrument.hours.exists()
    errors = {
        name: text
        for name, text in HOURLY_FIELDS.items()
        if hourly and name in fields and fields[name] != getattr(instrument, name)  # type: ignore[literal-required]
    }
    if errors:
        raise ValidationError(errors)

    def change() -> None:
        rate = fields.get("co2e_kg_per_mwh")
        gases = {name: getattr(instrument, name) for name in checks.GAS_FIELDS}
        is_new_rate = rate is not None and rate != instrument.co2e_kg_per_mwh
        for name, value in fields.items():
            setattr(instrument, name, value)
        for name, mass in gases.items():
            if is_new_rate and getattr(instrument, name) == mass:
                setattr(instrument, name, None)  # masses of the old figure would contradict the new one
        _save(instrument)

    organisation_id = instrument.organisation_id
    if audited(
        instrument, change, organisation_id=organisation_id, actor=actor, action="instrument.updated", reason=reason
    ):
        announce_inputs_changed(organisation_id)
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
    organisation_id, evidence = instrument.organisation_id, instrument.evidence.name
    instrument.delete()
    if evidence:
        transaction.on_commit(lambda: default_storage.delete(evidence))
    announce_inputs_changed(organisation_id)


# --- Evidence -----------------------------------------------------------------------------------------------------


@transaction.atomic
def attach_evidence(
    *, instrument: Instrument, name: str, content: BinaryIO, actor: str, reason: str = ""
) -> EvidenceFile:
    """Keep a lot's evidence (registry statement, contract) below the data folder, under a random name.

    A file that it replaces stays in the store, and the audit log says where: published figures may rest on it. Raises
    ``ValidationError`` for a file that is no evidence, see ``evidence.examine``.
    """
    instrument = Instrument.objects.of(instrument.organisation_id).select_for_update().get(pk=instrument.pk)
    try:
        found = examine(name, content)
    except ValueError as error:
        raise ValidationError({"evidence": str(error)}) from None
    before = _evidence_state(instrument)
    place = f"instruments/{instrument.organisation_id}/{uuid4().hex}.{found.kind}"
    stored = default_storage.save(place, File(content))
    try:
        with transaction.atomic():
            instrument.evidence.name = stored
            instrument.evidence_name, instrument.evidence_digest = found.name, found.digest
            instrument.save(update_fields=["evidence", "evidence_name", "evidence_digest"])
            record(
                organisation_id=instrument.organisation_id,
                actor=actor,
                action="instrument.evidence_replaced" if before else "instrument.evidence_added",
                instance=instrument,
                before=before,
                after=_evidence_state(instrument),
                reason=reason,
            )
    except Exception:
        default_storage.delete(stored)
        raise
    announce_inputs_changed(instrument.organisation_id)
    return found


def _evidence_state(instrument: Instrument) -> dict[str, str] | None:
    if not instrument.evidence.name:
        return None
    return {
        "evidence_name": instrument.evidence_name,
        "evidence_digest": instrument.evidence_digest,
        "stored_as": instrument.evidence.name,
    }


# --- Standard supply ----------------------------------------------------------------------------------------------


@transaction.atomic
def add_standard_supply(
    *,
    organisation: Organisation,
    market: str,
    start: date,
    end: date,
    share_ppm: int,
    co2e_kg_per_mwh: Decimal,
    source: str,
    actor: str,
) -> StandardSupply:
    """The share of standard supply in the consumption of a market during ``[start, end)``.

    Draft revision of October 2025, criterion 6: a reporter may not claim more than its share. Share in parts per
    million, rate in kg per MWh. Raises ``ValidationError``, also where two statements would hold at once.
    """
    row = StandardSupply(
        organisation=organisation,
        market=market.strip().upper(),
        start=start,
        end=end,
        share_ppm=share_ppm,
        co2e_kg_per_mwh=co2e_kg_per_mwh,
        source=source.strip(),
    )
    errors = {}
    if not checks.MARKET.fullmatch(row.market):
        errors["market"] = f"Expected the code of a market such as DE or ERCT, got {row.market!r}."
    if not 0 <= share_ppm <= 1_000_000:
        errors["share_ppm"] = "Expected a share from 0 to 100 %."
    if not 0 <= co2e_kg_per_mwh <= checks.MOST_KG_PER_MWH:
        errors["co2e_kg_per_mwh"] = f"Expected 0 to {checks.MOST_KG_PER_MWH} kg per MWh, got {co2e_kg_per_mwh}."
    if end <= start:
        errors["end"] = f"Expected a day after {start}, got {end}."
    Organisation.objects.select_for_update().get(pk=organisation.pk)  # two statements of one time do not slip in
    held = queries.standard_supply(organisation.pk, row.market).filter(start__lt=end, end__gt=start).first()
    if held is not None and not errors:
        errors["start"] = f"{held.start} to {held.end} is already stated for {row.market}; remove that statement first."
    if errors:
        raise ValidationError(errors)
    audited(
        row,
        lambda: save_valid(row),
        organisation_id=organisation.pk,
        actor=actor,
        action="standard_supply.created",
    )
    announce_inputs_changed(organisation.pk)
    return row


@transaction.atomic
def remove_standard_supply(*, row: StandardSupply, actor: str, reason: str = "") -> None:
    """Withdraw a statement of standard supply; the audit log keeps what it said."""
    record(
        organisation_id=row.organisation_id,
        actor=actor,
        action="standard_supply.deleted",
        instance=row,
        before=state_of(row),
        reason=reason,
    )
    row.delete()
    announce_inputs_changed(row.organisation_id)
