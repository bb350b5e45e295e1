"""One request's meter readings as columns: what a protocol module makes and :mod:`apps.telemetry.meters.intake` takes.

A protocol knows the wire and the metric table: which metric is a counter of what, of which device. It says nothing of
ids, of energy between readings, or of whose energy it is beyond what the labels and the protocol's standard say.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from apps.telemetry.batch import BoolArray, Float64Array, Int64Array, Naming, RowError
from apps.telemetry.batch import Place as Place
from apps.telemetry.meters.models import MeterKind, Quantity, StartPolicy

GPU_CAP_W = 3_000  # more than any accelerator sold draws; of a first value, what one interval at this power could use
HOST_CAP_W = 30_000  # a rack-scale node with all its accelerators


# Precedences of the doors (Source.precedence): energy counter before power gauge, device exporter before job tracker.
DEVICE_COUNTER = 10
SERVER_COUNTER = 20  # an inference server that reads the device's counter (Triton)
NODE_COUNTER = 30  # a node exporter that reads the device's counter (Kepler, Scaphandre, RAPL)
DEVICE_GAUGE = 40
NODE_GAUGE = 50
JOB_TRACKER = 200
FILE_TRACKER = 210


class MeterSaid(NamedTuple):
    """A meter as its protocol knows it; used to create it when it is first seen, afterwards the stored one holds."""

    name: str  # metric and device, stable: "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION GPU-5f0c..."; at most 300 characters
    metric: str
    kind: MeterKind
    unit: str  # J, mJ, uJ, Wh, kWh, W, mW, uW; "1" for work
    quantity: Quantity = Quantity.ENERGY
    place: Place = Place()
    power_cap_w: int = GPU_CAP_W
    start_policy: StartPolicy = StartPolicy.AUTOMATIC
    interval_s: int = 60
    longest_gap_s: int = 300
    wraps_at: float | None = None
    start_tolerance_ms: int = 0
    pue_included_ppm: int = 1_000_000


class SeriesSaid(NamedTuple):
    """A label set that reports a meter. ``naming.source`` is the name wanted for the meter's source.

    ``naming``: what the protocol itself says (source, boundary, method, hardware, and team, model, workload, site only
    where they are stated by something other than a label, such as a registered experiment); the attribution rules are
    applied to ``labels`` on top, at the door of the intake. ``labels``: everything said, as (name, value) pairs sorted
    by name; its identity together with the meter's name.
    """

    meter: MeterSaid
    naming: Naming
    labels: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class MeterBatch:
    """Readings of meters. ``value`` NaN: the series ends here. ``start_ms`` 0: no start was stated.

    ``index``: place of each reading in the body, for errors. ``ignored``: readings of series that are no energy and no
    work, and values that say "no value"; counted and left alone. ``errors``: of readings that are not valid.
    """

    protocol: str  # the door: otlp, prometheus, codecarbon, upload
    index: Int64Array
    series_codes: Int64Array  # into ``series``
    at_ms: Int64Array
    value: Float64Array
    start_ms: Int64Array
    series: list[SeriesSaid]
    ignored: int = 0
    errors: list[RowError] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: Int64Array | BoolArray) -> MeterBatch:
        """The same batch with the given readings only (indices or a mask); series, errors and counts stay."""
        return replace(
            self,
            index=self.index[rows],
            series_codes=self.series_codes[rows],
            at_ms=self.at_ms[rows],
            value=self.value[rows],
            start_ms=self.start_ms[rows],
        )
