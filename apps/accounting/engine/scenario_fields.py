"""Reading the fields of a scenario: checked values out, every fault named by its JSON pointer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

ANNOTATIONS = frozenset({"note", "title", "source", "comment"})
HIGHEST = Decimal("1e15")


@dataclass(frozen=True, slots=True)
class ScenarioFault:
    """What is wrong with a scenario: where, what was found, what was expected."""

    pointer: str
    got: str
    expected: str

    def __str__(self) -> str:
        return f"{self.pointer or '/'}: found {self.got}, expected {self.expected}"


class ScenarioError(ValueError):
    """A scenario that cannot be read."""

    def __init__(self, faults: Sequence[ScenarioFault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = list(faults)


class FieldReader:
    """Reads field by field; after a fault it goes on with a harmless value so that all faults come at once."""

    def __init__(self) -> None:
        self.faults: list[ScenarioFault] = []

    def fault(self, pointer: str, got: Any, expected: str) -> None:
        shown = got if isinstance(got, str) and got.startswith("no ") else json.dumps(got, default=str)
        self.faults.append(ScenarioFault(pointer, shown if len(shown) <= 60 else shown[:57] + "...", expected))

    def object(
        self, value: Any, at: str, known: Sequence[str], required: Sequence[str] | None = None
    ) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.fault(at, "no value" if value is None else value, "an object")
            return {}
        for key in value:
            if key not in known and key not in ANNOTATIONS:
                self.fault(f"{at}/{escape(key)}", value[key], f"no such key; known are {', '.join(known)}")
        for key in known if required is None else required:
            if value.get(key) is None:
                self.fault(f"{at}/{key}", "no value", "it to be given")
        return {key: value[key] for key in value if key in known}

    def mapping(self, value: Any, at: str) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        if value is not None:
            self.fault(at, value, "an object of codes")
        return {}

    def list(self, value: Any, at: str) -> Sequence[Any]:
        if isinstance(value, list):
            return value
        if value is not None:
            self.fault(at, value, "a list")
        return []

    def text(self, value: Any, at: str) -> str:
        if isinstance(value, str) and value:
            return value
        if value is not None:
            self.fault(at, value, "a text")
        return ""

    def choice(self, value: Any, at: str, allowed: Sequence[str]) -> str:
        if isinstance(value, str) and value in allowed:
            return value
        if value is not None:
            self.fault(at, value, f"one of {', '.join(allowed)}")
        return ""

    def truth(self, value: Any, at: str) -> bool | None:
        """True, false, or nothing stated."""
        if value is None or isinstance(value, bool):
            return value
        self.fault(at, value, "true or false")
        return None

    def number(self, value: Any, at: str) -> Decimal:
        """A quantity of 0 or more, as a decimal string or a JSON number."""
        if not isinstance(value, bool) and isinstance(value, str | int | Decimal):
            try:
                number = Decimal(value)
            except InvalidOperation:
                number = Decimal("NaN")
            if number.is_finite() and 0 <= number < HIGHEST:
                return number
        self.fault(at, value, f"a number of 0 or more as a decimal string, below {HIGHEST:.0e}")
        return Decimal(0)

    def months(self, value: Any, at: str) -> int:
        if isinstance(value, str) and value.isdecimal():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 1200:
            return value
        self.fault(f"{at}/vintage_window_months", value, "a whole number of months")
        return 12

    def interval(
        self, item: Mapping[str, Any], at: str, default: tuple[datetime, datetime] | None
    ) -> tuple[datetime, datetime]:
        start = self.time(item["start"], f"{at}/start") if item.get("start") is not None else None
        end = self.time(item["end"], f"{at}/end") if item.get("end") is not None else None
        fallback = default or (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
        interval = (start or fallback[0], end or fallback[1])
        if start and end and end <= start:
            self.fault(f"{at}/end", item["end"], f"a time after the start, {item['start']}")
        return interval

    def time(self, value: Any, at: str) -> datetime | None:
        try:
            moment = datetime.fromisoformat(value)
            if len(value) == len("2026-01-01"):
                return moment.replace(tzinfo=UTC)
            if moment.tzinfo is not None:
                return moment.astimezone(UTC)
        except (TypeError, ValueError, OverflowError):
            pass
        self.fault(at, value, "a time in UTC such as 2026-01-01T00:00:00Z")
        return None

    def day(self, value: Any, at: str) -> date | None:
        try:
            return date.fromisoformat(value[:10]) if len(value) == len("2026-01-01") else self._day_of(value, at)
        except (TypeError, ValueError):
            self.fault(at, value, "a day such as 2027-01-15")
            return None

    def _day_of(self, value: Any, at: str) -> date | None:
        moment = self.time(value, at)
        return moment.date() if moment else None


def escape(key: str) -> str:
    """A key as one token of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")
