"""Lots from a CSV file: one row a lot, all of them or none."""

from __future__ import annotations

from typing import Any

from apps.core.units import MILLIWATT_HOURS_PER_KWH
from apps.organisations import queries as organisations
from apps.organisations.models import Organisation
from apps.procurement.checks import RATE_FIELDS
from apps.procurement.importing.reading import Record, RowError, read_records
from apps.procurement.models import Instrument
from apps.workloads import queries as workloads

MILLIWATT_HOURS_PER_MWH = 1_000 * MILLIWATT_HOURS_PER_KWH
MOST_MWH = 4_000_000_000

REQUIRED = ("reference", "type", "market", "volume_mwh", "vintage_start", "vintage_end")
OPTIONAL = (
    "technology",
    *RATE_FIELDS,
    "tracking_system",
    "serial_start",
    "serial_end",
    "issued_on",
    "retired_on",
    "beneficiary",
    "claim_start",
    "claim_end",
    "supplier_attested",
    "exclusive_claim",
    "deliverable",
    "earmark_team",
    "earmark_model",
    "note",
)
TEXTS = {"technology": 60, "tracking_system": 60, "serial_start": 80, "serial_end": 80, "beneficiary": 120, "note": 300}
EXAMPLE = {
    "reference": "GO-DE-2026Q2",
    "type": "eac",
    "market": "DE",
    "volume_mwh": "120",
    "vintage_start": "2026-04-01",
    "vintage_end": "2026-07-01",
    "technology": "Wind onshore",
    "co2e_kg_per_mwh": "0",
    "tracking_system": "AIB EECS registry",
    "serial_start": "GO-000001",
    "serial_end": "GO-000120",
    "issued_on": "2026-07-05",
    "retired_on": "2026-07-20",
}


def read_lots(content: bytes, organisation: Organisation) -> tuple[list[tuple[int, dict[str, Any]]], list[RowError]]:
    """The rows that can be read, with the fields of each as ``services.create_instrument`` takes them, and the faults.

    Raises :class:`FileRefusedError` for a file of which no row can be read. What only the services know (a serial that
    is claimed) they say.
    """
    records = read_records(content, required=REQUIRED, optional=OPTIONAL)
    teams = {team.slug: team for team in organisations.teams(organisation)}
    models = {model.slug: model for model in workloads.models(organisation)}
    rows = [(record, _fields(record, teams, models)) for record in records]
    first: dict[str, int] = {}
    for record in records:
        reference = record.values["reference"]
        if (at := first.setdefault(reference, record.row)) != record.row:
            record.fault("reference", f"expected each reference once; it stands in row {at} too")
    errors = [error for record in records for error in record.errors]
    return [(record.row, fields) for record, fields in rows if not record.errors], errors


def _fields(record: Record, teams: dict[str, Any], models: dict[str, Any]) -> dict[str, Any]:
    kind = record.text("type", 10, required=True)
    if kind and kind not in Instrument.Type.values:
        record.fault("type", f"expected one of {', '.join(Instrument.Type.values)}")
    volume = record.number("volume_mwh", required=True)
    if volume is not None and not 0 < volume <= MOST_MWH:
        record.fault("volume_mwh", f"expected more than 0 and {MOST_MWH:,} at most")
        volume = None
    deliverable = record.flag("deliverable")
    return {
        "reference": record.text("reference", 80, required=True),
        "type": kind,
        "market": record.text("market", 20, required=True),
        "volume_milliwatt_hours": int((volume or 0) * MILLIWATT_HOURS_PER_MWH),
        "vintage_start": record.day("vintage_start", required=True),
        "vintage_end": record.day("vintage_end", required=True),
        **{name: record.text(name, longest) for name, longest in TEXTS.items()},
        **{name: record.number(name) for name in RATE_FIELDS},
        **{name: record.day(name) for name in ("issued_on", "retired_on", "claim_start", "claim_end")},
        "supplier_attested": record.flag("supplier_attested"),
        "exclusive_claim": record.flag("exclusive_claim"),
        "deliverable": True if deliverable is None else deliverable,
        "earmark_team": _known(record, "earmark_team", teams),
        "earmark_model": _known(record, "earmark_model", models),
    }


def _known(record: Record, column: str, objects: dict[str, Any]) -> Any:
    slug = record.values.get(column, "")
    if slug and slug not in objects:
        record.fault(column, "expected the short name of one that the organisation has")
    return objects.get(slug)
