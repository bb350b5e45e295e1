"""Bulk writes of readings and what goes with them, at the full speed of either database.

The same functions stand in one module per backend; :func:`writer` gives the one that fits the connection. Each must
run inside a transaction, except ``prepare`` and ``prepare_meters``, which must run before it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from django.db import connection

from apps.telemetry.batch import Float64Array, Int64Array

WORK_COLUMNS = ("tokens", "requests", "samples", "milli_epochs")


@dataclass(slots=True)
class ReadingRows:
    """Readings ready to store, sorted by key. Work columns hold -1, or are ``None``, where nothing was said."""

    organisation_id: int
    receipt_id: int
    start_ms: Int64Array
    source_id: Int64Array
    end_ms: Int64Array
    attribution_id: Int64Array
    energy_microwatt_hours: Int64Array
    tokens: Int64Array | None
    requests: Int64Array | None
    samples: Int64Array | None
    milli_epochs: Int64Array | None

    def __len__(self) -> int:
        return len(self.start_ms)

    @property
    def work(self) -> list[tuple[str, Int64Array]]:
        """The work columns that say anything, by name."""
        named = [(name, getattr(self, name)) for name in WORK_COLUMNS]
        return [(name, column) for name, column in named if column is not None]


# (start ms, source id, end ms) -> (attribution id, energy, tokens, requests, samples, milli-epochs) as stored
Key = tuple[int, int, int]
Stored = dict[Key, tuple[int | None, ...]]


@dataclass(slots=True)
class MeterRows:
    """Meter readings ready to store, sorted by key (``at_ms``, ``series_id``). ``value`` NaN is stored as null."""

    organisation_id: int
    receipt_id: int
    at_ms: Int64Array
    series_id: Int64Array
    value: Float64Array
    start_ms: Int64Array

    def __len__(self) -> int:
        return len(self.at_ms)


StoredValues = dict[tuple[int, int], float | None]  # (at ms, series id) -> value


class Neighbours(NamedTuple):
    """Of some meters or series, in their order, the nearest values outside what is being stored [ms]; 0: none."""

    before_ms: Int64Array
    after_ms: Int64Array


class Writer(Protocol):
    def prepare(self, start_ms: Int64Array) -> None:
        """Make sure that readings beginning at these times have a place to be stored. Outside a transaction."""

    def turn(self) -> AbstractContextManager[object]:
        """Around the transaction: wait for other writers where the database has only one."""

    def insert(self, rows: ReadingRows) -> int:
        """Store the rows whose key is free; the number stored."""

    def stored_by_others(self, rows: ReadingRows) -> Stored:
        """Of these rows' keys, those that another receipt holds, with what is stored. Locks them until commit."""

    def stored(self, rows: ReadingRows) -> Stored:
        """Of these rows' keys, those that any receipt holds, with what is stored. Locks them until commit."""

    def prepare_meters(self, at_ms: Int64Array) -> None:
        """Make sure that meter readings at these times have a place to be stored. Outside a transaction."""

    def take_meters(self, organisation_id: int, *, alone: bool) -> None:
        """Keep other intakes of the organisation's meter readings out until commit: all, or those that are alone."""

    def newest_meter_reading(self, organisation_id: int, since_ms: int) -> int | None:
        """Time of the organisation's newest meter reading from a time on [ms]."""

    def neighbours(
        self, meters: Int64Array, series: Int64Array, first_ms: Int64Array, last_ms: Int64Array, within_ms: int
    ) -> Neighbours:
        """The nearest values before ``first_ms`` and after ``last_ms``, of a series or (series 0) of all of a meter."""

    def insert_meters(self, rows: MeterRows) -> int:
        """Store the meter readings whose key is free; the number stored."""

    def stored_values(self, rows: MeterRows, *, of_others: bool) -> StoredValues:
        """Of these rows' keys, those that a receipt (another one, if ``of_others``) holds, with their values."""

    def mark_dirty(self, organisation_id: int, hours: Int64Array) -> None:
        """One mark for each hour (since the epoch)."""

    def touch_sources(self, ids: Int64Array, first_ms: Int64Array, last_ms: Int64Array) -> None:
        """Widen the first and last reading of sources, given in the order of their ids."""

    def touch_series(self, ids: Int64Array, first_ms: Int64Array, last_ms: Int64Array) -> None:
        """Widen the first and last reading of series, given in the order of their ids."""


def writer() -> Writer:
    """The writer for the default connection."""
    if connection.vendor == "postgresql":
        from apps.telemetry.bulk.postgresql import PostgresqlWriter

        return PostgresqlWriter()
    from apps.telemetry.bulk.sqlite import SqliteWriter

    return SqliteWriter()
