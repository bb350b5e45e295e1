"""One line of a receipt: the shares of its readings, and what was set aside beside it."""

from __future__ import annotations

import pytest

from apps.accounting import services
from apps.accounting.engine.receipt import differences
from apps.accounting.models import Posting
from apps.organisations.models import Team
from tests.accounting.readings import KWH, add, at, attribution_of, source_of
from tests.accounting.receipts import joined

pytestmark = pytest.mark.django_db

WINDOW = "from=2026-07-01&to=2026-10-01"


def test_a_line_names_shares_and_the_part_of_the_hour(client, make_key, organisation, site, publish):
    publish("DE", "400")
    for name in ("a", "b"):
        Team.unscoped.create(organisation=organisation, slug=name, name=name)
    attribution = attribution_of(organisation, "gpu", shares=(("a", 250_000), ("b", 750_000)), site=site)
    add(attribution, at(1, 30), at(2, 30), KWH)
    services.settle(organisation.pk)
    account = Posting.objects.get(attribution=attribution, position=1).account_id
    answer = client.get(
        f"/api/v1/calculations/readings?hour=2026-07-01T02:00:00Z&account={account}",
        headers={"Authorization": f"Bearer {make_key()}"},
    ).json()
    [reading] = answer["readings"]
    assert (reading["energy_microwatt_hours"], reading["part_microwatt_hours"]) == (KWH, KWH // 2)
    [share] = answer["shares"]
    assert (share["weight_ppm"], share["share_microwatt_hours"]) == (750_000, KWH * 3 // 8)
    assert answer["samples"].endswith("/samples?source=gpu&from=2026-07-01T02:00:00Z&to=2026-07-01T03:00:00Z")


def test_what_was_set_aside_is_listed_and_left_out(client, make_key, organisation, site, publish):
    publish("DE", "400")
    for name, precedence in (("node/gpu", 1), ("node/bmc", 2)):
        source_of(organisation, name, device="node", precedence=precedence)
    add(attribution_of(organisation, "node/gpu", site=site), at(1), at(1, 30), KWH)
    add(attribution_of(organisation, "node/bmc", site=site), at(1), at(2), 4 * KWH)
    services.settle(organisation.pk)
    headers = {"Authorization": f"Bearer {make_key()}"}
    receipt = joined(client, make_key(), WINDOW)
    assert differences(receipt) == []
    assert receipt["head"]["set_aside"] == [
        {"source": "node/bmc", "counted_source": "node/gpu", "hours": 1, "energy_microwatt_hours": 2 * KWH}
    ]
    assert {line["source"]: line["it_energy_milliwatt_hours"] for line in receipt["lines"]} == {
        "node/gpu": KWH // 1000,
        "node/bmc": 2 * KWH // 1000,
    }
    for line in receipt["lines"]:
        path = f"/api/v1/calculations/readings?hour={line['hour']}&account={line['account']}"
        assert client.get(path, headers=headers).json()["agrees"] is True
