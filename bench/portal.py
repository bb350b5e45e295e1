"""A migrated portal with one organisation, for benchmarks that work inside Django."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime

import django
import numpy as np

from bench.harness import note

START = datetime(2026, 7, 1, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)
DEVICES = int(os.environ.get("BENCH_DEVICES", "200"))
TEAMS = 40
MODELS = 60


def setup() -> None:
    """Start Django and make the tables."""
    django.setup()
    from django.core.management import call_command

    note("migrating")
    call_command("migrate", run_syncdb=True, verbosity=0)


def wanted(name: str) -> bool:
    only = os.environ.get("BENCH_ONLY", "").split()
    return not only or name in only


def make_organisation() -> tuple[int, str]:
    """An organisation with teams and one site; its primary key and an API key."""
    from apps.organisations.authentication import new_key
    from apps.organisations.models import ApiKey, Organisation, Team
    from apps.sites.models import PuePeriod, Site

    organisation = Organisation.objects.create(slug="bench", name="Bench")
    Team.unscoped.bulk_create(
        [Team(organisation=organisation, slug=f"team-{i}", name=f"Team {i}") for i in range(TEAMS)]
    )
    site = Site.unscoped.create(
        organisation=organisation, code="hall", name="Hall", control="owned", country="DE", grid_zone="DE", market="DE"
    )
    PuePeriod.unscoped.create(
        organisation=organisation, site=site, start=START.date().replace(year=2020), pue_ppm=1_250_000, source="bench"
    )
    key, prefix, digest = new_key()
    ApiKey.unscoped.create(
        organisation=organisation, name="bench", prefix=prefix, digest=digest, scopes=["ingest", "read"],
        site_code="hall",
    )  # fmt: skip
    return organisation.pk, key


def load_reference_data() -> None:
    from django.core.management import call_command

    with open(os.devnull, "w") as nowhere:
        call_command("load_reference_data", verbosity=0, stdout=nowhere)


def make_attributions(organisation_id: int, devices: int = DEVICES) -> list[tuple[int, int]]:
    """One source and one attribution per device, as the intake interns them: (source, attribution) ids."""
    from apps.organisations.models import Team
    from apps.sites.models import Site
    from apps.telemetry.models import Attribution, Source, TeamName
    from apps.workloads.models import AIModel

    site = Site.objects.of(organisation_id).get(code="hall")
    teams = list(Team.objects.of(organisation_id).order_by("pk"))
    names = TeamName.unscoped.bulk_create(
        [TeamName(organisation_id=organisation_id, name=team.slug, team=team) for team in teams]
    )
    models = AIModel.unscoped.bulk_create(
        [AIModel(organisation_id=organisation_id, slug=f"model-{i}", name=f"Model {i}") for i in range(MODELS)]
    )
    sources = Source.unscoped.bulk_create(
        [Source(organisation_id=organisation_id, name=f"bench-{i // 8}/gpu{i % 8}") for i in range(devices)]
    )
    attributions = Attribution.unscoped.bulk_create(
        [
            Attribution(
                organisation_id=organisation_id, source=source, site=site, team_name=names[i % TEAMS],
                model=models[i % MODELS], kind=1 + i % 3, digest=f"bench-{i}",
            )
            for i, source in enumerate(sources)
        ]
    )  # fmt: skip
    return [(attribution.source_id, attribution.pk) for attribution in attributions]


def make_year_of_days(organisation_id: int, groups: int, days: int) -> int:
    """A daily ledger of so many accounts and days from 1 January 2025, put straight into its table; its first day."""
    from django.db import connection

    from apps.accounting.models import Account, LedgerDay
    from apps.core.windows import epoch_day, from_epoch_day, month_number
    from apps.telemetry.models import Attribution

    make_attributions(organisation_id, groups)
    accounts = Account.unscoped.bulk_create(
        [
            Account(
                organisation_id=organisation_id, source_id=a.source_id, site_id=a.site_id,
                team_id=a.team_name.team_id if a.team_name else None, model_id=a.model_id, kind=a.kind,
                boundary=a.boundary, method=a.method,
            )
            for a in Attribution.objects.of(organisation_id).select_related("team_name")
        ]
    )  # fmt: skip
    first = epoch_day(date(2025, 1, 1))
    energies = random_energies(groups)
    note(f"writing {groups * days:,} daily rows")
    for day in range(first, first + days):
        LedgerDay.objects.bulk_create(
            [
                LedgerDay(
                    organisation_id=organisation_id, day=day, month=month_number(from_epoch_day(day)), account=account,
                    it_energy_milliwatt_hours=int(e) * 24, facility_energy_milliwatt_hours=int(e) * 30,
                    location_mg=int(e) * 10, tokens=1_000, requests=10, readings=24, covered_ms=86_400_000,
                )
                for account, e in zip(accounts, energies, strict=True)
            ]
        )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return first


def random_energies(count: int) -> np.ndarray:
    """Plausible energies of one minute of a GPU [microwatt-hours]."""
    return np.random.default_rng(7).integers(1_000_000, 11_000_000, count)


def make_room(days: int, before: int = 0) -> None:
    """Let the reading table get ready (partitions) for readings of so many days from ``START``, and before it."""
    from apps.telemetry.bulk import writer

    every_day = np.arange(-before, days + 1, dtype=np.int64) * 86_400_000 + START_MS
    writer().prepare(every_day)
