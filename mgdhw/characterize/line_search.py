"""Line search: the cost along the estimated gradient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.block import Baseline, Block
from mgdhw.characterize.budgeted_device import FIXED_BATCH, BudgetedDevice
from mgdhw.codes import Codes
from mgdhw.learning.gradient import Window, accumulate, cost_scale, estimate
from mgdhw.random.sample_order import SampleOrder

PROBES = 512
BLOCK = 128
REPEATS = 2
MOST_POINTS = 20


@dataclass(frozen=True)
class LineSearch:
    """C₀ at θ - t·ĝ.

    Args:
        probes: that ĝ was estimated with.
        norm: |ĝ|², noise included.
        steps: (T,) t, the first is 0.
        costs: (T,) C₀ per sample.
    """

    probes: int
    norm: float
    steps: FloatArray
    costs: FloatArray

    @property
    def best(self) -> tuple[float, float] | None:
        """t of the lowest cost and how much lower it is than at θ; None if no step leads down."""
        at = int(np.argmin(self.costs))
        gain = float(self.costs[0] - self.costs[at])
        return (float(self.steps[at]), gain) if gain > 0 else None

    @property
    def curvature(self) -> float | None:
        """ĝᵀHĝ of the parabola that falls to the lowest cost: gain = t² ĝᵀHĝ / 2."""
        best = self.best
        return None if best is None else 2 * best[1] / best[0] ** 2


async def measure_line_search(device: BudgetedDevice, theta: FloatArray, amplitude: int, batch: int) -> LineSearch:
    """Estimate the gradient at θ, (P,), and search along it. Takes about 600 evaluations. Restores θ."""
    device.begin_stage("line search along the gradient")
    info = device.info
    await device.write(theta)
    order = SampleOrder(device.seed, device.dataset.n_train, batch, FIXED_BATCH)
    spec = device.codes(amplitude)
    codes, first = Codes(spec, info.topology), device.reserve_steps(PROBES)
    window, held = Window.empty(info.n_parameters, integer=device.integer_costs), None
    for start in range(first, first + PROBES, BLOCK):
        costs = await device.probe(Block(start, BLOCK, spec, order, Baseline.HELD, held))
        held = costs.held
        window = accumulate(window, costs, codes, start)
    gradient = estimate(window, cost_scale(info.cost_lsb, batch, Baseline.HELD), info.theta_lsb)
    steps, costs_at = [0.0], [await device.cost(batch, REPEATS)]
    largest = float(np.abs(gradient).max())
    if largest > 0:
        lsb, span = float(np.max(info.theta_lsb)), float(np.min(np.asarray(info.theta_max) - info.theta_min))
        points = min(MOST_POINTS, int(np.log2(span / lsb)) + 2)
        steps += (span / 2 / largest * 2.0 ** -np.arange(points)[::-1]).tolist()
        room = (amplitude + 0.5) * np.asarray(info.theta_lsb)
        for step in steps[1:]:
            await device.write(np.clip(theta - step * gradient, info.theta_min + room, info.theta_max - room))
            costs_at.append(await device.cost(batch, REPEATS))
        await device.write(theta)
    return LineSearch(PROBES, float(np.square(gradient).sum()), np.array(steps), np.array(costs_at))
