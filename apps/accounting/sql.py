"""Arithmetic of ``core.units`` as SQL text: the same 64-bit formulas on both databases, digit for digit.

The arguments are SQL expressions of whole numbers, 0 or more; ``%%`` is the modulo sign, escaped for the driver.
``tests/accounting/test_sql.py`` holds each against its Python twin.
"""

from __future__ import annotations


def scaled_product(value: str, factor: str, exponent: int) -> str:
    """``core.units.scaled_product``: ``value * factor / 10**exponent`` rounded half up; NULL if either is NULL."""
    divisor = 10**exponent
    rest_unit = divisor // 10**6
    high, low = f"({value} / 1000000)", f"({value} %% 1000000)"
    whole = f"({high} * {factor}) / {rest_unit}"
    rest = f"(({high} * {factor}) %% {rest_unit})"
    return f"({whole} + ({rest} * 1000000 + {low} * {factor} + {divisor // 2}) / {divisor})"


def divided_by_ppm(value: str, ratio_ppm: str) -> str:
    """``value / (ratio_ppm / 10**6)`` rounded half up: IT energy from facility energy and PUE."""
    return f"(({value} / {ratio_ppm}) * 1000000 + (({value} %% {ratio_ppm}) * 1000000 + {ratio_ppm} / 2) / {ratio_ppm})"


def part_up_to(quantity: str, upto: str, span: str) -> str:
    """``floor(quantity * upto / span)`` for ``upto <= span <= 31 days in ms``: no product passes 2**63.

    The part of an hour is the difference of two of these, so that the hours of a reading add up to it exactly.
    """
    return f"(({quantity} / {span}) * {upto} + (({quantity} %% {span}) * {upto}) / {span})"


def quota(quantity: str, weight: str, total: str) -> str:
    """``floor(quantity * weight / total)`` for weights in ppm."""
    return f"(({quantity} / {total}) * {weight} + (({quantity} %% {total}) * {weight}) / {total})"


def quota_rest(quantity: str, weight: str, total: str) -> str:
    """What :func:`quota` cuts off, in units of 1/total: decides who gets the units that are left."""
    return f"((({quantity} %% {total}) * {weight}) %% {total})"
