"""A device that writes down what it is asked, and a block for it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Baseline, Block, CodeSpec, Part
from mgdhw.datasets import Dataset
from mgdhw.random.sample_order import SampleOrder
from mgdhw.testing.function_device import FunctionDevice

BOTTOM = np.array([0.5, -0.25, 0.125, 0.75, -1.0])


class Bowl(FunctionDevice):
    """Five knobs and a meter: the cost is (θ - BOTTOM)² + 1. Writes down what it is asked.

    Args:
        lsb: step of a knob.
        limit: of |θ|.
        fail: called before each measurement with its number.
    """

    def __init__(
        self, lsb: float | FloatArray = 2.0**-10, limit: float = 2.0, fail: Callable[[int], None] | None = None
    ) -> None:
        def cost(theta: FloatArray) -> float:
            return float(np.square(theta - BOTTOM).sum() + 1.0)

        super().__init__(cost, BOTTOM.size, uri="bowl:1", low=-limit, high=limit, lsb=lsb, n_inputs=1)
        self.sent: list[FloatArray] = []
        self.measured: list[tuple[list[int], int, Part]] = []
        self.fail = fail

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        self.sent.append(theta.copy())
        return await super().apply(theta, step)

    async def measure(self, samples: IntArray, step: int, part: Part) -> int | float:
        if self.fail is not None:
            self.fail(len(self.measured))
        self.measured.append((samples.tolist(), step, part))
        return await super().measure(samples, step, part)


async def opened(bowl: Bowl) -> Bowl:
    await bowl.open()
    return bowl


ONE_SAMPLE = Dataset("one", np.zeros((1, 1)), 1.0, np.zeros((1, 1)), 1)


def block(baseline: Baseline = Baseline.HELD, **changes: object) -> Block:
    made = Block(8, 6, CodeSpec("random", 1, 3), SampleOrder(2, 7, batch=2, tau_x=4), baseline)
    return replace(made, **changes)  # type: ignore[arg-type]
