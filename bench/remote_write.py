"""M1, M2: Prometheus remote write of a fleet against the portal, and against Prometheus' own receiver.

1,000 devices with three series each, read every 15 s, are 200 samples a second: the portal has to take 50 times that.
Series are known, as they are after a fleet's first minute; what is stored is counted in the database. Load, web workers
and database share the machine's cores.
"""

from __future__ import annotations

import contextlib
import shutil
import statistics
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import cramjam

from bench import portal
from bench.harness import Goal, folder, free_port, median_ratio, note, post_all, report, wait_for, web_server
from bench.ingest import count_rows

DEVICES = 1_000
INTERVAL_MS = 15_000
ROUNDS = 5
SCRAPES = 20  # of the whole fleet, a round
FLEET = DEVICES * 3 * 1000 / INTERVAL_MS  # samples a second
SIZE = 2_000  # samples a request: Prometheus 2.42 sends up to 500, later versions 2,000

M1 = Goal("M1", "PostgreSQL, remote write, samples/s / 50 x a fleet of 1,000 devices every 15 s", 1.0, 3.0, True)
M2 = Goal("M2", "the same / Prometheus' own receiver", 0.05, 0.2, True)
METRICS = (("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", 4.5e6), ("DCGM_FI_DEV_POWER_USAGE", 0), ("DCGM_FI_DEV_GPU_TEMP", 0))


def varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def label_bytes(metric: str, device: int) -> bytes:
    pairs = {
        "Hostname": f"node-{device // 8}",
        "UUID": f"GPU-00000000-0000-4000-8000-{device:012d}",
        "__name__": metric,
        "exported_namespace": f"team-{device % portal.TEAMS}",
        "exported_pod": f"trainer-{device}",
        "gpu": str(device % 8),
        "instance": f"10.0.0.{device // 8}:9400",
        "job": "dcgm",
        "modelName": "NVIDIA H100 80GB HBM3",
    }
    return b"".join(field(1, field(1, name.encode()) + field(2, value.encode())) for name, value in pairs.items())


class Fleet:
    """Scrapes of every device, one after the other in time."""

    def __init__(self, start_ms: int) -> None:
        self.start_ms, self.scrape = start_ms, 0
        self.series = [(label_bytes(name, d), step) for d in range(DEVICES) for name, step in METRICS]

    def bodies(self, scrapes: int, size: int = SIZE) -> list[bytes]:
        """Request bodies of so many scrapes, ``size`` samples each, in order."""
        bodies: list[bytes] = []
        for _ in range(scrapes):
            moment = varint(self.start_ms + self.scrape * INTERVAL_MS)
            messages = [
                field(1, labels + field(2, b"\x09" + struct.pack("<d", 1e9 + self.scrape * step) + b"\x10" + moment))
                for labels, step in self.series
            ]
            self.scrape += 1
            for i in range(0, len(messages), size):
                bodies.append(bytes(cramjam.snappy.compress_raw(b"".join(messages[i : i + size]))))
        return bodies


@contextlib.contextmanager
def receiver(path: Path) -> Iterator[int]:
    """Prometheus taking remote write, as it comes; yields its port."""
    port = free_port()
    configuration = path / "prometheus.yml"
    configuration.write_text("global: {}\nstorage: {tsdb: {out_of_order_time_window: 1d}}\n")
    command = ["prometheus", f"--config.file={configuration}", f"--storage.tsdb.path={path / 'tsdb'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver", "--log.level=error"]
    with subprocess.Popen(command, cwd=path) as process:
        try:
            wait_for(port, process, path="/-/ready")
            yield port
        finally:
            process.terminate()
            process.wait(20)


def rate(port: int, path: str, bodies: list[bytes], headers: dict[str, str]) -> float:
    """Samples sent per second, all of them taken."""
    elapsed, statuses = post_all(port, path, bodies, headers)
    if set(statuses) != {204}:
        raise RuntimeError(f"{path} answered {sorted(set(statuses))}")
    return len(METRICS) * DEVICES * SCRAPES / elapsed


def decode_cost(body: bytes) -> float:
    """Microseconds a sample from the packed body to a batch, series known."""
    from apps.telemetry.protocols import remote_write

    remote_write.decode(remote_write.unpack_snappy(body, 2**26))
    count = 50
    start = time.perf_counter()
    for _ in range(count):
        remote_write.decode(remote_write.unpack_snappy(body, 2**26))
    return (time.perf_counter() - start) / count / SIZE * 1e6


def main() -> None:
    portal.setup()
    from django.conf import settings

    _, key = portal.make_organisation()
    headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
    ours_headers = {**headers, "Authorization": f"Bearer {key}"}
    # Not older than Prometheus' own window for samples, and its first minutes on the way.
    fleet = Fleet(int(time.time() * 1000) - 2 * 3_600_000)
    ours: list[float] = []
    theirs: list[float] = []
    has_prometheus = shutil.which("prometheus") is not None
    with web_server({"CELERY_BROKER_URL": settings.CELERY_BROKER_URL}) as port, contextlib.ExitStack() as stack:
        other = stack.enter_context(receiver(stack.enter_context(folder()))) if has_prometheus else 0
        note("making the series known")
        for body in fleet.bodies(2):  # one at a time: the first of them makes sources and meters
            post_all(port, "/api/prometheus/write", [body], ours_headers, 1)
            if other:
                post_all(other, "/api/v1/write", [body], headers, 1)
        for _ in range(ROUNDS):
            bodies = fleet.bodies(SCRAPES)
            before = count_rows("telemetry_meterreading")
            ours.append(rate(port, "/api/prometheus/write", bodies, ours_headers))
            if count_rows("telemetry_meterreading") - before != DEVICES * 2 * SCRAPES:
                raise RuntimeError("readings are missing")
            if other:
                theirs.append(rate(other, "/api/v1/write", bodies, headers))
    middle = statistics.median(ours)
    cost = f"{decode_cost(fleet.bodies(1)[0]):.2f} us/sample"
    if portal.wanted("M1"):
        report(M1, middle / (50 * FLEET), portal=f"{middle:,.0f} samples/s", fleet=f"{FLEET:,.0f}", decode=cost)
    if not has_prometheus:
        note("M2 needs Prometheus: python requirements/system.py prometheus")
    elif portal.wanted("M2"):
        taken = f"{statistics.median(theirs):,.0f} samples/s"
        report(M2, median_ratio(ours, theirs), portal=f"{middle:,.0f} samples/s", Prometheus=taken)


if __name__ == "__main__":
    main()
