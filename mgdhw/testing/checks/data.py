"""What `load` and `infer` promise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mgdhw.block import Costs
from mgdhw.testing.bench import Bench, on_bench
from mgdhw.testing.check import Opener
from mgdhw.testing.demands import demand, demand_same
from mgdhw.testing.fitted import FIRST_STEP, block_for, dataset_for


async def samples_are_called_by_index(opener: Opener) -> None:
    """`infer` answers (B, n_out) outputs, one row for each sample that was asked for, in that order."""
    async with on_bench(opener) as bench:
        n, infer = bench.dataset.n_samples, bench.device.infer
        for samples in (np.arange(n), np.array([n - 1]), np.array([3, 0, 3])):
            outputs = await infer(samples)
            expected = (samples.size, bench.info.n_outputs)
            demand(outputs.shape == expected, f"{samples.size} samples have outputs of shape {outputs.shape}")
            demand(bool(np.isfinite(outputs).all()), "an output is not a number")
        if not bench.is_deterministic:
            return
        in_order = await infer(np.arange(n))
        chosen = np.array([n - 1, 2, 0, 2])
        demand_same(await infer(chosen), in_order[chosen], f"samples {chosen}", "the outputs", "those of all, in order")


async def data_can_be_replaced(opener: Opener) -> None:
    """`load` replaces what was there, takes the same data again, and θ stays."""
    async with on_bench(opener) as bench:
        bench.needs_determinism()
        device, samples = bench.device, np.arange(bench.dataset.n_samples)
        costs = await device.probe(block_for(bench.info))  # before the outputs, which are those of its time
        outputs = await device.infer(samples)
        await device.load(bench.dataset)
        demand_same(await device.infer(samples), outputs, "the same data loaded again", "the outputs", "those before")
        for other in (dataset_for(bench.info, 1, samples=40), dataset_for(bench.info, 2, samples=3)):
            await device.load(other)
            await device.infer(np.arange(other.n_samples))
            await bench.demand_theta(f"after {other.n_samples} samples were loaded", probed=True)
        await device.load(bench.dataset)
        demand_same(await device.infer(samples), outputs, "the first data loaded again", "the outputs", "those before")
        again = await device.probe(block_for(bench.info))
        demand_same(again, costs, "the first data loaded again", "the costs", "those before")


async def infer_disturbs_nothing(opener: Opener) -> None:
    """`infer` may come anywhere in a training: θ, costs and a held baseline stay as they were."""
    async with on_bench(opener) as bench:
        device, samples = bench.device, np.arange(bench.dataset.n_samples)
        await device.infer(samples)
        await bench.demand_theta("after infer")
        if not bench.is_deterministic:
            return
        without = await _two_blocks(bench, np.zeros(0, dtype=np.int64))
        between = await _two_blocks(bench, samples[::-1])
        for one, other in zip(between, without, strict=True):
            demand_same(one, other, "with an infer between two blocks", "the answers", "those without")
        await bench.demand_theta("after infer between two blocks", probed=True)


async def _two_blocks(bench: Bench, samples: NDArray[np.int64]) -> tuple[Costs, Costs]:
    """The answers to two blocks of one batch, with an `infer` between them if there are samples for it."""
    first = await bench.device.probe(block_for(bench.info, n_probes=2))
    if samples.size:
        await bench.device.infer(samples)
    rest = block_for(bench.info, first_step=FIRST_STEP + 2, n_probes=3, held=first.held)
    return first, await bench.device.probe(rest)
