"""The arithmetic of the rebuild, in SQL, against its Python twin, on whichever database the tests run."""

from __future__ import annotations

from fractions import Fraction

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.accounting.sql import divided_by_ppm, part_up_to, quota, quota_rest, scaled_product
from apps.core.units import round_half_up
from apps.core.units import scaled_product as scaled_product_in_python
from apps.core.windows import DAY_MS

pytestmark = pytest.mark.django_db

LONGEST = 31 * DAY_MS
quickly = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
energies = st.integers(0, 4_600_000_000_000_000)  # 4.6 TWh in mWh


def evaluate(expression: str, **values: int | None) -> int | None:
    columns = ", ".join(f"CAST(%s AS bigint) AS {name}" for name in values)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {expression} FROM (SELECT {columns}) numbers", list(values.values()))
        return cursor.fetchone()[0]


@quickly
@given(value=energies, factor=st.integers(0, 2_000_000_000))
def test_emissions_are_those_of_python(value, factor):
    answer = evaluate(scaled_product("v", "f", 9), v=value, f=factor)
    assert answer == scaled_product_in_python(value, factor, 9) == round_half_up(Fraction(value * factor, 10**9))


@quickly
@given(value=st.integers(0, 1_800_000_000_000_000), pue=st.integers(1_000_000, 5_000_000))
def test_pue_is_applied_as_in_python(value, pue):
    answer = evaluate(scaled_product("v", "f", 6), v=value, f=pue)
    assert answer == scaled_product_in_python(value, pue, 6) == round_half_up(Fraction(value * pue, 10**6))


@quickly
@given(value=energies, pue=st.integers(1_000_000, 5_000_000))
def test_it_energy_is_facility_energy_over_pue(value, pue):
    assert evaluate(divided_by_ppm("v", "p"), v=value, p=pue) == round_half_up(Fraction(value * 10**6, pue))


@quickly
@given(quantity=st.integers(0, 2**62), span=st.integers(1, LONGEST), data=st.data())
def test_a_part_of_a_reading_is_exact(quantity, span, data):
    upto = data.draw(st.integers(0, span))
    assert evaluate(part_up_to("q", "u", "s"), q=quantity, u=upto, s=span) == quantity * upto // span


@quickly
@given(quantity=st.integers(0, 2**62), total=st.integers(1, 1_000_000), data=st.data())
def test_a_quota_is_exact(quantity, total, data):
    weight = data.draw(st.integers(0, total))
    assert evaluate(quota("q", "w", "t"), q=quantity, w=weight, t=total) == quantity * weight // total
    assert evaluate(quota_rest("q", "w", "t"), q=quantity, w=weight, t=total) == quantity * weight % total


def test_no_factor_gives_no_figure():
    assert evaluate(scaled_product("v", "f", 9), v=1_000_000, f=None) is None
