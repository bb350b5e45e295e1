"""What OpenTelemetry's metrics are meters of: ``hw.*`` energy and power, ``gen_ai.*`` tokens and requests.

Names: OpenTelemetry semantic conventions, hardware and generative AI (both "development"). Other metrics, such as those
that a Collector scraped from an exporter, are looked up in the Prometheus metric table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from opentelemetry.proto.metrics.v1 import metrics_pb2

from apps.telemetry.batch import Naming
from apps.telemetry.meters.batch import (
    DEVICE_COUNTER,
    DEVICE_GAUGE,
    GPU_CAP_W,
    HOST_CAP_W,
    NODE_COUNTER,
    NODE_GAUGE,
    MeterSaid,
    Place,
    SeriesSaid,
)
from apps.telemetry.meters.models import MeterKind, Quantity
from apps.telemetry.protocols.metrics_table import MOST_NAME, metric_named, recognise, shortened

CUMULATIVE = metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE
DELTA = metrics_pb2.AGGREGATION_TEMPORALITY_DELTA
Labels = Mapping[str, str]
ENERGY, POWER = ("hw.energy", "hw.host.energy"), ("hw.power", "hw.host.power")
TOKENS = "gen_ai.client.token.usage"
# Of the client's view only: its tokens and its operations are those of the same calls. The server's own duration
# (gen_ai.server.request.duration) would count each request that both sides report twice.
REQUESTS = "gen_ai.client.operation.duration"
COUNTED = (REQUESTS,)  # histograms of which the count is the work; of all others it is the sum
TOKEN_TYPES = ("input", "output")
# Units as UCUM and as people write them: the unit a meter has here, and what a value is multiplied with.
UNITS = {
    "J": ("J", 1.0),
    "kJ": ("J", 1e3),
    "MJ": ("J", 1e6),
    "mJ": ("mJ", 1.0),
    "uJ": ("uJ", 1.0),
    "Wh": ("Wh", 1.0),
    "W.h": ("Wh", 1.0),
    "kWh": ("kWh", 1.0),
    "kW.h": ("kWh", 1.0),
    "W": ("W", 1.0),
    "kW": ("W", 1e3),
    "mW": ("mW", 1.0),
    "uW": ("uW", 1.0),
}
_UUID = re.compile(r"^(?:GPU-|MIG-)?[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}$|^GPU-\S+$")
_NAMES = frozenset((*ENERGY, *POWER, TOKENS, REQUESTS))
_POWER_UNITS = ("W", "mW", "uW")


class Said(NamedTuple):
    """What a metric says of all its points. ``shape``: ``gauge``, ``sum`` or ``histogram`` (of either sort)."""

    name: str
    unit: str = ""
    shape: str = "sum"
    temporality: int = CUMULATIVE
    is_monotonic: bool = True

    @property
    def kind(self) -> MeterKind:
        if self.shape == "gauge":
            return MeterKind.GAUGE
        return MeterKind.DELTA if self.temporality == DELTA else MeterKind.COUNTER


@dataclass(frozen=True, slots=True)
class Known:
    """A series that is understood: its meter, and what values are multiplied with to be in the meter's unit."""

    said: SeriesSaid
    factor: float = 1.0


class FaultyMetricError(ValueError):
    """A metric that means energy and says it in a way that cannot be counted: what was got, what is expected."""

    def __init__(self, field: str, got: str | int, expected: str) -> None:
        super().__init__(expected)
        self.field, self.got, self.expected = field, got, expected


def concerns(name: str) -> bool:
    """Whether points of a metric of this name can be energy or work at all."""
    return name in _NAMES or metric_named(name) is not None or metric_named(f"{name}_sum") is not None


def understood(metric: Said, labels: Labels) -> Known | None:
    """The meter that a metric's point with these labels reports, or None where it is no energy and no work.

    Raises :class:`FaultyMetricError`.
    """
    if metric.name in ENERGY or metric.name in POWER:
        known: Known | None = _hardware(metric, labels)
    elif metric.name in (TOKENS, REQUESTS):
        known = _generative(metric, labels)
    else:
        known = _from_table(metric, labels)
    if known is not None and metric.shape != "gauge" and metric.temporality not in (CUMULATIVE, DELTA):
        raise FaultyMetricError("aggregation_temporality", metric.temporality, "1 (delta) or 2 (cumulative)")
    return known


def _hardware(metric: Said, labels: Labels) -> Known:
    name, kind = metric.name, metric.kind
    is_energy = name in ENERGY
    known = UNITS.get(metric.unit or ("J" if is_energy else "W"))
    if known is None or (known[0] in _POWER_UNITS) is is_energy:
        wanted = "J, kJ, MJ, mJ, uJ, Wh or kWh" if is_energy else "W, kW, mW or uW"
        raise FaultyMetricError("unit", metric.unit, f"{wanted} for {name}")
    wanted_shape = "sum" if is_energy else "gauge"
    if metric.shape != wanted_shape or not metric.is_monotonic:
        got = metric.shape if metric.is_monotonic else "sum that is not monotonic"
        raise FaultyMetricError("data", got, f"a {'monotonic sum' if is_energy else 'gauge'} for {name}")
    host = host_of(labels)
    kind_of = labels.get("hw.type", "")
    # The case with everything in it is the whole host, and not one more part beside the others.
    is_host = name.startswith("hw.host.") or (kind_of == "enclosure" and bool(host))
    source, device = _device(labels, host, kind_of, is_host=is_host)
    is_accelerator = kind_of == "gpu" or (not kind_of and device.startswith(("GPU-", "MIG-")))
    counter, gauge = (DEVICE_COUNTER, DEVICE_GAUGE) if is_accelerator else (NODE_COUNTER, NODE_GAUGE)
    meter = MeterSaid(
        name=shortened(f"{name} {device}{_temporality(kind)}", 300),
        metric=name,
        kind=kind,
        unit=known[0],
        place=Place(
            shortened(device, MOST_NAME),
            counter if is_energy else gauge,
            "" if is_host or host == device else shortened(host, MOST_NAME),
        ),
        power_cap_w=GPU_CAP_W if is_accelerator else HOST_CAP_W,
    )
    boundary = "accelerator" if is_accelerator else "node" if kind_of in ("enclosure", "power_supply") else "host"
    naming = Naming(source=shortened(source, MOST_NAME), boundary=boundary, method="measured")
    return Known(SeriesSaid(meter, naming, _pairs(labels)), known[1])


def _device(labels: Labels, host: str, kind_of: str, *, is_host: bool) -> tuple[str, str]:
    """The name of the source and the identity of the device: a UUID, else the host and what the part is called there.

    Where no host is said, services of one name on several machines are told apart by their instance: they would else
    be taken for several reports of one device, of which one counts.
    """
    given = labels.get("hw.id") or labels.get("hw.serial_number") or ""
    if not is_host and _UUID.match(given):
        return given, given
    part = "" if is_host else given or labels.get("hw.name") or kind_of or "device"
    place = host or labels.get("service.name") or "host"
    source = f"{place}/{part}" if part else place
    instance = "" if host else labels.get("service.instance.id", "")
    return source, f"{source} of {instance}" if instance else source


def host_of(labels: Labels) -> str:
    """The host that a resource says it runs on."""
    return next((labels[name] for name in ("host.name", "k8s.node.name", "host.id") if labels.get(name)), "")


def _generative(metric: Said, labels: Labels) -> Known | None:
    name, kind = metric.name, metric.kind
    if name == TOKENS and labels.get("gen_ai.token.type") not in TOKEN_TYPES:
        return None  # cached and reasoning tokens are among the input and output
    model = labels.get("gen_ai.response.model") or labels.get("gen_ai.request.model") or ""
    service = labels.get("service.name") or host_of(labels) or "gen_ai"
    source = shortened("/".join(word for word in (service, model) if word), MOST_NAME)
    identity = ",".join(f"{label}={value}" for label, value in sorted(labels.items()))
    meter = MeterSaid(
        name=shortened(f"{name}{_temporality(kind)} {identity}", 300),
        metric=name,
        kind=kind,
        unit="1",
        quantity=Quantity.TOKENS if name == TOKENS else Quantity.REQUESTS,
    )
    naming = Naming(source=source, model=model[:MOST_NAME] or None, kind="inference", boundary="accelerator")
    return Known(SeriesSaid(meter, naming, _pairs(labels)))


def _from_table(metric: Said, labels: Labels) -> Known | None:
    """A metric of the Prometheus table, as a Collector passes it on: histograms without their ``_sum``."""
    given = dict(labels)
    for attribute, label in (("host.name", "host_name"), ("service.instance.id", "instance"), ("service.name", "job")):
        if attribute in given:
            given.setdefault(label, given[attribute])
    said = recognise(metric.name, given)
    if said is None and metric.shape == "histogram":
        said = recognise(f"{metric.name}_sum", given)
    if said is None:
        return None
    if metric.kind == MeterKind.DELTA and said.meter.kind == MeterKind.COUNTER:
        meter = said.meter._replace(
            kind=MeterKind.DELTA, name=shortened(f"{said.meter.name}{_temporality(MeterKind.DELTA)}", 300)
        )
        said = said._replace(meter=meter)
    return Known(said)


def _temporality(kind: MeterKind) -> str:
    """Deltas are a meter of their own, so that a client that changes its temporality is not misread."""
    return " (delta)" if kind == MeterKind.DELTA else ""


def _pairs(labels: Labels) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))
