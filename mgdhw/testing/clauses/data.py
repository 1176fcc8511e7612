"""Clauses about `load` and `infer`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mgdhw.block import Costs
from mgdhw.testing.check import Opener
from mgdhw.testing.device_under_test import DeviceUnderTest, opened_dut
from mgdhw.testing.requirements import require, require_equal
from mgdhw.testing.stimuli import FIRST_STEP, block_for, dataset_for


async def samples_are_called_by_index(opener: Opener) -> None:
    """`infer` returns (B, n_out) outputs, one row for each requested sample, in that order."""
    async with opened_dut(opener) as dut:
        n, infer = dut.dataset.n_samples, dut.device.infer
        for samples in (np.arange(n), np.array([n - 1]), np.array([3, 0, 3])):
            outputs = await infer(samples)
            expected = (samples.size, dut.info.n_outputs)
            require(outputs.shape == expected, f"{samples.size} samples have outputs of shape {outputs.shape}")
            require(bool(np.isfinite(outputs).all()), "an output is NaN or infinite")
        if not dut.is_deterministic:
            return
        in_order = await infer(np.arange(n))
        chosen = np.array([n - 1, 2, 0, 2])
        require_equal(
            await infer(chosen), in_order[chosen], f"samples {chosen}", "the outputs", "those of all, in order"
        )


async def data_can_be_replaced(opener: Opener) -> None:
    """`load` replaces the dataset, accepts the same one again, and leaves θ unchanged."""
    async with opened_dut(opener) as dut:
        dut.needs_repeatability()
        device, samples = dut.device, np.arange(dut.dataset.n_samples)
        costs = await device.probe(block_for(dut.info))  # before infer, whose outputs belong to a later time
        outputs = await device.infer(samples)
        await device.load(dut.dataset)
        require_equal(await device.infer(samples), outputs, "the same data loaded again", "the outputs", "those before")
        for other in (dataset_for(dut.info, 1, samples=40), dataset_for(dut.info, 2, samples=3)):
            await device.load(other)
            await device.infer(np.arange(other.n_samples))
            await dut.require_theta(f"after {other.n_samples} samples were loaded", probed=True)
        await device.load(dut.dataset)
        require_equal(
            await device.infer(samples), outputs, "the first data loaded again", "the outputs", "those before"
        )
        again = await device.probe(block_for(dut.info))
        require_equal(again, costs, "the first data loaded again", "the costs", "those before")


async def infer_disturbs_nothing(opener: Opener) -> None:
    """`infer` may be called anytime during training: θ, costs and a held baseline are unaffected."""
    async with opened_dut(opener) as dut:
        device, samples = dut.device, np.arange(dut.dataset.n_samples)
        await device.infer(samples)
        await dut.require_theta("after infer")
        if not dut.is_repeatable:
            return
        without = await _two_blocks(dut, np.zeros(0, dtype=np.int64))
        between = await _two_blocks(dut, samples[::-1])
        for one, other in zip(between, without, strict=True):
            require_equal(one, other, "with infer between two blocks", "the costs", "those without")
        await dut.require_theta("after infer between two blocks", probed=True)


async def _two_blocks(dut: DeviceUnderTest, samples: NDArray[np.int64]) -> tuple[Costs, Costs]:
    """The costs of two blocks of one batch, with `infer` in between if there are samples."""
    first = await dut.device.probe(block_for(dut.info, n_probes=2))
    if samples.size:
        await dut.device.infer(samples)
    rest = block_for(dut.info, first_step=FIRST_STEP + 2, n_probes=3, held=first.held)
    return first, await dut.device.probe(rest)
