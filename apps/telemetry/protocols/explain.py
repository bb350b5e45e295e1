"""What exactly is wrong with one row: field, what stood there, how to mend it. Run on faulty batches only."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from apps.telemetry.batch import shown
from apps.telemetry.times import milliseconds

MOST_UNKNOWN = 10  # fields of one object that are named
LONGEST_MISSPELT = 40  # characters of a name for which a similar one is looked for
LONGEST_NUMBER = 400  # characters; the largest double has 309 digits
DEEPEST_TAGS = 32
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_VISIBLE = re.compile(r"[^\s\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


class Unknown(NamedTuple):
    """What is expected in place of a field that nobody knows. A text only once it is asked for: that costs most."""

    prefix: str
    name: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        near = _near(self.name, self.known) if len(self.name) <= LONGEST_MISSPELT else None
        hint = f"; did you mean {self.prefix}{near}?" if near else f": {', '.join(self.known)}"
        return f"one of the documented fields{hint}"


@lru_cache(maxsize=1024)
def _near(name: str, known: tuple[str, ...]) -> str | None:
    return next(iter(difflib.get_close_matches(name, known, 1)), None)


Fault = tuple[str, Any, str | Unknown]
Check = Callable[[str, Any], list[Fault]]


def is_visible(name: str) -> bool:
    """Whether a name shows anything at all on a page."""
    return "!" <= name[:1] <= "~" or _VISIBLE.search(name) is not None


def text(longest: int, *, visible: bool = True) -> Check:
    def check(field: str, value: Any) -> list[Fault]:
        if not isinstance(value, str):
            return [(field, value, "a text")]
        if not 1 <= len(value) <= longest:
            return [(field, value, f"a text of 1 to {longest} characters, got {len(value)}")]
        if visible and not is_visible(value):
            return [(field, value, "a text with at least one visible character")]
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
            expected = f"a UTC offset at the end, such as {shown(value)}Z or {shown(value)}+02:00"
        return [(field, value, expected)]
    return []


def number(largest: float = math.inf, *, whole: bool = False, least: int = 0) -> Check:
    kind = "a whole number" if whole else "a finite number"
    bounds = f"of {least} or more" if largest == math.inf else f"from {least} to {largest:.0f}"

    def check(field: str, value: Any) -> list[Fault]:
        fits = (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and _is_finite(value)
            and least <= value <= largest
            and not (whole and value != int(value))
        )
        if fits:
            return []
        if isinstance(value, str) and _is_number(value):
            return [(field, value, f"{kind} {bounds}, without quotation marks")]
        return [(field, value, f"{kind} {bounds}")]

    return check


def as_number(text: str) -> int | float | None:
    """The number that a text says in plain decimal notation, or ``None``; no underscores and no foreign digits."""
    if len(text) > LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    # What fits a field as a whole number has 16 digits; beyond, the notation is of no use.
    return int(text) if len(text) <= 20 and text.lstrip("+-").isdigit() else number


def _is_number(text: str) -> bool:
    number = as_number(text)
    return number is not None and math.isfinite(number)


def _is_finite(number: int | float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an integer beyond every double
        return False


def choice(names: tuple[str, ...]) -> Check:
    def check(field: str, value: Any) -> list[Fault]:
        return [] if isinstance(value, str) and value in names else [(field, value, f"one of {', '.join(names)}")]

    return check


def members(checks: dict[str, Check], required: tuple[str, ...], what: str) -> Check:
    """An object with documented members; ``null`` is the same as leaving a member out."""
    known = tuple(checks)

    def check(field: str, value: Any) -> list[Fault]:
        prefix = f"{field}." if field else ""
        if not isinstance(value, dict):
            return [(field, value, what)]
        faults: list[Fault] = []
        unknown = 0
        for name, member in value.items():
            if name in checks:
                if member is not None:
                    faults += checks[name](f"{prefix}{name}", member)
            elif (unknown := unknown + 1) <= MOST_UNKNOWN:
                faults.append((f"{prefix}{name}", member, Unknown(prefix, name, known)))
        if unknown > MOST_UNKNOWN:
            faults.append((field, None, f"documented fields only; {unknown - MOST_UNKNOWN:,} more are unknown"))
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
            else [
                (
                    field,
                    value,
                    f"at most {most_bytes:,} bytes of JSON, at most {DEEPEST_TAGS} levels deep, without NaN, Infinity"
                    " and NUL characters",
                )
            ]
        )

    return check


def tags_fit(value: dict[str, Any], most_bytes: int) -> bool:
    try:
        written = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return "\\u0000" not in written and len(written.encode()) <= most_bytes and is_shallow(value, written)
    except (TypeError, ValueError, RecursionError):
        return False


def is_shallow(value: Any, written: str | bytes) -> bool:
    """Whether a value, whose JSON is given, is nested no deeper than :data:`DEEPEST_TAGS`: databases have a limit."""
    marks = ("[", "{") if isinstance(written, str) else (91, 123)
    if sum(written.count(mark) for mark in marks) <= DEEPEST_TAGS:  # type: ignore[arg-type,misc]
        return True
    level = [value]
    for _ in range(DEEPEST_TAGS + 1):
        level = [
            member
            for one in level
            if isinstance(one, dict | list)
            for member in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return True
    return False
