"""One request's telemetry as columns: what every protocol module makes and the intake takes.

A batch holds the readings that passed the rules of :mod:`apps.telemetry.rules` as NumPy columns of equal length, what
they say in words as codes into a list of distinct :class:`Naming`, and the errors of the rows that did not pass.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]
Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

ABSENT = -1  # in the work columns, which are 0 or more
SHOWN_CHARACTERS = 80


class ShareNaming(NamedTuple):
    """A part of a reading: by what weight it belongs to whom. Empty members are the reading's own."""

    team: str | None
    model: str | None
    workload: str | None
    weight: float


class Naming(NamedTuple):
    """Everything a reading says besides time, energy, work and notes, in the client's words."""

    source: str
    site: str | None = None
    team: str | None = None
    model: str | None = None
    workload: str | None = None
    study: str | None = None
    kind: str | None = None
    boundary: str | None = None
    method: str | None = None
    hardware: str | None = None
    accelerators: int | None = None
    shares: tuple[ShareNaming, ...] | None = None


class Place(NamedTuple):
    """Where a source stands among those that measure the same thing. Used when the source is first seen only.

    ``device``: identity of the physical thing (GPU UUID, ``host/zone``); empty: the source alone measures it.
    ``precedence``: of the sources of one device the lowest is counted. ``within``: the device that contains this one.
    """

    device: str = ""
    precedence: int = 100
    within: str = ""


def shown(value: Any) -> Any:
    """A value as an error repeats it: JSON, shortened."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value is None or isinstance(value, bool | int | float):
        return value if not isinstance(value, int) or abs(value) < 2**63 else shown(Decimal(value))
    if isinstance(value, str | Decimal):
        text = str(value)
    else:
        try:
            text = json.dumps(value, ensure_ascii=False, default=str)
        except RecursionError:
            text = "something nested too deeply"
    text = text[: SHOWN_CHARACTERS + 1].encode("utf-8", "replace").decode().replace("\0", "␀")
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


@dataclass(frozen=True, slots=True)
class RowError:
    """Why a row was rejected: its place in the body (from 0), the field, what stood there, what belongs there."""

    index: int
    field: str
    got: Any
    expected: str

    def as_dict(self) -> dict[str, Any]:
        return {"index": self.index, "field": self.field, "got": self.got, "expected": self.expected}


@dataclass(slots=True)
class SampleBatch:
    """Columns of the valid readings and the errors of the others. Times [ms since the epoch], energy [uWh]."""

    protocol: str
    index: Int64Array
    start_ms: Int64Array
    end_ms: Int64Array
    energy_microwatt_hours: Int64Array
    naming_codes: Int64Array
    namings: Sequence[tuple[Any, ...]]  # members of Naming in its order; plain tuples will do, and cost less to make
    tokens: Int64Array | None = None
    requests: Int64Array | None = None
    samples: Int64Array | None = None
    milli_epochs: Int64Array | None = None
    external_ids: list[str | None] | None = None
    tags: list[dict[str, Any] | None] | None = None
    places: dict[str, Place] | None = None  # of sources, by name; with it a name that another door uses is not shared
    errors: list[RowError] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def work(self) -> tuple[Int64Array | None, ...]:
        return self.tokens, self.requests, self.samples, self.milli_epochs

    def naming_of(self, row: int) -> Naming:
        """What one row says in words."""
        return Naming._make(self.namings[int(self.naming_codes[row])])

    def take(self, rows: Int64Array | BoolArray) -> SampleBatch:
        """The same batch with the given rows only (indices or a mask); errors and namings stay."""

        def part(column: Int64Array | None) -> Int64Array | None:
            return None if column is None else column[rows]

        def listed(column: list[Any] | None) -> list[Any] | None:
            return None if column is None else [column[i] for i in np.arange(len(self))[rows].tolist()]

        return SampleBatch(
            protocol=self.protocol,
            index=self.index[rows],
            start_ms=self.start_ms[rows],
            end_ms=self.end_ms[rows],
            energy_microwatt_hours=self.energy_microwatt_hours[rows],
            naming_codes=self.naming_codes[rows],
            namings=self.namings,
            tokens=part(self.tokens),
            requests=part(self.requests),
            samples=part(self.samples),
            milli_epochs=part(self.milli_epochs),
            external_ids=listed(self.external_ids),
            tags=listed(self.tags),
            places=self.places,
            errors=self.errors,
        )
