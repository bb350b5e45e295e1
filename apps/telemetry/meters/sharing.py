"""Attributions of one device that serves several at once: MIG instances, pods of a time-sliced GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from apps.core.units import PPM, largest_remainder
from apps.telemetry import names
from apps.telemetry.models import Attribution, AttributionShare
from apps.workloads.models import Kind

_Part = tuple[int | None, int | None, int | None]  # team name, model, workload


def shared(
    organisation_id: int, sets: Sequence[tuple[int, ...]], *, before_new: Callable[[], None]
) -> tuple[list[int], bool]:
    """For each set of attributions one with equal shares of their teams, models and workloads; whether any is new.

    What all of a set say alike (site, kind, study, hardware ...) the shared one says too; where they differ, the first
    one's place and boundary hold. ``before_new`` is called before the first one is made: whoever makes some at the
    same time waits there.
    """
    if not sets:
        return [], False
    rows = Attribution.objects.of(organisation_id).in_bulk({pk for ids in sets for pk in ids})
    parts_of = _parts(rows)
    wanted: dict[str, Attribution] = {}
    shares: dict[str, list[AttributionShare]] = {}
    digests = []
    for ids in sets:
        row = _common([rows[pk] for pk in sorted(ids)])
        parts = _shares([part for pk in sorted(ids) for part in parts_of[pk]])
        row.digest = names.digest_of(row, parts)
        digests.append(row.digest)
        wanted[row.digest], shares[row.digest] = row, parts
    known = dict(Attribution.objects.of(organisation_id).filter(digest__in=wanted).values_list("digest", "pk"))
    missing = {digest: row for digest, row in wanted.items() if digest not in known}
    if missing:
        before_new()
        known |= names.attributions(organisation_id, missing, shares)
    return [known[digest] for digest in digests], bool(missing)


def _parts(rows: dict[int, Attribution]) -> dict[int, list[tuple[_Part, int]]]:
    """Who each attribution's energy belongs to, with weights [ppm]: its shares, or itself."""
    found: dict[int, list[tuple[_Part, int]]] = {
        pk: [((row.team_name_id, row.model_id, row.workload_id), PPM)] for pk, row in rows.items() if not row.has_shares
    }
    for share in AttributionShare.objects.filter(attribution__in=rows).order_by("attribution_id", "position"):
        part = (share.team_name_id, share.model_id, share.workload_id)
        found.setdefault(share.attribution_id, []).append((part, share.weight_ppm))
    return found


def _common(rows: Sequence[Attribution]) -> Attribution:
    first = rows[0]

    def alike(name: str) -> int | None:
        said = {getattr(row, name) for row in rows}
        return said.pop() if len(said) == 1 else None

    kind = alike("kind")
    return Attribution(
        organisation_id=first.organisation_id,
        source_id=first.source_id,
        site_id=first.site_id,
        study_id=alike("study_id"),
        kind=Kind.OTHER if kind is None else kind,
        boundary=first.boundary,
        method=max(row.method for row in rows),
        hardware_id=first.hardware_id,
        accelerators=first.accelerators,
        has_shares=True,
    )


def _shares(parts: Sequence[tuple[_Part, int]]) -> list[AttributionShare]:
    """One share for each who; the weights add up to 1,000,000 ppm."""
    weights: dict[_Part, int] = {}
    for part, weight in parts:
        weights[part] = weights.get(part, 0) + weight
    ordered = sorted(weights, key=lambda part: [(member is not None, member or 0) for member in part])
    fitted = largest_remainder(PPM, [weights[part] for part in ordered], [f"{i:06d}" for i in range(len(ordered))])
    return [
        AttributionShare(
            position=position, team_name_id=part[0], model_id=part[1], workload_id=part[2], weight_ppm=weight
        )
        for position, (part, weight) in enumerate(zip(ordered, fitted, strict=True))
    ]
