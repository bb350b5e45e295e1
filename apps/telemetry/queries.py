"""Everything that reads telemetry for pages and the API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import F, OuterRef, Q, QuerySet, Subquery

from apps.core.windows import Window, epoch_ms
from apps.organisations.models import Organisation, Team
from apps.sites.models import Site
from apps.telemetry.models import Reading, ReadingNote, Receipt, Source, TeamName
from apps.telemetry.rules import iso

WH = 1_000_000  # microwatt-hours


def samples(organisation_id: int, window: Window, sources: Sequence[str] = ()) -> QuerySet[Reading]:
    """Readings that begin in the window, with what they say in words; of some sources only, if named."""
    note = ReadingNote.objects.filter(
        organisation_id=OuterRef("organisation_id"),
        start_ms=OuterRef("start_ms"),
        source_id=OuterRef("source_id"),
        end_ms=OuterRef("end_ms"),
    )
    rows = (
        Reading.objects.filter(
            organisation_id=organisation_id, start_ms__gte=epoch_ms(window.start), start_ms__lt=epoch_ms(window.end)
        )
        .select_related(
            "source",
            "attribution__site",
            "attribution__team_name__team",
            "attribution__model",
            "attribution__workload",
            "attribution__study",
        )
        .prefetch_related(
            "attribution__shares__team_name__team", "attribution__shares__model", "attribution__shares__workload"
        )
        .annotate(
            external_id=Subquery(note.values("external_id")),
            tags=Subquery(note.values("tags")),
            # Not by a join: a reading that was derived from a meter has none of its own.
            receipt_public_id=Subquery(Receipt.unscoped.filter(pk=OuterRef("receipt_id")).values("public_id")),
        )
    )
    if sources:
        ids = list(Source.objects.of(organisation_id).filter(name__in=sources).values_list("pk", flat=True))
        rows = rows.filter(source_id__in=ids)
    return rows


def sample(reading: Reading) -> dict[str, Any]:
    """A reading in the words of ``POST /api/v1/samples``: energy [Wh], times in UTC, teams by slug where mapped."""
    said = reading.attribution
    work = {"tokens": reading.tokens, "requests": reading.requests, "samples": reading.samples}
    if reading.milli_epochs is not None:
        work["epochs"] = reading.milli_epochs / 1000  # type: ignore[assignment]
    return {
        "source": reading.source.name,
        "start": iso(reading.start_ms),
        "end": iso(reading.end_ms),
        "energy_wh": reading.energy_microwatt_hours / WH,
        "site": said.site.code if said.site else None,
        "team": _team(said.team_name),
        "team_name": said.team_name.name if said.team_name else None,
        "model": said.model.name if said.model else None,
        "workload": said.workload.name if said.workload else None,
        "study": said.study.name if said.study else None,
        "kind": said.get_kind_display(),
        "boundary": said.get_boundary_display(),
        "method": said.get_method_display(),
        "hardware": said.hardware_id,
        "accelerators": said.accelerators,
        "work": {name: amount for name, amount in work.items() if amount is not None},
        "shares": [
            {
                "team": _team(share.team_name),
                "model": share.model.name if share.model else None,
                "workload": share.workload.name if share.workload else None,
                "weight": share.weight_ppm / 1_000_000,
            }
            for share in sorted(said.shares.all(), key=lambda share: share.position)
        ],
        "external_id": getattr(reading, "external_id", None) or None,
        "tags": getattr(reading, "tags", None) or {},
        "receipt": str(receipt) if (receipt := getattr(reading, "receipt_public_id", None)) else None,
    }


def _team(name: TeamName | None) -> str | None:
    return name.team.slug if name is not None and name.team is not None else None


def receipts(organisation: Organisation) -> QuerySet[Receipt]:
    """What became of each request, newest first; without the bodies of errors and answers."""
    rows = Receipt.objects.of(organisation).select_related("api_key").defer("answer", "errors")
    return rows.order_by("-received_at", "-pk")


def receipt(organisation: Organisation | int, public_id: UUID) -> Receipt | None:
    rows = Receipt.objects.of(organisation).select_related("api_key__team", "replay_of")
    return rows.filter(public_id=public_id).first()


def sources(organisation: Organisation, search: str = "", *, without_site: bool = False) -> QuerySet[Source]:
    """The organisation's sources by name; only those that contain a text, or that stand at no site."""
    rows = Source.objects.of(organisation).select_related("site").order_by("name")
    if search:
        rows = rows.filter(name__icontains=search)
    return rows.filter(site__isnull=True) if without_site else rows


def devices(organisation: Organisation) -> list[str]:
    """The devices that sources were assigned to, by name."""
    named = Source.objects.of(organisation).exclude(device="").order_by("device")
    return list(named.values_list("device", flat=True).distinct())


def source(organisation: Organisation, pk: int) -> Source | None:
    return Source.objects.of(organisation).filter(pk=pk).first()


def team_names(organisation: Organisation) -> QuerySet[TeamName]:
    """Spellings to look over: those of no team first, then those mapped to a team that is not spelled like this."""
    rows = TeamName.objects.of(organisation).select_related("team")
    rows = rows.filter(Q(team__isnull=True) | ~Q(name=F("team__slug")))
    return rows.order_by(F("team").asc(nulls_first=True), "name")


def team_name(organisation: Organisation, pk: int) -> TeamName | None:
    return TeamName.objects.of(organisation).filter(pk=pk).first()


def sites(organisation: Organisation) -> QuerySet[Site]:
    return Site.objects.of(organisation).order_by("name")


def teams(organisation: Organisation) -> QuerySet[Team]:
    return Team.objects.of(organisation).order_by("name")
