"""One line of the ledger walked back to its readings: each reading's part of the hour, the shares, the rounding.

By the engine's own functions and not by the SQL that made the row: two ways that must agree.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from django.db import connection

from apps.accounting.calculations import sql
from apps.accounting.calculations.queries import Calculation, iso
from apps.accounting.engine.energy import split_over_hours
from apps.accounting.engine.receipt import FACILITY
from apps.accounting.engine.receipt_rows import IT, USED
from apps.accounting.models import LedgerHour, Posting, SetAside
from apps.accounting.queries import LedgerQuery
from apps.core.units import MICROWATT_HOURS_PER_MILLIWATT_HOUR, largest_remainder
from apps.core.windows import DAY_MS, HOUR_MS, Window, from_epoch_hour
from apps.telemetry.models import DERIVED, Meter, MeterReading, Receipt, Series, Source
from apps.telemetry.rules import iso as iso_ms

LONGEST_MS = 31 * DAY_MS
READINGS_SHOWN = 1_000
RECEIPTS_SHOWN = 50

# The second condition is that of the partial index ``reading_spanning``, word for word.
_READINGS = """
SELECT attribution_id, source_id, start_ms, end_ms, energy_microwatt_hours, receipt_id FROM telemetry_reading
WHERE organisation_id = %s AND start_ms >= %s AND start_ms < %s AND attribution_id IN ({marks})
UNION ALL
SELECT attribution_id, source_id, start_ms, end_ms, energy_microwatt_hours, receipt_id FROM telemetry_reading
WHERE organisation_id = %s AND start_ms >= %s AND start_ms < %s AND attribution_id IN ({marks})
  AND end_ms > start_ms / 3600000 * 3600000 + 3600000 AND end_ms > %s
ORDER BY start_ms, source_id, end_ms
"""


@dataclass(frozen=True, slots=True)
class LineEvidence:
    """A line with what it was made of. ``agrees``: whether the readings give the energy that the ledger holds.

    ``readings``: the first thousand, with ``part_microwatt_hours``, what of each lies in the hour. ``shares``: per
    attribution the energy in the hour, what was set aside, the weight of this line's account and its share.
    ``meters``: of readings that were derived, the meters of their source with what these read in and beside the hour:
    how many readings, the first and the last value in the meter's unit, and the receipts they came with.
    """

    line: dict[str, Any]
    rate: dict[str, Any] | None
    readings: list[dict[str, Any]]
    reading_count: int
    shares: list[dict[str, Any]]
    energy_microwatt_hours: int
    measured_milliwatt_hours: int
    agrees: bool
    meters: list[dict[str, Any]]


def line_evidence(organisation_id: int, hour: int, account_id: int) -> LineEvidence | None:
    """What a line was made of; None where the ledger has no such line."""
    row = LedgerHour.objects.filter(organisation_id=organisation_id, hour=hour, account_id=account_id).first()
    words = sql.words(organisation_id, [account_id])
    if row is None or not words:
        return None
    start = from_epoch_hour(hour)
    calculation = Calculation(LedgerQuery(organisation_id, Window(start, start + timedelta(hours=1)), scope="all"))
    ledger_line = sql.LedgerLine(
        hour,
        account_id,
        row.it_energy_milliwatt_hours,
        row.facility_energy_milliwatt_hours,
        row.location_mg,
        row.readings,
    )
    [line] = calculation.line_rows([ledger_line], words)
    postings = _postings(organisation_id, account_id)
    found = _readings(organisation_id, hour, sorted(postings))
    parts = _parts(found, hour)
    aside = _set_aside(organisation_id, hour, sorted(postings))
    shares = []
    total = 0
    for attribution, weights in postings.items():
        whole = sum(part for reading, part in zip(found, parts, strict=True) if reading[0] == attribution)
        counted = whole - aside.get(attribution, 0)
        share = counted
        if len(weights) > 1:
            given = largest_remainder(
                counted, [weight for _, weight in weights], [f"{i:06d}" for i in range(len(weights))]
            )
            share = next(part for (account, _), part in zip(weights, given, strict=True) if account == account_id)
        total += share
        if whole:
            shares.append(
                {
                    "energy_microwatt_hours": whole,
                    "set_aside_microwatt_hours": aside.get(attribution, 0),
                    "weight_ppm": next(weight for account, weight in weights if account == account_id),
                    "weights_ppm": [weight for _, weight in weights],
                    "share_microwatt_hours": share,
                }
            )
    measured = (total + MICROWATT_HOURS_PER_MILLIWATT_HOUR // 2) // MICROWATT_HOURS_PER_MILLIWATT_HOUR
    rate = calculation.rate_at(words[account_id].site_id, hour)
    return LineEvidence(
        line=line,
        rate={"pue_source": rate.pue_source, "reasons": rate.reasons} if rate else None,
        readings=_shown(organisation_id, found, parts),
        reading_count=len(found),
        shares=shares,
        energy_microwatt_hours=total,
        measured_milliwatt_hours=measured,
        agrees=measured == line[USED if line["boundary"] == FACILITY else IT],
        meters=_meters(organisation_id, hour, {reading[1] for reading in found if reading[5] == DERIVED}),
    )


def _postings(organisation_id: int, account_id: int) -> dict[int, list[tuple[int, int]]]:
    """The attributions posted to an account, each with all its (account, weight [ppm]) in order."""
    ours = Posting.objects.filter(organisation_id=organisation_id, account_id=account_id).values("attribution_id")
    rows = Posting.objects.filter(organisation_id=organisation_id, attribution_id__in=ours)
    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for attribution, account, weight in rows.order_by("attribution_id", "position").values_list(
        "attribution_id", "account_id", "weight_ppm"
    ):
        found[attribution].append((account, weight))
    return dict(found)


def _readings(organisation_id: int, hour: int, attributions: list[int]) -> list[tuple[int, ...]]:
    first, end = hour * HOUR_MS, (hour + 1) * HOUR_MS
    found: list[tuple[int, ...]] = []
    for i in range(0, len(attributions), 400):
        chunk = attributions[i : i + 400]
        marks = ", ".join(["%s"] * len(chunk))
        with connection.cursor() as cursor:
            cursor.execute(
                _READINGS.format(marks=marks),
                [organisation_id, first, end, *chunk, organisation_id, first - LONGEST_MS, first, *chunk, first],
            )
            found += cursor.fetchall()
    return found


def _parts(readings: list[tuple[int, ...]], hour: int) -> list[int]:
    """The energy [uWh] of each reading that lies in the hour."""
    if not readings:
        return []
    table = np.array(readings, dtype=np.int64)
    row, at, energy, _ = split_over_hours(energy=table[:, 4], start_ms=table[:, 2], end_ms=table[:, 3])
    parts = np.zeros(len(readings), dtype=np.int64)
    parts[row[at == hour]] = energy[at == hour]
    return [int(part) for part in parts]


def _set_aside(organisation_id: int, hour: int, attributions: list[int]) -> dict[int, int]:
    found: dict[int, int] = defaultdict(int)
    rows = SetAside.objects.filter(organisation_id=organisation_id, hour=hour, attribution_id__in=attributions)
    for attribution, energy in rows.values_list("attribution_id", "energy_microwatt_hours"):
        found[attribution] += energy
    return dict(found)


def _shown(organisation_id: int, readings: list[tuple[int, ...]], parts: list[int]) -> list[dict[str, Any]]:
    shown = list(zip(readings, parts, strict=True))[:READINGS_SHOWN]
    receipts = Receipt.objects.of(organisation_id).filter(pk__in={reading[5] for reading, _ in shown})
    sent = {pk: (str(key), digest) for pk, key, digest in receipts.values_list("pk", "public_id", "body_digest")}
    sources = Source.objects.of(organisation_id).filter(pk__in={reading[1] for reading, _ in shown})
    names = dict(sources.values_list("pk", "name"))
    return [
        {
            "source": names.get(source, ""),
            "start": iso_ms(start),
            "end": iso_ms(end),
            "energy_microwatt_hours": energy,
            "part_microwatt_hours": part,
            "receipt": sent.get(receipt, (None, ""))[0],
            "receipt_sha256": sent.get(receipt, (None, ""))[1],
        }
        for (_, source, start, end, energy, receipt), part in shown
    ]


def _meters(organisation_id: int, hour: int, sources: set[int]) -> list[dict[str, Any]]:
    """The meters that readings of these sources were derived from, with what they read for the hour."""
    meters = Meter.objects.of(organisation_id).filter(source__in=sources).order_by("name") if sources else ()
    return [said for meter in meters if (said := _meter(meter, hour)) is not None]


def _meter(meter: Meter, hour: int) -> dict[str, Any] | None:
    first, end = hour * HOUR_MS, (hour + 1) * HOUR_MS
    series = Series.objects.of(meter.organisation_id).filter(meter=meter).values("pk")
    rows = MeterReading.objects.filter(
        organisation_id=meter.organisation_id,
        series__in=series,
        value__isnull=False,
        at_ms__gte=first - LONGEST_MS,
        at_ms__lt=end + LONGEST_MS,
    )
    before = rows.filter(at_ms__lt=first).order_by("-at_ms").values_list("at_ms", flat=True).first()
    after = rows.filter(at_ms__gte=end).order_by("at_ms").values_list("at_ms", flat=True).first()
    used = rows.filter(
        at_ms__gte=first if before is None else before, at_ms__lte=end - 1 if after is None else after
    ).order_by("at_ms", "series")
    ends = used.first(), used.last()
    if ends[0] is None or ends[1] is None:
        return None
    numbers = list(used.order_by().values_list("receipt_id", flat=True).distinct()[: RECEIPTS_SHOWN + 1])
    receipts = Receipt.objects.of(meter.organisation_id).filter(pk__in=numbers[:RECEIPTS_SHOWN]).order_by("pk")
    return {
        "meter": meter.name,
        "unit": meter.unit,
        "kind": meter.get_kind_display(),
        "count": used.count(),
        "first": {"at": iso_ms(ends[0].at_ms), "value": ends[0].value},
        "last": {"at": iso_ms(ends[1].at_ms), "value": ends[1].value},
        "receipts": [str(key) for key in receipts.values_list("public_id", flat=True)],
        "more_receipts": len(numbers) > RECEIPTS_SHOWN,
    }


def samples_path(line: dict[str, Any]) -> str:
    """The API call that gives the readings of the line's source which begin in its hour."""
    from urllib.parse import urlencode

    hour = line["hour"]
    end = iso(int(np.datetime64(hour.removesuffix("Z"), "h").astype(int)) + 1)
    return f"/api/v1/samples?{urlencode({'source': line['source'], 'from': hour, 'to': end}, safe=':')}"
