"""Where each printed total is calculated: the call that gives its receipt, and the digest of it at the cut-off."""

from __future__ import annotations

from collections.abc import Container

from apps.accounting.calculations.queries import receipt_digest, receipt_path, receipt_url
from apps.accounting.queries import LedgerQuery
from apps.core.windows import Quarter
from apps.disclosures.frozen.periods import windows
from apps.disclosures.frozen.plain import Json
from apps.organisations.models import Organisation

GROUPINGS = (("by_site", "by site", "site"), ("by_team", "by team", "team"), ("by_model", "by AI model", "model"))


def receipts(organisation: Organisation, quarter: Quarter, present: Container[str], *, cloud: bool) -> list[Json]:
    """The receipts of the totals that are printed, and of the quarter by site, team and model.

    ``present``: the periods of :func:`windows` that have figures. ``cloud``: whether public cloud has any.
    """
    wanted = []
    for key, (label, window) in windows(quarter).items():
        if key not in present:
            continue
        wanted.append((key, f"Scope 2, {label}", LedgerQuery(organisation.pk, window)))
        if key == "quarter":
            wanted += [
                (grouping, f"Scope 2 {words}, {label}", LedgerQuery(organisation.pk, window, (name,)))
                for grouping, words, name in GROUPINGS
            ]
            if cloud:
                wanted.append(("scope_3", f"Public cloud, {label}", LedgerQuery(organisation.pk, window, scope="3")))
    return [
        {
            "of": key,
            "label": words,
            "path": receipt_path(query),
            "page": receipt_url(organisation, query),
            "sha256": receipt_digest(query),
        }
        for key, words, query in wanted
    ]
