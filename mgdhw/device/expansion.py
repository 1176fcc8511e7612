"""A block with host codes: writes and measurements, one after another."""

from __future__ import annotations

import asyncio
from typing import Protocol

import numpy as np

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Baseline, Block, Costs, HeldBaseline, Part
from mgdhw.codes import Codes
from mgdhw.concurrency.completion import run_to_completion
from mgdhw.device.info import DeviceInfo


class Measuring(Protocol):
    """A device that sets parameters and measures."""

    uri: str
    info: DeviceInfo
    put_back_seconds: float | None

    async def write(self, theta: FloatArray, step: int = 0) -> FloatArray:
        """Set every parameter, (P,)."""

    async def acquire(self, samples: IntArray, step: int, part: Part) -> int | float:
        """One evaluation of (B,) samples, a measurement."""


async def expand(device: Measuring, block: Block, theta: FloatArray) -> Costs:
    """Run a block by writes and measurements around θ, (P,). Restores θ, also if cancelled."""
    info = device.info
    codes = Codes(block.codes, info.topology).values(block.first_step, block.n_probes)
    samples = block.order.samples(block.first_batch(), block.n_batches())
    baseline_steps = set(block.baseline_steps())
    held = block.valid_held()
    perturbed: list[int | float] = []
    reference: list[int | float] = []

    def clipped(at: FloatArray) -> FloatArray:
        return np.clip(at, info.theta_min, info.theta_max)

    async def measured_at(at: FloatArray, batch: IntArray, step: int, part: Part) -> int | float:
        await device.write(at, step)
        return await device.acquire(batch, step, part)

    patience: float | None = None
    try:
        for j in range(block.n_probes):
            step = block.first_step + j
            batch = samples[block.order.batch_of(step) - block.first_batch()]
            if step in baseline_steps:
                held = HeldBaseline(await measured_at(theta, batch, step, Part.BASELINE), step)
            change = codes[j] * info.theta_lsb
            perturbed.append(await measured_at(clipped(theta + change), batch, step, Part.PLUS))
            if block.baseline is Baseline.ANTITHETIC:
                reference.append(await measured_at(clipped(theta - change), batch, step, Part.MINUS))
            else:
                reference.append(0 if held is None else held.value)
    except asyncio.CancelledError:
        patience = device.put_back_seconds
        raise
    finally:
        back = asyncio.ensure_future(device.write(theta, block.first_step + block.n_probes))
        if patience is not None:
            asyncio.get_running_loop().call_later(patience, back.cancel)
        await run_to_completion(back)
    carried = held if block.baseline is Baseline.HELD else None
    return Costs(np.array(perturbed), np.array(reference), block.evaluations(), carried)
