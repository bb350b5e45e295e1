"""Importing instruments from files: all of a file or nothing of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import transaction

from apps.organisations.models import Organisation
from apps.procurement import queries, services
from apps.procurement.checks import outside_window, warnings
from apps.procurement.importing.bundles import Bundle, HourlyLot, read_bundles
from apps.procurement.importing.lots import read_lots
from apps.procurement.importing.reading import MOST_FAULTS, FileRefusedError, RowError
from apps.procurement.models import Instrument, InstrumentHour

LOTS, HOURLY = "lots", "hourly"
MILLIWATT_HOURS_PER_WATT_HOUR = 1_000
COLUMNS = {"volume_milliwatt_hours": "volume_mwh", "retired_on": "cancelled_on", NON_FIELD_ERRORS: "reference"}


@dataclass(frozen=True, slots=True)
class Imported:
    """A lot that was made (or would be), its number of hours, and what a Quality Criterion will ask for."""

    instrument: Instrument
    hours: int
    warnings: list[str]


@transaction.atomic
def import_instruments(
    *, organisation: Organisation, kind: str, content: bytes, name: str, actor: str, only_try: bool = False
) -> list[Imported]:
    """The lots of a file: ``kind`` ``"lots"`` (CSV) or ``"hourly"`` (CSV or JSON of granular certificates).

    With ``only_try`` everything is checked, by the database too, and taken back. Raises :class:`FileRefusedError`
    with every faulty row; then nothing was imported.
    """
    reason = f"imported from {name}"[:300]
    made = (
        _import_hourly(organisation, content, actor, reason)
        if kind == HOURLY
        else _import_lots(organisation, content, actor, reason)
    )
    if only_try:
        transaction.set_rollback(True)
    return made


def _import_lots(organisation: Organisation, content: bytes, actor: str, reason: str) -> list[Imported]:
    rows, errors = read_lots(content, organisation)
    made = []
    # In the order of the tracking systems: two imports at once wait for one another and never each for the other.
    for row, fields in sorted(rows, key=lambda one: one[1]["tracking_system"].lower()):
        try:
            with transaction.atomic():
                lot = services.create_instrument(organisation=organisation, actor=actor, reason=reason, **fields)
                # A single lot is kept whatever its vintage; in a file it is a slip of a column or a year.
                if outside := outside_window(lot, organisation):
                    raise ValidationError({"vintage_start": outside})
                made.append((row, Imported(lot, 0, warnings(lot, organisation))))
        except ValidationError as error:
            errors += list(_row_errors(row, error, fields))
            if len(errors) >= MOST_FAULTS:
                break
    if errors:
        raise FileRefusedError(errors)
    return [imported for _, imported in sorted(made, key=lambda one: one[0])]


def _row_errors(row: int, error: ValidationError, fields: dict[str, object]) -> Iterator[RowError]:
    for name, texts in error.message_dict.items():
        column = "reference" if name == NON_FIELD_ERRORS else "volume_mwh" if name.startswith("volume") else name
        for text in texts:
            yield RowError(row, column, str(fields.get(column) or ""), text)


def _import_hourly(organisation: Organisation, content: bytes, actor: str, reason: str) -> list[Imported]:
    lots, errors = read_bundles(content)
    made: list[Imported] = []
    for lot in lots:
        try:
            with transaction.atomic():
                made.append(_create_hourly(organisation, lot, actor, reason))
        except ValidationError as error:
            errors += list(_bundle_errors(organisation, lot, error))
            if len(errors) >= MOST_FAULTS:
                break
    if errors:
        raise FileRefusedError(errors)
    return made


def _create_hourly(organisation: Organisation, lot: HourlyLot, actor: str, reason: str) -> Imported:
    first = lot.first
    month = first.month
    instrument = services.create_instrument(
        organisation=organisation,
        reference=_free_reference(organisation, f"{first.device} {month:%Y-%m}"),
        type=Instrument.Type.EAC,
        market=first.market,
        technology=first.technology,
        vintage_start=month,
        vintage_end=date(month.year + month.month // 12, month.month % 12 + 1, 1),
        volume_milliwatt_hours=lot.energy_watt_hours * MILLIWATT_HOURS_PER_WATT_HOUR,
        co2e_kg_per_mwh=Decimal(first.co2e_kg_per_mwh),
        tracking_system=first.tracking_system,
        serial_start=lot.serial_start,
        serial_end=lot.serial_end,
        issued_on=lot.issued_on,
        retired_on=first.cancelled_on,
        beneficiary=first.beneficiary,
        device=first.device,
        certificate=dict(first.stated),
        actor=actor,
        reason=reason,
    )
    hours = lot.hours
    InstrumentHour.unscoped.bulk_create(
        [
            InstrumentHour(
                organisation=organisation,
                instrument=instrument,
                hour=hour,
                energy_milliwatt_hours=energy * MILLIWATT_HOURS_PER_WATT_HOUR,
            )
            for hour, energy in sorted(hours.items())
        ],
        batch_size=2_000,
    )
    return Imported(instrument, len(hours), warnings(instrument, organisation))


def _free_reference(organisation: Organisation, name: str) -> str:
    """``name``, or with the first number behind it that no lot has."""
    taken = set(
        queries.instruments(organisation).filter(reference__startswith=name).values_list("reference", flat=True)
    )
    numbered = (name if number == 1 else f"{name} #{number}" for number in range(1, len(taken) + 2))
    return next(reference for reference in numbered if reference not in taken)


def _bundle_errors(organisation: Organisation, lot: HourlyLot, error: ValidationError) -> Iterator[RowError]:
    """A lot's errors at the rows of its bundles: a serial that is claimed at the row that has it."""
    for name, texts in error.message_dict.items():
        for text in texts:
            guilty = lot.first
            if name == "serial_start":
                guilty = next((one for one in lot.bundles if _is_claimed(organisation, one)), lot.first)
            column = COLUMNS.get(name, name)
            got = guilty.serial_start if name == "serial_start" else ""
            yield RowError(guilty.row, column, got, text)


def _is_claimed(organisation: Organisation, bundle: Bundle) -> bool:
    probe = Instrument(
        organisation=organisation,
        tracking_system=bundle.tracking_system,
        serial_start=bundle.serial_start,
        serial_end=bundle.serial_end,
    )
    probe.work_out_serials()
    return queries.claimed_before(probe) is not None
