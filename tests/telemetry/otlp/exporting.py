"""A program as a team writes it: OpenTelemetry's own SDK and OTLP/HTTP exporter. Run by the tests as a process.

Takes what to do as JSON: ``url``, ``key``, ``temporality``, ``compression``, ``gpu``, ``host``; and in lists, of which
each member is one export: ``used`` (J, counted by the program), ``device`` (J, the state of a device's own counter),
``power`` (W), ``tokens``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from typing import Any

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation
from opentelemetry.sdk.resources import Resource

INSTRUMENTS = (sdk.Counter, sdk.ObservableCounter, sdk.Histogram)


def main(plan: dict[str, Any]) -> None:
    temporality = AggregationTemporality[plan["temporality"]]
    is_delta = temporality == AggregationTemporality.DELTA
    exporter = OTLPMetricExporter(
        endpoint=plan["url"],
        headers={"Authorization": f"Bearer {plan['key']}"},
        compression=Compression[plan["compression"]],
        preferred_temporality=dict.fromkeys(INSTRUMENTS, temporality),
        preferred_aggregation={sdk.Histogram: ExponentialBucketHistogramAggregation()} if is_delta else None,
    )
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)  # by hand, below
    resource = Resource.create({"service.name": "trainer", "service.namespace": "vision", "host.name": plan["host"]})
    provider = sdk.MeterProvider([reader], resource)
    meter = provider.get_meter("energy-of-this-test", "1.0")
    gpu = {"hw.id": plan["gpu"], "hw.type": "gpu", "hw.name": "GPU 0"}
    step = 0

    def device_counter(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(plan["device"][step], {"hw.id": "package0", "hw.type": "cpu"})]

    def device_power(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(plan["power"][step], {"hw.id": "dimm0", "hw.type": "memory"})]

    counter = meter.create_counter("hw.energy", "J")
    tokens = meter.create_histogram("gen_ai.client.token.usage", "{token}")
    model = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "my-llm"}
    if plan["device"]:
        meter.create_observable_counter("hw.energy", [device_counter], "J")
    if plan["power"]:
        meter.create_observable_gauge("hw.power", [device_power], "W")
    for step, used in enumerate(plan["used"]):
        counter.add(used, gpu)
        for kind, count in zip(("input", "output"), plan["tokens"][step], strict=True):
            tokens.record(count, {**model, "gen_ai.token.type": kind})
        if not provider.force_flush():
            sys.exit("an export failed")
        time.sleep(0.3)
    provider.shutdown()  # exports the last value of everything once more


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
