"""What the demo organisation runs, all of it made up: serving fleets and jobs, and the readings they would send.

Quantities are assumptions of the demo; ``docs/demo.md`` gives the reasons. Energy per token is measured: see ``load``.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from apps.core.windows import Quarter, epoch_hour, from_epoch_hour
from apps.dashboards.demo.load import Shape

FIRST_QUARTER, LAST_QUARTER = Quarter(2026, 2), Quarter(2026, 3)
FIRST_HOUR, END_HOUR = FIRST_QUARTER.window.first_hour, LAST_QUARTER.window.end_hour

# Power of a node over that of its accelerators: 0.14 Wh and 0.06 Wh (host CPU and memory) of a median Gemini prompt,
# Elsworth et al. 2025, arXiv:2508.15734.
NODE_FACTOR = (0.14 + 0.06) / 0.14
# Idle power over TDP where the profile has no idle figure: the middle of those that have one (V100 SXM2 0.117).
IDLE_OVER_TDP = 0.12
H100 = "nvidia-h100-sxm5-80gb"
ORGANISATION_BASIS = "Simulated by the demo's load model (docs/demo.md)"
POOL_WORKLOAD = "Hardware waiting between jobs"


@dataclass(frozen=True, slots=True)
class ServingPoint:
    """One published measurement of an instance under load. Watts and tokens/s are of the whole instance."""

    id: str
    model_id: str
    accelerators: int
    serving_w: float
    throughput_tokens_per_s: float
    tokens_per_request: float
    joules_per_token: float
    source_title: str
    source_url: str


@cache
def serving_points() -> dict[str, ServingPoint]:
    """The rows of ``serving_points.csv`` by id."""
    with Path(__file__).with_name("serving_points.csv").open(newline="", encoding="utf-8") as file:
        return {
            row["id"]: ServingPoint(
                id=row["id"],
                model_id=row["model_id"],
                accelerators=int(row["num_gpus"]),
                serving_w=float(row["avg_power_w"]),
                throughput_tokens_per_s=float(row["throughput_tokens_per_s"]),
                tokens_per_request=float(row["avg_output_tokens"]),
                joules_per_token=float(row["energy_per_token_j"]),
                source_title=row["source_title"],
                source_url=row["source_url"],
            )
            for row in csv.DictReader(file)
        }


def _hour(text: str) -> int:
    return epoch_hour(datetime.fromisoformat(text).replace(tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Fleet:
    """Equal instances that serve one model at one site, reporting through ``sources`` (instances spread evenly)."""

    name: str
    model: str
    team: str
    site: str
    sources: tuple[str, ...]
    instances_per_source: int
    point: str
    start_share: float  # serving share of the mean working day at the start
    shape: Shape
    boundary: str
    method: str
    then: tuple[int, str] | None = None  # (epoch hour, serving point from then on)
    silent_from: dict[str, int] = field(default_factory=dict)  # source: epoch hour of its last reading's end
    outages: dict[str, tuple[int, int]] = field(default_factory=dict)  # source: epoch hours without readings, half-open

    def points(self) -> list[ServingPoint]:
        return [serving_points()[self.point], *([serving_points()[self.then[1]]] if self.then else [])]

    @property
    def citation(self) -> str:
        measured = " then ".join(f"{p.joules_per_token:.3f} J/token" for p in self.points())
        point = self.points()[0]
        return f"{ORGANISATION_BASIS}; {measured} as measured for {point.model_id}: {point.source_title}"


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a simulated job: ``accelerators`` of each source at ``load`` x TDP from ``start`` for ``hours``."""

    workload: str
    model: str
    team: str
    site: str
    sources: tuple[str, ...]
    kind: str
    start: str
    hours: int
    accelerators: int
    hardware: str
    load: float
    boundary: str = "node"
    method: str = "measured"
    study: str = ""
    epochs: float = 0.0
    outcome: str = "unknown"  # how the run ended, in the words of ``Workload.Outcome``

    @property
    def citation(self) -> str:
        count = self.accelerators * len(self.sources)
        return f"{ORGANISATION_BASIS}: {count} x {self.hardware} at {self.load:.0%} of TDP"

    @property
    def first_hour(self) -> int:
        return _hour(self.start.removesuffix("+00:00"))


@dataclass(frozen=True, slots=True)
class Pool:
    """A source whose accelerators run jobs, and wait for the next one in between."""

    source: str
    site: str
    team: str
    accelerators: int
    hardware: str = H100
    boundary: str = "node"
    method: str = "measured"
    outage: tuple[int, int] = (0, 0)  # epoch hours without readings, half-open


# Time without readings that the officer decides about; the other outage stays open.
DECIDED_SOURCE = "dfw1/train/rack-2"
DECIDED_GAP = (_hour("2026-09-08T02:00"), _hour("2026-09-09T08:00"))

FLEETS = (
    Fleet(
        name="Atlas chat",
        model="Atlas 70B",
        team="assistant",
        site="fra1",
        sources=("fra1/row-a/rack-01", "fra1/row-a/rack-02", "fra1/row-a/rack-03"),
        instances_per_source=13,
        point="llama-3.3-70b-64",
        start_share=0.46,
        shape=Shape(peak_hour=13.5, daily_swing=0.55, weekend=0.72, growth_per_quarter=0.17),
        boundary="node",
        method="metered",
        then=(_hour("2026-08-03T06:00"), "llama-3.3-70b-128"),
    ),
    Fleet(
        name="Atlas routing and short answers",
        model="Atlas 8B",
        team="assistant",
        site="fra1",
        sources=("fra1/row-a/rack-04",),
        instances_per_source=24,
        point="llama-3.1-8b-64",
        start_share=0.5,
        shape=Shape(peak_hour=13.5, daily_swing=0.5, weekend=0.75, growth_per_quarter=0.15),
        boundary="node",
        method="metered",
    ),
    Fleet(
        name="Coda completion",
        model="Coda 30B",
        team="devtools",
        site="dfw1",
        sources=("dfw1/pool-code-1", "dfw1/pool-code-2"),
        instances_per_source=32,
        point="qwen3-coder-30b-32",
        start_share=0.42,
        shape=Shape(peak_hour=19.0, daily_swing=0.8, weekend=0.3, growth_per_quarter=0.22),
        boundary="accelerator",
        method="measured",
        then=(_hour("2026-06-15T14:00"), "qwen3-coder-30b-64"),
    ),
    Fleet(
        name="Lumen image understanding",
        model="Lumen VL 8B",
        team="vision",
        site="dfw1",
        sources=("dfw1/pool-vision-1", "dfw1/pool-vision-2"),
        instances_per_source=16,
        point="qwen3-vl-8b-96",
        start_share=0.44,
        shape=Shape(peak_hour=18.0, daily_swing=0.5, weekend=0.85, growth_per_quarter=0.1),
        boundary="accelerator",
        method="measured",
        silent_from={"dfw1/pool-vision-2": _hour("2026-08-19T14:00")},
    ),
    Fleet(
        name="Sift document summaries",
        model="Sift 12B",
        team="search",
        site="lla1",
        sources=("lla1/hall-2/pdu-07", "lla1/hall-2/pdu-08"),
        instances_per_source=28,
        point="gemma-3-12b-128",
        start_share=0.62,
        shape=Shape(peak_hour=1.0, daily_swing=0.3, weekend=0.95, growth_per_quarter=0.12),
        boundary="node",
        method="metered",
        outages={"lla1/hall-2/pdu-08": (_hour("2026-08-11T00:00"), _hour("2026-08-11T07:00"))},
    ),
    Fleet(
        name="Reason research answers",
        model="Reason 120B",
        team="foundation",
        site="lla1",
        sources=("lla1/hall-2/node-31-38",),
        instances_per_source=20,
        point="gpt-oss-120b-64",
        start_share=0.4,
        shape=Shape(peak_hour=14.0, daily_swing=0.45, weekend=0.5, growth_per_quarter=0.3),
        boundary="accelerator",
        method="measured",
    ),
    Fleet(
        name="Echo voice assistant",
        model="Echo Omni 30B",
        team="speech",
        site="dub1",
        sources=("dub1/asg-voice",),
        instances_per_source=12,
        point="qwen3-omni-30b-64",
        start_share=0.38,
        shape=Shape(peak_hour=16.0, daily_swing=0.6, weekend=1.05, growth_per_quarter=0.2),
        boundary="accelerator",
        method="modelled",
    ),
    Fleet(
        name="Growth experiments",
        model="Atlas 8B",
        team="growth-experiments",  # no team of that name: kept, and offered for mapping
        site="vie1",
        sources=("vie1/lab-node-1",),
        instances_per_source=6,
        point="llama-3.1-8b-64",
        start_share=0.3,
        shape=Shape(peak_hour=18.0, daily_swing=0.4, weekend=0.5, growth_per_quarter=0.4),
        boundary="accelerator",
        method="measured",
    ),
)


SWEEP_HOURS = {"finished": 7, "early_stopped": 3, "failed": 2}


def _jobs() -> Iterator[Job]:
    yield Job(
        workload="Coda 30B instruction tuning",
        model="Coda 30B",
        team="devtools",
        site="dfw1",
        sources=("dfw1/train/rack-1",),
        kind="fine_tuning",
        start="2026-05-18T09:00",
        hours=240,
        accelerators=32,
        hardware=H100,
        load=0.84,
        epochs=2,
        outcome="finished",
    )
    yield Job(
        workload="Lumen VL 8B pretraining, first attempt",
        model="Lumen VL 8B",
        team="vision",
        site="dfw1",
        sources=("dfw1/train/rack-1", "dfw1/train/rack-2"),
        kind="training",
        start="2026-07-02T08:00",
        hours=70,
        accelerators=32,
        hardware=H100,
        load=0.86,
        outcome="failed",
    )
    yield Job(
        workload="Lumen VL 8B pretraining",
        model="Lumen VL 8B",
        team="vision",
        site="dfw1",
        sources=("dfw1/train/rack-1", "dfw1/train/rack-2"),
        kind="training",
        start="2026-07-06T08:00",
        hours=504,
        accelerators=32,
        hardware=H100,
        load=0.86,
        epochs=1,
        outcome="finished",
    )
    yield Job(
        workload="Atlas 70B preference tuning",
        model="Atlas 70B",
        team="assistant",
        site="fra1",
        sources=("fra1/row-c/train",),
        kind="fine_tuning",
        start="2026-07-13T07:00",
        hours=336,
        accelerators=48,
        hardware=H100,
        load=0.82,
        epochs=3,
        outcome="finished",
    )
    adapter_sweep = datetime(2026, 9, 14, 6, tzinfo=UTC)
    for number in range(1, 13):
        outcome = {4: "failed", 9: "failed", 6: "finished", 10: "finished", 12: "finished"}.get(number, "early_stopped")
        yield Job(
            workload=f"Coda adapter sweep, trial {number:02d}",
            model="Coda 30B",
            team="devtools",
            site="dfw1",
            sources=("dfw1/train/node-09",),
            kind="fine_tuning",
            start=(adapter_sweep + timedelta(hours=8 * (number - 1))).isoformat(),
            hours=SWEEP_HOURS[outcome],
            accelerators=8,
            hardware=H100,
            load=0.8,
            study="Coda adapter sweep",
            epochs=1 if outcome == "finished" else 0,
            outcome=outcome,
        )
    for day in range((END_HOUR - FIRST_HOUR) // 24):
        night = from_epoch_hour(FIRST_HOUR + 24 * day)
        yield Job(
            workload="Atlas nightly evaluation",
            model="Atlas 70B",
            team="assistant",
            site="fra1",
            sources=("fra1/row-c/eval",),
            kind="evaluation",
            start=(night + timedelta(hours=1)).isoformat(),
            hours=4,
            accelerators=8,
            hardware=H100,
            load=0.7,
        )
        if night.weekday() == 5:
            yield Job(
                workload="Sift corpus preparation",
                model="Sift 12B",
                team="search",
                site="lla1",
                sources=("lla1/hall-2/prep",),
                kind="data",
                start=(night + timedelta(hours=4)).isoformat(),
                hours=16,
                accelerators=16,
                hardware="nvidia-a10g",
                load=0.75,
                method="estimated",
            )
        if night.weekday() < 5 and night.month >= 6:
            yield Job(
                workload="Adapter prototypes at a desk",
                model="Atlas 8B",
                team="assistant",
                site="",  # nobody said where it stands: kept, and without emissions until somebody does
                sources=("workstation-14/gpu0",),
                kind="fine_tuning",
                start=(night + timedelta(hours=8)).isoformat(),
                hours=8,
                accelerators=1,
                hardware="nvidia-rtx-4090",
                load=0.7,
                boundary="accelerator",
            )


JOBS = tuple(_jobs())
POOLS = (
    Pool("fra1/row-c/train", "fra1", "assistant", 48),
    Pool("fra1/row-c/eval", "fra1", "assistant", 8),
    Pool("dfw1/train/rack-1", "dfw1", "foundation", 32),
    Pool(DECIDED_SOURCE, "dfw1", "foundation", 32, outage=DECIDED_GAP),
    Pool("dfw1/train/node-09", "dfw1", "devtools", 8),
    Pool("workstation-14/gpu0", "", "assistant", 1, hardware="nvidia-rtx-4090", boundary="accelerator"),
    Pool("lla1/hall-2/prep", "lla1", "search", 16, hardware="nvidia-a10g", method="estimated"),
)

# One meter that two agents read for two days after an upgrade: every hour is there twice, 20 minutes apart.
OVERLAP_SOURCE = "fra1/row-a/rack-04"
OVERLAP_FROM, OVERLAP_UNTIL = _hour("2026-07-21T00:00"), _hour("2026-07-23T00:00")
OVERLAP_SHIFT_S = 1200

# One device that two sources report for a month: the node's meter, and its driver, which sees the accelerators alone.
# The meter is counted, and what the driver says of the same time is set aside.
METERED_SOURCE, DRIVER_SOURCE = "fra1/row-c/eval", "fra1/row-c/eval/driver"
DRIVER_FROM, DRIVER_UNTIL = _hour("2026-09-01T00:00"), _hour("2026-10-01T00:00")
