"""A small organisation with one of everything that a calculation can contain, and its receipts over HTTP."""

from __future__ import annotations

import json
import random
from datetime import date
from typing import Any

from django.test import Client

from apps.accounting import services
from apps.organisations.models import Organisation, Team
from apps.procurement.models import Instrument
from apps.sites.models import PuePeriod, Site
from apps.telemetry.models import Boundary, Method
from apps.workloads.models import AIModel, Kind, Workload
from tests.accounting.readings import KWH, add, at, attribution_of

DAY = 24


def build(organisation: Organisation, publish: Any) -> None:
    """Owned, colocated, leased and cloud sites; shares, crossings, meters, no site, no factor; good and bad lots."""
    for zone, factor in {"DE": "350.5", "SE": "20.123456", "US": "401.7"}.items():
        publish(zone, factor)
    publish("DE", "700.25", kind="residual")
    sites = {
        code: Site.unscoped.create(
            organisation=organisation, code=code, name=code.upper(), control=control, country=zone, grid_zone=zone,
            market=zone,
        )
        for code, control, zone in (
            ("owned", "owned", "DE"), ("colo", "colocation", "SE"), ("bare", "leased", "XX"), ("aws", "cloud", "US"),
        )
    }  # fmt: skip
    for start, end, pue in (("2026-01-01", "2026-08-10", 1_253_000), ("2026-08-10", None, 1_200_001)):
        PuePeriod.unscoped.create(
            organisation=organisation, site=sites["owned"], start=date.fromisoformat(start),
            end=end and date.fromisoformat(end), pue_ppm=pue, source="meter",
        )  # fmt: skip
    PuePeriod.unscoped.create(
        organisation=organisation, site=sites["colo"], start=date(2026, 1, 1), pue_ppm=1_370_001, source="contract"
    )
    for slug in ("nlp", "vision"):
        Team.unscoped.create(organisation=organisation, slug=slug, name=slug.title())
    model = AIModel.unscoped.create(organisation=organisation, slug="llama", name="Llama")
    job = Workload.unscoped.create(organisation=organisation, name="serving")
    _readings(organisation, sites, model, job)
    for reference, market, kwh, co2e, retired in (
        ("GO-1", "DE", 90, "0", date(2026, 10, 2)),
        ("GO-2", "DE", 40, "11.5", date(2026, 10, 2)),
        ("GO-3", "DE", 500, "0", None),  # fails criterion 3
        ("GO-4", "SE", 7, "3.25", date(2026, 10, 2)),
    ):
        Instrument.unscoped.create(
            organisation=organisation, reference=reference, type=Instrument.Type.EAC, market=market,
            vintage_start=date(2026, 7, 1), vintage_end=date(2026, 10, 1), volume_milliwatt_hours=kwh * 1_000_000 + 1,
            co2e_kg_per_mwh=co2e, tracking_system="AIB", serial_start=f"{reference}-1", serial_end=f"{reference}-9",
            retired_on=retired,
        )  # fmt: skip
    services.settle(organisation.pk)


def _readings(organisation: Organisation, sites: dict[str, Site], model: AIModel, job: Workload) -> None:
    draw = random.Random(7)
    site_names = ["owned", "owned", "colo", "bare", "aws", None]
    for number in range(40):
        place = site_names[number % 6]
        source = f"node-{number % 9}-{place}"
        shares = (("nlp", 333_333), ("vision", 666_667)) if number % 5 == 0 else ()
        attribution = attribution_of(
            organisation,
            source,
            team="" if shares else draw.choice(["nlp", "vision", "nobody knows"]),
            shares=shares,
            site=place and sites[place],
            model=draw.choice([model, None]),
            workload=draw.choice([job, None]),
            kind=draw.choice([Kind.TRAINING, Kind.INFERENCE, Kind.IDLE]),
            boundary=draw.choice([Boundary.ACCELERATOR, Boundary.NODE, Boundary.FACILITY]),
            method=draw.choice([Method.METERED, Method.MEASURED, Method.MODELLED]),
        )
        first, hours = (0, 90 * DAY) if number % 2 else (38 * DAY, 4 * DAY)  # half of them about a change of PUE
        start = at(first + draw.randrange(hours), draw.randrange(60))
        hours = draw.choice([0.3, 1, 2.7])
        add(attribution, start, start + int(hours * 3_600_000), draw.randrange(KWH * 12) + 1)


def joined(client: Client, key: str, query: str, limit: int = 7) -> dict[str, Any]:
    """All pages of ``GET /api/v1/calculations`` as one receipt."""
    url: str | None = f"/api/v1/calculations?{query}{'&' if query else ''}limit={limit}"
    receipt: dict[str, Any] = {"lines": []}
    while url:
        answer = client.get(url, headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == 200, answer.content
        body = answer.json()
        receipt.setdefault("head", body.get("head"))
        receipt["lines"] += body["results"]
        url = body["next"]
    return receipt


def downloaded(client: Client, key: str, query: str) -> dict[str, Any]:
    """The receipt as one file."""
    answer = client.get(f"/api/v1/calculations/download?{query}", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200, answer.content
    return dict(json.loads(b"".join(answer.streaming_content)))
