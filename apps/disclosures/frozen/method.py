"""Under which rules the figures were made: ruleset, boundary, policies, adopted editions, and the methodology."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import F, Q

from apps.accounting.engine.reconciliation import TOLERANCE_PPM
from apps.accounting.engine.rulesets import REPORTED, Ruleset
from apps.accounting.engine.version import ENGINE_VERSION
from apps.accounting.methodology.queries import methodology
from apps.accounting.models import FactorAdoption
from apps.accounting.rates import GWP_SET
from apps.core.windows import Window
from apps.disclosures.frozen.plain import Json, day_text, time_text
from apps.disclosures.report.document import renderer
from apps.factors import queries as factors
from apps.organisations.models import Organisation

BOUNDARY = (
    "Electricity of AI workloads at the sites listed. A reading taken at the accelerator, host or node is multiplied by"
    " the site’s PUE once; a reading of the facility’s meter is taken as it is. Losses of transmission and distribution"
    " and the supply chain of fuels are Scope 3 category 3 and in no Scope 2 figure."
)


def method(organisation: Organisation, window: Window, gwp_sets: Iterable[str]) -> Json:
    """Ruleset, energy boundary, engine, gases, policies and the editions of factors adopted in a window."""
    return {
        "ruleset": ruleset(REPORTED),
        "energy_boundary": BOUNDARY,
        "engine_version": ENGINE_VERSION,
        "gwp_set": GWP_SET,
        "gwp_sets": _gwp_sets({GWP_SET, *gwp_sets}),
        "policies": policies(organisation),
        "adoptions": adoptions(organisation, window),
        "renderer": renderer(),
    }


def ruleset(one: Ruleset) -> Json:
    """A ruleset by name and version, and the text that it is taken from."""
    return {
        "id": one.id,
        "title": one.title,
        "version": one.version,
        "published_on": one.published_on.isoformat(),
        "status": one.status.value,
        "source": one.source,
        "source_url": one.source_url,
    }


def policies(organisation: Organisation) -> list[Json]:
    """What the standard leaves to the organisation and it decided, each with its value and in words."""
    if organisation.claim_period == Organisation.ClaimPeriod.YEAR:
        claim = "Instruments are matched with consumption by calendar year; a quarter’s figures are provisional"
    else:
        claim = "Instruments are matched with consumption by quarter"
    return [
        {"name": name, "label": label, "value": value, "words": str(words)}
        for name, label, value, words in (
            ("claim_period", "Claim period", organisation.claim_period, claim),
            (
                "vintage_window",
                "Vintage window",
                str(organisation.vintage_window_months),
                f"{organisation.vintage_window_months} months before and after the claim period",
            ),
            (
                "market_allocation",
                "Market-based figures of teams and models",
                organisation.market_allocation,
                Organisation.MarketAllocation(organisation.market_allocation).label,
            ),
            (
                "idle",
                "Idle energy",
                organisation.idle_policy,
                Organisation.PoolPolicy(organisation.idle_policy).label,
            ),
            (
                "difference",
                "Booked difference to the meter",
                organisation.difference_policy,
                Organisation.PoolPolicy(organisation.difference_policy).label,
            ),
            (
                "tolerance",
                "Tolerance of a reconciliation",
                str(TOLERANCE_PPM),
                f"Meter and telemetry agree within {TOLERANCE_PPM // 10_000} % of the metered energy",
            ),
        )
    ]


def adoptions(organisation: Organisation, window: Window) -> list[Json]:
    """The editions of factor datasets that the organisation uses for some day of a window, by kind and title."""
    rows = (
        FactorAdoption.objects.of(organisation)
        .filter(Q(start=None) | Q(start__lt=window.end.date()), Q(end=None) | Q(end__gt=window.start.date()))
        .select_related("dataset")
        .order_by(
            "dataset__kind", "dataset__publisher", "dataset__slug", "dataset__edition", F("start").asc(nulls_first=True)
        )
    )
    return [
        {
            "dataset": row.dataset.slug,
            "edition": row.dataset.edition,
            "kind": row.dataset.kind,
            "publisher": row.dataset.publisher,
            "title": row.dataset.title,
            "licence": row.dataset.licence,
            "dataset_digest": row.dataset.digest,
            "from": day_text(row.start),
            "until": day_text(row.end),
            "adopted_by": row.adopted_by,
            "adopted_at": time_text(row.adopted_at),
            "reason": row.reason,
        }
        for row in rows
    ]


def methodology_text() -> Json:
    """The methodology as it is today, whole: a document made of it does not change when the text does."""
    shipped = methodology()
    return {
        "version": shipped.version,
        "digest": shipped.digest,
        "texts": [{"name": text.name, "title": text.title, "body": text.body} for text in shipped.texts],
    }


def _gwp_sets(names: Iterable[str]) -> Mapping[str, list[list[str]]]:
    sets = {}
    for name in sorted(filter(None, names)):
        try:
            gwp = factors.gwp_set(name)
        except LookupError:
            continue
        sets[name] = [["CO2", "1"], ["CH4", _plain(gwp.ch4)], ["N2O", _plain(gwp.n2o)]]
    return sets


def _plain(value: Any) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
