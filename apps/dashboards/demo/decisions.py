"""What the demo's officer bought, read, decided and booked: through the services that the pages call."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO

from apps.accounting.estimates.services import Request, record_estimate
from apps.accounting.reconciliation.services import book_difference
from apps.core.units import MILLIWATT_HOURS_PER_KWH
from apps.core.windows import from_epoch_hour
from apps.dashboards.demo import estate, fleets, granular, meters
from apps.organisations.models import Organisation, Role, Team
from apps.procurement.importing.services import HOURLY, import_instruments
from apps.procurement.services import add_standard_supply, attach_evidence, create_instrument, update_instrument
from apps.sites.measurements.services import add_measurement
from apps.sites.models import Site
from apps.telemetry.gaps import decide_gap
from apps.telemetry.models import Estimate, GapDecision, Source
from apps.telemetry.services import assign_source_device

OFFICER = f"{Role.OFFICER.value}@demo.example"

ESTIMATE = Request(
    basis=Estimate.Basis.ACCELERATOR_HOURS,
    source="vie1/borrowed-cluster",
    start=datetime(2026, 9, 7, tzinfo=UTC),
    end=datetime(2026, 9, 21, tzinfo=UTC),
    hardware="nvidia-a100-pcie-80gb",
    utilisation=Decimal("0.55"),
    accelerators=8,
    site="vie1",
    team="search",
    model="Sift 12B",
    workload="Sift retrieval trial on a borrowed cluster",
    kind="evaluation",
)
ESTIMATE_CITATION = "Simulated: nothing was measured; estimated from accelerator-hours and the published TDP"


def decide(organisation: Organisation) -> None:
    """Instruments, meters, the device that two sources measure, the gap and the estimate."""
    _instruments(organisation)
    _meters(organisation)
    _sources(organisation)
    record_estimate(organisation=organisation, said=ESTIMATE, actor=OFFICER)


def book(organisation: Organisation) -> None:
    """Book what one meter says beyond its telemetry; the month has to be settled."""
    book_difference(
        organisation=organisation,
        site=Site.objects.of(organisation).get(code=meters.BOOKED_SITE),
        month=meters.BOOKED_MONTH,
        note=meters.BOOKED_NOTE,
        actor=OFFICER,
    )


def _instruments(organisation: Organisation) -> None:
    teams = {team.slug: team for team in Team.objects.of(organisation)}
    for lot in estate.INSTRUMENTS:
        instrument = create_instrument(
            organisation=organisation,
            reference=lot.reference,
            type=lot.type,
            market=lot.market,
            technology=lot.technology,
            vintage_start=lot.vintage_start,
            vintage_end=lot.vintage_end,
            volume_milliwatt_hours=lot.volume_mwh * 1000 * MILLIWATT_HOURS_PER_KWH,
            co2e_kg_per_mwh=lot.co2e_kg_per_mwh,
            tracking_system=lot.tracking_system,
            serial_start=lot.serial_start,
            serial_end=lot.serial_end,
            retired_on=lot.retired_on,
            beneficiary=estate.NAME,
            supplier_attested=lot.supplier_attested,
            exclusive_claim=lot.exclusive_claim,
            earmark_team=teams.get(lot.earmark_team),
            simulated=True,
            note=lot.note,
            actor=OFFICER,
        )
        if lot.has_evidence:
            name, content = f"{lot.reference}.csv", BytesIO(estate.evidence_of(lot))
            attach_evidence(instrument=instrument, name=name, content=content, actor=OFFICER)
    hourly = import_instruments(
        organisation=organisation,
        kind=HOURLY,
        content=granular.certificates(),
        name=granular.FILE_NAME,
        actor=OFFICER,
    )
    for made in hourly:
        update_instrument(instrument=made.instrument, simulated=True, note=granular.NOTE, actor=OFFICER)
    add_standard_supply(
        organisation=organisation,
        market="DE",
        start=estate.SPRING,
        end=estate.AUTUMN,
        share_ppm=estate.STANDARD_SUPPLY_PPM,
        co2e_kg_per_mwh=Decimal(0),
        source=estate.STANDARD_SUPPLY_SOURCE,
        actor=OFFICER,
    )


def _meters(organisation: Organisation) -> None:
    sites = {site.code: site for site in Site.objects.of(organisation)}
    for row in meters.MEASUREMENTS:
        add_measurement(
            site=sites[row.site],
            quantity=row.quantity,
            start=row.start,
            end=row.end,
            amount=row.amount,
            evidence=row.evidence,
            reference=row.reference,
            meter=row.meter,
            note=estate.ASSUMED,
            actor=OFFICER,
        )


def _sources(organisation: Organisation) -> None:
    sources = Source.objects.of(organisation)
    for name, precedence in ((fleets.METERED_SOURCE, 0), (fleets.DRIVER_SOURCE, 1)):
        source = sources.get(name=name)
        assign_source_device(source=source, device=fleets.METERED_SOURCE, precedence=precedence, actor=OFFICER)
    start, end = map(from_epoch_hour, fleets.DECIDED_GAP)
    decide_gap(
        source=sources.get(name=fleets.DECIDED_SOURCE),
        start=start,
        end=end,
        basis=GapDecision.Basis.MEAN_POWER,
        reason="Demo: the exporter was being updated while the rack waited for work.",
        actor=OFFICER,
    )
