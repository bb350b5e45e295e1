"""How sure the figures are: intervals and their causes, meter against telemetry, what was set aside or filled in."""

from __future__ import annotations

from collections.abc import Sequence

from apps.accounting.engine import uncertainty
from apps.accounting.estimates import queries as estimates
from apps.accounting.overlap.queries import set_aside_frame
from apps.accounting.quality.findings import Estimated, Group, Weakness, findings
from apps.accounting.quality.queries import own_values
from apps.accounting.reconciliation import queries as reconciliation
from apps.core.windows import Window
from apps.disclosures.frozen.plain import Json, ppm, texts, time_text
from apps.organisations.models import Organisation
from apps.telemetry import gaps

CONFIDENCE_PERCENT = 95


def uncertainties(organisation: Organisation, window: Window) -> Json:
    """The intervals of the Scope 2 figures, in sum and by site, the table they are made with and what drives them.

    ``drivers``: parts per million of the squared half-width by kind of cause. ``weaknesses``: facility energy of sites
    whose figures rest on an assumed PUE, a life-cycle factor, or a factor of data more than a year apart.
    """
    found = findings(organisation, window)
    return {
        "confidence_percent": CONFIDENCE_PERCENT,
        "table": uncertainty_table(organisation),
        "total": _intervals(found.total) if found.total else None,
        "by_site": [
            {"site": group.site, "site_name": group.name, **_intervals(group)}
            for group in sorted(found.sites, key=lambda group: group.site or "")
            if group.scope == "2"
        ],
        "drivers": {
            name: {cause: ppm(share) for cause, share in sorted(parts.items())} for name, parts in found.drivers.items()
        },
        "weaknesses": {
            "assumed_pue": _weaknesses(found.assumed_pue),
            "life_cycle": _weaknesses(found.life_cycle),
            "lagging": _weaknesses(found.lagging),
        },
    }


def uncertainty_table(organisation: Organisation) -> list[Json]:
    """The relative uncertainties in force [ppm], each with what it rests on."""
    own = own_values(organisation)
    return [
        {
            "name": name,
            "label": default.label,
            "ppm": own[name].ppm if name in own else default.ppm,
            "default_ppm": default.ppm,
            "basis": own[name].basis if name in own else default.basis,
            "own": name in own,
        }
        for name, default in uncertainty.DEFAULTS.items()
    ]


def _intervals(group: Group) -> Json:
    return {
        name: _interval(estimated)
        for name, estimated in (("energy", group.energy), ("location", group.location), ("market", group.market))
    }


def _interval(found: Estimated) -> Json:
    return {"value": found.value, "low": found.low, "high": found.high}


def _weaknesses(rows: Sequence[Weakness]) -> list[Json]:
    return [{"site_name": row.site, "facility_energy_milliwatt_hours": row.energy} for row in rows]


def reconciliations(organisation: Organisation, window: Window) -> list[Json]:
    """Each Scope 2 site's months [mWh]: metered, telemetry of the same days, the difference, what was booked."""
    rows = reconciliation.month_rows(organisation, reconciliation.months_of(organisation, window))
    return [
        {
            "site": row.site.code,
            "site_name": row.site.name,
            "month": row.label,
            "days": row.comparison.days,
            "metered_days": row.comparison.metered_days,
            "metered_milliwatt_hours": row.comparison.metered_milliwatt_hours,
            "telemetry_milliwatt_hours": row.comparison.telemetry_milliwatt_hours,
            "difference_milliwatt_hours": row.comparison.difference_milliwatt_hours,
            "coverage_ppm": ppm(row.comparison.measured_coverage),
            "state": row.comparison.state.value,
            "is_over": row.is_over,
            "missing": texts(row.missing),
            "booked_milliwatt_hours": row.booking.booked_milliwatt_hours if row.booking else None,
            "booking_is_out_of_date": row.is_stale,
            "booked_by": row.booking.booked_by if row.booking else "",
            "booked_at": time_text(row.booking.booked_at) if row.booking else None,
            "note": row.booking.note if row.booking else "",
            "month_telemetry_milliwatt_hours": row.telemetry_milliwatt_hours,
            "month_booked_milliwatt_hours": row.in_ledger_milliwatt_hours,
        }
        for row in sorted(rows, key=lambda row: (row.site.name, row.site.code, row.month))
    ]


def set_aside(organisation: Organisation, window: Window) -> list[Json]:
    """What was received and not counted, because another source measured the same device at the same time."""
    return [
        {
            "source": str(row["source"]),
            "counted_source": str(row["counted_source"]),
            "it_energy_milliwatt_hours": int(row["energy_milliwatt_hours"]),
            "covered_ms": int(row["covered_ms"]),
        }
        for row in set_aside_frame(organisation.pk, window).to_dict("records")
    ]


def gap_decisions(organisation: Organisation, window: Window) -> list[Json]:
    """What officers decided about time without readings that reaches into the window; energies of the whole gap."""
    return [
        {
            "source": row.source.name,
            "site": row.source.site.code if row.source.site else None,
            "start": time_text(row.start),
            "end": time_text(row.end),
            "basis": row.basis,
            "energy_microwatt_hours": row.energy_microwatt_hours,
            "reason": row.reason,
            "working": row.working,
            "decided_by": row.decided_by,
            "decided_at": time_text(row.decided_at),
        }
        for row in gaps.decisions(organisation, window).order_by("source__name", "start", "pk")
    ]


def modelled(organisation: Organisation, window: Window) -> list[Json]:
    """Estimates that reach into the window: energy worked out from a published profile where nothing is measured."""
    rows = estimates.estimates(organisation).filter(start__lt=window.end, end__gt=window.start)
    return [
        {
            "source": row.source.name,
            "basis": row.basis,
            "start": time_text(row.start),
            "end": time_text(row.end),
            "energy_microwatt_hours": row.energy_microwatt_hours,
            "profile_source": row.profile_source,
            "working": row.working,
            "created_by": row.created_by,
            "created_at": time_text(row.created_at),
        }
        for row in rows.order_by("source__name", "start", "pk")
    ]
