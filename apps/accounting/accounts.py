"""From what a client said to where its energy is booked: accounts, and the postings that lead to them.

A posting is the resolved form of an attribution: the team that its spelling is mapped to, the site that its source
stands at. It is made once per attribution and made anew when one of those mappings changes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce

from apps.accounting import locks
from apps.accounting.models import Account, Posting
from apps.telemetry.models import Attribution, AttributionShare

LAYOUT = "with accelerators"  # what an account is made of; another one makes every posting be looked at again
_CHUNK = 500  # attributions resolved at a time: bounds memory and the number of SQL parameters

_MARK_HOURS = """
INSERT INTO telemetry_dirtyhour (organisation_id, hour, marked_at)
SELECT DISTINCT %s, hour, CURRENT_TIMESTAMP FROM accounting_ledgerhour WHERE organisation_id = %s AND account_id IN ({})
"""


# Asked at every settling: by hand, because composing it takes longer than answering it.
_WAITING = """
SELECT id FROM telemetry_attribution attribution
WHERE organisation_id = %s
  AND NOT EXISTS (SELECT 1 FROM accounting_posting posting WHERE posting.attribution_id = attribution.id)
ORDER BY id
"""


class AccountKey(NamedTuple):
    """Everything an account is made of, without its organisation."""

    source_id: int
    site_id: int | None
    team_id: int | None
    model_id: int | None
    workload_id: int | None
    study_id: int | None
    kind: int
    boundary: int
    method: int
    hardware_id: str | None
    accelerators: int | None


def post_new(organisation_id: int) -> int:
    """Make the postings of attributions that have none yet. Returns how many attributions were posted."""
    if not _waiting(organisation_id):  # nearly always, and then without a transaction
        return 0
    with transaction.atomic():
        locks.lock(organisation_id, locks.INPUTS)
        ids = _waiting(organisation_id)
        _post(organisation_id, ids)
        return len(ids)


def _waiting(organisation_id: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, [organisation_id])
        return [pk for (pk,) in cursor.fetchall()]


@transaction.atomic
def repost_changed(organisation_id: int) -> int:
    """Make the postings anew that are no longer what attributions and mappings say, and mark their hours dirty.

    Returns how many attributions were reposted.
    """
    locks.lock(organisation_id, locks.INPUTS)
    changed = set(
        Posting.objects.filter(organisation_id=organisation_id, attribution__has_shares=False)
        .annotate(
            team_now=Coalesce("attribution__team_name__team_id", 0),
            site_now=Coalesce("attribution__site_id", "attribution__source__site_id", 0),
            team_then=Coalesce("account__team_id", 0),
            site_then=Coalesce("account__site_id", 0),
            devices_now=Coalesce("attribution__accelerators", 0),
            devices_then=Coalesce("account__accelerators", 0),
        )
        .exclude(team_now=F("team_then"), site_now=F("site_then"), devices_now=F("devices_then"))
        .values_list("attribution_id", flat=True)
    )
    changed |= _changed_shares(organisation_id)
    ids = sorted(changed)
    for chunk in _chunks(ids):
        postings = Posting.objects.filter(organisation_id=organisation_id, attribution_id__in=chunk)
        mark_accounts_dirty(organisation_id, sorted(set(postings.values_list("account_id", flat=True))))
        postings.delete()
    _post(organisation_id, ids)
    return len(ids)


def mark_accounts_dirty(organisation_id: int, account_ids: Sequence[int]) -> None:
    """Mark every hour dirty in which one of the accounts has a ledger row."""
    for chunk in _chunks(account_ids):
        with connection.cursor() as cursor:
            cursor.execute(
                _MARK_HOURS.format(", ".join(["%s"] * len(chunk))), [organisation_id, organisation_id, *chunk]
            )


def _chunks(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    return (ids[i : i + _CHUNK] for i in range(0, len(ids), _CHUNK))


def _post(organisation_id: int, attribution_ids: Sequence[int]) -> None:
    for chunk in _chunks(attribution_ids):
        wanted = _resolved(organisation_id, chunk)
        accounts = _accounts(organisation_id, {key for parts in wanted.values() for key, _ in parts})
        Posting.objects.bulk_create(
            [
                Posting(
                    organisation_id=organisation_id,
                    attribution_id=attribution_id,
                    position=position,
                    account_id=accounts[key],
                    weight_ppm=weight,
                )
                for attribution_id, parts in wanted.items()
                for position, (key, weight) in enumerate(parts)
            ],
            batch_size=_CHUNK,
        )


def _resolved(organisation_id: int, attribution_ids: Sequence[int]) -> dict[int, list[tuple[AccountKey, int]]]:
    """For each attribution its accounts and their weights [ppm], in the order that breaks ties: by name."""
    attributions = (
        Attribution.objects.of(organisation_id)
        .filter(pk__in=attribution_ids)
        .annotate(team_id=F("team_name__team_id"), place_id=Coalesce("site_id", "source__site_id"))
    )
    shares = _shares_of(attributions)
    wanted: dict[int, list[tuple[AccountKey, int]]] = {}
    for row in attributions:
        plain = AccountKey(
            source_id=row.source_id,
            site_id=row.place_id,
            team_id=row.team_id,
            model_id=row.model_id,
            workload_id=row.workload_id,
            study_id=row.study_id,
            kind=row.kind,
            boundary=row.boundary,
            method=row.method,
            hardware_id=row.hardware_id,
            accelerators=row.accelerators,
        )
        weights: dict[AccountKey, int] = defaultdict(int)
        for share in shares.get(row.pk, ()):
            key = plain._replace(
                team_id=share.team_name.team_id if share.team_name else row.team_id,
                model_id=share.model_id or row.model_id,
                workload_id=share.workload_id or row.workload_id,
            )
            weights[key] += share.weight_ppm
        parts = [(key, weight) for key, weight in weights.items() if weight > 0]
        # One account alone takes everything, whatever its weight says.
        wanted[row.pk] = parts if len(parts) > 1 else [(parts[0][0] if parts else plain, 1_000_000)]
    return wanted


def _shares_of(attributions: QuerySet[Attribution]) -> dict[int, list[AttributionShare]]:
    shares: dict[int, list[AttributionShare]] = defaultdict(list)
    rows = AttributionShare.objects.filter(attribution__in=attributions.filter(has_shares=True).values("pk"))
    for share in rows.select_related("team_name", "model", "workload"):
        shares[share.attribution_id].append(share)
    for parts in shares.values():
        parts.sort(key=_share_name)
    return shares


def _share_name(share: AttributionShare) -> tuple[str, str, str, int]:
    return (
        share.team_name.name if share.team_name else "",
        share.model.name if share.model else "",
        share.workload.name if share.workload else "",
        share.position,
    )


def _accounts(organisation_id: int, keys: set[AccountKey]) -> dict[AccountKey, int]:
    """The primary keys of accounts, made where they do not exist yet."""
    found = _existing(organisation_id, keys)
    missing = [key for key in sorted(keys, key=str) if key not in found]
    if missing:
        Account.unscoped.bulk_create(
            [Account(organisation_id=organisation_id, **key._asdict()) for key in missing], batch_size=_CHUNK
        )
        found = _existing(organisation_id, keys)
    return found


def _existing(organisation_id: int, keys: set[AccountKey]) -> dict[AccountKey, int]:
    found = {}
    sources = sorted({key.source_id for key in keys})
    for chunk in _chunks(sources):
        rows = Account.objects.of(organisation_id).filter(source_id__in=chunk)
        for pk, *values in rows.values_list("pk", *AccountKey._fields):
            found[AccountKey(*values)] = pk
    return found


def _changed_shares(organisation_id: int) -> set[int]:
    """Attributions with shares (few) whose postings differ from what their shares resolve to now."""
    shared = Attribution.objects.of(organisation_id).filter(has_shares=True)
    changed = set()
    for chunk in _chunks(sorted(shared.values_list("pk", flat=True))):
        posted: dict[int, list[tuple[AccountKey, int]]] = defaultdict(list)
        postings = Posting.objects.filter(attribution_id__in=chunk).order_by("attribution_id", "position")
        fields = [f"account__{name}" for name in AccountKey._fields]
        for attribution_id, weight, *values in postings.values_list("attribution_id", "weight_ppm", *fields):
            posted[attribution_id].append((AccountKey(*values), weight))
        wanted = _resolved(organisation_id, chunk)
        changed |= {pk for pk, parts in posted.items() if wanted[pk] != parts}
    return changed
