"""H1: a year of hours of 200 markets through the hourly engine, against a loop in Python over the same hours."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from bench.harness import Goal, note, peak_mib, report

MARKETS = 200
HOURS = 8_760
LOTS = 4  # in each market: two clean, two with a factor
SAMPLE = 1_000  # hours of one market that the loop does; its time is scaled to all of them
ROUNDS = 5

H1 = Goal(
    "H1", "hourly matching, 200 markets x 8,760 hours: a Python loop over the same hours / the engine", 10, 30, True
)
H2 = Goal("H2", "the same / a plain float sum of products over the same arrays", 40, 15, False)


def seconds(work: Callable[[], object]) -> float:
    """Processor time: all three are arithmetic of one thread, and whatever else runs must not weigh on them."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    from apps.accounting.engine.hourly import HourlyLot, carbon_free_energy, hourly_market_based
    from apps.core.units import Int64Array

    random = np.random.default_rng(7)

    def draw(low: int, high: int, shape: tuple[int, ...]) -> Int64Array:
        return random.integers(low, high, shape, dtype=np.int64)

    note(f"drawing {MARKETS:,} markets x {HOURS:,} hours with {LOTS} instruments each")
    shape = (MARKETS, HOURS)
    load = draw(10**9, 10**11, shape)  # 1 to 100 MWh an hour
    fallback = draw(300 * 10**6, 800 * 10**6, shape)
    share = np.full(shape, 100_000, dtype=np.int64)
    share_factor = np.full(shape, 20 * 10**6, dtype=np.int64)
    grid = draw(0, 10**6, shape)
    factors = [0, 0, 12 * 10**6, 400 * 10**6][:LOTS]
    lots = [HourlyLot(market, draw(0, 3 * 10**10, (HOURS,)), factor) for market in range(MARKETS) for factor in factors]

    def engine() -> int:
        result = hourly_market_based(
            load=load,
            lots=lots,
            fallback_ug_per_kwh=fallback,
            standard_share_ppm=share,
            standard_ug_per_kwh=share_factor,
        )
        carbon_free_energy(load=load, contracted=result.carbon_free, grid_cfe_ppm=grid)
        return int(result.market_mg[0, :SAMPLE].sum())

    # As rows come from a database: one hour after the other, exact like the engine.
    columns = [column[0, :SAMPLE].tolist() for column in (load, fallback, share, share_factor, grid)]
    volumes = list(zip(*(lot.volume[:SAMPLE].tolist() for lot in lots[:LOTS]), strict=True))

    def loop() -> int:
        total = 0
        for used, rate, part, part_rate, clean, offered in zip(*columns, volumes, strict=True):
            supply = used * part // 10**6
            left, product, contracted, surplus = used - supply, supply * part_rate, 0, 0
            for volume, factor in zip(offered, factors, strict=True):
                covered = min(volume, left)
                left -= covered
                surplus += volume - covered
                product += covered * factor
                contracted += 0 if factor else covered
            total += (product + left * rate + 5 * 10**8) // 10**9
            contracted += (used - contracted) * clean // 10**6
        return total

    plain_volumes = np.stack([lot.volume for lot in lots]).reshape(MARKETS, LOTS, HOURS).astype(np.float64)
    plain_load, plain_rate = load.astype(np.float64), fallback.astype(np.float64)
    plain_factors = np.array(factors, dtype=np.float64)

    def plain() -> float:
        return float((plain_load * plain_rate).sum() + np.einsum("mlh,l->", plain_volumes, plain_factors))

    if engine() != loop():
        raise RuntimeError("the engine and the loop do not agree")
    plain()
    engines, loops, plains = [], [], []
    for _ in range(ROUNDS):
        engines.append(seconds(engine))
        loops.append(seconds(loop) * MARKETS * HOURS / SAMPLE)
        plains.append(seconds(plain))
    raw = {
        "engine": f"{statistics.median(engines):.3f} s for {MARKETS * HOURS:,} hours",
        "loop": f"{statistics.median(loops):.1f} s (scaled from {SAMPLE:,})",
        "plain": f"{statistics.median(plains):.3f} s",
        "peak": f"{peak_mib():.0f} MiB",
    }
    report(H1, statistics.median(a / b for a, b in zip(loops, engines, strict=True)), **raw)
    report(H2, statistics.median(a / b for a, b in zip(engines, plains, strict=True)), **raw)


if __name__ == "__main__":
    main()
