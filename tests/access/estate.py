"""One organisation with one of everything that a URL can name, made twice: the own one and a foreign one.

A new route needs nothing here when its arguments are listed in ``ARGUMENTS``. Otherwise make the object in
:func:`build` and say in ``ARGUMENTS`` (or, where one argument name means different things on different routes, in
``ROUTE_ARGUMENTS``) which of its fields the URL holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from apps.accounting.models import FactorAdoption, FactorImport
from apps.core.units import MILLIWATT_HOURS_PER_KWH
from apps.core.windows import Quarter
from apps.disclosures.models import Disclosure, ReportingPeriod
from apps.factors.models import Factor, FactorDataset, GridZone
from apps.organisations.authentication import new_key
from apps.organisations.models import ApiKey, Membership, Organisation, Person, Role, Team
from apps.procurement.models import Instrument, StandardSupply
from apps.sites.models import ControlClass, PuePeriod, Site, SiteMeasurement
from apps.telemetry.models import (
    AttributionRule,
    Estimate,
    Experiment,
    GapDecision,
    Meter,
    MeterKind,
    Receipt,
    Source,
    TeamName,
    Upload,
)
from apps.workloads.models import AIModel, Workload
from tests.disclosures.example import example_snapshot


@dataclass
class Estate:
    """An organisation's objects. Codes and slugs differ between two estates, so that a foreign one is not found."""

    organisation: Organisation
    site: Site
    pue: PuePeriod
    measurement: SiteMeasurement
    team: Team
    member: Membership
    api_key: ApiKey
    model: AIModel
    workload: Workload
    source: Source
    team_name: TeamName
    receipt: Receipt
    gap_decision: GapDecision
    estimate: Estimate
    instrument: Instrument
    standard_supply: StandardSupply
    disclosure: Disclosure
    factor: Factor  # published: the same for both
    adoption: FactorAdoption
    own_dataset: FactorDataset
    factor_import: FactorImport


def person(email: str) -> Person:
    """Somebody without a password: hashing one takes longer than everything else in these tests."""
    made = Person(email=email)
    made.set_unusable_password()
    made.save()
    return made


def published_factor() -> Factor:
    zone, _ = GridZone.objects.get_or_create(code="DE", name="Germany", type=GridZone.Type.COUNTRY, country="DE")
    dataset, _ = FactorDataset.objects.get_or_create(
        slug="matrix", edition="1", kind=FactorDataset.Kind.LOCATION, boundary=FactorDataset.Boundary.DIRECT
    )
    factor, _ = Factor.objects.get_or_create(
        dataset=dataset,
        zone=zone,
        data_year=2025,
        valid_from=date(2025, 1, 1),
        valid_to=date(2026, 1, 1),
        co2e_kg_per_mwh=300,
    )
    return factor


def stored(path: str) -> str:
    """A file that is there."""
    if not default_storage.exists(path):
        default_storage.save(path, ContentFile(b"%PDF-1.7"))
    return path


def ready_disclosure(organisation: Organisation, quarter: Quarter) -> Disclosure:
    path = stored("disclosures/access-matrix.pdf")
    period = ReportingPeriod.unscoped.create(
        organisation=organisation, label=str(quarter), start=quarter.first_day, end=quarter.next().first_day
    )
    return Disclosure.unscoped.create(
        organisation=organisation,
        period=period,
        version=1,
        state=Disclosure.State.READY,
        snapshot=example_snapshot(),
        pdf=path,
    )


def build(slug: str, quarter: Quarter) -> Estate:
    organisation = Organisation.objects.create(slug=slug, name=slug.title())
    site = Site.unscoped.create(
        organisation=organisation,
        code=f"{slug}-site",
        name=f"{slug} site",
        control=ControlClass.OWNED,
        country="DE",
        grid_zone="DE",
        market="DE",
    )
    _, prefix, digest = new_key()
    source = Source.unscoped.create(organisation=organisation, name=f"{slug}/gpu0", site=site)
    Experiment.unscoped.create(organisation=organisation, experiment_id=slug)
    AttributionRule.unscoped.create(organisation=organisation, position=1, label="namespace", target="team")
    Meter.unscoped.create(
        organisation=organisation,
        name=f"energy {slug}/gpu0",
        source=source,
        metric="energy",
        kind=MeterKind.COUNTER,
        unit="J",
        power_cap_w=1000,
    )
    receipt = Receipt.unscoped.create(
        organisation=organisation,
        public_id=uuid4(),
        protocol="samples",
        received_at=datetime(2026, 7, 1, tzinfo=UTC),
        accepted=1,
        duplicates=0,
        rejected=0,
        body_digest="0" * 64,
    )
    Upload.unscoped.create(
        organisation=organisation, receipt=receipt, file_name=f"{slug}.csv", file_digest="0" * 64, file_bytes=1
    )
    return Estate(
        organisation=organisation,
        site=site,
        pue=PuePeriod.unscoped.create(
            organisation=organisation, site=site, start=date(2026, 1, 1), pue_ppm=1_250_000, source="meter"
        ),
        measurement=SiteMeasurement.unscoped.create(
            organisation=organisation,
            site=site,
            quantity=SiteMeasurement.Quantity.FACILITY_ENERGY,
            start=date(2026, 1, 1),
            end=date(2026, 2, 1),
            amount=MILLIWATT_HOURS_PER_KWH,
            evidence=SiteMeasurement.Evidence.METER,
            reference="reading",
        ),
        team=Team.unscoped.create(organisation=organisation, slug=f"{slug}-team", name=f"{slug} team"),
        member=Membership.unscoped.create(
            organisation=organisation, person=person(f"somebody@{slug}.example"), role=Role.VIEWER
        ),
        api_key=ApiKey.unscoped.create(
            organisation=organisation, name="cluster", prefix=prefix, digest=digest, scopes=["ingest"]
        ),
        model=AIModel.unscoped.create(organisation=organisation, slug=f"{slug}-model", name=f"{slug} model"),
        workload=Workload.unscoped.create(organisation=organisation, name=f"{slug} workload"),
        source=source,
        team_name=TeamName.unscoped.create(organisation=organisation, name=f"{slug} unmapped"),
        receipt=receipt,
        gap_decision=GapDecision.unscoped.create(
            organisation=organisation,
            source=source,
            start=datetime(2026, 7, 1, tzinfo=UTC),
            end=datetime(2026, 7, 2, tzinfo=UTC),
            basis=GapDecision.Basis.LEFT_EMPTY,
            reason="matrix",
            decided_by="officer@example.org",
        ),
        estimate=Estimate.unscoped.create(
            organisation=organisation,
            source=source,
            basis=Estimate.Basis.TOKENS,
            start=datetime(2026, 7, 1, tzinfo=UTC),
            end=datetime(2026, 8, 1, tzinfo=UTC),
            inputs={},
            profile_source="matrix",
            working="matrix",
            energy_microwatt_hours=1,
            receipt=receipt,
            created_by="matrix",
        ),
        instrument=Instrument.unscoped.create(
            organisation=organisation,
            reference=f"{slug} lot",
            type=Instrument.Type.EAC,
            market="DE",
            vintage_start=quarter.first_day,
            vintage_end=quarter.next().first_day,
            volume_milliwatt_hours=1_000 * MILLIWATT_HOURS_PER_KWH,
            co2e_kg_per_mwh=0,
            evidence=stored("instruments/access-matrix.pdf"),
            evidence_name="statement.pdf",
        ),
        standard_supply=StandardSupply.unscoped.create(
            organisation=organisation,
            market="DE",
            start=quarter.first_day,
            end=quarter.next().first_day,
            share_ppm=100_000,
            co2e_kg_per_mwh=0,
            source="supplier",
        ),
        disclosure=ready_disclosure(organisation, quarter),
        factor=published_factor(),
        adoption=FactorAdoption.unscoped.create(
            organisation=organisation, dataset=published_factor().dataset, adopted_by="somebody"
        ),
        factor_import=FactorImport.unscoped.create(
            organisation=organisation, file_name=f"{slug}.csv", file_digest="0" * 64, requested_by="somebody"
        ),
        own_dataset=FactorDataset.objects.create(
            organisation=organisation,
            slug=f"{slug}-own",
            edition="1",
            kind=FactorDataset.Kind.LOCATION,
            boundary=FactorDataset.Boundary.DIRECT,
        ),
    )


# Argument of a URL -> what it holds for an estate.
ARGUMENTS: dict[str, Callable[[Estate], Any]] = {
    "site_code": lambda estate: estate.site.code,
    "team_slug": lambda estate: estate.team.slug,
    "model_slug": lambda estate: estate.model.slug,
    "workload_id": lambda estate: estate.workload.pk,
    "membership_id": lambda estate: estate.member.pk,
    "key_id": lambda estate: estate.api_key.pk,
    "source_id": lambda estate: estate.source.pk,
    "experiment_id": lambda estate: Experiment.objects.of(estate.organisation).get().pk,
    "rule_id": lambda estate: AttributionRule.objects.of(estate.organisation).get().pk,
    "meter_id": lambda estate: Meter.unscoped.get(source=estate.source).pk,
    "team_name_id": lambda estate: estate.team_name.pk,
    "gap_decision_id": lambda estate: estate.gap_decision.pk,
    "receipt_id": lambda estate: estate.receipt.public_id,
    "estimate_id": lambda estate: estate.estimate.pk,
    "supply_id": lambda estate: estate.standard_supply.pk,
    "instrument_id": lambda estate: estate.instrument.pk,
    "adoption_id": lambda estate: estate.adoption.pk,
    "upload_id": lambda estate: Upload.unscoped.get(organisation=estate.organisation).public_id,
    "import_id": lambda estate: estate.factor_import.public_id,
    "dataset_id": lambda estate: estate.own_dataset.pk,
    "public_id": lambda estate: estate.disclosure.public_id,
    "measurement_id": lambda estate: estate.measurement.pk,
}

# The same by (route, argument), where one word means different things.
ROUTE_ARGUMENTS: dict[tuple[str, str], Callable[[Estate], Any]] = {
    ("pue-withdraw", "period_id"): lambda estate: estate.pue.pk,
    ("period", "label"): lambda estate: estate.disclosure.period.label,
    ("api-instrument", "key"): lambda estate: estate.instrument.pk,
    ("api-team", "slug"): lambda estate: estate.team.slug,
    ("api-model", "slug"): lambda estate: estate.model.slug,
    ("api-site", "code"): lambda estate: estate.site.code,
}

# The same for arguments that name nothing an organisation owns: published data, a quarter of the calendar.
NOT_OBJECTS: dict[tuple[str, str], Callable[[Estate], Any]] = {
    ("api-factor", "key"): lambda estate: estate.factor.pk,
    ("factor-dataset", "slug"): lambda estate: estate.factor.dataset.slug,
    ("factor-dataset", "edition"): lambda estate: estate.factor.dataset.edition,
    ("methodology-page", "name"): lambda estate: "market-based",
    ("recipe", "name"): lambda estate: "vllm",
    ("disclosure-create", "label"): lambda estate: estate.disclosure.period.label,
    ("reconciliation-month", "month"): lambda estate: "2026-01",
    ("reconciliation-book", "month"): lambda estate: "2026-01",
    ("reconciliation-withdraw", "month"): lambda estate: "2026-01",
}

# Routes on which a role that has the capability may still be refused, and by which rule.
STRICTER_THAN_CAPABILITY: dict[str, str] = {
    "key-revoke": "a key is revoked by who made it or by an administrator",
}
