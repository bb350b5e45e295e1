"""What OpenTelemetry's metrics are meters of: ``hw.*`` energy and power, ``gen_ai.*`` tokens and requests.

Names: OpenTelemetry semantic conventions, hardware and generative AI (both "development"). Other metrics, such as those
that a Collector scraped from an exporter, are looked up in the Prometheus metric table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

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
from apps.telemetry.protocols.metrics_table import MOST_NAME, recognise, shortened

Labels = Mapping[str, str]
ENERGY, POWER = ("hw.energy", "hw.host.energy"), ("hw.power", "hw.host.power")
TOKENS = "gen_ai.client.token.usage"
# Of the client's view only: its tokens and its operations are those of the same calls. The server's own duration
# (gen_ai.server.request.duration) would count each request that both sides report twice.
REQUESTS = "gen_ai.client.operation.duration"
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
_POWER_UNITS = ("W", "mW", "uW")


@dataclass(frozen=True, slots=True)
class Known:
    """A series that is understood: its meter, and what values are multiplied with to be in the meter's unit."""

    said: SeriesSaid
    factor: float = 1.0


class FaultyMetricError(ValueError):
    """A metric that means energy and says it in a way that cannot be counted: what was got, what is expected."""

    def __init__(self, field: str, got: str, expected: str) -> None:
        super().__init__(expected)
        self.field, self.got, self.expected = field, got, expected


def understood(name: str, unit: str, labels: Labels, kind: MeterKind, *, is_monotonic: bool = True) -> Known | None:
    """The meter that a metric's point reports, or None where it is no energy and no work.

    ``kind``: what the point's type and temporality say. Raises :class:`FaultyMetricError`.
    """
    if name in ENERGY or name in POWER:
        return _hardware(name, unit, labels, kind, is_monotonic=is_monotonic)
    if name in (TOKENS, REQUESTS):
        return _generative(name, labels, kind)
    return _from_table(name, labels, kind)


def _hardware(name: str, unit: str, labels: Labels, kind: MeterKind, *, is_monotonic: bool) -> Known:
    is_energy = name in ENERGY
    known = UNITS.get(unit or ("J" if is_energy else "W"))
    if known is None or (known[0] in _POWER_UNITS) is is_energy:
        wanted = "J, kJ, MJ, mJ, uJ, Wh or kWh" if is_energy else "W, kW, mW or uW"
        raise FaultyMetricError("unit", unit, f"{wanted} for {name}")
    if is_energy and (kind == MeterKind.GAUGE or not is_monotonic):
        raise FaultyMetricError("sum", "gauge" if kind == MeterKind.GAUGE else "non-monotonic sum", "a monotonic sum")
    if not is_energy and kind != MeterKind.GAUGE:
        raise FaultyMetricError("gauge", "sum", f"a gauge for {name}")
    host = host_of(labels)
    is_host = name.startswith("hw.host.")
    kind_of = labels.get("hw.type", "")
    device = _device(labels, host, kind_of, is_host=is_host)
    is_accelerator = kind_of == "gpu" or bool(_UUID.match(device))
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
    naming = Naming(source=shortened(device, MOST_NAME), boundary=boundary, method="measured")
    return Known(SeriesSaid(meter, naming, _pairs(labels)), known[1])


def _device(labels: Labels, host: str, kind_of: str, *, is_host: bool) -> str:
    if is_host:
        return host or labels.get("service.name") or "host"
    given = labels.get("hw.id") or labels.get("hw.serial_number") or ""
    if _UUID.match(given):
        return given
    part = given or labels.get("hw.name") or kind_of or "device"
    return f"{host}/{part}" if host else "/".join(word for word in (labels.get("service.name", ""), part) if word)


def host_of(labels: Labels) -> str:
    """The host that a resource says it runs on."""
    return next((labels[name] for name in ("host.name", "k8s.node.name", "host.id") if labels.get(name)), "")


def _generative(name: str, labels: Labels, kind: MeterKind) -> Known | None:
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


def _from_table(name: str, labels: Labels, kind: MeterKind) -> Known | None:
    given = dict(labels)
    for attribute, label in (("host.name", "host_name"), ("service.instance.id", "instance"), ("service.name", "job")):
        if attribute in given:
            given.setdefault(label, given[attribute])
    said = recognise(name, given)
    if said is None:
        return None
    if kind == MeterKind.DELTA and said.meter.kind == MeterKind.COUNTER:
        meter = said.meter._replace(kind=kind, name=shortened(f"{said.meter.name}{_temporality(kind)}", 300))
        said = said._replace(meter=meter)
    return Known(said)


def _temporality(kind: MeterKind) -> str:
    """Deltas are a meter of their own, so that a client that changes its temporality is not misread."""
    return " (delta)" if kind == MeterKind.DELTA else ""


def _pairs(labels: Labels) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))
