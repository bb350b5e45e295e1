"""Receipts where instruments are earmarked and pools are shared: the same integers, and what is borne is told."""

from __future__ import annotations

import pytest

from apps.accounting import services
from apps.accounting.engine.receipt import differences, recompute
from apps.accounting.queries import LedgerQuery, ledger_frame, ledger_total
from apps.organisations.models import Organisation, Team
from apps.procurement.models import Instrument
from apps.sites.models import Site
from apps.telemetry.models import Boundary, Method
from apps.workloads.models import AIModel, Kind
from tests.accounting.conftest import publish_factor
from tests.accounting.readings import KWH, Q3, add, at, attribution_of
from tests.accounting.receipts import build, downloaded, joined
from tests.sharing import taken_back

pytestmark = pytest.mark.django_db

WINDOW = "from=2026-07-01&to=2026-10-01"
QUANTITIES = ("it_energy_milliwatt_hours", "facility_energy_milliwatt_hours", "location_mg", "market_mg")
SELECTIONS = (
    {},
    {"team": ("nlp",)},
    {"team": ("nlp", "")},
    {"team": ("",)},
    {"model": ("llama",)},
    {"model": ("llama",), "team": ("vision",)},
    {"team": ("vision",), "site": ("owned",)},
    {"team": ("vision",), "kind": ("idle",)},
    {"team": ("nlp",), "month": ("2026-08",)},
    {"team": ("vision",), "day": ("2026-08-09", "2026-08-10")},
)


@pytest.fixture(scope="module")
def built(django_db_setup, django_db_blocker):
    """Made once for the file; each test gets it as ``estate`` or ``organisation`` and changes it for itself alone."""
    with taken_back(django_db_blocker):
        organisation = Organisation.objects.create(slug="acme", name="Acme AI")
        build(organisation, publish_factor)
        for code in ("owned", "colo"):
            site = Site.objects.of(organisation).get(code=code)
            idle = attribution_of(organisation, f"idle-{code}", site=site, kind=Kind.IDLE, boundary=Boundary.NODE)
            meter = attribution_of(
                organisation, f"meter/{code}", site=site, boundary=Boundary.FACILITY, method=Method.METERED
            )
            for day in (5, 39, 40, 41):
                add(idle, at(24 * day + 7), at(24 * day + 9), 3 * KWH + 17 * day)
                add(meter, at(24 * day + 1), at(24 * day + 2), 2 * KWH + 1_001 * day)
        services.settle(organisation.pk)
        yield organisation


@pytest.fixture
def organisation(built, db):
    return Organisation.objects.get(pk=built.pk)


@pytest.fixture
def estate(organisation):
    return organisation


def choose(organisation, **policies):
    Organisation.objects.filter(pk=organisation.pk).update(**policies)
    services.settle(organisation.pk)


def earmark(organisation):
    lots = Instrument.objects.of(organisation)
    lots.filter(reference="GO-1").update(earmark_team=Team.objects.of(organisation).get(slug="nlp"))
    lots.filter(reference__in=["GO-2", "GO-4"]).update(earmark_model=AIModel.objects.of(organisation).get())
    choose(organisation, market_allocation="earmarked")


POLICIES = {
    "earmarked": lambda organisation: earmark(organisation),
    "idle by energy": lambda organisation: choose(organisation, idle_policy="by_energy"),
    "difference by hours": lambda organisation: choose(organisation, difference_policy="by_accelerator_hours"),
    "all of them": lambda organisation: (
        earmark(organisation),
        choose(organisation, idle_policy="by_accelerator_hours", difference_policy="by_energy"),
    ),
}


def query_string(filters, *group_by):
    pairs = [f"{name}={value}" for name, values in filters.items() for value in values]
    return "&".join([WINDOW, *pairs, *([f"group_by={','.join(group_by)}"] if group_by else [])])


@pytest.mark.parametrize("policy", POLICIES)
def test_recomputing_gives_the_ledgers_integers_under_every_policy(client, make_key, estate, policy):
    POLICIES[policy](estate)
    key = make_key()
    for filters in SELECTIONS:
        receipt = downloaded(client, key, query_string(filters))
        assert differences(receipt) == [], filters
        total = ledger_total(LedgerQuery(estate.pk, Q3, filters=filters))
        found = recompute(receipt).figures.get("2", dict.fromkeys(QUANTITIES, 0))
        assert found == {name: total[name] for name in QUANTITIES}, filters
    assert differences(joined(client, key, query_string({"team": ("nlp",)}))) == []


@pytest.mark.parametrize("policy", ["earmarked", "all of them"])
def test_rows_of_a_grouping_are_recomputed_under_policies(client, make_key, estate, policy):
    POLICIES[policy](estate)
    key = make_key()
    for group_by, filters in (
        (("team",), {}),
        (("model", "team"), {}),
        (("team", "day"), {"site": ("owned",)}),
        (("model",), {"team": ("nlp",)}),
        (("kind",), {"team": ("vision",)}),
    ):
        receipt = downloaded(client, key, query_string(filters, *group_by))
        assert differences(receipt) == [], group_by
        frame = ledger_frame(LedgerQuery(estate.pk, Q3, group_by, filters=filters, work=False))
        groups = recompute(receipt).groups
        assert len(frame) == len(groups) > 1
        for row in frame.to_dict("records"):
            found = groups[(*(row[name] for name in group_by), row["scope"])]
            assert [found[name] for name in QUANTITIES] == [row[name] for name in QUANTITIES], group_by


def test_a_receipt_names_the_classes_and_who_bears_a_pool(client, make_key, estate):
    POLICIES["all of them"](estate)
    head = joined(client, make_key(), query_string({"team": ("nlp",)}))["head"]
    assert head["policies"]["market_allocation"] == "earmarked"
    [german] = [market for market in head["markets"] if market["market"] == "DE"]
    assert {(part["team"], part["model"]) for part in german["classes"]} >= {("nlp", None), (None, "llama")}
    assert [lot["earmark"] for lot in german["instruments"]] == [["team", "nlp"], ["model", "llama"], None]
    assert head["pools"]["policies"] == {"idle": "by_accelerator_hours", "difference": "by_energy"}
    assert {row["pool"] for row in head["pools"]["energy"]} == {"idle", "difference"}
    assert any(["nlp"] in bearers["names"] for bearers in head["pools"]["bearers"])


def test_changing_who_bears_is_seen(client, make_key, estate):
    POLICIES["idle by energy"](estate)
    receipt = downloaded(client, make_key(), query_string({"team": ("nlp",)}))
    assert differences(receipt) == []
    for bearers in receipt["head"]["pools"]["bearers"]:
        bearers["facility_energy_milliwatt_hours"][0] *= 2
    assert len(differences(receipt)) > 1  # the digest, and the figure
