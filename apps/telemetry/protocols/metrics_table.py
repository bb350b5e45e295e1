"""The metric table: which Prometheus metric is a counter or gauge of what, and of which device.

Facts of the exporters' own documentation and of what running them showed: NVIDIA dcgm-exporter, Kepler 0.10 and later,
Scaphandre, Prometheus node_exporter, Triton, Zeus, CodeCarbon, vLLM, Text Generation Inference, TorchServe, Ray.

A device's identity is its UUID, or host and zone; never the label set. Metrics that repeat another one (Kepler's watts
beside its joules, active and idle beside their sum, containers and processes beside their pods) are left out on
purpose: what is not in the table is accepted and ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from apps.telemetry.batch import Naming
from apps.telemetry.meters.batch import (
    DEVICE_COUNTER,
    DEVICE_GAUGE,
    GPU_CAP_W,
    HOST_CAP_W,
    JOB_TRACKER,
    NODE_COUNTER,
    NODE_GAUGE,
    SERVER_COUNTER,
    MeterSaid,
    Place,
    SeriesSaid,
)
from apps.telemetry.meters.models import MeterKind, Quantity

Labels = Mapping[str, str]
COUNTER, GAUGE = MeterKind.COUNTER, MeterKind.GAUGE
MOST_NAME = 200
# Of these, the first that a series has says on which host the device is; ``instance`` names the exporter's address.
HOSTS = ("Hostname", "hostname", "node_name", "node", "nodename", "kubernetes_node", "host", "host_name", "instance")
UUIDS = ("UUID", "uuid", "gpu_uuid")
MODELS = ("model_name", "exported_model_name", "model", "exported_model")
# What Kubernetes' labels are called, by age and by ``honor_labels``; the workload's own first.
WORKLOAD_LABELS = {
    "namespace": ("exported_namespace", "pod_namespace", "namespace"),
    "pod": ("exported_pod", "pod_name", "pod"),
    "container": ("exported_container", "container_name", "container"),
}


@dataclass(frozen=True, slots=True)
class Thing:
    """What a series measures: the name of its source, where it stands, and what the metric itself says of it."""

    source: str
    place: Place
    boundary: str
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table. ``of`` finds the thing in the labels, and None where they name none."""

    kind: MeterKind
    unit: str
    of: Callable[[Labels], Thing | None]
    quantity: Quantity = Quantity.ENERGY
    power_cap_w: int = GPU_CAP_W
    method: str = "measured"
    activity: str | None = None  # the reading's kind, where the metric tells it
    every_series_counts: bool = False  # work, and shares of a node: label sets are no repetitions of one device


def first_of(labels: Labels, names: tuple[str, ...]) -> str:
    return next((labels[name] for name in names if labels.get(name)), "")


def host_of(labels: Labels) -> str:
    """The host a series is of, without the port of the exporter's address."""
    for name in HOSTS:
        value = labels.get(name)
        if value:
            return re.sub(r":\d+$", "", value) if name == "instance" else value
    return ""


def _gpu(precedence: int) -> Callable[[Labels], Thing | None]:
    def find(labels: Labels) -> Thing | None:
        host = host_of(labels)
        device = first_of(labels, UUIDS)
        if not device:
            number = labels.get("gpu") or labels.get("index") or labels.get("device")
            device = f"{host}/gpu{number}" if number and host else ""
        return Thing(device, Place(device, precedence, host), "accelerator") if device else None

    return find


def _host(precedence: int, boundary: str) -> Callable[[Labels], Thing | None]:
    def find(labels: Labels) -> Thing | None:
        host = host_of(labels)
        return Thing(host, Place(host, precedence), boundary) if host else None

    return find


def _zone_name(labels: Labels) -> str:
    return re.sub(r"[-_:]+", "", labels.get("zone") or labels.get("rapl_zone") or labels.get("domain") or "").lower()


def _zone(labels: Labels, host: str, zone: str, number: str) -> Thing | None:
    """A part of the processor; the cores lie within their package, everything else within the host."""
    if not host or not zone:
        return None
    if zone == "psys":
        return Thing(f"{host}/psys", Place(host, NODE_COUNTER), "node")
    name = re.sub(r"\d+$", "", zone)
    number = number or zone[len(name) :]
    within = f"{host}/package{number}" if name in ("core", "uncore") else host
    device = f"{host}/{name}{number}"
    return Thing(device, Place(device, NODE_COUNTER, within), "host")


def _kepler_zone(labels: Labels) -> Thing | None:
    return _zone(labels, host_of(labels), _zone_name(labels), "")


def _kepler_share(labels: Labels) -> Thing | None:
    """A pod's or machine's part of a zone of its node: within it, so that the node keeps what is nobody's."""
    host, zone = host_of(labels), _zone_name(labels)
    owner = first_of(labels, ("pod_id", "pod_name", "exported_pod", "vm_id", "vm_name"))
    if not host or not owner or zone in ("core", "uncore", "psys"):
        return None
    name = first_of(labels, ("pod_name", "exported_pod", "vm_name")) or owner
    of = f"{host}/{zone or 'gpu'}"
    return Thing(f"{of}/{name}", Place(f"{of}/{owner}", NODE_COUNTER, of if zone else host), "host")


def _rapl(zone: str) -> Callable[[Labels], Thing | None]:
    def find(labels: Labels) -> Thing | None:
        return _zone(labels, host_of(labels), zone or _zone_name(labels), labels.get("index", ""))

    return find


def _scaphandre_socket(labels: Labels) -> Thing | None:
    return _zone(labels, host_of(labels), "package", labels.get("socket_id", ""))


def _zeus(labels: Labels) -> Thing | None:
    host, index = host_of(labels), labels.get("index", "")
    job = first_of(labels, ("exported_job", "job")) or "zeus"
    window = labels.get("window", "")
    name = "/".join(part for part in ("zeus", job, window, f"gpu{index}" if index else "") if part)
    device = f"{host}/gpu{index}" if host and index and "instance" in labels else name
    return Thing(name, Place(device, JOB_TRACKER, host), "accelerator")


def _codecarbon(labels: Labels) -> Thing | None:
    project = labels.get("project_name") or first_of(labels, ("exported_job", "job"))
    return Thing(f"codecarbon/{project}", Place("", JOB_TRACKER), "host") if project else None


def _server(name: str) -> Callable[[Labels], Thing | None]:
    def find(labels: Labels) -> Thing | None:
        model = first_of(labels, MODELS)
        instance = first_of(labels, ("exported_instance", "instance")) or first_of(labels, ("exported_job", "job"))
        source = "/".join(part for part in (name, instance, model) if part)
        return Thing(source, Place(), "accelerator", model or None)

    return find


def _work(server: str, quantity: Quantity) -> Metric:
    return Metric(COUNTER, "1", _server(server), quantity, activity="inference", every_series_counts=True)


_TOKENS, _REQUESTS, _SAMPLES = Quantity.TOKENS, Quantity.REQUESTS, Quantity.SAMPLES
_SHARE = Metric(COUNTER, "J", _kepler_share, power_cap_w=HOST_CAP_W, method="modelled", every_series_counts=True)

TABLE: dict[str, Metric] = {
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": Metric(COUNTER, "mJ", _gpu(DEVICE_COUNTER)),
    "DCGM_FI_DEV_POWER_USAGE": Metric(GAUGE, "W", _gpu(DEVICE_GAUGE)),
    "kepler_node_cpu_joules_total": Metric(COUNTER, "J", _kepler_zone, power_cap_w=HOST_CAP_W),
    "kepler_node_gpu_joules_total": Metric(COUNTER, "J", _gpu(NODE_COUNTER)),
    "kepler_pod_cpu_joules_total": _SHARE,
    "kepler_vm_cpu_joules_total": _SHARE,
    "kepler_platform_watts": Metric(GAUGE, "W", _host(NODE_GAUGE, "node"), power_cap_w=HOST_CAP_W, method="metered"),
    "scaph_host_energy_microjoules": Metric(COUNTER, "uJ", _host(NODE_COUNTER, "host"), power_cap_w=HOST_CAP_W),
    "scaph_host_power_microwatts": Metric(GAUGE, "uW", _host(NODE_GAUGE, "host"), power_cap_w=HOST_CAP_W),
    "scaph_socket_energy_microjoules": Metric(COUNTER, "uJ", _scaphandre_socket, power_cap_w=HOST_CAP_W),
    "node_rapl_package_joules_total": Metric(COUNTER, "J", _rapl("package"), power_cap_w=HOST_CAP_W),
    "node_rapl_core_joules_total": Metric(COUNTER, "J", _rapl("core"), power_cap_w=HOST_CAP_W),
    "node_rapl_uncore_joules_total": Metric(COUNTER, "J", _rapl("uncore"), power_cap_w=HOST_CAP_W),
    "node_rapl_dram_joules_total": Metric(COUNTER, "J", _rapl("dram"), power_cap_w=HOST_CAP_W),
    "node_rapl_psys_joules_total": Metric(COUNTER, "J", _rapl("psys"), power_cap_w=HOST_CAP_W),
    "node_rapl_joules_total": Metric(COUNTER, "J", _rapl(""), power_cap_w=HOST_CAP_W),
    "nv_energy_consumption": Metric(COUNTER, "J", _gpu(SERVER_COUNTER)),
    "nv_gpu_power_usage": Metric(GAUGE, "W", _gpu(DEVICE_GAUGE + 5)),
    "energy_monitor_gpu_energy_joules": Metric(COUNTER, "J", _zeus),
    "energy_monitor_cpu_energy_joules": Metric(COUNTER, "J", _zeus),
    "energy_monitor_dram_energy_joules": Metric(COUNTER, "J", _zeus),
    "codecarbon_energy_total": Metric(COUNTER, "kWh", _codecarbon, power_cap_w=HOST_CAP_W, method="estimated"),
    "vllm:prompt_tokens_total": _work("vllm", _TOKENS),
    "vllm:generation_tokens_total": _work("vllm", _TOKENS),
    "vllm:request_success_total": _work("vllm", _REQUESTS),
    "tgi_request_generated_tokens_sum": _work("tgi", _TOKENS),
    "tgi_request_input_length_sum": _work("tgi", _TOKENS),
    "tgi_request_success": _work("tgi", _REQUESTS),
    "nv_inference_request_success": _work("triton", _REQUESTS),
    "nv_inference_count": _work("triton", _SAMPLES),
    "ts_inference_requests_total": _work("torchserve", _REQUESTS),
}
# The same under the names that exporters, exposition formats and other pipelines give them.
_ENDINGS = ("_total", "_sum")
_RAY = "ray_"


def metric_named(name: str) -> tuple[str, Metric] | None:
    """The table's row for a name, with the name the table has for it: Ray's prefix, dots or underscores, ``_total``."""
    plain = name.replace(".", "_")
    bare = plain.removeprefix(_RAY)
    for candidate in (plain, bare, bare.replace("vllm_", "vllm:", 1), f"{plain}_total"):
        found = TABLE.get(candidate)
        if found is not None:
            return candidate, found
    for ending in _ENDINGS:
        if plain.endswith(ending) and (found := TABLE.get(plain.removesuffix(ending))) is not None:
            return plain.removesuffix(ending), found
    return None


def recognise(name: str, labels: Labels) -> SeriesSaid | None:
    """The series of a metric with these labels (without its name), or None where it is no energy and no work."""
    found = metric_named(name)
    if found is None:
        return None
    known_as, metric = found
    thing = metric.of(labels)
    if thing is None:
        return None
    said = tuple(sorted(normalised(labels).items()))
    identity = f"{known_as} {thing.place.device or thing.source}"
    if metric.every_series_counts:
        identity += " " + ",".join(f"{label}={value}" for label, value in said if label not in _PASSING)
    meter = MeterSaid(
        name=shortened(identity, 300),
        metric=name[:MOST_NAME],
        kind=metric.kind,
        unit=metric.unit,
        quantity=metric.quantity,
        place=Place(
            shortened(thing.place.device, MOST_NAME), thing.place.precedence, shortened(thing.place.within, MOST_NAME)
        ),
        power_cap_w=metric.power_cap_w,
    )
    naming = Naming(
        source=shortened(thing.source, MOST_NAME),
        boundary=thing.boundary,
        method=metric.method,
        kind=metric.activity,
        model=thing.model[:MOST_NAME] if thing.model else None,
    )
    return SeriesSaid(meter, naming, said)


_PASSING = frozenset({"exporter_namespace", "exporter_pod", "exporter_container"})


def normalised(labels: Labels) -> dict[str, str]:
    """The labels, with the workload's namespace, pod and container under these names.

    With Prometheus' ``honor_labels: false`` the workload's own arrive as ``exported_...`` and the plain ones name the
    exporter; those are kept as ``exporter_...``.
    """
    said = dict(labels)
    for name, names in WORKLOAD_LABELS.items():
        own = first_of(labels, names)
        if own and labels.get(name) and own != labels[name]:
            said[f"exporter_{name}"] = labels[name]
        if own:
            said[name] = own
    return said


def shortened(text: str, most: int) -> str:
    """A text of at most so many characters that is still told apart from others: its end gives way to a digest."""
    if len(text) <= most:
        return text
    return f"{text[: most - 17]} {sha256(text.encode()).hexdigest()[:16]}"
