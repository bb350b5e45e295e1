"""``nvidia-smi --query-gpu=timestamp,uuid,power.draw --format=csv``, and DCGM's fields as columns of a CSV."""

from __future__ import annotations

import re

import numpy as np

from apps.core.units import PPM
from apps.telemetry.batch import Place
from apps.telemetry.meters.batch import DEVICE_COUNTER, DEVICE_GAUGE, MeterBatch, MeterSaid, SeriesSaid
from apps.telemetry.meters.models import MeterKind
from apps.telemetry.uploads.formats.base import (
    DOOR,
    Batches,
    Block,
    FileRefusedError,
    Found,
    Given,
    blocks,
    usual_interval_s,
)
from apps.telemetry.uploads.formats.columns import Clock, numbers

_NAME = re.compile(r"([^\[]+?)\s*(?:\[(\w+)\])?")
# Column -> kind and unit where the header names none. The energy counter goes first: a gauge misses what lies between.
_METRICS = (
    ("dcgm_fi_dev_total_energy_consumption", MeterKind.COUNTER, "mJ"),
    ("total_energy_consumption", MeterKind.COUNTER, "mJ"),
    ("totec", MeterKind.COUNTER, "mJ"),
    ("power.draw.instant", MeterKind.GAUGE, "W"),
    ("power.draw", MeterKind.GAUGE, "W"),
    ("power.draw.average", MeterKind.GAUGE, "W"),
    ("dcgm_fi_dev_power_usage", MeterKind.GAUGE, "W"),
    ("power", MeterKind.GAUGE, "W"),
)
_DEVICES = ("uuid", "gpu_uuid", "gpu uuid", "index", "gpu", "gpu_index", "pci.bus_id", "gpu_bus_id")
_TIMES = ("timestamp", "time", "datetime")


def recognises(header: list[str]) -> bool:
    names = {_bare(name)[0] for name in header}
    return bool(names & set(_TIMES)) and bool(names & {metric for metric, *_ in _METRICS[:-1]})


def refuse_without_times(text: str) -> None:
    """Raises :class:`FileRefusedError` for what ``dcgmi dmon`` prints: it says no times."""
    if text.lstrip().startswith("#Entity"):
        raise FileRefusedError(
            "dcgmi dmon prints no times, so its lines belong to no hour. Record with nvidia-smi --query-gpu=timestamp,"
            "uuid,power.draw --format=csv, or put a time before each line and save it as CSV."
        )


def _bare(name: str) -> tuple[str, str | None]:
    match = _NAME.fullmatch(name.strip())
    return (match[1].casefold(), match[2]) if match else (name.casefold(), None)


def read(text: str, given: Given, found: Found) -> Batches:
    """Readings of one meter per device: the energy counter if the file has one, else the power."""
    refuse_without_times(text)
    clock = Clock(given.zone)
    meters = _Meters(given)
    for block in blocks(text, found):
        yield _batch(block, clock, meters, given, found)
    found.notes.append(f"{len(meters.series)} devices. Energy is derived from the readings when their hours settle.")


class _Meters:
    """The series of a file, made when a device is first seen."""

    def __init__(self, given: Given) -> None:
        self.given = given
        self.series: list[SeriesSaid] = []
        self.codes: dict[str, int] = {}

    def code(self, device: str, metric: str, kind: MeterKind, unit: str, interval_s: int) -> int:
        if device in self.codes:
            return self.codes[device]
        given = self.given
        # A UUID names the device wherever it is reported; an index only within its host.
        is_unique = device.upper().startswith(("GPU-", "MIG-"))
        name = device if is_unique else f"{given.source or 'nvidia-smi'}/gpu{device}"
        counter = kind == MeterKind.COUNTER
        meter = MeterSaid(
            name=f"{metric} {name}"[:300],
            metric=metric,
            kind=kind,
            unit=unit,
            place=Place(name if is_unique else "", DEVICE_COUNTER if counter else DEVICE_GAUGE),
            interval_s=interval_s,
            longest_gap_s=max(300, 5 * interval_s),
            pue_included_ppm=given.pue_ppm or PPM,
        )
        naming = given.naming(name, boundary="accelerator", method="measured")
        labels = tuple(sorted({"uuid" if is_unique else "index": device, "metric": metric}.items()))
        self.codes[device] = len(self.series)
        self.series.append(SeriesSaid(meter, naming, labels))
        return self.codes[device]


def _batch(block: Block, clock: Clock, meters: _Meters, given: Given, found: Found) -> MeterBatch:
    named = {_bare(name): i for i, name in reversed(list(enumerate(block.header)))}
    bare = {name: (i, unit) for (name, unit), i in named.items()}
    time = next((bare[name][0] for name in _TIMES if name in bare), None)
    device = next((bare[name][0] for name in _DEVICES if name in bare), None)
    metric = next((one for one in _METRICS if one[0] in bare), None)
    if time is None or metric is None:
        raise FileRefusedError(
            "The file needs a column timestamp and one of power.draw or DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION. Record"
            " with nvidia-smi --query-gpu=timestamp,uuid,power.draw --format=csv."
        )
    name, kind, unit = metric
    place, said_unit = bare[name]
    at_ms, has_time = clock.milliseconds(block.columns[time], block.header[time], block.line, found)
    values, has_value = numbers(block.columns[place], block.header[place], block.line, found)
    if device is None:
        devices, inverse = np.array(["0"]), np.zeros(len(block), np.int64)
    else:
        devices, inverse = np.unique(np.array(block.columns[device]), return_inverse=True)
    kept = has_time & has_value
    interval_s = usual_interval_s(at_ms[kept])
    unit = said_unit or unit
    codes = np.array([meters.code(one.strip(), name, kind, unit, interval_s) for one in devices.tolist()], np.int64)
    found.entries += int(kept.sum())
    return MeterBatch(
        protocol=DOOR,
        index=block.line[kept],
        series_codes=codes[inverse][kept],
        at_ms=at_ms[kept],
        value=values[kept],
        start_ms=np.zeros(int(kept.sum()), np.int64),
        series=meters.series,
        errors=found.take_errors(),
    )
