"""What exactly is wrong with one row: field, what stood there, how to mend it. Run on faulty batches only."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable
from typing import Any

import msgspec

from apps.telemetry.times import milliseconds

Fault = tuple[str, Any, str]
Check = Callable[[str, Any], list[Fault]]


def text(longest: int) -> Check:
    def check(field: str, value: Any) -> list[Fault]:
        if not isinstance(value, str):
            return [(field, value, "a text")]
        if not 1 <= len(value) <= longest:
            return [(field, value, f"a text of 1 to {longest} characters, got {len(value)}")]
        if not storable(value):
            return [(field, value.replace("\0", "␀"), "a text without NUL characters and half surrogates")]
        return []

    return check


def storable(value: str) -> bool:
    """Whether both databases can keep a text."""
    if "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def time(field: str, value: Any) -> list[Fault]:
    expected = "an RFC 3339 time with offset, such as 2026-07-01T09:30:00Z or 2026-07-01T11:30:00+02:00"
    if not isinstance(value, str):
        return [(field, value, expected)]
    try:
        milliseconds(value)
    except (msgspec.ValidationError, OverflowError) as fault:
        if "timezone" in str(fault):
            expected = f"a UTC offset at the end, such as {value}Z or {value}+02:00"
        return [(field, value, expected)]
    return []


def number(largest: float = math.inf, *, whole: bool = False, least: int = 0) -> Check:
    kind = "a whole number" if whole else "a finite number"
    bounds = f"of {least} or more" if largest == math.inf else f"from {least} to {largest:g}"

    def check(field: str, value: Any) -> list[Fault]:
        fits = (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and math.isfinite(value)
            and least <= value <= largest
            and not (whole and value != int(value))
        )
        if fits:
            return []
        if isinstance(value, str) and _is_number(value):
            return [(field, value, f"{kind} {bounds}, without quotation marks")]
        return [(field, value, f"{kind} {bounds}")]

    return check


def _is_number(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False


def choice(names: tuple[str, ...]) -> Check:
    def check(field: str, value: Any) -> list[Fault]:
        return [] if isinstance(value, str) and value in names else [(field, value, f"one of {', '.join(names)}")]

    return check


def members(checks: dict[str, Check], required: tuple[str, ...], what: str) -> Check:
    """An object with documented members; ``null`` is the same as leaving a member out."""

    def check(field: str, value: Any) -> list[Fault]:
        prefix = f"{field}." if field else ""
        if not isinstance(value, dict):
            return [(field, value, what)]
        faults: list[Fault] = []
        for name, member in value.items():
            if name not in checks:
                near = difflib.get_close_matches(str(name), checks, 1)
                hint = f"; did you mean {prefix}{near[0]}?" if near else f": {', '.join(checks)}"
                faults.append((f"{prefix}{name}"[:120], member, f"one of the documented fields{hint}"))
            elif member is not None:
                faults += checks[name](f"{prefix}{name}", member)
        return faults + [
            (f"{prefix}{name}", None, "a value: the field is required") for name in required if value.get(name) is None
        ]

    return check


def shares(one: Check, most: int) -> Check:
    """A list of shares whose weights add up to more than 0."""

    def check(field: str, value: Any) -> list[Fault]:
        if not isinstance(value, list | tuple) or not 1 <= len(value) <= most:
            return [(field, value, f"a list of 1 to {most} shares")]
        faults = [fault for i, share in enumerate(value) for fault in one(f"{field}[{i}]", share)]
        if not faults and not sum(1.0 if s.get("weight") is None else s["weight"] for s in value) > 0:
            faults.append((field, value, "weights with a sum of more than 0"))
        return faults

    return check


def tags(most_bytes: int) -> Check:
    """An object of free content that both databases can keep."""

    def check(field: str, value: Any) -> list[Fault]:
        if not isinstance(value, dict):
            return [(field, value, "an object")]
        return (
            []
            if tags_fit(value, most_bytes)
            else [(field, value, f"at most {most_bytes:,} bytes of JSON without NaN, Infinity and NUL characters")]
        )

    return check


def tags_fit(value: dict[str, Any], most_bytes: int) -> bool:
    try:
        written = json.dumps(value, ensure_ascii=False, allow_nan=False)
        return "\\u0000" not in written and len(written.encode()) <= most_bytes
    except (ValueError, RecursionError):
        return False
