from __future__ import annotations

from apps.accounting import services
from apps.telemetry.models import DirtyHour
from tests.accounting.readings import KWH, add, at, attribution_of


def test_it_books_a_reading_in_its_hour(organisation, site, team):
    row = attribution_of(organisation, team="vision", site=site)
    add(row, at(5), at(5, 30), 2 * KWH, tokens=10)
    assert services.settle(organisation.pk) == 1
    assert not DirtyHour.objects.exists()
