"""The load model of the demo's inference fleets and jobs. Pure functions of the hour; no database, no clock.

A fleet is a number of equal serving instances. In every hour a share ``u`` of the time is spent serving, the rest
waiting:

    u(h)        = demand(h) / capacity, cut to [0, 0.98]
    demand(h)   = d0 * growth(h) * day(h) * week(h) * noise(h)
    serving Wh  = u * instances * serving power [W] * node factor
    idle Wh     = (1 - u) * accelerators * idle power [W] * node factor
    tokens      = u * 3600 s * instances * throughput [tokens/s]

Serving power and throughput of an instance come from one and the same published measurement (``serving_points.csv``),
so that energy per token is a measured figure and only the shape of the demand is made up. ``day`` is a raised cosine,
``week`` a factor for Saturday and Sunday, ``noise`` is drawn from a counter-based generator seeded by the fleet's
name: the same hour has the same load on every machine and in every run.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

HOURS_PER_QUARTER = 24 * 91
MAX_SERVING_SHARE = 0.98
SECONDS_PER_HOUR = 3600

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def uniform_noise(seed: str, hours: IntArray) -> FloatArray:
    """One number in [0, 1) for each epoch hour: splitmix64 of the hour, keyed by the SHA-256 of ``seed``."""
    key = np.uint64(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big"))
    with np.errstate(over="ignore"):
        x = key + hours.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return (x >> np.uint64(11)).astype(np.float64) * 2.0**-53


@dataclass(frozen=True, slots=True)
class Shape:
    """How demand moves. Dimensionless, all relative to the mean working day at the start."""

    peak_hour: float = 13.0  # [UTC hour] of the highest demand
    daily_swing: float = 0.5  # 0: flat, 1: nothing at the quietest hour
    weekend: float = 0.6  # demand on Saturday and Sunday
    growth_per_quarter: float = 0.15
    noise: float = 0.06  # half-width of the hourly noise


def demand(shape: Shape, seed: str, hours: IntArray, first_hour: int) -> FloatArray:
    """Relative demand in each epoch hour [1]; 1 is the mean of a working day at ``first_hour``."""
    day = 1 + shape.daily_swing * np.cos((hours % 24 + 0.5 - shape.peak_hour) * (2 * np.pi / 24))
    weekday = (hours // 24 + 3) % 7  # 0 is Monday: the epoch began on a Thursday
    week = np.where(weekday >= 5, shape.weekend, 1.0)
    growth = (1 + shape.growth_per_quarter) ** ((hours - first_hour) / HOURS_PER_QUARTER)
    noise = 1 + shape.noise * (2 * uniform_noise(seed, hours) - 1)
    result: FloatArray = day * week * growth * noise
    return result


@dataclass(frozen=True, slots=True)
class HourlyLoad:
    """One fleet, hour by hour. Energies in milliwatt-hours; ``serving_s + idle_s`` is 3600."""

    hours: IntArray
    serving_s: IntArray
    serving_milliwatt_hours: IntArray
    idle_milliwatt_hours: IntArray
    tokens: IntArray
    requests: IntArray


def fleet_load(
    *,
    demand_tokens_per_s: FloatArray,
    hours: IntArray,
    instances: int,
    accelerators_per_instance: int,
    serving_w: FloatArray,
    throughput_tokens_per_s: FloatArray,
    tokens_per_request: float,
    idle_w: float,
    node_factor: float,
) -> HourlyLoad:
    """Energy and work of a fleet that meets ``demand_tokens_per_s`` as far as its capacity goes.

    ``serving_w`` [W] and ``throughput_tokens_per_s`` are of one instance and may change from hour to hour (another
    batch size, another precision); ``idle_w`` [W] is of one accelerator; ``node_factor`` takes accelerator power to
    what the measuring point sees (1: the accelerators alone).
    """
    share = np.clip(demand_tokens_per_s / (instances * throughput_tokens_per_s), 0, MAX_SERVING_SHARE)
    serving_s = np.rint(share * SECONDS_PER_HOUR).astype(np.int64)
    idle_s = SECONDS_PER_HOUR - serving_s
    to_milliwatt_hours = 1000 / SECONDS_PER_HOUR * node_factor
    tokens = serving_s * instances * throughput_tokens_per_s
    return HourlyLoad(
        hours=hours,
        serving_s=serving_s,
        serving_milliwatt_hours=np.rint(serving_s * instances * serving_w * to_milliwatt_hours).astype(np.int64),
        idle_milliwatt_hours=np.rint(
            idle_s * instances * accelerators_per_instance * idle_w * to_milliwatt_hours
        ).astype(np.int64),
        tokens=np.rint(tokens).astype(np.int64),
        requests=np.rint(tokens / tokens_per_request).astype(np.int64),
    )


def job_milliwatt_hours(
    *, seed: str, hours: IntArray, accelerators: int, tdp_w: float, load: float, node_factor: float
) -> IntArray:
    """Energy [mWh] of a job in each hour: accelerators x TDP [W] x load, with 3 % of noise up and down."""
    noise = 1 + 0.03 * (2 * uniform_noise(seed, hours) - 1)
    return np.rint(accelerators * tdp_w * load * node_factor * 1000 * noise).astype(np.int64)
