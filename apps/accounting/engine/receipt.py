"""Recomputing a figure from its calculation receipt alone, and saying where the two differ.

A receipt is the JSON of ``GET /api/v1/calculations``: a head (the figure, what it was made with) and lines, one per
hour and account of the ledger. Nothing here knows a database; the formulas are those that made the figure:

[1] GHG Protocol Scope 2 Guidance (2015), table 6.2: location-based = facility energy x grid factor.
[2] The same, table 6.3: the hierarchy of the market-based method (``engine.market``).
[3] ISO/IEC 30134-2: facility energy = IT energy x PUE, once, and not where the meter stands behind the overhead.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Any

from apps.accounting.engine.location import scope_of
from apps.accounting.engine.receipt_market import factor_faults, market_faults
from apps.accounting.engine.receipt_rows import BEARING, IT, LOCATION, USED, Json, Rows, Sums, reading_of
from apps.core.units import PPM, emissions_mg, facility_energy_milliwatt_hours, round_half_up
from apps.core.windows import Quarter

FORMAT = "esgportal-calculation-1"
# A line of a file, in this order; a line of the API carries the same names, and the words of its account.
COLUMNS = (
    "hour",
    "account",
    "rate",
    "readings",
    "it_energy_milliwatt_hours",
    "facility_energy_milliwatt_hours",
    "location_mg",
)
WORDS = (
    "scope",
    "market",
    "source",
    "site",
    "team",
    "model",
    "workload",
    "study",
    "kind",
    "boundary",
    "method",
    "hardware",
)
TIMES = ("hour", "day", "month", "quarter")
FACILITY = "facility"
SAID_AT_MOST = 50  # differences of lines; more say nothing new


class UnreadableReceiptError(ValueError):
    """Not a complete receipt; the text says what is missing."""


def canonical(value: Any) -> bytes:
    """One text for one value: sorted keys, no spaces, UTF-8. What every digest of a receipt is taken of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def head_digest(head: Json) -> str:
    """SHA-256 over the canonical head, its own digest left out."""
    return hashlib.sha256(canonical({name: value for name, value in head.items() if name != "digest"})).hexdigest()


class LinesDigest:
    """SHA-256 over the lines of a receipt as they pass, then its accounts, each as canonical JSON with a line feed."""

    def __init__(self) -> None:
        self._state = hashlib.sha256()

    def add(self, row: Sequence[Any]) -> None:
        self._state.update(canonical(list(row)) + b"\n")

    def add_account(self, account: Json) -> None:
        self._state.update(canonical(account) + b"\n")

    def hexdigest(self) -> str:
        return self._state.hexdigest()


def time_labels(hour: str) -> dict[str, str]:
    """The hour, day, month and quarter that an hour such as ``2026-07-01T05:00:00Z`` is grouped under."""
    day = date.fromisoformat(hour[:10])
    return {"hour": hour, "day": hour[:10], "month": hour[:7], "quarter": str(Quarter.of(day))}


# --- What a receipt says, added up again ----------------------------------------------------------------------------


@dataclass
class Recomputed:
    """What the lines and rates of a receipt give.

    ``figures``: scope to ``it_energy_milliwatt_hours``, ``facility_energy_milliwatt_hours``, ``location_mg``,
    ``market_mg``. ``groups``: the same for ``(values of group_by, scope)``. ``faults``: what contradicts itself.
    """

    figures: dict[str, dict[str, int | None]] = field(default_factory=dict)
    groups: dict[tuple[Any, ...], dict[str, int | None]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def recompute(receipt: Json) -> Recomputed:
    """The figures that follow from a receipt's lines, rates and markets, to the integer.

    ``receipt``: ``{"head": ..., "lines": [...]}``, the lines of a file (arrays, with ``accounts``) or the results of
    all pages of the API, joined. Raises :class:`UnreadableReceiptError`.
    """
    try:
        return _Recomputation(receipt).run()
    except UnreadableReceiptError:
        raise
    except (KeyError, TypeError, AttributeError, IndexError, ArithmeticError, ValueError) as error:
        raise UnreadableReceiptError(f"this is no complete receipt: {type(error).__name__}: {error}") from error


def differences(receipt: Json) -> list[str]:
    """Where a receipt contradicts itself: digests, lines, rates, markets, figures. Empty: the figure holds.

    Raises :class:`UnreadableReceiptError` for what is no receipt.
    """
    found = recompute(receipt)
    head = receipt["head"]
    said = list(found.faults)
    if head_digest(head) != head["digest"]:
        said.insert(0, f"digest: the head has {head_digest(head)}, the receipt says {head['digest']}")
    stated = {figure["scope"]: figure for figure in head["figures"]}
    for scope in sorted(stated.keys() | found.figures.keys()):
        said += _compared(f"figure of scope {scope}", stated.get(scope), found.figures.get(scope))
    if head["query"]["group_by"]:
        rows = {(*(row[name] for name in head["query"]["group_by"]), row["scope"]): row for row in head["groups"]}
        for key in sorted(rows.keys() | found.groups.keys(), key=repr):
            said += _compared(f"row {key}", rows.get(key), found.groups.get(key))
    return said


def _compared(name: str, stated: Json | None, found: Mapping[str, int | None] | None) -> list[str]:
    if stated is None or found is None:
        return [f"{name}: {'the lines hold energy that is not stated' if stated is None else 'no line belongs to it'}"]
    return [
        f"{name}, {quantity}: the receipt says {stated[quantity]}, recomputed it is {value}"
        for quantity, value in found.items()
        if stated[quantity] != value
    ]


class _Recomputation:
    def __init__(self, receipt: Json) -> None:
        self.receipt = receipt
        self.head: Json = receipt["head"]
        if self.head["format"] != FORMAT:
            raise UnreadableReceiptError(f"the format is {self.head['format']!r}, expected {FORMAT!r}")
        self.rates = {rate["rate"]: rate for rate in self.head["rates"]}
        self.group_by = tuple(self.head["query"]["group_by"])
        self.faults: list[str] = []
        self.by_rate: dict[tuple[str, str], Sums] = {}  # by rate and boundary
        self.total = Rows(self.head, reading_of(self.head, ()))
        self.rows = Rows(self.head, reading_of(self.head, self.group_by)) if self.group_by else None

    def run(self) -> Recomputed:
        for rate in self.rates.values():
            self.faults += factor_faults(f"rate {rate['rate']}", rate["factor"], rate["factor_ug_per_kwh"], rate)
        self._read_lines()
        self._compare_sums()
        for market in self.head["markets"]:
            self.faults += market_faults(market)
            if (parts := self.total.parts(market)) != market["parts"]:
                self._fault(f"market {market['market_period']}, parts: {market['parts']} stated, {parts} follow")
        found = Recomputed(faults=self.faults)
        for scope, rows in self.total.figures().items():
            found.figures[scope] = rows[()]
        if self.rows is not None:
            for scope, rows in self.rows.figures().items():
                found.groups |= {(*values, scope): row for values, row in rows.items()}
        return found

    def _read_lines(self) -> None:
        query, last, count = self.head["query"], ("", 0), 0
        wanted = {name: set(values) for name, values in query["filters"].items() if name not in BEARING}
        digest = LinesDigest()
        for line in _lines(self.receipt):
            count += 1
            name = f"line {line['hour']} account {line['account']}"
            key = (line["hour"], line["account"])
            if key <= last:
                self._fault(f"{name}: stands there twice, or out of order")
            last = key
            if not query["from_hour"] <= line["hour"] < query["to_hour"]:
                self._fault(f"{name}: outside the window")
            times = time_labels(line["hour"])
            for dimension, values in wanted.items():
                value = times[dimension] if dimension in TIMES else line[dimension]
                if ("" if value is None else value) not in values:
                    self._fault(f"{name}: {dimension} {value!r} is not among those asked for")
            if query["scope"] not in ("all", line["scope"]):
                self._fault(f"{name}: scope {line['scope']} was not asked for")
            self._apply_rate(name, line)
            sums = (line[IT], line[USED], line[LOCATION], line["readings"])
            self.by_rate.setdefault((line["rate"], line["boundary"]), Sums()).add(*sums)
            counted = [rows.add(line, times, sums) for rows in (self.total, self.rows) if rows is not None]
            if not any(counted):
                self._fault(f"{name}: belongs to nobody asked for")
            digest.add([line[column] for column in COLUMNS])
        for account in self.receipt.get("accounts", ()):
            digest.add_account(account)
        stated = self.receipt.get("lines_digest")
        if stated is not None and stated != digest.hexdigest():
            self._fault(f"lines_digest: the lines have {digest.hexdigest()}, the receipt says {stated}")
        if self.receipt.get("line_count", count) != count:
            self._fault(f"lines: {count} of {self.receipt['line_count']} are there")

    def _apply_rate(self, name: str, line: Json) -> None:
        """[3] and [1] for one line."""
        rate = self.rates.get(line["rate"])
        if rate is None:
            self._fault(f"{name}: the rate {line['rate']!r} is not in the head")
            return
        if not rate["from"] <= line["hour"] < rate["to"] or rate["site"] != line["site"]:
            self._fault(f"{name}: the rate {rate['rate']} does not hold there")
        control = rate.get("control")
        if control and line["scope"] != scope_of(control):
            self._fault(f"{name}: scope {line['scope']}, but a site of class {control} is scope {scope_of(control)}")
        it, used = it_and_facility(line, rate["pue_ppm"])
        if (line[IT], line[USED]) != (it, used):
            pue = f"PUE {rate['pue_ppm']} ppm"
            self._fault(f"{name}: {line[IT]} mWh IT and {line[USED]} mWh facility; {pue} gives {it} and {used}")
        factor = rate["factor_ug_per_kwh"]
        location = None if factor is None else emissions_mg(line[USED], factor)
        if line[LOCATION] != location:
            self._fault(f"{name}: location_mg is {line[LOCATION]}; {line[USED]} mWh x {factor} ug/kWh gives {location}")

    def _compare_sums(self) -> None:
        stated = {(rate["rate"], part["boundary"]): part for rate in self.head["rates"] for part in rate["sums"]}
        for key in sorted(stated.keys() | self.by_rate.keys()):
            found = self.by_rate.get(key, Sums())
            part = stated.get(key)
            if part is None:
                self._fault(f"rate {key[0]}, {key[1]}: the head has no sum for its lines")
                continue
            for name in ("readings", IT, USED, LOCATION):
                if part[name] != getattr(found, name):
                    self._fault(
                        f"rate {key[0]}, {key[1]}, {name}: {part[name]} stated, {getattr(found, name)} in lines"
                    )

    def _fault(self, text: str) -> None:
        if len(self.faults) < SAID_AT_MOST:
            self.faults.append(text)


def _lines(receipt: Json) -> Iterator[Json]:
    accounts = {row["account"]: row for row in receipt.get("accounts", ())}
    for line in receipt["lines"]:
        if isinstance(line, Mapping):
            yield line
        else:
            row = dict(zip(receipt["columns"], line, strict=True))
            yield {**accounts[row["account"]], **row}


# --- Formulas -------------------------------------------------------------------------------------------------------


def it_and_facility(line: Json, pue_ppm: int | None) -> tuple[int, int]:
    """``(IT energy, facility energy)`` [mWh] of a line from what was measured, by [3].

    Measured is the facility energy where the boundary is *facility*, else the IT energy. Without a PUE (no site) both
    are what was measured.
    """
    if line["boundary"] == FACILITY:
        used = line[USED]
        return (used if pue_ppm is None else round_half_up(Fraction(used * PPM, pue_ppm))), used
    it = line[IT]
    return it, it if pue_ppm is None else facility_energy_milliwatt_hours(it, pue_ppm)
