"""Who makes the codes changes nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mgdhw.block import Baseline
from mgdhw.testing.bench import Bench, on_bench
from mgdhw.testing.check import NotApplicable, Opener
from mgdhw.testing.demands import demand_same
from mgdhw.testing.fitted import FIRST_STEP, block_for, codes_for, order_for
from mgdhw.testing.permutation import RUNS, demand_alike

LATE = (1 << 33) + FIRST_STEP
"""A step that does not fit 32 bits."""


def _needs_two_levels(bench: Bench) -> None:
    if len(bench.levels) < 2:
        raise NotApplicable("there is one level only: a device that takes blocks and single measurements has two")


async def levels_agree(opener: Opener) -> None:
    """Codes made by the host and by the device give the same costs, for every family, grouping and baseline."""
    async with on_bench(opener) as bench:
        _needs_two_levels(bench)
        bench.needs_determinism()
        bench.needs_exact_writes()
        for codes in codes_for(bench.info):
            for baseline in Baseline:
                block = block_for(bench.info, codes=codes, baseline=baseline)
                host, device = [await probe(block) for probe in bench.levels.values()]
                what = f"codes {codes.family}, groups {codes.groups}, baseline {baseline}"
                demand_same(device, host, what, "device codes", "host codes")


async def late_steps_agree(opener: Opener) -> None:
    """Steps beyond 32 bits, orders with other seeds and larger batches than the dataset are the same at both levels."""
    async with on_bench(opener) as bench:
        _needs_two_levels(bench)
        bench.needs_determinism()
        bench.needs_exact_writes()
        late = block_for(bench.info, first_step=LATE)
        samples = bench.dataset.n_train
        orders = (
            order_for(),
            order_for(seed=1),
            replace(order_for(), batch=2 * samples + 1),
            replace(order_for(), tau_x=1),
        )
        for order in orders:
            block = replace(late, order=order)
            host, device = [await probe(block) for probe in bench.levels.values()]
            what = f"step {LATE:,}, order {order}"
            demand_same(device, host, what, "device codes", "host codes")


async def levels_agree_statistically(opener: Opener) -> None:
    """On a noisy device both levels have the same mean costs (exact permutation test; one false alarm in 1,716)."""
    async with on_bench(opener) as bench:
        _needs_two_levels(bench)
        if bench.is_deterministic:
            raise NotApplicable("the device is deterministic: its levels agree to the bit")
        bench.needs_exact_writes()
        names = list(bench.levels)
        rows: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
        for run in range(RUNS):
            for name in names if run % 2 == 0 else names[::-1]:  # so that a drift falls on both alike
                rows[name].append(await _costs(bench, name))
        first, second = (np.stack(rows[name]) for name in names)
        demand_alike(first, second, f"the costs of {names[0]} and {names[1]}")


async def _costs(bench: Bench, level: str) -> NDArray[np.float64]:
    """Costs of a block of every family, one after the other; each is a measurement of its own."""
    probe, parts = bench.levels[level], []
    for number, codes in enumerate(codes_for(bench.info)):
        baseline = (Baseline.EVERY, Baseline.ANTITHETIC)[number % 2]
        costs = await probe(block_for(bench.info, codes=codes, baseline=baseline))
        parts += [costs.perturbed, costs.reference]
    return np.concatenate(parts).astype(np.float64)
